# ruff: noqa: INP001 - Alembic loads this file by its path
"""Versions of a slot, releases from quarantine, and the numbers that deliveries are held against."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a delivery correct an earlier one or come from quarantine; keep what was measured of each."""
    with op.batch_alter_table("run") as run:
        run.drop_constraint("run_kind", type_="check")
        run.create_check_constraint("run_kind", "kind in ('night', 'history', 'training', 'release')")
    with op.batch_alter_table("delivery") as delivery:
        delivery.add_column(sa.Column("kind", sa.Text, nullable=False, server_default="file"))
        delivery.add_column(sa.Column("corrects", sa.Text))
        delivery.create_check_constraint("delivery_kind", "kind in ('file', 'release')")
    with op.batch_alter_table("check_result") as check:
        check.drop_constraint("check_kind", type_="check")
        check.create_check_constraint(
            "check_kind", "kind in ('reconciliation', 'expectation', 'floor', 'drift', 'gate')"
        )
    op.create_table(
        "measurement",
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("delivery_id", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Float, nullable=False),
    )
