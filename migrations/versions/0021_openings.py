"""Conversations stand under roots of their own, made for the words that they begin with."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("roots", sa.Column("opening", sa.String(), nullable=True))


def downgrade() -> None:
    op.drop_column("roots", "opening")
