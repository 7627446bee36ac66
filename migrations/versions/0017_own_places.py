"""People's own places: letters, remarks on answers, consent and guidelines that were read, what they tell about
themselves, and argued answers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

LETTERS = ("returned", "replied", "changed", "asked", "guidelines")
REMARKS = ("returned", "changed", "said")
USES = ("training", "gold")


def word(values: tuple[str, ...], name: str) -> sa.Enum:
    return sa.Enum(*values, name=name, native_enum=False, create_constraint=True, length=32)


def key() -> "sa.Column[int]":
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def instant(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)


def leads(table: str, column: str, to: str, **options: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"), **options)


def leads_inside(table: str, column: str, to: str, **options: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_project_id_{column}")
    return sa.ForeignKeyConstraint(["project_id", column], [f"{to}.project_id", f"{to}.id"], name=name, **options)


def upgrade() -> None:
    op.add_column("memberships", sa.Column("consent_version", sa.BigInteger(), nullable=True))
    op.add_column("memberships", sa.Column("guidelines_read", sa.BigInteger(), nullable=True))
    op.add_column("projects", sa.Column("consent_version", sa.BigInteger(), nullable=True))
    op.add_column("annotations", sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_annotations_returned",
        "annotations",
        ["annotator_id"],
        postgresql_where=sa.text("returned_at IS NOT NULL"),
    )
    op.create_table(
        "inbox_items",
        key(),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", word(LETTERS, "letter"), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        instant("at"),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        leads("inbox_items", "user_id", "users", ondelete="CASCADE"),
        leads("inbox_items", "project_id", "projects", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_items")),
        sa.UniqueConstraint("public_id", name=op.f("uq_inbox_items_public_id")),
    )
    op.create_index(op.f("ix_inbox_items_user_id_id"), "inbox_items", ["user_id", "id"])
    op.create_index("ix_inbox_items_unread", "inbox_items", ["user_id"], postgresql_where=sa.text("read_at IS NULL"))
    op.create_table(
        "remarks",
        key(),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("annotation_id", sa.BigInteger(), nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", word(REMARKS, "remarkkind"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        instant("at"),
        leads_inside("remarks", "annotation_id", "annotations", ondelete="CASCADE"),
        leads("remarks", "by_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remarks")),
    )
    op.create_index(op.f("ix_remarks_annotation_id_id"), "remarks", ["annotation_id", "id"])
    op.create_index(op.f("ix_remarks_by_id_id"), "remarks", ["by_id", "id"])
    for table, text in (("consent_texts", True), ("about_you_forms", False)):
        said = [sa.Column("markdown", sa.Text(), nullable=False), sa.Column("html", sa.Text(), nullable=False)]
        op.create_table(
            table,
            key(),
            sa.Column("project_id", sa.BigInteger(), nullable=False),
            sa.Column("version", sa.BigInteger(), nullable=False),
            *(said if text else [sa.Column("body", postgresql.JSONB(), nullable=True)]),
            sa.Column("created_by_id", sa.BigInteger(), nullable=True),
            instant("created_at"),
            leads(table, "created_by_id", "users"),
            leads(table, "project_id", "projects", ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")),
            sa.UniqueConstraint("project_id", "version", name=op.f(f"uq_{table}_project_id_version")),
        )
    op.create_table(
        "own_accounts",
        key(),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("form_version", sa.BigInteger(), nullable=False),
        sa.Column("body", postgresql.JSONB(), nullable=False),
        instant("consented_at"),
        instant("saved_at"),
        leads("own_accounts", "project_id", "projects", ondelete="CASCADE"),
        leads("own_accounts", "user_id", "users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_own_accounts")),
        sa.UniqueConstraint("project_id", "user_id", name=op.f("uq_own_accounts_project_id_user_id")),
    )
    op.create_table(
        "argued_answers",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("protocol_id", sa.BigInteger(), nullable=False),
        sa.Column("use", word(USES, "use"), nullable=False),
        sa.Column("bodies", postgresql.JSONB(), nullable=False),
        sa.Column("markdown", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=False),
        instant("at"),
        leads_inside("argued_answers", "task_id", "tasks", ondelete="CASCADE"),
        leads_inside("argued_answers", "protocol_id", "protocols"),
        leads("argued_answers", "by_id", "users"),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_argued_answers")),
    )


def downgrade() -> None:
    for table in ("argued_answers", "own_accounts", "about_you_forms", "consent_texts", "remarks", "inbox_items"):
        op.drop_table(table)
    op.drop_index("ix_annotations_returned", "annotations")
    op.drop_column("annotations", "returned_at")
    op.drop_column("projects", "consent_version")
    op.drop_column("memberships", "guidelines_read")
    op.drop_column("memberships", "consent_version")
