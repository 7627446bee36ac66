"""Who has a card, and who waits for it."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "card_bids",
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("holder", sa.Uuid(), nullable=False),
        sa.Column("use", sa.SmallInteger(), nullable=False),
        sa.Column("is_held", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("beat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("card", "holder", name=op.f("pk_card_bids")),
        sa.CheckConstraint("use BETWEEN 1 AND 3", name=op.f("ck_card_bids_use")),
    )
    op.create_index("uq_card_bids_one_holds", "card_bids", ["card"], unique=True, postgresql_where=sa.text("is_held"))


def downgrade() -> None:
    op.drop_table("card_bids")
