# ruff: noqa: INP001 - Alembic loads this file by its path
"""The first ledger: contracts, runs, attempts, stages, deliveries, checks, models, skipped dates."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "contract",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("seen_at", sa.String(32), nullable=False),
    )
    _create_runs()
    _create_stages()
    _create_deliveries()
    _create_models()
    op.create_table(
        "skipped",
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("business_date", sa.Date, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.String(32), nullable=False),
    )


def _create_runs() -> None:
    op.create_table(
        "run",
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("business_date", sa.Date, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("application", sa.Text, nullable=False),
        sa.Column("contract_digest", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text),
        sa.Column("model_version", sa.Integer),
        sa.Column("model_digest", sa.Text),
        sa.Column("code_revision", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("exit_code", sa.Integer),
        sa.Column("message", sa.Text),
        sa.CheckConstraint("kind in ('night', 'history', 'training')", name="run_kind"),
        sa.CheckConstraint("state in ('running', 'published', 'done', 'failed')", name="run_state"),
    )
    op.create_index("run_by_date", "run", ["contract", "kind", "business_date"])
    op.create_index("run_by_application", "run", ["application"])
    op.create_table(
        "attempt",
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("lane_epoch", sa.Integer, nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("exit_code", sa.Integer),
    )


def _create_stages() -> None:
    op.create_table(
        "stage",
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), primary_key=True),
        sa.Column("stage", sa.Text, primary_key=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("seconds", sa.Float),
        sa.Column("progress", sa.Text),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.Column("message", sa.Text),
        sa.CheckConstraint("state in ('running', 'done', 'failed')", name="stage_state"),
    )
    op.create_table(
        "check_result",
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
        sa.Column("observed", sa.Text, nullable=False),
        sa.Column("expected", sa.Text, nullable=False),
        sa.CheckConstraint("kind in ('reconciliation', 'expectation', 'floor')", name="check_kind"),
    )


def _create_deliveries() -> None:
    op.create_table(
        "delivery",
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("source", sa.Text, primary_key=True),
        sa.Column("delivery_id", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("slot", sa.Date, nullable=False),
        sa.Column("available_on", sa.Date, nullable=False),
        sa.Column("known_date", sa.Date, nullable=False),
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.CheckConstraint("state in ('frozen', 'ingested')", name="delivery_state"),
    )


def _create_models() -> None:
    op.create_table(
        "model",
        sa.Column("contract", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("is_champion", sa.Boolean, nullable=False),
        sa.Column("trained_through", sa.Date, nullable=False),
        sa.Column("label_data_through", sa.Date, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("gate", sa.JSON, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("promoted_at", sa.String(32)),
        sa.CheckConstraint("state in ('registered', 'refused', 'held')", name="model_state"),
    )
    op.create_index("one_champion", "model", ["contract"], unique=True, sqlite_where=sa.text("is_champion"))
