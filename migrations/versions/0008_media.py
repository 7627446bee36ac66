"""Pictures, sound and films in prompts and completions, and the lines of imports that wait for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

KINDS = ("image", "audio", "video")
STATES = ("waiting", "ready", "refused")


def upgrade() -> None:
    op.create_table(
        "media",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("public_id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("source_sha256", sa.Text(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(*STATES, name="mediumstate", native_enum=False, create_constraint=True, length=32),
            server_default="waiting",
            nullable=False,
        ),
        sa.Column(
            "kind",
            sa.Enum(*KINDS, name="mediumkind", native_enum=False, create_constraint=True, length=32),
            nullable=True,
        ),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("media_type", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("width", sa.BigInteger(), nullable=True),
        sa.Column("height", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_by_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["created_by_id"], ["users.id"], name=op.f("fk_media_created_by_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_media_project_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media")),
        sa.UniqueConstraint("project_id", "id", name=op.f("uq_media_project_id_id")),
        sa.UniqueConstraint("project_id", "source_url", name=op.f("uq_media_project_id_source_url")),
        sa.UniqueConstraint("public_id", name=op.f("uq_media_public_id")),
    )
    op.create_index(
        "uq_media_uploaded",
        "media",
        ["project_id", "source_sha256"],
        unique=True,
        postgresql_where=sa.text("source_url IS NULL"),
    )
    op.create_index(op.f("ix_media_project_id_sha256"), "media", ["project_id", "sha256"])
    op.create_table(
        "waiting_lines",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("import_id", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("value", postgresql.JSONB(), nullable=False),
        sa.Column("media_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id", "import_id"],
            ["imports.project_id", "imports.id"],
            name=op.f("fk_waiting_lines_project_id_import_id"),
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_waiting_lines_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_waiting_lines")),
    )
    op.create_index(op.f("ix_waiting_lines_media_ids"), "waiting_lines", ["media_ids"], postgresql_using="gin")


def downgrade() -> None:
    op.drop_table("waiting_lines")
    op.drop_table("media")
