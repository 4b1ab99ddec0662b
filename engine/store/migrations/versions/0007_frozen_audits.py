"""Audits of frozen labels with random orders; those of before, of a sample of fixed size, are kept to be read."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("annotations", sa.Column("asked", sa.Text()))
    op.rename_table("audits", "past_audits")
    # Its bound would have come with the last answer of the sample: there is none to be had of an unfinished one.
    op.execute("UPDATE past_audits SET state = 'abandoned' WHERE state = 'open'")
    op.create_table(
        "audits",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("round", sa.Integer(), sa.ForeignKey("rounds.number")),
        sa.Column("thresholds", sa.JSON()),
        sa.Column("rate", sa.Float(53)),
        sa.Column("alpha", sa.Float(53), nullable=False),
        sa.Column("ledger_seq", sa.Integer(), nullable=False),
        sa.Column("ledger_hash", sa.Text(), nullable=False),
        sa.Column("salt", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("image_ids", sa.LargeBinary(), nullable=False),
        sa.Column("label_codes", sa.LargeBinary(), nullable=False),
        sa.Column("source_codes", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer()),
        sa.Column("ended", sa.Text()),
        sa.Column("batch", sa.Text(), sa.ForeignKey("batches.batch")),
        sa.Column("facts", sa.JSON(), nullable=False),
    )
    op.create_table(
        "audit_draws",
        sa.Column("audit", sa.Integer(), sa.ForeignKey("audits.number"), primary_key=True, autoincrement=False),
        sa.Column("place", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("image_id", sa.Integer(), sa.ForeignKey("images.id"), nullable=False),
        sa.Column("order", sa.Text(), nullable=False),
        sa.Column("ledger_seq", sa.Integer(), nullable=False),
        sa.UniqueConstraint("audit", "image_id"),
    )
