"""A person's language may be left to the browser, and is until they choose one."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.alter_column("users", "locale", server_default="")
    # it was nobody's choice but the default, and named the signs in numbers only
    op.execute("UPDATE users SET locale = '' WHERE locale = 'en'")


def downgrade() -> None:
    op.execute("UPDATE users SET locale = 'en' WHERE locale = ''")
    op.alter_column("users", "locale", server_default="en")
