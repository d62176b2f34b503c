# ruff: noqa: INP001 - Alembic loads this file by its path
"""Who made a model champion, when and why."""

import sqlalchemy as sa
from alembic import op

from churnlake.ledger.schema import Moment

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep every promotion: a version may become champion more than once."""
    op.create_table(
        "promotion",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("previous_version", sa.Integer),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("promoted_at", Moment, nullable=False),
    )
