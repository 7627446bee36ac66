"""Rounds have a pilot, and remember the states they came to and what was read then."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("pilot", sa.BigInteger(), server_default="50", nullable=False))
    op.add_column("batches", sa.Column("steps", JSONB(), server_default="[]", nullable=False))
    op.create_check_constraint("pilot", "batches", "pilot >= 1")
    op.add_column("projects", sa.Column("has_rounds", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("projects", "has_rounds")
    op.drop_column("batches", "steps")
    op.drop_column("batches", "pilot")
