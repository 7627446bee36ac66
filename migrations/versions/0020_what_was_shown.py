"""Slots and answers keep the tags that decided what was asked; a protocol says how many answers its task must show; a
prompt says whether its author replaced it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

FEWEST = """CASE
    WHEN body @? '$.**.kind ? (@ == "comparison" || @ == "ranking")' THEN 2
    WHEN body @? '$.**.kind ? (@ == "rating" || @ == "rewrite")' THEN 1
    ELSE 0
END"""


def upgrade() -> None:
    for table in ("slots", "lapses", "annotations"):
        op.add_column(table, sa.Column("tags", ARRAY(sa.Text())))
    op.execute(
        "UPDATE slots s SET tags = p.tags FROM tasks t JOIN prompts p ON p.id = t.prompt_id"
        " WHERE t.id = s.task_id AND s.state = 1"
    )
    op.add_column("protocols", sa.Column("fewest", sa.SmallInteger(), sa.Computed(FEWEST), nullable=False))
    op.add_column("prompts", sa.Column("is_replaced", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("prompts", "is_replaced")
    op.drop_column("protocols", "fewest")
    for table in ("annotations", "lapses", "slots"):
        op.drop_column(table, "tags")
