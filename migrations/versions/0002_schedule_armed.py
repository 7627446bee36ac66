"""A schedule remembers since when it is armed, so that switching it on or changing its hour fires nothing of the past."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    armed = sa.Column("armed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    op.add_column("schedules", armed)


def downgrade() -> None:
    op.drop_column("schedules", "armed_at")
