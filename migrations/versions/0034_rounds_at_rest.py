"""Slots of rounds that do not ask rest; rounds have a version, so that no editor writes over another."""

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("batches", sa.Column("version", sa.BigInteger(), server_default="1", nullable=False))
    op.execute(
        """
        UPDATE slots s SET state = -2 FROM tasks t JOIN batches b ON b.id = t.batch_id
        WHERE t.id = s.task_id AND s.state IN (-1, 0) AND t.purpose <> 'gold' AND b.state NOT IN ('pilot', 'open')
        """
    )


def downgrade() -> None:
    op.execute("UPDATE slots SET state = 0 WHERE state = -2")
    op.drop_column("batches", "version")
