"""Sensitive prompts by category, who opted into what and how much of it today; reports of harmful content."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

KINDS = ("skipped", "not_known", "reported", "not_this_one", "by_us")
VERDICTS = ("harmless", "categorised", "retired")


def columns() -> dict[str, list[sa.Column]]:
    """New ones by table, made anew each time: a column belongs to one table once."""
    return {
        "projects": [
            sa.Column("care", postgresql.JSONB(), server_default="[]", nullable=False),
            sa.Column("care_sets", postgresql.ARRAY(sa.SmallInteger()), server_default="{}", nullable=False),
            sa.Column("help", sa.Text(), server_default="", nullable=False),
            sa.Column("help_html", sa.Text(), server_default="", nullable=False),
        ],
        "memberships": [sa.Column("care", sa.SmallInteger(), server_default="0", nullable=False)],
        "prompts": [sa.Column("care", sa.SmallInteger(), server_default="0", nullable=False)],
        "quota_days": [sa.Column("care", postgresql.ARRAY(sa.Integer()), server_default="{}", nullable=False)],
    }


def one_of(name: str, words: tuple[str, ...]) -> sa.Enum:
    return sa.Enum(*words, name=name, native_enum=False, create_constraint=True, length=32)


def upgrade() -> None:
    for table, new in columns().items():
        for column in new:
            op.add_column(table, column)
    op.create_index(op.f("ix_prompts_care"), "prompts", ["project_id", "care"], postgresql_where=sa.text("care <> 0"))
    op.create_index(op.f("ix_tasks_prompt_id"), "tasks", ["prompt_id"])
    op.add_column("skips", sa.Column("kind", one_of("passedby", KINDS), server_default="skipped", nullable=False))
    op.execute("UPDATE skips SET kind = 'by_us' WHERE reason IN ('own prompt', 'surplus', 'withdrawn', 'set_aside')")
    counted = sa.text("kind IN ('skipped', 'not_known', 'reported')")
    op.create_index(op.f("ix_skips_counted"), "skips", ["project_id"], postgresql_where=counted)
    op.create_table(
        "reports",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("annotator_id", sa.BigInteger(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("words", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("verdict", one_of("verdict", VERDICTS), nullable=True),
        sa.Column("closed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(closed_at IS NULL) = (verdict IS NULL)", name=op.f("ck_reports_closed_with_a_verdict")),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name=op.f("fk_reports_annotator_id")),
        sa.ForeignKeyConstraint(["closed_by_id"], ["users.id"], name=op.f("fk_reports_closed_by_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_reports_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "task_id"],
            ["tasks.project_id", "tasks.id"],
            name=op.f("fk_reports_project_id_task_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sa.UniqueConstraint("public_id", name=op.f("uq_reports_public_id")),
        sa.UniqueConstraint("task_id", "annotator_id", name=op.f("uq_reports_task_id_annotator_id")),
    )
    op.create_index(op.f("ix_reports_project_id_id"), "reports", ["project_id", "id"])
    op.create_index(
        op.f("ix_reports_open"), "reports", ["project_id", "id"], postgresql_where=sa.text("closed_at IS NULL")
    )


def downgrade() -> None:
    op.drop_table("reports")
    op.drop_index(op.f("ix_skips_counted"), table_name="skips")
    op.drop_column("skips", "kind")
    op.drop_index(op.f("ix_tasks_prompt_id"), table_name="tasks")
    op.drop_index(op.f("ix_prompts_care"), table_name="prompts")
    for table, new in columns().items():
        for column in reversed(new):
            op.drop_column(table, column.name)
