"""Prompts that people write may wait until somebody else has let them through."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

INDEX = "ix_prompts_awaits_check"


def upgrade() -> None:
    op.add_column("prompts", sa.Column("awaits_check", sa.Boolean(), server_default="false", nullable=False))
    op.create_index(INDEX, "prompts", ["project_id", "id"], postgresql_where=sa.text("awaits_check"))


def downgrade() -> None:
    op.drop_column("prompts", "awaits_check")
