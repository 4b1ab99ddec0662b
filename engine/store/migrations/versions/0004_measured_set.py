"""The measured set: images drawn along a fixed random order, to measure models and never to train them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "measured_orders",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("last_image", sa.Integer(), sa.ForeignKey("images.id"), nullable=False),
        sa.Column("salt", sa.BigInteger(), nullable=False),
        sa.Column("ledger_seq", sa.Integer(), nullable=False),
        sa.Column("ledger_hash", sa.Text(), nullable=False),
        sa.Column("answers", sa.Integer(), nullable=False),
    )
    op.create_table(
        "measured",
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("image_id", sa.Integer(), sa.ForeignKey("images.id"), nullable=False, unique=True),
        sa.Column("order", sa.Integer(), sa.ForeignKey("measured_orders.number"), nullable=False),
        sa.Column("ledger_seq", sa.Integer(), nullable=False),
    )
