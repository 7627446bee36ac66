"""A sign-in remembers, hashed, the network it was begun from: its person is no stranger there."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sign_ins", sa.Column("place", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("sign_ins", "place")
