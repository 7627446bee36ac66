"""Figures about quality are computed by a job and kept; a task says with which probability it was drawn, and how many
of its answers were wanted before anybody had answered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("chance", sa.Float(), server_default="1"))
    op.add_column("tasks", sa.Column("first_k", sa.SmallInteger()))
    op.create_check_constraint(op.f("ck_tasks_chance"), "tasks", "chance > 0 AND chance <= 1")
    op.create_table(
        "figures",
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", JSONB(), nullable=False),
        sa.Column("through", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_figures_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_figures")),
    )


def downgrade() -> None:
    op.drop_table("figures")
    op.drop_constraint(op.f("ck_tasks_chance"), "tasks")
    op.drop_column("tasks", "first_k")
    op.drop_column("tasks", "chance")
