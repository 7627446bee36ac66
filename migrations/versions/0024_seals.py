"""The log of events is sealed in segments; neither it nor its seals can be changed or emptied."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# Triggers bind everybody but who takes them off; rights bind every role that is no superuser, the owner included until
# it gives them back to itself.
FORBID = """
    CREATE TRIGGER seals_append_only BEFORE UPDATE OR DELETE ON seals
        FOR EACH ROW EXECUTE FUNCTION events_are_append_only();
    CREATE TRIGGER seals_never_emptied BEFORE TRUNCATE ON seals
        FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();
    CREATE TRIGGER events_never_emptied BEFORE TRUNCATE ON events
        FOR EACH STATEMENT EXECUTE FUNCTION events_are_append_only();
    REVOKE UPDATE, DELETE, TRUNCATE ON events, seals FROM PUBLIC, CURRENT_USER;
"""


def upgrade() -> None:
    op.create_table(
        "seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last_id", sa.BigInteger(), nullable=False),
        sa.Column("ids", ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("marks", sa.LargeBinary(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_seals")),
    )
    op.execute(FORBID)


def downgrade() -> None:
    op.execute("DROP TRIGGER events_never_emptied ON events")
    op.execute("GRANT UPDATE, DELETE, TRUNCATE ON events TO CURRENT_USER")
    op.drop_table("seals")
