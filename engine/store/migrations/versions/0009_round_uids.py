"""A random id of each round, which its folder holds too: after a restore the same number is another round's.

Rounds from before this revision have none, and neither do their folders.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("uid", sa.Text()))
