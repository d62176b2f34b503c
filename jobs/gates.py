"""Gates over time at the edge: measures a batch, holds it against the ledger's history, stops a broken night."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.errors import DataRefusedError
from churnlake.gates import (
    FAMILIES,
    LEARNING,
    Judged,
    Level,
    Night,
    Rules,
    Verdict,
    judge_in_order,
    summed_up,
)
from churnlake.ledger import CheckResult, Delivery, Measurement
from churnlake.ledger.deliveries import Severity
from jobs.application import Application
from jobs.profile import Past, measure

if TYPE_CHECKING:
    from jobs.ingest import Batch


def hold_against_history(app: Application, batch: "Batch", classified: DataFrame, sealed: date | None) -> None:
    """Measures every delivery of a batch and judges each against the slots before it; writes to the ledger alone.

    The newest slot of a night can stop it. What comes beside it (history, late files, corrections) and days declared
    closed or unusual are only warned about.

    Raises:
        DataRefusedError: A number of tonight's delivery is broken, or a gate failed.
    """
    name, source = app.contract.name, batch.source
    current = _current(app.ledger.deliveries(name, source), batch.deliveries)
    measured = measure(classified, _past(app, batch, current), _named_columns(app.contract, source))
    nights = [Night(one.slot, measured.get(one.delivery_id, {"rows": 0.0})) for one in batch.deliveries]
    history = _history(app.ledger.measurements(name, source), current)
    judged = {one.night.slot: one for one in judge_in_order(nights, history, rules_of(app.contract, source))}
    numbers = {one.delivery_id: judged[one.slot].night.numbers for one in batch.deliveries}
    app.ledger.record_measurements(name, source, numbers)
    tonight = _tonight(app.contract, batch, current, sealed)
    checks = checks_of(source, judged, tonight, rules_of(app.contract, source))
    app.ledger.record_checks(batch.run_id, checks)
    refuse_broken(source, checks, tonight)


def has_gates(contract: Contract, source: str) -> bool:
    """Whether a source's deliveries are days to be compared: not one load of history, nor states of customers."""
    return contract.sources[source].role == "events" and contract.sources[source].delivery == "daily"


def rules_of(contract: Contract, source: str) -> Rules:
    """How the contract wants a source judged."""
    gates = contract.sources[source].gates
    levels = {
        f"level.{by.column}.{value}"
        for by in contract.features.by
        if by.column in contract.sources[source].columns
        for value in by.values
    }
    judged = sum(one.gates.sensitivity != "off" and has_gates(contract, name) for name, one in contract.sources.items())
    return Rules(gates.sensitivity, frozenset(gates.unusual), frozenset(levels), max(judged, 1))


def _named_columns(contract: Contract, source: str) -> list[str]:
    return [by.column for by in contract.features.by if by.column in contract.sources[source].columns]


def _current(held: Sequence[Delivery], new: Sequence[Delivery]) -> list[Delivery]:
    """The newest taken-in file of every slot, oldest slot first, but for slots that are filled anew now."""
    taken = [one for one in held if one.state == "ingested" and one.kind == "file"]
    replaced = {one.corrects for one in taken}
    slots = {one.slot for one in new}
    return sorted(
        (one for one in taken if one.delivery_id not in replaced and one.slot not in slots), key=lambda one: one.slot
    )


def _history(measurements: Sequence[Measurement], current: Sequence[Delivery]) -> list[Night]:
    numbers: dict[str, dict[str, float]] = {one.delivery_id: {} for one in current}
    for one in measurements:
        if one.delivery_id in numbers:
            numbers[one.delivery_id][one.name] = one.value
    return [Night(one.slot, numbers[one.delivery_id]) for one in current if numbers[one.delivery_id]]


def _past(app: Application, batch: "Batch", current: Sequence[Delivery]) -> Past:
    """What the batch's deliveries are measured against; of the lake only the rows of slots right before them."""
    mine = {one.delivery_id for one in batch.deliveries}
    slots = sorted([*current, *batch.deliveries], key=lambda one: one.slot)
    before = {later.delivery_id: earlier for earlier, later in itertools.pairwise(slots) if later.delivery_id in mine}
    outside = [one for one in before.values() if one.delivery_id not in mine]
    rows = None
    if outside:
        months = sorted({f"{one.known_date:%Y-%m}" for one in outside})
        ids = [one.delivery_id for one in outside]
        raw = app.lake.read(f"raw_{batch.source}").filter(F.col("known_month").isin(months))
        rows = raw.filter(F.col("delivery_id").isin(ids))
    known = None if app.lake.version("known_customers") is None else app.lake.read("known_customers")
    return Past({later: earlier.delivery_id for later, earlier in before.items()}, rows, known)


def _tonight(contract: Contract, batch: "Batch", current: Sequence[Delivery], sealed: date | None) -> date | None:
    """The slot that can stop this night: the newest of all, delivered for the first time on an open day."""
    newest = max(batch.deliveries, key=lambda one: one.slot)
    is_late = bool(current) and current[-1].slot > newest.slot
    is_closed = contract.sources[batch.source].closed.covers(newest.slot)
    return None if sealed is None or newest.corrects or is_late or is_closed else newest.slot


def checks_of(source: str, judged: Mapping[date, Judged], tonight: date | None, rules: Rules) -> list[CheckResult]:
    """What the gates said, for the run's record: tonight's numbers one by one, all others in one line per family."""
    checks = [] if tonight is None else list(_tonights_checks(source, judged[tonight], rules))
    others = [one for slot, one in judged.items() if slot != tonight]
    if rules.sensitivity == "off" or not others:
        return checks
    told = summed_up(others, FAMILIES)
    failed = [verdict for one in others for verdict in one.verdicts if verdict.level is Level.FAILED]
    return [
        *checks,
        *(_check(source, verdict, stops=True) for verdict in failed),
        *(
            CheckResult("gate", source, f"earlier.{family}", "warning", passed, observed, "as the slots before them")
            for family, (passed, observed) in told.items()
        ),
    ]


def _tonights_checks(source: str, tonight: Judged, rules: Rules) -> Iterator[CheckResult]:
    if tonight.learning is not None:
        words = f"learning, {tonight.learning} of {LEARNING} nights"
        yield CheckResult("gate", source, "learning", "info", True, words, f"{LEARNING} earlier slots")
    for verdict in tonight.verdicts:
        yield _check(source, verdict, stops=verdict.level is Level.BROKEN and tonight.night.slot not in rules.unusual)


def _check(source: str, verdict: Verdict, *, stops: bool) -> CheckResult:
    """A gate that failed stops a run whatever the slot: nobody knows what it would have said."""
    severity: Severity = "critical" if stops or verdict.level is Level.FAILED else "warning"
    passed = verdict.level is Level.USUAL
    return CheckResult("gate", source, verdict.name, severity, passed, verdict.observed, verdict.expected)


def refuse_broken(source: str, checks: Sequence[CheckResult], tonight: date | None) -> None:
    """Stops the night when a critical gate failed, naming each number, what was expected and what to do.

    Raises:
        DataRefusedError: At least one critical gate is a no.
    """
    broken = [one for one in checks if one.severity == "critical" and not one.passed]
    if broken:
        told = "\n  - ".join(f"{one.name} is {one.observed}; expected {one.expected}" for one in broken)
        raise DataRefusedError(
            f"{source}{'' if tonight is None else f' of {tonight}'} is unlike the slots before it:\n  - {told}",
            next_step=f"repair the file and run again. If the day is right as it is, declare it: "
            f'[sources.{source}.gates] unusual = ["{tonight}"] (or set sensitivity = "off"); last scores stay',
        )
