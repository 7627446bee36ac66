"""New guidelines say what they change; a changed rule is read before the next task, unless a token need not."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    words = sa.Enum(
        "wording", "clarification", "rule", name="change", native_enum=False, create_constraint=True, length=32
    )
    op.add_column("guidelines", sa.Column("change", words, server_default="clarification", nullable=False))
    op.add_column("projects", sa.Column("rules_version", sa.Integer(), nullable=True))
    op.add_column("api_tokens", sa.Column("skips_reading", sa.Boolean(), server_default="false", nullable=False))


def downgrade() -> None:
    op.drop_column("api_tokens", "skips_reading")
    op.drop_column("projects", "rules_version")
    op.drop_column("guidelines", "change")
