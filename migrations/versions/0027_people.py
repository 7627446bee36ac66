"""People as those who run a project see them: who is deactivated, messages to them, and what became of quotas."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

OLD = ("returned", "replied", "changed", "asked", "guidelines")
CHECK, TABLE = "ck_inbox_items_letter", "inbox_items"  # no op.f out here: it is there only while a migration runs


def letters(words: tuple[str, ...]) -> str:
    return f"kind IN ({', '.join(repr(one) for one in words)})"


def upgrade() -> None:
    op.add_column("memberships", sa.Column("deactivated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(TABLE, sa.Column("text", sa.Text(), server_default="", nullable=False))
    op.add_column(TABLE, sa.Column("by_id", sa.BigInteger(), nullable=True))
    op.create_foreign_key(op.f("fk_inbox_items_by_id_users"), TABLE, "users", ["by_id"], ["id"])
    op.drop_constraint(op.f(CHECK), TABLE)
    op.create_check_constraint(op.f(CHECK), TABLE, letters((*OLD, "message")))
    some = sa.text("kind IN ('quota.changed', 'limits.changed')")
    op.create_index("ix_events_quotas", "events", ["project_id", "id"], postgresql_where=some)


def downgrade() -> None:
    op.drop_index("ix_events_quotas", "events")
    op.execute("DELETE FROM inbox_items WHERE kind = 'message'")
    op.drop_constraint(op.f(CHECK), TABLE)
    op.create_check_constraint(op.f(CHECK), TABLE, letters(OLD))
    op.drop_column(TABLE, "by_id")
    op.drop_column(TABLE, "text")
    op.drop_column("memberships", "deactivated_at")
