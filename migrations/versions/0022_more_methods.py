"""Runs fine-tune and optimise from preferences as well."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint(op.f("ck_runs_method"), "runs")
    op.create_check_constraint(op.f("ck_runs_method"), "runs", "method IN ('sft', 'reward', 'dpo', 'ppo')")


def downgrade() -> None:
    op.execute("DELETE FROM runs WHERE method IN ('sft', 'dpo')")
    op.drop_constraint(op.f("ck_runs_method"), "runs")
    op.create_check_constraint(op.f("ck_runs_method"), "runs", "method IN ('reward', 'ppo')")
