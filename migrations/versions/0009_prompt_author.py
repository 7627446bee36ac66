"""A prompt that a person of the project wrote knows who: they are never asked to judge answers to it."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("prompts", sa.Column("author_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_prompts_author_id"), "prompts", "users", ["author_id"], ["id"])


def downgrade() -> None:
    op.drop_column("prompts", "author_id")
