"""What was suspected before the answers, noted with audits and measured images; labels that an audit takes as right.

Audits from before revision 0007 that have an answer count among the audits of a project.
"""

import sqlalchemy as sa
from alembic import op

from engine.store.past_audits import count_answered

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audits", sa.Column("suspicion", sa.LargeBinary()))
    op.add_column("audits", sa.Column("trusted", sa.LargeBinary()))
    op.add_column("measured", sa.Column("label", sa.Text()))
    op.add_column("measured", sa.Column("suspicion", sa.Float(53)))
    before = count_answered(op.get_bind())
    op.get_bind().execute(sa.text("UPDATE audits SET ordinal = ordinal + :before"), {"before": before})
