"""What a night took in and what became of it: the data page's numbers, from the warehouse or, refused, the ledger."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from churnlake.errors import UsageError
from churnlake.intake import delivery_rows, measurement_rows, reason_rows
from churnlake.ledger import CheckResult, Delivery, Ledger, Run, current_versions, taken_files
from churnlake.report.standing import as_rows, read_standing, require_name
from churnlake.warehouse.duckdb import query

DAYS = 60
"""Calendar days that trends reach back."""

BUCKETS = ("accepted", "ignored", "unchanged", "duplicate", "quarantined")
"""Where a delivered row goes: each is in exactly one."""

ASIDE = ("ignored", "duplicate", "quarantined")
"""What is set aside of a delivery. Unchanged rows of a correction are in already."""

CHECKED = ("gate", "drift", "floor", "expectation", "reconciliation")
"""Kinds of checks, in the order in which they help."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Arrival:
    """One delivery. Counts are None where its rows were not sorted, as in a night that stopped before."""

    run_id: str
    source: str
    delivery_id: str
    file: str
    slot: date
    kind: str
    corrects: str | None
    known_date: date
    bytes: int | None
    raw: int | None
    accepted: int | None
    ignored: int | None
    unchanged: int | None
    duplicate: int | None
    quarantined: int | None
    withdrawn: int | None

    @property
    def late_days(self) -> int:
        """Days between the slot and the night that first knew the file; 0 for what is no plain file."""
        return (self.known_date - self.slot).days if self.kind == "file" else 0

    @property
    def aside(self) -> int:
        return sum(getattr(self, bucket) or 0 for bucket in ASIDE)


@dataclass(frozen=True)
class Why:
    """Rows of a source by bucket (ignored, quarantined, defect) and rule."""

    source: str
    bucket: str
    reason: str
    rows: int


@dataclass(frozen=True)
class Value:
    """One measured number of the file of a slot."""

    source: str
    name: str
    slot: date
    value: float


@dataclass(frozen=True)
class Refusal:
    """How a run ended that published nothing."""

    state: str
    exit_code: int | None
    stage: str | None
    message: str
    next_step: str | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Account:
    """A night's deliveries and what became of every row. `days`: the version in force of each slot of the last days."""

    contract: str
    business_date: date
    run_id: str
    refusal: Refusal | None
    arrivals: tuple[Arrival, ...]
    whys: tuple[Why, ...]
    checks: tuple[Row, ...]
    days: tuple[Arrival, ...]
    measured: tuple[Value, ...]

    @property
    def sources(self) -> list[str]:
        return sorted({one.source for one in self.arrivals})

    @property
    def trend_sources(self) -> list[str]:
        return sorted({one.source for one in self.days})

    def total(self, name: str, source: str | None = None) -> int | None:
        """A count over all arrivals, or those of one source; None where no arrival has it."""
        counts = [getattr(one, name) for one in self.arrivals if source in (None, one.source)]
        known = [count for count in counts if count is not None]
        return sum(known) if known else None

    def reasons(self, source: str, bucket: str) -> list[Why]:
        """Why rows went to a bucket, the most frequent first."""
        mine = [one for one in self.whys if (one.source, one.bucket) == (source, bucket)]
        return sorted(mine, key=lambda one: (-one.rows, one.reason))

    def of_kind(self, *kinds: str) -> list[Row]:
        """The checks of some kinds: those that failed first, the worst of them on top."""
        return [one for one in self.checks if one["kind"] in kinds]

    def noticed(self, start: str) -> list[Row]:
        """What was noticed about files, by how the check's name begins: delivery, unready, too_late, closed_day."""
        return [one for one in self.checks if one["kind"] == "floor" and one["name"].startswith(f"{start}.")]


def read_account(warehouse: Path, contract: str, business_date: date) -> Account:
    """The account of a published night, as the warehouse tells it.

    Raises:
        UsageError: The date is not published.
    """
    standing = read_standing(warehouse, contract, business_date)
    # Both are typed: the name is a required one (read_standing), the dates are dates.
    given = {
        "contract": contract,
        "day": f"DATE '{business_date}'",
        "oldest": f"DATE '{oldest_day(business_date)}'",
    }

    def ask(sql: str) -> list[dict[str, Any]]:
        return as_rows(query(warehouse, sql.format(**given)))

    return Account(
        contract=contract,
        business_date=business_date,
        run_id=standing.run_id,
        refusal=None,
        arrivals=_arrivals(ask(_ARRIVALS_SQL)),
        whys=tuple(Why(**row) for row in ask(_WHYS_SQL)),
        checks=_in_order(ask(_CHECKS_SQL)),
        days=_arrivals(ask(_DAYS_SQL)),
        measured=tuple(Value(**row) for row in ask(_MEASURED_SQL)),
    )


def refused_run(ledger: Ledger, contract: str, business_date: date) -> Run | None:
    """The newest run that meant to take the date in, when it failed; None when there is none or it did not.

    Raises:
        UsageError: The name is none of a contract.
    """
    require_name(contract)
    return {run.business_date: run for run in refused_runs(ledger, contract)}.get(business_date)


def refused_runs(ledger: Ledger, contract: str) -> list[Run]:
    """Of each date its newest run that takes data in, where that failed. History that was loaded later is history."""
    newest: dict[date, Run] = {}
    for run in ledger.runs(contract):
        if run.kind in ("night", "history"):
            newest[run.business_date] = run
    loaded = [run.started_at for run in newest.values() if run.state in ("published", "done")]
    return [
        run
        for run in newest.values()
        if run.state == "failed" and (run.kind == "night" or all(run.started_at > at for at in loaded))
    ]


def account_of_run(ledger: Ledger, run: Run) -> Account:
    """The account of a run that published nothing, as the ledger tells it."""
    held = ledger.deliveries(run.contract)
    mine = [one for one in held if one.run_id == run.run_id]
    in_force = _in_force(held, run.business_date)
    return Account(
        contract=run.contract,
        business_date=run.business_date,
        run_id=run.run_id,
        refusal=_refusal(ledger, run),
        arrivals=_arrivals(delivery_rows(mine)),
        whys=tuple(_summed(reason_rows(mine))),
        checks=_in_order([_check_row(check) for check in ledger.checks(run.run_id)]),
        days=_arrivals(delivery_rows(in_force)),
        measured=tuple(_measured(ledger, run.contract, in_force)),
    )


def oldest_day(business_date: date) -> date:
    """The first day of the trends of a date."""
    return business_date - timedelta(days=DAYS - 1)


def _arrivals(rows: Iterable[Row]) -> tuple[Arrival, ...]:
    names = [field.name for field in fields(Arrival)]
    return tuple(Arrival(**{name: row[name] for name in names}) for row in rows)


def _in_force(held: Sequence[Delivery], business_date: date) -> list[Delivery]:
    oldest = oldest_day(business_date)
    return [one for one in current_versions(taken_files(held)) if oldest <= one.slot <= business_date]


def _measured(ledger: Ledger, contract: str, in_force: Sequence[Delivery]) -> Iterable[Value]:
    slots = {(one.source, one.delivery_id): one.slot for one in in_force}
    for source in sorted({one.source for one in in_force}):
        for row in measurement_rows(source, ledger.measurements(contract, source), in_force):
            yield Value(source, row["name"], slots[source, row["delivery_id"]], float(row["observed"]))


def _summed(rows: Iterable[Row]) -> Iterable[Why]:
    sums: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row["source"], row["bucket"], row["reason"])
        sums[key] = sums.get(key, 0) + row["rows"]
    return (Why(*key, rows=count) for key, count in sums.items())


def _check_row(check: CheckResult) -> Row:
    return {field.name: getattr(check, field.name) for field in fields(CheckResult)}


_SEVERITIES = ("critical", "warning", "info")


def _in_order(checks: Iterable[Row]) -> tuple[Row, ...]:
    """Failed ones first, the worst on top. A check that says neither yes nor no has failed."""
    worst = {severity: place for place, severity in enumerate(_SEVERITIES)}
    told = [dict(check) | {"passed": bool(check["passed"])} for check in checks if check["kind"] in CHECKED]
    return tuple(
        sorted(
            told,
            key=lambda one: (
                one["passed"],
                worst.get(one["severity"], 0),
                CHECKED.index(one["kind"]),
                one["source"],
                one["name"],
            ),
        )
    )


def _refusal(ledger: Ledger, run: Run) -> Refusal:
    failed = [stage for stage in ledger.stages(run.run_id) if stage.state == "failed"]
    message, _, step = (run.message or "no reason was recorded").partition("\n  next: ")
    return Refusal(
        state=run.state,
        exit_code=run.exit_code,
        stage=failed[-1].stage if failed else None,
        message=message,
        next_step=step or None,
        ended_at=run.finished_at,
    )


def require_refused(run: Run | None, contract: str, business_date: date) -> Run:
    """The run of a refused date.

    Raises:
        UsageError: There is none.
    """
    if run is None:
        raise UsageError(
            f"{contract} {business_date} is neither published nor was it refused, so it has no data page",
            next_step="`churnlake status CONTRACT` lists the dates",
        )
    return run


_ARRIVALS_SQL = """
SELECT * FROM churn.deliveries WHERE contract = '{contract}' AND business_date = {day}
ORDER BY source, slot, delivery_id"""

_WHYS_SQL = """
SELECT source, bucket, reason, sum(rows)::BIGINT AS rows FROM churn.quarantine_reasons
WHERE contract = '{contract}' AND business_date = {day} GROUP BY ALL ORDER BY ALL"""

_CHECKS_SQL = """
SELECT kind, source, name, severity, passed, observed, expected FROM churn.run_quality
WHERE contract = '{contract}' AND business_date = {day} AND severity IS NOT NULL"""

# A file that a later delivery corrects is no longer what its day consists of.
_IN_FORCE = """
  SELECT * FROM churn.deliveries AS delivery
  WHERE contract = '{contract}' AND business_date <= {day} AND kind <> 'release' AND slot BETWEEN {oldest} AND {day}
    AND NOT EXISTS (
      FROM churn.deliveries AS newer WHERE newer.contract = delivery.contract AND newer.business_date <= {day}
        AND newer.source = delivery.source AND newer.corrects = delivery.delivery_id)"""

_DAYS_SQL = f"{_IN_FORCE} ORDER BY source, slot, delivery_id"

_MEASURED_SQL = f"""
SELECT quality.source, quality.name, in_force.slot, try_cast(quality.observed AS DOUBLE) AS value
FROM churn.run_quality AS quality JOIN ({_IN_FORCE}) AS in_force USING (contract, business_date, source, delivery_id)
WHERE quality.kind = 'measurement' AND value IS NOT NULL ORDER BY quality.source, quality.name, in_force.slot"""  # noqa: S608 - own constants
