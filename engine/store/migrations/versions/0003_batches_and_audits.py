"""Facts that a batch of decisions carries, and audits: samples of what a rule would accept."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "batches",
        sa.Column("batch", sa.Text(), primary_key=True),
        sa.Column("time", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
    )
    op.create_table(
        "audits",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), sa.ForeignKey("rounds.number"), nullable=False),
        sa.Column("thresholds", sa.JSON(), nullable=False),
        sa.Column("level", sa.Float(53), nullable=False),
        sa.Column("look", sa.Integer(), nullable=False),
        sa.Column("ledger_seq", sa.Integer(), nullable=False),
        sa.Column("population", sa.LargeBinary(), nullable=False),
        sa.Column("sample", sa.JSON(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("batch", sa.Text(), sa.ForeignKey("batches.batch")),
        sa.Column("facts", sa.JSON(), nullable=False),
    )
