"""New guidelines say what they change, people ask about tasks and are answered, and consent can be withdrawn."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
LETTERS = ("returned", "replied", "changed", "asked", "guidelines", "message")
LETTERS += ("upheld", "accepted", "entered", "try_again", "not_entered", "contested")


def upgrade() -> None:
    words = ("wording", "clarification", "rule")
    change = sa.Enum(*words, name="change", native_enum=False, create_constraint=True, length=32)
    op.add_column("guidelines", sa.Column("change", change, server_default="clarification", nullable=False))
    op.add_column("projects", sa.Column("rules_version", sa.Integer(), nullable=True))
    op.add_column("api_tokens", sa.Column("skips_reading", sa.Boolean(), server_default="false", nullable=False))
    letters((*LETTERS, "answered"))
    inquiries()
    rulings()
    withdrawals()


def inquiries() -> None:
    op.create_table(
        "inquiries",
        *keys(),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("asker_id", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        at(),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_by_id", sa.BigInteger(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        *constraints("inquiries"),
        pair("inquiries", "task_id", "tasks", ondelete="CASCADE"),
        single("inquiries", "asker_id", "users"),
        single("inquiries", "answered_by_id", "users"),
    )
    waiting = sa.text("answered_at IS NULL")
    op.create_index("ix_inquiries_open", "inquiries", ["project_id", "id"], postgresql_where=waiting)
    op.create_index(op.f("ix_inquiries_project_id_id"), "inquiries", ["project_id", "id"])
    op.create_index(op.f("ix_inquiries_asker_id_id"), "inquiries", ["asker_id", "id"])


def rulings() -> None:
    op.create_table(
        "rulings",
        *keys(),
        sa.Column("inquiry_id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("question", "markdown", "html")),
        sa.Column("by_id", sa.BigInteger(), nullable=False),
        at(),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        *constraints("rulings"),
        pair("rulings", "inquiry_id", "inquiries"),
        single("rulings", "by_id", "users"),
        sa.UniqueConstraint("inquiry_id", name=op.f("uq_rulings_inquiry_id")),
    )
    shown = sa.text("retired_at IS NULL")
    op.create_index("ix_rulings_shown", "rulings", ["project_id", "id"], postgresql_where=shown)


def withdrawals() -> None:
    op.add_column("memberships", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "dataset_withdrawals",
        sa.Column("dataset_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.Integer(), nullable=True),
        at(),
        pair("dataset_withdrawals", "dataset_id", "datasets", ondelete="CASCADE"),
        single("dataset_withdrawals", "user_id", "users"),
        sa.PrimaryKeyConstraint("dataset_id", "user_id", name=op.f("pk_dataset_withdrawals")),
    )


def keys() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
    )


def at() -> sa.Column[object]:
    return sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False)


def constraints(table: str) -> tuple[sa.Constraint, ...]:
    return (
        single(table, "project_id", "projects", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
        sa.UniqueConstraint("public_id", name=op.f(f"uq_{table}_public_id")),
        sa.UniqueConstraint("project_id", "id", name=op.f(f"uq_{table}_project_id_id")),
    )


def single(table: str, column: str, other: str, **values: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{other}")
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, **values)


def pair(table: str, column: str, other: str, **values: str) -> sa.ForeignKeyConstraint:
    both = ["project_id", column], [f"{other}.project_id", f"{other}.id"]
    return sa.ForeignKeyConstraint(*both, name=op.f(f"fk_{table}_project_id_{column}_{other}"), **values)


def letters(kinds: tuple[str, ...]) -> None:
    op.drop_constraint(op.f("ck_inbox_items_letter"), "inbox_items")
    op.create_check_constraint(op.f("ck_inbox_items_letter"), "inbox_items", f"kind IN {kinds}")


def downgrade() -> None:
    op.drop_table("dataset_withdrawals")
    op.drop_column("memberships", "withdrawn_at")
    op.drop_table("rulings")
    op.drop_table("inquiries")
    op.execute("DELETE FROM inbox_items WHERE kind = 'answered'")
    letters(LETTERS)
    op.drop_column("api_tokens", "skips_reading")
    op.drop_column("projects", "rules_version")
    op.drop_column("guidelines", "change")
