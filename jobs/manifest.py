"""Which deliveries a business date takes: found, inspected and judged before any of them is read by Spark."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from churnlake import calendar
from churnlake.calendar import DayRange
from churnlake.contract.schema import Contract, Source
from churnlake.deliveries import File, Layout, find_files, inspect
from churnlake.errors import DataRefusedError
from churnlake.ledger import CheckResult, Delivery, Found

WAITING_STEP = "deliver it, or declare the day closed in the contract; the next run takes it up"


@dataclass(frozen=True)
class Arrival:
    """A new delivery and how its file is laid out."""

    found: Found
    layout: Layout


@dataclass(frozen=True)
class Manifest:
    """New deliveries of a date, and what was noticed beside them."""

    new: tuple[Arrival, ...]
    missing: tuple[tuple[str, date], ...]
    checks: tuple[CheckResult, ...]


def take_manifest(contract: Contract, held: Sequence[Delivery], business_date: date, sealed: date | None) -> Manifest:
    """The deliveries that `business_date` takes in, given those the lake holds already.

    Raises:
        DataRefusedError: Files cannot be used, or bytes that were taken in have changed; all are named together.
    """
    new: list[Arrival] = []
    missing: list[tuple[str, date]] = []
    checks: list[CheckResult] = []
    problems: list[str] = []
    for name, source in contract.sources.items():
        ingested = {
            delivery.slot: delivery for delivery in held if delivery.source == name and delivery.state == "ingested"
        }
        files = [
            file for file in find_files(contract, name) if contract.calendar.starts_on <= file.slot <= business_date
        ]
        oldest = (
            calendar.given_up_before(business_date, source.max_late_days) if ingested else contract.calendar.starts_on
        )
        for file in files:
            if file.slot < oldest:
                checks += [_too_late(file, source)] if file.slot not in ingested else []
            else:
                closed = file.slot not in ingested and source.closed.covers(file.slot)
                checks += [_on_closed_day(file)] if closed else []
                new += _inspected(contract, file, ingested.get(file.slot), sealed, problems)
        missing += [
            (name, slot)
            for slot in _missing(contract, source, business_date, {file.slot for file in files} | set(ingested))
        ]
    if problems:
        raise DataRefusedError(
            "deliveries cannot be used:\n  - " + "\n  - ".join(problems),
            next_step="repair or replace these files and run again; last scores stay",
        )
    return Manifest(tuple(new), tuple(missing), tuple(checks))


def _inspected(
    contract: Contract, file: File, ingested: Delivery | None, sealed: date | None, problems: list[str]
) -> list[Arrival]:
    report = inspect(contract.folder / file.path, contract.sources[file.source])
    if ingested is not None and report.sha256 == ingested.sha256:
        return []  # the same bytes again: nothing to do
    if ingested is not None:
        problems.append(
            f"{file.path}: was taken in with other bytes (sha256 {ingested.sha256[:12]}..., "
            f"now {report.sha256[:12]}...); put the first version back"
        )
        return []
    problems += [f"{file.path}: {problem}" for problem in report.problems]
    known = calendar.known_date(file.slot, sealed)
    found = Found(
        file.source, report.delivery_id(file.slot), file.path, report.bytes, report.sha256, file.slot, file.slot, known
    )
    return [Arrival(found, report.layout)]


def waits_for(contract: Contract, held: Sequence[Delivery], business_date: date) -> str | None:
    """What the date still waits for, in words; None when nothing. Looks at names only, reads no file."""
    waited = []
    for name, source in contract.sources.items():
        present = {delivery.slot for delivery in held if delivery.source == name and delivery.state == "ingested"}
        present |= {file.slot for file in find_files(contract, name)}
        waited += [
            (name, slot) for slot in _missing(contract, source, business_date, present) if source.on_missing == "wait"
        ]
    if not waited:
        return None
    named = ", ".join(f"{contract.sources[name].path.format(business_date=slot)} ({name})" for name, slot in waited[:5])
    count = f"{len(waited)} missing file{'s' if len(waited) > 1 else ''}"
    return f"{business_date} waits for {count}: {named}{' ...' if len(waited) > 5 else ''}"


def _missing(contract: Contract, source: Source, business_date: date, present: set[date]) -> list[date]:
    oldest = max(contract.calendar.starts_on, calendar.given_up_before(business_date, source.max_late_days))
    due = calendar.due_slots(DayRange(oldest, business_date), source.closed.covers)
    return [slot for slot in due if slot not in present]


def _on_closed_day(file: File) -> CheckResult:
    """No file is right on a closed day, but one that came holds facts: it is taken in, and shown."""
    return CheckResult(
        "floor", file.source, f"closed_day.{file.slot}", "warning", False,
        f"{file.path} came for a day the contract calls closed",
        "no file; if the source was open that day, take it out of `closed` in the contract",
    )  # fmt: skip


def _too_late(file: File, source: Source) -> CheckResult:
    return CheckResult(
        "floor", file.source, f"too_late.{file.slot}", "warning", False,
        f"{file.path} came more than {source.max_late_days} days late and was refused",
        "deliveries within max_late_days; raise it in the contract and rebuild to take the file in",
    )  # fmt: skip
