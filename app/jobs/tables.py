"""Bids for cards. What waits in the queue lies in tables of the queue's own."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base, now


class CardBid(Base):
    """A living worker's wish for a card, or its hold on it: one hold a card, whatever happens.

    card: `rules.Card.key`. holder: of a sampler its process, of a training its run. use: `rules.Use`. beat_at: the last
    sign of life; a bid without one for `actions.LIVES` is nobody's.
    """

    __tablename__ = "card_bids"
    __table_args__ = (
        CheckConstraint("use BETWEEN 1 AND 3", name="use"),
        Index("uq_card_bids_one_holds", "card", unique=True, postgresql_where=text("is_held")),
    )
    card: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[UUID] = mapped_column(primary_key=True)
    use: Mapped[int] = mapped_column(SmallInteger)
    is_held: Mapped[bool] = mapped_column(server_default="false", default=False)
    made_at: Mapped[datetime] = now()
    beat_at: Mapped[datetime] = now()
