"""Deliveries, the checks on them, and dates that were skipped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from churnlake.errors import DataRefusedError, UsageError
from churnlake.ledger import schema
from churnlake.ledger.database import Database

DeliveryState = Literal["frozen", "ingested", "stale"]
"""frozen: a run means to read it. ingested: it is in the lake. stale: it came after a newer snapshot, and is unread."""

DeliveryKind = Literal["file", "release"]
CheckKind = Literal["reconciliation", "expectation", "floor", "drift", "gate"]
Severity = Literal["critical", "warning", "info"]

DELIVERY = schema.delivery.c


@dataclass(frozen=True)
class Found:
    """A file as it was found, before any of it is read: where, how big, its digest, and its three dates.

    `corrects` is the delivery whose slot it fills anew. A release from quarantine is a delivery too.
    """

    source: str
    delivery_id: str
    path: str
    bytes: int
    sha256: str
    slot: date
    available_on: date
    known_date: date
    kind: DeliveryKind = "file"
    corrects: str | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery(Found):
    """A file the ledger holds. `counts` are its buckets: raw, accepted, ignored, unchanged, quarantined, duplicate.

    `typed_digest` is of the rules that gave its typed rows their meaning; None where an earlier version took it in.
    """

    contract: str
    run_id: str
    state: DeliveryState
    counts: dict[str, Any]
    typed_digest: str | None = None


@dataclass(frozen=True)
class Measurement:
    """One number that was measured of a delivery, to hold later ones against."""

    delivery_id: str
    slot: date
    name: str
    value: float


@dataclass(frozen=True)
class CheckResult:
    """One check of a run: what was observed, what is allowed, and whether that fits."""

    kind: CheckKind
    source: str
    name: str
    severity: Severity
    passed: bool
    observed: str
    expected: str


@dataclass(frozen=True)
class Skipped:
    """A business date that will not be run, and why."""

    contract: str
    business_date: date
    reason: str
    recorded_at: datetime


def taken_files(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """The files among deliveries that are in the lake, in any version; a release from quarantine is no file."""
    return [one for one in deliveries if one.kind == "file" and one.state == "ingested"]


def current_versions(deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Those in force: the ones that none of the others corrects."""
    given = list(deliveries)
    corrected = {(one.source, one.corrects) for one in given}
    return [one for one in given if (one.source, one.delivery_id) not in corrected]


class Deliveries(Database):
    """The ledger's part about data that came."""

    def freeze_deliveries(self, contract: str, run_id: str, found: Sequence[Found]) -> list[Delivery]:
        """Fix which files a run reads, before it reads any. A dead run's frozen files pass to this one.

        Returns: the run's frozen deliveries, in order of source and slot.

        Raises:
            DataRefusedError: A file changed after it was frozen.
        """
        with self._writing() as connection:
            for file in found:
                _freeze(connection, contract, run_id, file)
            mine = (DELIVERY.contract == contract) & (DELIVERY.run_id == run_id) & (DELIVERY.state == "frozen")
            return _select_deliveries(connection, mine)

    def mark_ingested(
        self, contract: str, counts: Mapping[tuple[str, str], Mapping[str, Any]], typed_digest: str | None = None
    ) -> None:
        """Record deliveries as in the lake, all or none, typed by rules of this digest.

        Keys are (source, delivery_id), values their buckets.

        Raises:
            UsageError: A delivery was never frozen.
        """
        with self._writing() as connection:
            for (source, delivery_id), buckets in counts.items():
                key = (
                    (DELIVERY.contract == contract)
                    & (DELIVERY.source == source)
                    & (DELIVERY.delivery_id == delivery_id)
                )
                row = (
                    sa.update(schema.delivery)
                    .where(key)
                    .values(state="ingested", counts=dict(buckets), typed_digest=typed_digest)
                )
                if connection.execute(row).rowcount != 1:
                    raise UsageError(
                        f"delivery {delivery_id!r} of {contract}.{source} was never frozen", next_step="freeze it first"
                    )

    def begin_typing(self, contract: str, source: str, delivery_ids: Sequence[str]) -> None:
        """Note that typed rows are being made anew: until they are marked as in, nobody knows by which rules."""
        mine = (DELIVERY.contract == contract) & (DELIVERY.source == source) & DELIVERY.delivery_id.in_(delivery_ids)
        with self._writing() as connection:
            connection.execute(sa.update(schema.delivery).where(mine).values(typed_digest=None))

    def record_stale(self, contract: str, run_id: str, found: Iterable[Found]) -> None:
        """Note files that came after a newer one of their kind and are not read. One noted before stays as it was."""
        with self._writing() as connection:
            for file in found:
                row = insert(schema.delivery).values(
                    contract=contract, run_id=run_id, state="stale", counts={}, **asdict(file)
                )
                connection.execute(row.on_conflict_do_nothing())

    def forget_frozen(self, contract: str, source: str, delivery_ids: Sequence[str]) -> None:
        """Drop deliveries that were frozen and never taken in, once nothing of them is left in the lake."""
        mine = (DELIVERY.contract == contract) & (DELIVERY.source == source) & (DELIVERY.state == "frozen")
        with self._writing() as connection:
            connection.execute(sa.delete(schema.delivery).where(mine, DELIVERY.delivery_id.in_(delivery_ids)))

    def deliveries(self, contract: str, source: str | None = None) -> list[Delivery]:
        """Every delivery of a contract, or of one of its sources, in order of source and slot."""
        conditions = (
            (DELIVERY.contract == contract,)
            if source is None
            else (DELIVERY.contract == contract, DELIVERY.source == source)
        )
        with self._reading() as connection:
            return _select_deliveries(connection, *conditions)

    def record_measurements(self, contract: str, source: str, measured: Mapping[str, Mapping[str, float]]) -> None:
        """Keep what was measured of deliveries: numbers by name, by delivery_id. What was measured before goes."""
        rows = [
            {"contract": contract, "source": source, "delivery_id": delivery_id, "name": name, "value": value}
            for delivery_id, numbers in measured.items()
            for name, value in numbers.items()
        ]
        table = schema.measurement
        with self._writing() as connection:
            for delivery_id in measured:
                key = (table.c.contract == contract) & (table.c.source == source) & (table.c.delivery_id == delivery_id)
                connection.execute(sa.delete(table).where(key))
            if rows:
                connection.execute(sa.insert(table), rows)

    def measurements(self, contract: str, source: str) -> list[Measurement]:
        """What was measured of the source's files that were taken in, in order of slot and name."""
        table = schema.measurement
        same = (
            (DELIVERY.contract == table.c.contract)
            & (DELIVERY.source == table.c.source)
            & (DELIVERY.delivery_id == table.c.delivery_id)
        )
        query = (
            sa.select(table.c.delivery_id, DELIVERY.slot, table.c.name, table.c.value)
            .join(schema.delivery, same)
            .where(table.c.contract == contract, table.c.source == source)
            .where(DELIVERY.state == "ingested", DELIVERY.kind == "file")
            .order_by(DELIVERY.slot, table.c.delivery_id, table.c.name)
        )
        with self._reading() as connection:
            return [Measurement(**row) for row in connection.execute(query).mappings()]

    def record_checks(self, run_id: str, checks: Iterable[CheckResult]) -> None:
        """Keep the results of a run's checks. A check that is made again replaces its earlier result."""
        with self._writing() as connection:
            for check in checks:
                row = insert(schema.check_result).values(run_id=run_id, **asdict(check))
                keys = ["run_id", "kind", "source", "name"]
                values = {name: row.excluded[name] for name in ("severity", "passed", "observed", "expected")}
                connection.execute(row.on_conflict_do_update(index_elements=keys, set_=values))

    def checks(self, run_id: str) -> list[CheckResult]:
        """The results of a run's checks, by kind, source and name."""
        table = schema.check_result
        columns = [column for column in table.c if column.name != "run_id"]
        query = sa.select(*columns).where(table.c.run_id == run_id).order_by(table.c.kind, table.c.source, table.c.name)
        with self._reading() as connection:
            return [CheckResult(**row) for row in connection.execute(query).mappings()]

    def record_skipped(self, contract: str, dates: Iterable[date], *, reason: str, now: datetime) -> None:
        """Note dates that are not run. A date noted before keeps its first reason."""
        with self._writing() as connection:
            for day in dates:
                row = insert(schema.skipped).values(
                    contract=contract, business_date=day, reason=reason, recorded_at=now
                )
                connection.execute(row.on_conflict_do_nothing())

    def skipped(self, contract: str) -> list[Skipped]:
        """The skipped dates of a contract, oldest first."""
        table = schema.skipped
        query = sa.select(table).where(table.c.contract == contract).order_by(table.c.business_date)
        with self._reading() as connection:
            return [Skipped(**row) for row in connection.execute(query).mappings()]


def _freeze(connection: sa.Connection, contract: str, run_id: str, file: Found) -> None:
    row = insert(schema.delivery).values(contract=contract, run_id=run_id, state="frozen", counts={}, **asdict(file))
    if connection.execute(row.on_conflict_do_nothing()).rowcount == 1:
        return
    key = (
        (DELIVERY.contract == contract) & (DELIVERY.source == file.source) & (DELIVERY.delivery_id == file.delivery_id)
    )
    (held,) = _select_deliveries(connection, key)
    if held.sha256 != file.sha256:
        raise DataRefusedError(
            f"{file.path} changed after it was frozen: sha256 was {held.sha256}, is {file.sha256}",
            next_step="put the frozen file back; deliver a correction as a file of its own",
        )
    # What is not in yet becomes known with the run that takes it in: the date it was frozen with may be sealed by now.
    # Its file may lie elsewhere too.
    taken_up = {"run_id": run_id, "known_date": max(held.known_date, file.known_date), "path": file.path}
    connection.execute(sa.update(schema.delivery).where(key, DELIVERY.state == "frozen").values(taken_up))


def _select_deliveries(connection: sa.Connection, *conditions: sa.ColumnElement[bool]) -> list[Delivery]:
    order = (DELIVERY.source, DELIVERY.slot, DELIVERY.delivery_id)
    query = sa.select(schema.delivery).where(*conditions).order_by(*order)
    return [Delivery(**row) for row in connection.execute(query).mappings()]
