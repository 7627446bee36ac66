"""What a rework set aside is known by what it was, and letters by whether those who run a project wrote them."""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

LETTERS = ("returned", "replied", "upheld", "accepted", "entered", "try_again", "not_entered", "changed", "asked")
LETTERS += ("contested", "guidelines", "message", "answered")


def upgrade() -> None:
    op.add_column("annotations", sa.Column("was_live", sa.Boolean(), nullable=True))
    op.add_column("annotations", sa.Column("was_returned_at", sa.DateTime(timezone=True), nullable=True))
    letters((*LETTERS, "reply"))
    op.execute("""
        UPDATE inbox_items i SET kind = 'reply' FROM memberships m
        WHERE i.kind = 'message' AND m.project_id = i.project_id AND m.user_id = i.by_id AND m.role <> 'manager'
          AND NOT EXISTS (SELECT FROM users u WHERE u.id = i.by_id AND u.is_admin)
    """)


def downgrade() -> None:
    op.execute("UPDATE inbox_items SET kind = 'message' WHERE kind = 'reply'")
    letters(LETTERS)
    op.drop_column("annotations", "was_returned_at")
    op.drop_column("annotations", "was_live")


def letters(kinds: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_inbox_items_letter"), "inbox_items")
    op.create_check_constraint(op.f("ck_inbox_items_letter"), "inbox_items", f"kind IN {kinds}")
