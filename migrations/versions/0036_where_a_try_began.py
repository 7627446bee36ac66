"""Where the last try at the entrance began, so that it is judged again by its own answers alone."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("entrances", sa.Column("before", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("entrances", "before")
