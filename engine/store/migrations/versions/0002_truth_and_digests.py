"""Hidden truth for demos and benchmarks, a digest of each import's image rows, indexes that undo looks up."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "truth",
        sa.Column("image_id", sa.Integer(), sa.ForeignKey("images.id"), primary_key=True, autoincrement=False),
        sa.Column("label", sa.Text(), nullable=False),
    )
    op.add_column("imports", sa.Column("digest", sa.Text()))
    op.create_index("ix_annotations_batch", "annotations", ["batch"])
    op.create_index("ix_annotations_undoes", "annotations", ["undoes"])
