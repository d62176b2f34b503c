# ruff: noqa: INP001 - Alembic loads this file by its path
"""What gave the typed rows of a delivery their meaning."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep with each delivery the digest of the rules that typed it; of those that are in nobody knows it."""
    with op.batch_alter_table("delivery") as delivery:
        delivery.add_column(sa.Column("typed_digest", sa.Text))
