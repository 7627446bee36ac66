"""What engineers ask several checkpoints side by side, kept for some days."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plays",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("owner_id", sa.BigInteger(), nullable=False),
        sa.Column("prompt_id", sa.BigInteger()),
        sa.Column("messages", JSONB(), nullable=False),
        sa.Column("sampling", JSONB(), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("reward_id", sa.BigInteger()),
        sa.Column("sent", ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_plays")),
        sa.UniqueConstraint("public_id", name=op.f("uq_plays_public_id")),
        sa.CheckConstraint("n BETWEEN 1 AND 64", name=op.f("ck_plays_n")),
        foreign("plays", "project_id", "projects"),
        foreign("plays", "owner_id", "users"),
        foreign("plays", "reward_id", "checkpoints"),
        sa.ForeignKeyConstraint(
            ["project_id", "prompt_id"],
            ["prompts.project_id", "prompts.id"],
            name=op.f("fk_plays_project_id_prompts"),
        ),
    )
    op.create_index(op.f("ix_plays_project_id_owner_id_id"), "plays", ["project_id", "owner_id", "id"])
    op.create_index(op.f("ix_plays_created_at"), "plays", ["created_at"])
    op.create_table(
        "play_answers",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("play_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint_id", sa.BigInteger(), nullable=False),
        sa.Column("reference_id", sa.BigInteger()),
        sa.Column("result", JSONB()),
        sa.Column("html", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_play_answers")),
        sa.UniqueConstraint("play_id", "number", name=op.f("uq_play_answers_play_id_number")),
        foreign("play_answers", "play_id", "plays"),
        foreign("play_answers", "checkpoint_id", "checkpoints"),
        foreign("play_answers", "reference_id", "checkpoints"),
    )


def foreign(table: str, column: str, parent: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_{column}_{parent}")
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=name, ondelete="CASCADE")


def downgrade() -> None:
    op.drop_table("play_answers")
    op.drop_table("plays")
