"""The ingest stage: takes a date's deliveries into the lake, gates them, and accounts for every row."""

import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import Row as SparkRow
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.errors import ChurnlakeError, ContractError, DataRefusedError
from churnlake.ledger import CheckResult, Delivery, Run, current_versions, taken_files
from churnlake.suites import Suite, read_suite
from jobs import rows, tiles
from jobs.application import CHECKOUT, Application, OpenStage
from jobs.corrections import (
    Link,
    Replaced,
    Told,
    copies_before,
    links_of,
    replaced_by,
    withdraw_told,
    withdraw_written,
)
from jobs.disappeared import refuse_cut_short
from jobs.expiry import expire
from jobs.expressions import expression_problems
from jobs.facts import TABLE_OF_ROLE, facts_of, named_customers
from jobs.gates import has_gates, hold_against_history
from jobs.lake import Commit, Lake, Slice
from jobs.landing import read_landing
from jobs.lookups import read_lookups
from jobs.manifest import WAITING_STEP, Arrival, Manifest, redigest, take_manifest, waits_for
from jobs.quality import audit, judge, refuse_critical
from jobs.rows import Bucket, Place
from jobs.tiles import TILE_TABLES


@dataclass(frozen=True)
class Batch:
    """The deliveries of one source that a run takes in together, and the suites that judge them.

    `abandoned` were frozen by attempts that died before they were in: what those wrote of them goes. `links` are those
    of the deliveries that take the place of another one. `later` came after these, where they are typed anew.
    """

    source: str
    deliveries: tuple[Delivery, ...]
    abandoned: tuple[Delivery, ...]
    run_id: str
    own: Suite | None
    canonical: Suite
    links: tuple[Link, ...] = ()
    later: tuple[str, ...] = ()

    @property
    def ids(self) -> list[str]:
        return [one.delivery_id for one in (*self.deliveries, *self.abandoned)]

    @property
    def unseen(self) -> list[str]:
        """Deliveries of which nothing counts yet: its own, and those that came later."""
        return [*self.ids, *self.later]

    def came_before(self, by: str = "delivery_id") -> Column:
        """True for rows that were written before this batch, by the column that says which delivery wrote them."""
        return ~F.col(by).isin(self.unseen)

    @property
    def landing(self) -> Slice:
        """The slice of the source's own raw table, whatever month an earlier attempt wrote its rows under."""
        return {"delivery_id": self.ids}

    @property
    def within(self) -> Slice:
        """The slice of tables that hold all sources."""
        return {"source": self.source, **self.landing}

    @property
    def changes(self) -> Slice:
        """The slice of quarantine: rows that this batch wrote, also about rows of earlier deliveries."""
        return {"source": self.source, "changed_by": self.ids}

    @property
    def is_source(self) -> Column:
        """True for rows of its source, in tables that hold all."""
        return F.col("source") == self.source

    def holds(self) -> Column:
        """True for rows of `within`."""
        return self.is_source & F.col("delivery_id").isin(self.ids)

    @property
    def rule_digest(self) -> str:
        """sha256 of the expectations that judge a row."""
        text = json.dumps([self.own.expectations if self.own else [], self.canonical.expectations], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def read_suites(contract: Contract, source: str) -> tuple[Suite | None, Suite]:
    """The contract's suite over a source's typed columns, if there is one, and the built-in one over canonical ones."""
    own, rules = contract.suites / f"{source}.json", contract.sources[source]
    if rules.role == "lookup":
        canonical = Suite(rules.role, (), ())
    else:
        canonical = read_suite(CHECKOUT / "expectations" / f"{rules.role}.json", list(rules.columns))
    return (read_suite(own, rules.typed) if own.exists() else None), canonical


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
    for source in lookups_first(app.contract):
        arrivals = [one for one in manifest.new if one.found.source == source]
        of_source = ledger.deliveries(name, source)
        deliveries, abandoned = _frozen(of_source, arrivals)
        if deliveries or abandoned:
            links = links_of(
                deliveries, current_versions(taken_files(of_source)), are_snapshots=_are_snapshots(app.contract, source)
            )
            batch = Batch(source, deliveries, abandoned, run.run_id, *read_suites(app.contract, source), links)
            counts = _take_in(app, stage, batch, arrivals, sealed) if deliveries else clear(app, batch)
            found = {(source, one): buckets for one, buckets in counts.items()}
            ledger.mark_ingested(name, found, app.contract.typed_digest(source))
            ledger.forget_frozen(name, source, [one.delivery_id for one in abandoned])
    ledger.record_stale(name, run.run_id, manifest.stale)
    # From the ledger, so that a run that was taken up counts what its earlier attempts took in too.
    mine = [one for one in ledger.deliveries(name) if one.run_id == run.run_id]
    stage.counts.update(_totals([one for one in mine if one.state == "ingested"]))
    if stale := sum(one.state == "stale" for one in mine):
        stage.counts["stale"] = stale
    if ended := expire(app, run):
        stage.counts["expired"] = ended
    app.reach("ingest.recorded")


def lookups_first(contract: Contract) -> list[str]:
    """Sources in the contract's order, but lookups before those they are joined to."""
    return sorted(contract.sources, key=lambda name: contract.sources[name].role != "lookup")


def _are_snapshots(contract: Contract, source: str) -> bool:
    return contract.sources[source].delivery == "snapshot"


def _frozen(held: Sequence[Delivery], arrivals: Sequence[Arrival]) -> tuple[tuple[Delivery, ...], tuple[Delivery, ...]]:
    """The frozen deliveries of one source: the new ones, and those that an attempt left and that are no more."""
    new = {one.found.delivery_id for one in arrivals}
    frozen = [one for one in held if one.state == "frozen"]
    taken = tuple(one for one in frozen if one.delivery_id in new)
    return taken, tuple(one for one in frozen if one.delivery_id not in new)


def _missing_checks(manifest: Manifest) -> list[CheckResult]:
    return [
        CheckResult("floor", name, f"delivery.{slot}", "warning", False, "no file", "one file on an open day")
        for name, slot in manifest.missing
    ]


def _take_in(
    app: Application, stage: OpenStage, batch: Batch, arrivals: Sequence[Arrival], sealed: date | None
) -> dict[str, dict[str, Any]]:
    """Lands, classifies, judges and writes a batch; returns each delivery's account."""
    lake, contract, source = app.lake, app.contract, batch.source
    if problems := expression_problems(app.spark, contract, source, batch.own, batch.canonical):
        raise ContractError(str(contract.path), problems)
    stage.say(f"{source}: landing {len(batch.deliveries)} files")
    layouts = {one.found.delivery_id: one.layout for one in arrivals}
    landing = read_landing(app.spark, contract, batch.deliveries, layouts)
    landed = lake.replace(f"raw_{source}", landing, batch.landing, batch.run_id)
    redigest(contract, arrivals)
    app.reach("ingest.landed")
    raw = lake.read(f"raw_{source}", landed.version)
    if contract.sources[source].role == "lookup":
        return _lookup_accounts(batch, raw)
    classified = rows.without_spare_text(classified_batch(lake, contract, batch, raw)).persist()
    try:
        stage.say(f"{source}: sorting {landed.rows:,} rows into buckets")
        counted = rows.counted(classified).collect()
        counts = accounts(counted, [one.delivery_id for one in batch.deliveries])
        stage.say(f"{source}: checking")
        if _are_snapshots(contract, source):
            refuse_cut_short(app, batch, classified)
        hold_to_suites(app, batch, classified)
        if has_gates(contract, source):
            hold_against_history(app, batch, classified, sealed)
        stage.say(f"{source}: writing facts and tiles")
        settle(app, batch, classified, aside(app.contract, batch, classified, counted), counts, landed)
        app.reach("ingest.typed")
    finally:
        classified.unpersist()
    return counts


def aside(contract: Contract, batch: Batch, classified: DataFrame, counted: Sequence[SparkRow]) -> DataFrame:
    """The rows of a batch that go to quarantine; `counted` are all its rows, as `rows.counted` tells them."""
    through = contract.sources[batch.source].through
    places = _places(batch, counted)
    return rows.set_aside(classified, batch.source, batch.rule_digest, batch.run_id, places, through)


def settle(  # noqa: PLR0913, PLR0917 - rows in every form they have by then
    app: Application,
    batch: Batch,
    classified: DataFrame,
    held: DataFrame,
    counts: Mapping[str, dict[str, Any]],
    landed: Commit,
) -> None:
    """Writes what the classified rows become and what they take back, and adds to the counts what was withdrawn.

    Args:
        app: The application.
        batch: The deliveries the rows are of.
        classified: All their rows, each with its bucket.
        held: Those that go to quarantine, as its table holds them.
        counts: The account of each delivery.
        landed: The version of the raw table that holds their rows, and how many these are.

    Raises:
        ChurnlakeError: Rows do not add up.
    """
    lake, source = app.lake, batch.source
    written = _write(lake, app.contract, batch, classified, lake.read(f"raw_{source}", landed.version), held)
    for delivery_id, withdrawn in written.withdrawn.items():
        counts[delivery_id]["withdrawn"] = withdrawn
    checks = reconcile(source, landed.rows, counts, written)
    app.ledger.record_checks(batch.run_id, checks)
    refuse_unequal(checks)
    for table in ("daily_activity", "known_customers"):
        if table == "known_customers" or app.contract.sources[source].role == "events":
            audit(app, batch.run_id, table, lake.read(table).filter(batch.holds()))


def _lookup_accounts(batch: Batch, raw: DataFrame) -> dict[str, dict[str, Any]]:
    """A lookup's rows are all kept as they came: what does not fit is null where it is joined."""
    found = accounts([], [one.delivery_id for one in batch.deliveries])
    for row in raw.filter(F.col("delivery_id").isin(list(found))).groupBy("delivery_id").count().collect():
        found[row["delivery_id"]] |= {"raw": row["count"], "accepted": row["count"]}
    return found


def classified_batch(lake: Lake, contract: Contract, batch: Batch, raw: DataFrame) -> DataFrame:
    """The batch's rows of its raw table, each with its bucket; `raw` also holds what corrections correct."""
    own_rules = batch.own.row_rules if batch.own else ()
    before = copies_before(raw, batch.links) if batch.links else None
    landed = raw.filter(F.col("delivery_id").isin([one.delivery_id for one in batch.deliveries]))
    lookups = read_lookups(lake, contract, batch.source)
    return rows.classify(landed, contract, batch.source, own_rules, batch.canonical.row_rules, before, lookups)


def clear(app: Application, batch: Batch) -> dict[str, dict[str, Any]]:
    """Takes out what attempts that died had written of deliveries that are no more."""
    for table in (f"raw_{batch.source}", "quarantine", *TABLE_OF_ROLE.values(), *TILE_TABLES):
        if (version := app.lake.version(table)) is not None:
            slices = {f"raw_{batch.source}": batch.landing, "quarantine": batch.changes}
            app.lake.replace(
                table, app.lake.read(table, version).limit(0), slices.get(table, batch.within), batch.run_id
            )
    return {}


def accounts(counted: Sequence[SparkRow], delivery_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per delivery: raw, accepted, ignored by rule, unchanged, quarantined by first reason, duplicate, each counted.

    Beside these buckets, of which every raw row is in exactly one: `defects`, rows by everything that is wrong with
    them, whatever their bucket; and `withdrawn`, facts of earlier versions taken back, which are no raw rows.
    """
    numbers = {"raw": 0, "accepted": 0, "unchanged": 0, "duplicate": 0, "withdrawn": 0}
    found: dict[str, dict[str, Any]] = {
        one: {**numbers, "ignored": Counter(), "quarantined": Counter(), "defects": Counter()} for one in delivery_ids
    }
    for row in counted:
        mine, number = found[row["delivery_id"]], row["rows"]
        mine["raw"] += number
        mine["defects"].update(dict.fromkeys(row["flags"], number))
        match row["bucket"]:
            case Bucket.MALFORMED | Bucket.QUARANTINED:
                mine["quarantined"][row["reasons"][0]] += number
            case Bucket.IGNORED:
                mine["ignored"][row["reasons"][0]] += number
            case bucket:
                mine[bucket] += number
    return found


def _places(batch: Batch, counted: Sequence[SparkRow]) -> dict[str, Place]:
    """Where each delivery's rows lie.

    Raises:
        DataRefusedError: Not a row of a file came through.
    """
    places = {}
    for one in batch.deliveries:
        spans = [(row["first"], row["last"]) for row in counted if row["delivery_id"] == one.delivery_id]
        if not spans:
            raise DataRefusedError(f"{one.path}: no row could be read from it", next_step="deliver it again")
        places[one.delivery_id] = Place.of(one.path, min(first for first, _ in spans), max(last for _, last in spans))
    return places


def hold_to_suites(app: Application, batch: Batch, classified: DataFrame) -> None:
    """Great Expectations judges what is left after malformed, ignored and duplicate rows: of a correction all of it."""
    judged = classified.filter("is_judged")
    verdicts = judge(judged.select("typed.*"), batch.own) if batch.own else []
    verdicts += judge(judged.select("canonical.*"), batch.canonical)
    app.ledger.record_checks(batch.run_id, [verdict.as_check(batch.source) for verdict in verdicts])
    refuse_critical(verdicts)


@dataclass(frozen=True)
class Written:
    """Rows that lie in events and in quarantine now, and how many of them withdraw; facts by the delivery that does."""

    facts: int
    quarantined: int = 0
    taken_back: int = 0
    withdrawn: Mapping[str, int] = field(default_factory=dict)


def _write(  # noqa: PLR0913, PLR0917 - what is written, and where to
    lake: Lake, contract: Contract, batch: Batch, classified: DataFrame, raw: DataFrame, aside: DataFrame
) -> Written:
    """Writes what the classified rows become, and what links take back."""
    if not batch.links:
        quarantine = lake.replace("quarantine", aside, batch.changes, batch.run_id)
        return Written(write_facts(lake, contract, batch, classified), quarantine.rows)
    replaced = replaced_by(batch.links, raw, are_snapshots=_are_snapshots(contract, batch.source))
    gone = replaced.gone.persist()
    told = Told(facts_of(classified, contract, batch.source), aside)
    taken = _withdrawal(lake, contract, batch, dataclasses.replace(replaced, gone=gone), told)
    facts, held = taken.facts.persist(), taken.held.persist()
    try:
        withdrawn = {row["delivery_id"]: row["count"] for row in facts.groupBy("delivery_id").count().collect()}
        taken_back = held.count()
        quarantine = lake.replace("quarantine", aside.unionByName(held), batch.changes, batch.run_id)
        written = write_facts(lake, contract, batch, classified, facts)
    finally:
        for one in (held, facts, gone):
            one.unpersist()
    return Written(written, quarantine.rows, taken_back, withdrawn)


def _withdrawal(lake: Lake, contract: Contract, batch: Batch, replaced: Replaced, told: Told) -> Told:
    """What is taken back of what other deliveries wrote, and where they follow one another of what these tell."""
    table = TABLE_OF_ROLE[contract.sources[batch.source].role]
    taken = []
    # A first night of several snapshots finds none of these tables.
    if lake.version(table) is not None and lake.version("quarantine") is not None:
        facts = lake.read(table).filter(batch.is_source & batch.came_before())
        held = lake.read("quarantine").filter(batch.is_source & batch.came_before("changed_by"))
        taken.append(withdraw_written(replaced, Told(facts, held), batch.run_id))
    own = {one.delivery_id for one in batch.deliveries}
    if any(link.before in own for link in replaced.links):
        taken.append(withdraw_told(replaced, told, batch.run_id))
    return functools.reduce(Told.beside, taken)


def write_facts(
    lake: Lake, contract: Contract, batch: Batch, classified: DataFrame, withdrawn: DataFrame | None = None
) -> int:
    """Writes the accepted rows' facts, the withdrawn ones, their tiles and new customers; returns the rows told of.

    That is the facts written; of a history, whose rows may each tell of several states, what they come to.
    """
    source, within, run_id, rules = batch.source, batch.within, batch.run_id, contract.features
    role, table = contract.sources[source].role, TABLE_OF_ROLE[contract.sources[source].role]
    accepted = facts_of(classified, contract, source)
    told = accepted if withdrawn is None else accepted.unionByName(withdrawn)
    written = lake.replace(table, told, within, run_id)
    facts = lake.read(table, written.version).filter(batch.holds())
    if role == "events":
        lake.replace("daily_activity", tiles.daily_activity(facts, rules), within, run_id)
        lake.replace("daily_values", tiles.daily_values(facts, rules.distinct), within, run_id)
    before = lake.version("known_customers")
    known = (
        None if before is None else lake.read("known_customers", before).filter(~batch.is_source | batch.came_before())
    )
    lake.replace(
        "known_customers", tiles.newly_known(named_customers(classified, contract, source), known), within, run_id
    )
    if contract.sources[source].delivery != "history":
        return written.rows
    net: int = facts.agg(F.coalesce(F.sum("sign"), F.lit(0))).collect()[0][0]
    return net


def reconcile(source: str, landed: int, counts: Mapping[str, Mapping[str, Any]], written: Written) -> list[CheckResult]:
    """Rows landed, sorted and written must be the same rows: counts made by reads and writes of their own.

    raw = accepted + ignored + unchanged + quarantined + duplicate; facts written = accepted + withdrawn; rows written
    to quarantine = quarantined + taken back. Every number is counted, none is a difference.
    """
    sums = {
        name: sum(_size(one[name]) for one in counts.values())
        for name in ("accepted", "ignored", "unchanged", "duplicate", "quarantined")
    }
    withdrawn = sum(written.withdrawn.values())
    pairs = [
        ("raw", landed, sums),
        ("facts", written.facts, {"accepted": sums["accepted"], "withdrawn": withdrawn}),
        ("quarantine", written.quarantined, {"quarantined": sums["quarantined"], "taken back": written.taken_back}),
    ]
    return [adds_up(source, name, expected, parts) for name, expected, parts in pairs]


def adds_up(source: str, name: str, expected: int, parts: Mapping[str, int]) -> CheckResult:
    """The check that `expected` rows are the sum of their parts, told as a sum."""
    found = sum(parts.values())
    told = f"{found} = " + " + ".join(f"{number} {part}" for part, number in parts.items())
    return CheckResult("reconciliation", source, name, "critical", expected == found, told, str(expected))


def _size(count: int | Mapping[str, int]) -> int:
    return count if isinstance(count, int) else sum(count.values())


def refuse_unequal(checks: Sequence[CheckResult]) -> None:
    """Stops where rows do not add up.

    Raises:
        ChurnlakeError: A reconciliation failed.
    """
    unequal = [f"{one.source} {one.name}: {one.expected} expected, {one.observed}" for one in checks if not one.passed]
    if unequal:
        raise ChurnlakeError(
            "rows do not add up: " + "; ".join(unequal),
            next_step="nothing was published; report this with the run's folder",
        )


def _totals(deliveries: Sequence[Delivery]) -> dict[str, Any]:
    """The accounts of several deliveries, summed: numbers by bucket, and by reason where a bucket has reasons."""
    totals: dict[str, Any] = {
        "files": len(deliveries),
        "corrections": sum(one.corrects is not None for one in deliveries),
    }
    for name in ("raw", "accepted", "unchanged", "duplicate", "withdrawn"):
        totals[name] = sum(one.counts[name] for one in deliveries)
    for name in ("ignored", "quarantined", "defects"):
        totals[name] = dict(sum((Counter(one.counts[name]) for one in deliveries), Counter()))
    return totals
