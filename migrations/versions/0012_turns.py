"""Conversations: the turns that people lead with checkpoints, and the answers to each."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TROUBLES = ("nobody", "unreachable", "slow", "busy", "failing", "unanswerable")


def upgrade() -> None:
    op.create_table(
        "turns",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("task_id", sa.BigInteger(), nullable=False),
        sa.Column("annotator_id", sa.BigInteger(), nullable=False),
        sa.Column("protocol_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("root", sa.Text(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("wanted", sa.SmallInteger(), nullable=False),
        sa.Column("sides", postgresql.ARRAY(sa.SmallInteger()), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("chosen", sa.SmallInteger(), nullable=True),
        sa.Column(
            "trouble",
            sa.Enum(*TROUBLES, name="trouble", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("is_stuck", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("judged_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("number >= 1", name=op.f("ck_turns_number")),
        sa.CheckConstraint("body IS NOT NULL OR chosen IS NULL", name=op.f("ck_turns_chosen_by_a_judgement")),
        sa.ForeignKeyConstraint(["annotator_id"], ["users.id"], name=op.f("fk_turns_annotator_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_turns_project_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["project_id", "task_id"],
            ["tasks.project_id", "tasks.id"],
            name=op.f("fk_turns_project_id_task_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id", "protocol_id"],
            ["protocols.project_id", "protocols.id"],
            name=op.f("fk_turns_project_id_protocol_id"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
        sa.UniqueConstraint("public_id", name=op.f("uq_turns_public_id")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_turns_project_id_id")),
        sa.UniqueConstraint("task_id", "annotator_id", "number", name=op.f("uq_turns_task_id_annotator_id_number")),
    )
    op.create_table(
        "turn_answers",
        sa.Column("turn_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint_id", sa.BigInteger(), nullable=False),
        sa.Column("sampling", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("sample", sa.SmallInteger(), nullable=False),
        sa.Column("parts", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("token_count", sa.BigInteger(), nullable=True),
        sa.Column("finish_reason", sa.Text(), nullable=True),
        sa.Column("logprob_sum", sa.Double(), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["checkpoint_id"], ["checkpoints.id"], name=op.f("fk_turn_answers_checkpoint_id")),
        sa.ForeignKeyConstraint(
            ["project_id", "turn_id"],
            ["turns.project_id", "turns.id"],
            name=op.f("fk_turn_answers_project_id_turn_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("turn_id", "number", name=op.f("pk_turn_answers")),
        sa.UniqueConstraint("public_id", name=op.f("uq_turn_answers_public_id")),
    )


def downgrade() -> None:
    op.drop_table("turn_answers")
    op.drop_table("turns")
