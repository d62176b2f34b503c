"""The ledger's tables as SQLAlchemy sees them. `migrations/` brings a database here; a test holds both equal."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

REVISION = "0005"
"""The newest migration. A ledger at this revision is opened without loading Alembic, which costs 0.3 s."""


class Moment(sa.types.TypeDecorator[datetime]):
    """An instant, stored as ISO text in UTC with microseconds, so that text order is time order. Always aware."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"the ledger takes moments with a time zone; got {value!r}")
        return value.astimezone(UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: Any | None, _dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


metadata = sa.MetaData()


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False, **options)


def _moment(name: str) -> sa.Column[datetime]:
    return sa.Column(name, Moment, nullable=False)


def _one_of(name: str, column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    return sa.CheckConstraint(f"{column} in ({', '.join(repr(value) for value in values)})", name=name)


contract = sa.Table(
    "contract", metadata, _text("name", primary_key=True), _text("path"), _text("digest"), _moment("seen_at")
)

run = sa.Table(
    "run",
    metadata,
    _text("run_id", primary_key=True),
    _text("contract"),
    _text("kind"),
    sa.Column("business_date", sa.Date, nullable=False),
    _text("state"),
    _text("application"),
    _text("contract_digest"),
    sa.Column("fingerprint", sa.Text),
    sa.Column("model_version", sa.Integer),
    sa.Column("model_digest", sa.Text),
    _text("code_revision"),
    _text("actor"),
    sa.Column("reason", sa.Text),
    _moment("started_at"),
    sa.Column("finished_at", Moment),
    sa.Column("exit_code", sa.Integer),
    sa.Column("message", sa.Text),
    _one_of("run_kind", "kind", ("night", "history", "training", "release")),
    _one_of("run_state", "state", ("running", "published", "done", "failed")),
    sa.Index("run_by_date", "contract", "kind", "business_date"),
    sa.Index("run_by_application", "application"),
)

attempt = sa.Table(
    "attempt",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("lane_epoch", sa.Integer, nullable=False),
    _moment("started_at"),
    sa.Column("finished_at", Moment),
    sa.Column("exit_code", sa.Integer),
)

stage = sa.Table(
    "stage",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), primary_key=True),
    _text("stage", primary_key=True),
    sa.Column("attempt", sa.Integer, nullable=False),
    _text("state"),
    _moment("started_at"),
    sa.Column("finished_at", Moment),
    sa.Column("seconds", sa.Float),
    sa.Column("progress", sa.Text),
    sa.Column("counts", sa.JSON, nullable=False),
    sa.Column("message", sa.Text),
    _one_of("stage_state", "state", ("running", "done", "failed")),
)

delivery = sa.Table(
    "delivery",
    metadata,
    _text("contract", primary_key=True),
    _text("source", primary_key=True),
    _text("delivery_id", primary_key=True),
    _text("path"),
    sa.Column("bytes", sa.Integer, nullable=False),
    _text("sha256"),
    sa.Column("slot", sa.Date, nullable=False),
    sa.Column("available_on", sa.Date, nullable=False),
    sa.Column("known_date", sa.Date, nullable=False),
    sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), nullable=False),
    _text("state"),
    sa.Column("counts", sa.JSON, nullable=False),
    _text("kind", server_default="file"),
    sa.Column("corrects", sa.Text),
    sa.Column("typed_digest", sa.Text),
    _one_of("delivery_state", "state", ("frozen", "ingested", "stale")),
    _one_of("delivery_kind", "kind", ("file", "release")),
)

check_result = sa.Table(
    "check_result",
    metadata,
    sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), primary_key=True),
    _text("kind", primary_key=True),
    _text("source", primary_key=True),
    _text("name", primary_key=True),
    _text("severity"),
    sa.Column("passed", sa.Boolean, nullable=False),
    _text("observed"),
    _text("expected"),
    _one_of("check_kind", "kind", ("reconciliation", "expectation", "floor", "drift", "gate")),
)

measurement = sa.Table(
    "measurement",
    metadata,
    _text("contract", primary_key=True),
    _text("source", primary_key=True),
    _text("delivery_id", primary_key=True),
    _text("name", primary_key=True),
    sa.Column("value", sa.Float, nullable=False),
)

model = sa.Table(
    "model",
    metadata,
    _text("contract", primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    _text("digest"),
    _text("state"),
    sa.Column("is_champion", sa.Boolean, nullable=False),
    sa.Column("trained_through", sa.Date, nullable=False),
    sa.Column("label_data_through", sa.Date, nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("gate", sa.JSON, nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("run_id", sa.Text, sa.ForeignKey("run.run_id"), nullable=False),
    _moment("created_at"),
    sa.Column("promoted_at", Moment),
    _one_of("model_state", "state", ("registered", "refused", "held")),
    # At most one champion per contract, whatever two processes do at once.
    sa.Index("one_champion", "contract", unique=True, sqlite_where=sa.text("is_champion")),
)

promotion = sa.Table(
    "promotion",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    _text("contract"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("previous_version", sa.Integer),
    _text("actor"),
    _text("reason"),
    _moment("promoted_at"),
)

skipped = sa.Table(
    "skipped",
    metadata,
    _text("contract", primary_key=True),
    sa.Column("business_date", sa.Date, primary_key=True),
    _text("reason"),
    _moment("recorded_at"),
)
