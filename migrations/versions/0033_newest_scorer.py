"""The reward model that scored last is found without reading every score."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_scores_project_id_checkpoint_id"), "scores", ["project_id", "checkpoint_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_scores_project_id_checkpoint_id"), table_name="scores")
