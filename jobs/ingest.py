"""The ingest stage: takes a date's deliveries into the lake, gates them, and accounts for every row."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.errors import ChurnlakeError, DataRefusedError
from churnlake.ledger import CheckResult, Delivery, Run
from churnlake.suites import Suite, read_suite
from jobs import rows, tiles
from jobs.application import CHECKOUT, Application, OpenStage
from jobs.lake import Lake, Slice
from jobs.manifest import WAITING_STEP, Manifest, take_manifest, waits_for
from jobs.quality import judge, refuse_critical
from jobs.rows import Bucket


def read_suites(contract: Contract, source: str) -> tuple[Suite | None, Suite]:
    """The contract's own suite over the source's typed columns (if it has one), and the built-in one over canonical columns."""
    own = contract.suites / f"{source}.json"
    canonical = read_suite(CHECKOUT / "expectations" / "events.json", list(contract.sources[source].columns))
    return (read_suite(own, list(contract.sources[source].types)) if own.exists() else None), canonical


def ingest(app: Application, run: Run, stage: OpenStage, sealed: date | None) -> None:
    """Takes in every delivery not yet in that was available on the run's date.

    Raises:
        DataRefusedError: A due file is missing, a file cannot be used, or a critical check failed.
        ChurnlakeError: Rows do not add up.
    """
    held = app.ledger.deliveries(app.contract.name)
    if waiting := waits_for(app.contract, held, run.business_date):
        raise DataRefusedError(waiting, next_step=WAITING_STEP)
    manifest = take_manifest(app.contract, held, run.business_date, sealed)
    app.ledger.record_checks(run.run_id, [*manifest.checks, *_missing_checks(manifest)])
    frozen = app.ledger.freeze_deliveries(app.contract.name, run.run_id, manifest.new)
    app.reach("ingest.frozen")
    stage.say(f"{len(frozen)} new files")
    totals: dict[str, Any] = {
        "files": len(frozen),
        "raw": 0,
        "accepted": 0,
        "ignored": {},
        "unchanged": 0,
        "duplicate": 0,
        "quarantined": {},
    }
    for source in app.contract.sources:
        deliveries = [delivery for delivery in frozen if delivery.source == source]
        if deliveries:
            counts = _take_in(app, run, stage, source, deliveries)
            app.ledger.mark_ingested(app.contract.name, {(source, one): buckets for one, buckets in counts.items()})
            _add(totals, counts.values())
    stage.counts.update(totals)
    app.reach("ingest.recorded")


def _missing_checks(manifest: Manifest) -> list[CheckResult]:
    return [
        CheckResult("floor", name, f"delivery.{slot}", "warning", False, "no file", "one file on an open day")
        for name, slot in manifest.missing
    ]


def _take_in(
    app: Application, run: Run, stage: OpenStage, source: str, deliveries: Sequence[Delivery]
) -> dict[str, dict[str, Any]]:
    """Lands, classifies, judges and writes the deliveries of one source; returns each delivery's buckets."""
    lake, contract = app.lake, app.contract
    within = _slice(source, deliveries)
    landing = {key: value for key, value in within.items() if key != "source"}
    stage.say(f"{source}: landing {len(deliveries)} files")
    landed = lake.replace(f"raw_{source}", rows.read_landing(app.spark, contract, deliveries), landing, run.run_id)
    app.reach("ingest.landed")
    own, canonical = read_suites(contract, source)
    raw = lake.read(f"raw_{source}", landed.version).filter(
        F.col("delivery_id").isin([one.delivery_id for one in deliveries])
    )
    own_rules = own.row_rules if own else ()
    classified = rows.classify(raw, contract, source, own_rules, canonical.row_rules).persist()
    try:
        stage.say(f"{source}: sorting {landed.rows:,} rows into buckets")
        counts = _bucket_counts(classified, deliveries)
        stage.say(f"{source}: checking")
        _gate(app, run, source, classified, own, canonical)
        stage.say(f"{source}: writing facts and tiles")
        written = _write(lake, run.run_id, contract, source, classified, within, digest_of_rules(own, canonical))
        app.reach("ingest.typed")
    finally:
        classified.unpersist()
    checks = reconcile(source, landed.rows, counts, written)
    app.ledger.record_checks(run.run_id, checks)
    _refuse_unequal(checks)
    return counts


def _slice(source: str, deliveries: Sequence[Delivery]) -> Slice:
    months = sorted({f"{one.known_date:%Y-%m}" for one in deliveries})
    return {"source": source, "delivery_id": [one.delivery_id for one in deliveries], "known_month": months}


def digest_of_rules(own: Suite | None, canonical: Suite) -> str:
    """sha256 of the expectations that judged a row."""
    text = json.dumps([own.expectations if own else [], canonical.expectations], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _bucket_counts(classified: DataFrame, deliveries: Sequence[Delivery]) -> dict[str, dict[str, Any]]:
    """Per delivery: raw, accepted, ignored by rule, unchanged, quarantined by first reason, duplicate."""
    counts: dict[str, dict[str, Any]] = {
        one.delivery_id: {
            "raw": 0,
            "accepted": 0,
            "ignored": defaultdict(int),
            "unchanged": 0,
            "duplicate": 0,
            "quarantined": defaultdict(int),
        }
        for one in deliveries
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


def _gate(app: Application, run: Run, source: str, classified: DataFrame, own: Suite | None, canonical: Suite) -> None:
    """Great Expectations judges what is left after malformed, ignored and duplicate rows."""
    judged = classified.filter(F.col("bucket").isin(Bucket.QUARANTINED, Bucket.ACCEPTED))
    verdicts = judge(judged.select("typed.*"), own) if own else []
    verdicts += judge(judged.select("canonical.*"), canonical)
    app.ledger.record_checks(run.run_id, [verdict.as_check(source) for verdict in verdicts])
    refuse_critical(verdicts)


def _write(
    lake: Lake, run_id: str, contract: Contract, source: str, classified: DataFrame, within: Slice, rule_digest: str
) -> dict[str, int]:
    """Writes what the classified rows become; returns the rows written of events and quarantine."""
    quarantine = lake.replace("quarantine", rows.set_aside(classified, source, rule_digest, run_id), within, run_id)
    events = lake.replace("events", rows.accepted_events(classified, contract, source), within, run_id)
    facts = lake.read("events", events.version).filter(_is_within(within))
    lake.replace("daily_activity", tiles.daily_activity(facts, contract.features), within, run_id)
    if contract.features.distinct:
        lake.replace("daily_values", tiles.daily_values(facts, contract.features.distinct), within, run_id)
    before = lake.version("known_customers")
    known = None if before is None else lake.read("known_customers", before).filter(~_is_within(within))
    lake.replace("known_customers", tiles.newly_known(rows.named_customers(classified, source), known), within, run_id)
    return {"accepted": events.rows, "quarantined": quarantine.rows}


def _is_within(within: Slice) -> Any:
    own_source = F.col("source") == within["source"]
    return (
        own_source
        & F.col("delivery_id").isin(list(within["delivery_id"]))
        & F.col("known_month").isin(list(within["known_month"]))
    )  # type: ignore[arg-type]


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


def _add(totals: dict[str, Any], counts: Any) -> None:
    for one in counts:
        for name in ("raw", "accepted", "unchanged", "duplicate"):
            totals[name] += one[name]
        for name in ("ignored", "quarantined"):
            for reason, number in one[name].items():
                totals[name][reason] = totals[name].get(reason, 0) + number
