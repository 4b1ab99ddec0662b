"""The group of an image: frames of one scene, a burst, a video, near-duplicates."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("images", sa.Column(sa.quoted_name("group", quote=True), sa.Text()))
