"""A card that prompts are written from is marked as one: neither its tag nor its being retired has to say so."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("prompts", sa.Column("is_card", sa.Boolean(), server_default="false", nullable=False))
    op.execute(
        "UPDATE prompts p SET is_card = true, retired_at = coalesce(p.retired_at, now()),"
        " tags = array_remove(p.tags, 'card')"
        " FROM roots r WHERE r.id = p.root_id AND r.key LIKE 'card:%' AND p.metadata ? 'card'"
    )


def downgrade() -> None:
    op.execute("UPDATE prompts SET tags = tags || CAST(ARRAY['card'] AS text[]) WHERE is_card")
    op.drop_column("prompts", "is_card")
