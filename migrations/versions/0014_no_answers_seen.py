"""Schedules no longer carry a count of answers, which nobody reads since they count by instants."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("schedules", "answers_seen")


def downgrade() -> None:
    op.add_column("schedules", sa.Column("answers_seen", sa.BigInteger(), server_default="0", nullable=False))
