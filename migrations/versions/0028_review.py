"""Review: what reviewers settled, what people contest, who is let in; attention checks; looking tasks up by words and
their history by what it is about."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
LETTERS = ("returned", "replied", "changed", "asked", "guidelines", "message")
NEW_LETTERS = ("upheld", "accepted", "entered", "try_again", "not_entered", "contested")
# Longer prompts are not found by their words: what an index holds of one has an end.
WORDS = """
    CREATE INDEX ix_prompts_words ON prompts USING gin (
        (CASE WHEN octet_length(CAST(messages AS text)) < 200000
              THEN jsonb_to_tsvector('simple', messages, '["string"]') END))
"""


def one_of(values: tuple[str, ...]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def words_of(table: str, column: str, name: str, values: tuple[str, ...]) -> None:
    """The words that a column may hold."""
    op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{name}")
    op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({column} IN ({one_of(values)}))")


def of_project(table: str, column: str, to: str, **options: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_project_id_{column}")
    return sa.ForeignKeyConstraint(["project_id", column], [f"{to}.project_id", f"{to}.id"], name=name, **options)


def leads(table: str, column: str, to: str, **options: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"), **options)


def instant(name: str = "at") -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), server_default=NOW, nullable=False)


def upgrade() -> None:
    words_of("inbox_items", "kind", "letter", (*LETTERS, *NEW_LETTERS))
    words_of("argued_answers", "use", "use", ("training", "gold", "attention"))
    op.add_column("projects", sa.Column("entrance", JSONB(), nullable=True))
    op.add_column("projects", sa.Column("argument_template", sa.Text(), server_default="", nullable=False))
    op.add_column("argued_answers", sa.Column("is_templated", sa.Boolean(), server_default="false", nullable=False))
    contests()
    adjudications()
    entrances()
    op.execute(WORDS)
    op.execute("CREATE INDEX ix_events_subject ON events (subject, id) WHERE kind <> 'annotation.submitted'")


def contests() -> None:
    op.create_table(
        "contests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("annotation_id", sa.BigInteger(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        instant(),
        sa.Column("is_accepted", sa.Boolean(), nullable=True),
        sa.Column("reply", sa.Text(), server_default="", nullable=False),
        sa.Column("closed_by_id", sa.BigInteger(), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(closed_at IS NULL) = (is_accepted IS NULL)", name=op.f("ck_contests_closed_with_a_verdict")
        ),
        leads("contests", "project_id", "projects", ondelete="CASCADE"),
        of_project("contests", "annotation_id", "annotations", ondelete="CASCADE"),
        leads("contests", "closed_by_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contests")),
        sa.UniqueConstraint("public_id", name=op.f("uq_contests_public_id")),
        sa.UniqueConstraint("annotation_id", name=op.f("uq_contests_annotation_id")),
    )
    op.create_index(op.f("ix_contests_project_id_id"), "contests", ["project_id", "id"])
    is_open = sa.text("closed_at IS NULL")
    op.create_index("ix_contests_open", "contests", ["project_id", "id"], postgresql_where=is_open)


def adjudications() -> None:
    op.create_table(
        "adjudications",
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("protocol_id", sa.BigInteger(), nullable=False),
        sa.Column("annotation_id", sa.BigInteger(), nullable=True),
        sa.Column("body", JSONB(), nullable=False),
        sa.Column("remark", sa.Text(), server_default="", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=False),
        instant(),
        of_project("adjudications", "task_id", "tasks", ondelete="CASCADE"),
        of_project("adjudications", "protocol_id", "protocols"),
        of_project("adjudications", "annotation_id", "annotations"),
        leads("adjudications", "by_id", "users"),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_adjudications")),
    )
    op.create_index(op.f("ix_adjudications_project_id_task_id"), "adjudications", ["project_id", "task_id"])


def entrances() -> None:
    states = sa.Enum(
        "trying", "passed", "exempt", "failed", name="entry", native_enum=False, create_constraint=True, length=32
    )
    op.create_table(
        "entrances",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("state", states, server_default="trying", nullable=False),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("after", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hits", sa.SmallInteger(), nullable=True),
        sa.Column("given", sa.SmallInteger(), nullable=True),
        instant(),
        leads("entrances", "project_id", "projects", ondelete="CASCADE"),
        leads("entrances", "user_id", "users", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "user_id", name=op.f("pk_entrances")),
    )
    op.create_index(op.f("ix_entrances_user_id"), "entrances", ["user_id"])


def downgrade() -> None:
    op.execute("DROP INDEX ix_events_subject")
    op.execute("DROP INDEX ix_prompts_words")
    for table in ("entrances", "adjudications", "contests"):
        op.drop_table(table)
    op.drop_column("argued_answers", "is_templated")
    op.drop_column("projects", "argument_template")
    op.drop_column("projects", "entrance")
    op.execute("UPDATE argued_answers SET use = 'gold' WHERE use = 'attention'")
    words_of("argued_answers", "use", "use", ("training", "gold"))
    op.execute(f"DELETE FROM inbox_items WHERE kind IN ({one_of(NEW_LETTERS)})")  # noqa: S608  (our own words)
    words_of("inbox_items", "kind", "letter", LETTERS)
