# ruff: noqa: INP001 - Alembic loads this file by its path
"""Snapshots that came after a newer one: seen, and not taken in."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a delivery be stale."""
    with op.batch_alter_table("delivery") as delivery:
        delivery.drop_constraint("delivery_state", type_="check")
        delivery.create_check_constraint("delivery_state", "state in ('frozen', 'ingested', 'stale')")
