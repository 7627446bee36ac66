"""Rounds that ask the most informative first, tasks' places in them, and what each member of an ensemble says."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

ORDERS = ("random", "oldest", "fewest")


def check(words: tuple[str, ...]) -> None:
    """The new one is looked at without keeping anybody from the table."""
    name = op.f("ck_batches_ordering")
    op.drop_constraint(name, "batches")
    op.create_check_constraint(name, "batches", f"ordering IN ({', '.join(repr(one) for one in words)})")


def upgrade() -> None:
    check((*ORDERS, "informative"))
    op.add_column("tasks", sa.Column("place", sa.Double(), nullable=True))
    op.create_check_constraint(op.f("ck_tasks_place"), "tasks", "place >= 0 AND place < 1")
    op.add_column("scores", sa.Column("members", postgresql.ARRAY(sa.Double()), nullable=True))


def downgrade() -> None:
    op.drop_column("scores", "members")
    op.drop_constraint(op.f("ck_tasks_place"), "tasks")
    op.drop_column("tasks", "place")
    op.execute("UPDATE batches SET ordering = 'random' WHERE ordering = 'informative'")
    check(ORDERS)
