"""How long a person was at a task, as their page measured it."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("annotations", sa.Column("active_seconds", sa.Float(), nullable=True))


def downgrade() -> None:
    op.drop_column("annotations", "active_seconds")
