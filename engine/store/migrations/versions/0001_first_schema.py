"""Classes, images, imports, the ledger with its projection, and rounds."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _things()
    _ledger()
    _rounds()


def _things() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
    )
    op.create_table(
        "classes",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False, unique=True),
        sa.Column("position", sa.Integer(), nullable=False),
    )
    op.create_table(
        "imports",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("time", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("layout", sa.Text(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
    )
    op.create_table(
        "images",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("sha256", sa.Text(), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("channels", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("import_id", sa.Integer(), sa.ForeignKey("imports.id"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
    )
    op.create_index("ix_images_key", "images", ["key"])


def _ledger() -> None:
    op.create_table(
        "annotations",
        sa.Column("seq", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("uid", sa.Text(), nullable=False, unique=True),
        sa.Column("image_id", sa.Integer(), sa.ForeignKey("images.id"), nullable=False),
        sa.Column("base_version", sa.Integer(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("label", sa.Text()),
        sa.Column("source", sa.Text()),
        sa.Column("round", sa.Integer()),
        sa.Column("confidence", sa.Float(53)),
        sa.Column("reviewed", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Text()),
        sa.Column("batch", sa.Text()),
        sa.Column("undoes", sa.Integer(), sa.ForeignKey("annotations.seq")),
        sa.Column("seconds", sa.Float(53)),
        sa.Column("time", sa.Text(), nullable=False),
        sa.Column("prev_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
    )
    op.create_index("ix_annotations_image_id_seq", "annotations", ["image_id", "seq"])
    op.create_index("ix_annotations_actor_seq", "annotations", ["actor", "seq"])
    op.create_table(
        "current_labels",
        sa.Column("image_id", sa.Integer(), sa.ForeignKey("images.id"), primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer(), sa.ForeignKey("annotations.seq"), nullable=False),
        sa.Column("label", sa.Text(), sa.ForeignKey("classes.name")),
        sa.Column("source", sa.Text()),
        sa.Column("round", sa.Integer()),
        sa.Column("confidence", sa.Float(53)),
        sa.Column("reviewed", sa.Integer(), nullable=False),
        sa.Column("mark", sa.Text()),
    )
    op.create_index("ix_current_labels_label", "current_labels", ["label"])
    op.create_index("ix_current_labels_version", "current_labels", ["version"])


def _rounds() -> None:
    op.create_table(
        "rounds",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("active", sa.Integer()),
        sa.Column("algorithm", sa.Text(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("ledger_seq", sa.Integer(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("started", sa.Text()),
        sa.Column("ended", sa.Text()),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.Column("report", sa.JSON(none_as_null=True)),
        sa.Column("pid", sa.Integer()),
        sa.Column("pid_created", sa.Float(53)),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.CheckConstraint("active IS NULL OR active = 1", name="ck_rounds_active"),
    )
    op.create_index("uq_rounds_active", "rounds", ["active"], unique=True)
