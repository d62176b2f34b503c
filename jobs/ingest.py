"""The ingest stage: takes a date's deliveries into the lake, gates them, and accounts for every row."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.errors import ChurnlakeError, ContractError, DataRefusedError
from churnlake.ledger import CheckResult, Delivery, Run
from churnlake.suites import Suite, read_suite
from jobs import rows, tiles
from jobs.application import CHECKOUT, Application, OpenStage
from jobs.expressions import expression_problems
from jobs.lake import Lake, Slice
from jobs.manifest import WAITING_STEP, Manifest, take_manifest, waits_for
from jobs.quality import judge, refuse_critical
from jobs.rows import Bucket


@dataclass(frozen=True)
class Batch:
    """The deliveries of one source that a run takes in together, and the suites that judge them.

    `replaced` are earlier bytes of their slots, frozen by an attempt that died before it took them in: what it wrote of
    them goes.
    """

    source: str
    deliveries: tuple[Delivery, ...]
    replaced: tuple[Delivery, ...]
    run_id: str
    own: Suite | None
    canonical: Suite

    @property
    def ids(self) -> list[str]:
        return [one.delivery_id for one in (*self.deliveries, *self.replaced)]

    @property
    def landing(self) -> Slice:
        """The slice of the source's own raw table, whatever month an earlier attempt wrote its rows under."""
        return {"delivery_id": self.ids}

    @property
    def within(self) -> Slice:
        """The slice of tables that hold all sources."""
        return {"source": self.source, **self.landing}

    def holds(self) -> Column:
        """True for rows of `within`."""
        return (F.col("source") == self.source) & F.col("delivery_id").isin(self.ids)

    @property
    def rule_digest(self) -> str:
        """sha256 of the expectations that judge a row."""
        text = json.dumps([self.own.expectations if self.own else [], self.canonical.expectations], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def read_suites(contract: Contract, source: str) -> tuple[Suite | None, Suite]:
    """The contract's suite over a source's typed columns, if there is one, and the built-in one over canonical ones."""
    own = contract.suites / f"{source}.json"
    canonical = read_suite(CHECKOUT / "expectations" / "events.json", list(contract.sources[source].columns))
    return (read_suite(own, list(contract.sources[source].typed)) if own.exists() else None), canonical


def ingest(app: Application, run: Run, stage: OpenStage, sealed: date | None) -> None:
    """Takes in every delivery not yet in that was available on the run's date.

    Raises:
        DataRefusedError: A due file is missing, a file cannot be used, or a critical check failed.
        ChurnlakeError: Rows do not add up.
    """
    name, ledger = app.contract.name, app.ledger
    held = ledger.deliveries(name)
    if waiting := waits_for(app.contract, held, run.business_date):
        raise DataRefusedError(waiting, next_step=WAITING_STEP)
    manifest = take_manifest(app.contract, held, run.business_date, sealed)
    ledger.record_checks(run.run_id, [*manifest.checks, *_missing_checks(manifest)])
    ledger.freeze_deliveries(name, run.run_id, [one.found for one in manifest.new])
    app.reach("ingest.frozen")
    stage.say(f"{len(manifest.new)} new files")
    for source in app.contract.sources:
        deliveries, replaced = _frozen(ledger.deliveries(name, source), manifest)
        if deliveries:
            suites = read_suites(app.contract, source)
            counts = _take_in(app, stage, Batch(source, deliveries, replaced, run.run_id, *suites))
            ledger.mark_ingested(name, {(source, one): buckets for one, buckets in counts.items()})
    # From the ledger, so that a run that was taken up counts what its earlier attempts took in too.
    taken = [one for one in ledger.deliveries(name) if one.run_id == run.run_id and one.state == "ingested"]
    stage.counts.update(_totals(taken))
    app.reach("ingest.recorded")


def _frozen(held: Sequence[Delivery], manifest: Manifest) -> tuple[tuple[Delivery, ...], tuple[Delivery, ...]]:
    """The frozen deliveries of one source: those of the manifest, and those whose file was replaced since."""
    new = {(one.found.source, one.found.delivery_id) for one in manifest.new}
    slots = {(one.found.source, one.found.slot) for one in manifest.new}
    frozen = [one for one in held if one.state == "frozen" and (one.source, one.slot) in slots]
    taken = tuple(one for one in frozen if (one.source, one.delivery_id) in new)
    return taken, tuple(one for one in frozen if one not in taken)


def _missing_checks(manifest: Manifest) -> list[CheckResult]:
    return [
        CheckResult("floor", name, f"delivery.{slot}", "warning", False, "no file", "one file on an open day")
        for name, slot in manifest.missing
    ]


def _take_in(app: Application, stage: OpenStage, batch: Batch) -> dict[str, dict[str, Any]]:
    """Lands, classifies, judges and writes a batch; returns each delivery's buckets."""
    lake, contract, source = app.lake, app.contract, batch.source
    if problems := expression_problems(app.spark, contract, source):
        raise ContractError(str(contract.path), problems)
    stage.say(f"{source}: landing {len(batch.deliveries)} files")
    landing = rows.read_landing(app.spark, contract, batch.deliveries)
    landed = lake.replace(f"raw_{source}", landing, batch.landing, batch.run_id)
    app.reach("ingest.landed")
    raw = lake.read(f"raw_{source}", landed.version).filter(F.col("delivery_id").isin(batch.ids))
    own_rules = batch.own.row_rules if batch.own else ()
    classified = rows.classify(raw, contract, source, own_rules, batch.canonical.row_rules).persist()
    try:
        stage.say(f"{source}: sorting {landed.rows:,} rows into buckets")
        counts = _bucket_counts(classified, [one.delivery_id for one in batch.deliveries])
        stage.say(f"{source}: checking")
        _gate(app, batch, classified)
        stage.say(f"{source}: writing facts and tiles")
        written = _write(lake, contract, batch, classified)
        app.reach("ingest.typed")
    finally:
        classified.unpersist()
    checks = reconcile(source, landed.rows, counts, written)
    app.ledger.record_checks(batch.run_id, checks)
    _refuse_unequal(checks)
    return counts


def _bucket_counts(classified: DataFrame, delivery_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per delivery: raw, accepted, ignored by rule, unchanged, quarantined by first reason, duplicate."""
    numbers = {"raw": 0, "accepted": 0, "unchanged": 0, "duplicate": 0}
    counts: dict[str, dict[str, Any]] = {
        one: {**numbers, "ignored": defaultdict(int), "quarantined": defaultdict(int)} for one in delivery_ids
    }
    for row in rows.bucket_counts(classified).collect():
        mine = counts[row["delivery_id"]]
        mine["raw"] += row["count"]
        match row["bucket"]:
            case Bucket.MALFORMED | Bucket.QUARANTINED:
                mine["quarantined"][row["reasons"][0]] += row["count"]
            case Bucket.IGNORED:
                mine["ignored"][row["reasons"][0]] += row["count"]
            case bucket:
                mine[bucket] += row["count"]
    return counts


def _gate(app: Application, batch: Batch, classified: DataFrame) -> None:
    """Great Expectations judges what is left after malformed, ignored and duplicate rows."""
    judged = classified.filter(F.col("bucket").isin(Bucket.QUARANTINED, Bucket.ACCEPTED))
    verdicts = judge(judged.select("typed.*"), batch.own) if batch.own else []
    verdicts += judge(judged.select("canonical.*"), batch.canonical)
    app.ledger.record_checks(batch.run_id, [verdict.as_check(batch.source) for verdict in verdicts])
    refuse_critical(verdicts)


def _write(lake: Lake, contract: Contract, batch: Batch, classified: DataFrame) -> dict[str, int]:
    """Writes what the classified rows become; returns the rows written of events and quarantine."""
    source, within, run_id, rules = batch.source, batch.within, batch.run_id, contract.features
    aside = rows.set_aside(classified, source, batch.rule_digest, run_id)
    quarantine = lake.replace("quarantine", aside, within, run_id)
    events = lake.replace("events", rows.accepted_events(classified, contract, source), within, run_id)
    facts = lake.read("events", events.version).filter(batch.holds())
    lake.replace("daily_activity", tiles.daily_activity(facts, rules), within, run_id)
    lake.replace("daily_values", tiles.daily_values(facts, rules.distinct), within, run_id)
    before = lake.version("known_customers")
    known = None if before is None else lake.read("known_customers", before).filter(~batch.holds())
    lake.replace("known_customers", tiles.newly_known(rows.named_customers(classified, source), known), within, run_id)
    return {"accepted": events.rows, "quarantined": quarantine.rows}


def reconcile(
    source: str, landed: int, counts: Mapping[str, Mapping[str, Any]], written: Mapping[str, int]
) -> list[CheckResult]:
    """Rows landed, sorted and written must be the same rows: three counts made by three different reads."""
    sums = {
        name: sum(_size(one[name]) for one in counts.values())
        for name in ("accepted", "ignored", "unchanged", "duplicate", "quarantined")
    }
    told = " + ".join(f"{number} {name}" for name, number in sums.items())
    pairs = [
        ("raw", landed, sum(sums.values()), told),
        ("accepted", sums["accepted"], written["accepted"], f"{written['accepted']} facts written"),
        ("quarantined", sums["quarantined"], written["quarantined"], f"{written['quarantined']} rows written"),
    ]
    return [
        CheckResult("reconciliation", source, name, "critical", expected == found, f"{found} = {words}", str(expected))
        for name, expected, found, words in pairs
    ]


def _size(count: int | Mapping[str, int]) -> int:
    return count if isinstance(count, int) else sum(count.values())


def _refuse_unequal(checks: Sequence[CheckResult]) -> None:
    unequal = [f"{one.source} {one.name}: {one.expected} expected, {one.observed}" for one in checks if not one.passed]
    if unequal:
        raise ChurnlakeError(
            "ingest: rows do not add up: " + "; ".join(unequal),
            next_step="nothing was published; report this with the run's folder",
        )


def _totals(deliveries: Sequence[Delivery]) -> dict[str, Any]:
    """The buckets of several deliveries, summed: numbers by bucket, and by reason where a bucket has reasons."""
    totals: dict[str, Any] = {"files": len(deliveries)}
    for name in ("raw", "accepted", "unchanged", "duplicate"):
        totals[name] = sum(one.counts[name] for one in deliveries)
    for name in ("ignored", "quarantined"):
        totals[name] = dict(sum((Counter(one.counts[name]) for one in deliveries), Counter()))
    return totals
