"""Who is asked, how often and how much: audiences, tags that ask for more, orders, limits, rates and a ledger."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
NEVER_CHANGED = """
    CREATE FUNCTION ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$;
    CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE ON ledger
        FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only();
    CREATE TRIGGER ledger_never_emptied BEFORE TRUNCATE ON ledger
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_is_append_only();
    REVOKE UPDATE, DELETE, TRUNCATE ON ledger FROM PUBLIC, CURRENT_USER;
"""


def upgrade() -> None:
    audiences()
    rounds_and_tags()
    limits()
    money()


def key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def outside_id() -> sa.Column[object]:
    return sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False)


def texts(name: str) -> sa.Column[object]:
    return sa.Column(name, ARRAY(sa.Text()), server_default="{}", nullable=False)


def ids(name: str) -> sa.Column[object]:
    return sa.Column(name, ARRAY(sa.BigInteger()), server_default="{}", nullable=False)


def of_projects(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_project_id_projects")
    return sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=name, ondelete="CASCADE")


def audiences() -> None:
    op.create_table(
        "audiences",
        key(),
        outside_id(),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        texts("cohorts"),
        texts("skills"),
        ids("people"),
        ids("without"),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("number BETWEEN 1 AND 31", name=op.f("ck_audiences_number")),
        of_projects("audiences"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audiences")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_audiences_project_id_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_audiences_public_id")),
    )
    there = sa.text("retired_at IS NULL")
    op.create_index("uq_audiences_number", "audiences", ["project_id", "number"], unique=True, postgresql_where=there)
    op.create_index("uq_audiences_name", "audiences", ["project_id", "name"], unique=True, postgresql_where=there)
    op.add_column("memberships", texts("skills"))


def rounds_and_tags() -> None:
    orders = sa.Enum(
        "random", "oldest", "fewest", name="ordering", native_enum=False, create_constraint=True, length=32
    )
    op.add_column("batches", sa.Column("most_k", sa.SmallInteger(), nullable=True))
    op.add_column("batches", sa.Column("calibration", sa.Double(), server_default="0", nullable=False))
    op.add_column("batches", sa.Column("ordering", orders, server_default="random", nullable=False))
    op.add_column("batches", sa.Column("audience_id", sa.BigInteger(), nullable=True))
    op.create_check_constraint("most_k", "batches", "most_k BETWEEN 1 AND 50")
    op.create_check_constraint("calibration", "batches", "calibration BETWEEN 0 AND 1")
    pair = ["project_id", "audience_id"], ["project_id", "id"]
    op.create_foreign_key(op.f("fk_batches_project_id_audience_id_audiences"), "batches", "audiences", *pair)
    op.create_table(
        "tag_rules",
        key(),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.SmallInteger(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("k", sa.SmallInteger(), nullable=True),
        sa.Column("audience_id", sa.BigInteger(), nullable=True),
        sa.Column("band", sa.SmallInteger(), nullable=True),
        sa.Column("a_day", sa.BigInteger(), nullable=True),
        sa.Column("in_all", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("k BETWEEN 1 AND 50", name=op.f("ck_tag_rules_k")),
        sa.CheckConstraint("band BETWEEN 0 AND 15", name=op.f("ck_tag_rules_band")),
        sa.CheckConstraint("a_day >= 0 AND in_all >= 0", name=op.f("ck_tag_rules_limits")),
        of_projects("tag_rules"),
        sa.ForeignKeyConstraint(
            ["project_id", "audience_id"],
            ["audiences.project_id", "audiences.id"],
            name=op.f("fk_tag_rules_project_id_audience_id_audiences"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_rules")),
        sa.UniqueConstraint("project_id", "tag", name=op.f("uq_tag_rules_project_id_tag")),
    )
    op.add_column("tasks", sa.Column("most_k", sa.SmallInteger(), nullable=True))
    op.add_column("tasks", sa.Column("has_own_place", sa.Boolean(), server_default="false", nullable=False))


def limits() -> None:
    op.add_column("memberships", sa.Column("total_limit", sa.BigInteger(), nullable=True))
    for name in ("answers_a_day", "answers_in_all", "budget"):
        op.add_column("projects", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("projects", sa.Column("currency", sa.Text(), server_default="EUR", nullable=False))
    op.add_column("projects", sa.Column("is_limited", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("projects", sa.Column("gold_share", sa.Double(), server_default="0", nullable=False))
    op.execute("""
        UPDATE projects SET gold_share = coalesce((
            SELECT (b.body->>'gold_share')::float FROM protocols b
            WHERE b.project_id = projects.id AND b.version > 0 ORDER BY b.version DESC LIMIT 1), 0)
    """)
    op.create_check_constraint("limits", "projects", "answers_a_day >= 0 AND answers_in_all >= 0 AND budget >= 0")
    op.add_column("lapses", sa.Column("ran_out", sa.Boolean(), server_default="false", nullable=False))
    planned = sa.text("state = -1")
    op.create_index("ix_slots_planned", "slots", ["project_id", "rank", "id"], postgresql_where=planned)


def money() -> None:
    op.add_column("projects", sa.Column("pays", sa.Boolean(), server_default="false", nullable=False))
    op.create_table(
        "rates",
        key(),
        outside_id(),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("annotator_id", sa.BigInteger(), nullable=True),
        sa.Column("cohort", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("an_answer", sa.BigInteger(), nullable=True),
        sa.Column("a_minute", sa.BigInteger(), nullable=True),
        sa.Column("most", sa.BigInteger(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("(an_answer IS NULL) <> (a_minute IS NULL)", name=op.f("ck_rates_one_way")),
        sa.CheckConstraint("(a_minute IS NULL) = (most IS NULL)", name=op.f("ck_rates_capped")),
        sa.CheckConstraint("an_answer >= 0 AND a_minute >= 0 AND most >= 0", name=op.f("ck_rates_amounts")),
        sa.CheckConstraint("annotator_id IS NULL OR cohort IS NULL", name=op.f("ck_rates_one_scope")),
        of_projects("rates"),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name=op.f("fk_rates_annotator_id_users")),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_rates_created_by_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rates")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_rates_project_id_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_rates_public_id")),
    )
    op.create_table(
        "ledger",
        key(),
        outside_id(),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("annotator_id", sa.BigInteger(), nullable=False),
        sa.Column("annotation_id", sa.BigInteger(), nullable=True),
        sa.Column("rate_id", sa.BigInteger(), nullable=True),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("remark", sa.Text(), server_default="", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("annotation_id IS NOT NULL OR remark <> ''", name=op.f("ck_ledger_says_why")),
        of_projects("ledger"),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name=op.f("fk_ledger_annotator_id_users")),
        sa.ForeignKeyConstraint(["by_id"], ["users.id"], name=op.f("fk_ledger_by_id_users")),
        sa.ForeignKeyConstraint(
            ["project_id", "annotation_id"],
            ["annotations.project_id", "annotations.id"],
            name=op.f("fk_ledger_project_id_annotation_id_annotations"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "rate_id"],
            ["rates.project_id", "rates.id"],
            name=op.f("fk_ledger_project_id_rate_id_rates"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        sa.UniqueConstraint("annotation_id", name=op.f("uq_ledger_annotation_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_ledger_public_id")),
    )
    op.create_index("ix_ledger_sums", "ledger", ["project_id", "at"], postgresql_include=["amount"])
    op.create_index(op.f("ix_ledger_project_id_annotator_id_at"), "ledger", ["project_id", "annotator_id", "at"])
    op.execute(NEVER_CHANGED)

    op.add_column("argued_answers", sa.Column("twin_of", sa.BigInteger(), nullable=True))
    op.add_column("argued_answers", sa.Column("doubted_at", sa.DateTime(timezone=True), nullable=True))
    pair = ["project_id", "twin_of"], ["project_id", "id"]
    op.create_foreign_key(
        op.f("fk_argued_answers_project_id_twin_of_tasks"), "argued_answers", "tasks", *pair, ondelete="CASCADE"
    )
    reworks()
    op.create_unique_constraint(op.f("uq_argued_answers_twin_of"), "argued_answers", ["twin_of"])


def reworks() -> None:
    states = ("running", "done", "undoing", "undone")
    op.create_table(
        "reworks",
        key(),
        outside_id(),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("selection", JSONB(), nullable=False),
        sa.Column("does", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*states, name="reworkstate", native_enum=False, create_constraint=True, length=32),
            server_default="running",
            nullable=False,
        ),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("after", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("answers", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("by_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        of_projects("reworks"),
        sa.ForeignKeyConstraint(["by_id"], ["users.id"], name=op.f("fk_reworks_by_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reworks")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_reworks_project_id_id")),
        sa.UniqueConstraint("public_id", name=op.f("uq_reworks_public_id")),
    )
    op.create_index(op.f("ix_reworks_project_id"), "reworks", ["project_id"])
    op.add_column("annotations", sa.Column("rework_id", sa.BigInteger(), nullable=True))
    pair = ["project_id", "rework_id"], ["project_id", "id"]
    op.create_foreign_key(op.f("fk_annotations_project_id_rework_id_reworks"), "annotations", "reworks", *pair)
    some = sa.text("rework_id IS NOT NULL")
    op.create_index("ix_annotations_reworked", "annotations", ["rework_id", "id"], postgresql_where=some)


def downgrade() -> None:
    op.drop_column("annotations", "rework_id")
    op.drop_table("reworks")
    for name in ("twin_of", "doubted_at"):
        op.drop_column("argued_answers", name)
    op.drop_table("ledger")
    op.execute("DROP FUNCTION ledger_is_append_only")
    op.drop_table("rates")
    op.drop_index("ix_slots_planned", "slots")
    op.execute("UPDATE slots SET state = 0 WHERE state = -1")
    op.drop_column("lapses", "ran_out")
    op.drop_constraint(op.f("ck_projects_limits"), "projects")
    for name in ("pays", "answers_a_day", "answers_in_all", "budget", "currency", "is_limited", "gold_share"):
        op.drop_column("projects", name)
    for name in ("most_k", "has_own_place"):
        op.drop_column("tasks", name)
    op.drop_table("tag_rules")
    op.drop_constraint(op.f("fk_batches_project_id_audience_id_audiences"), "batches")
    for name in ("most_k", "calibration", "ordering", "audience_id"):
        op.drop_column("batches", name)
    for name in ("skills", "total_limit"):
        op.drop_column("memberships", name)
    op.drop_table("audiences")
