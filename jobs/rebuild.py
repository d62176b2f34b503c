"""Typed rows made anew from raw ones, after a contract gave the rows of a source another meaning.

What the lake knew when stays: each delivery keeps its known date, what takes the place of what, and its rows in
quarantine. A row that was set aside stays so until somebody lets it in; one that was a fact and no longer fits its type
or a rule is set aside now. Deliveries are gone through in the order in which they came, some at a time; the ledger
keeps by which rules each was typed, so that a rebuild that was stopped goes on where it was.
"""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.contract.values import landed_column
from churnlake.errors import ContractError, UsageError
from churnlake.ledger import Delivery, Run, current_versions
from churnlake.tables import LAKE
from jobs import rows
from jobs.application import Application, OpenStage
from jobs.corrections import links_of
from jobs.expressions import expression_problems
from jobs.facts import TABLE_OF_ROLE, facts_of
from jobs.ingest import (
    Batch,
    accounts,
    adds_up,
    aside,
    classified_batch,
    hold_to_suites,
    read_suites,
    refuse_unequal,
    settle,
    write_facts,
)
from jobs.lake import Commit
from jobs.quarantine import BESIDE, accepted_rows, judged_anew
from jobs.rows import Bucket
from jobs.tiles import daily_activity

_OF_RAW = LAKE["raw"].column_names
FILES_AT_ONCE = 400
"""Deliveries that one write types anew: a year of daily files, as a first load has. What a kill costs is done again."""


def refuse_other_meaning(contract: Contract, deliveries: Iterable[Delivery]) -> None:
    """Stops where the lake holds rows of another meaning than the contract gives them: nothing may be read from both.

    Raises:
        UsageError: Deliveries are in that were typed by other rules; says of which sources.
    """
    held = list(deliveries)
    other = _of_other_meaning(contract, held)
    if other:
        sources, newest = sorted({one.source for one in other}), max(one.slot for one in held)
        raise UsageError(
            f"the contract, or this version, gives rows of {', '.join(sources)} another meaning than the lake holds "
            "them in",
            next_step=f"`churnlake backfill {contract.path} --to {newest}` makes them anew from what was delivered, as "
            "the next night would; or put the contract back",
        )


def rebuild(app: Application, run: Run, stage: OpenStage) -> None:
    """Types anew what other rules have typed; says in the stage's counts how many deliveries and rows that were.

    Raises:
        ContractError: An expression does not fit its source.
        DataRefusedError: Rows as they are read now do not fulfil a suite.
        ChurnlakeError: Rows do not add up.
    """
    contract, ledger = app.contract, app.ledger
    for source in sorted({one.source for one in _of_other_meaning(contract, ledger.deliveries(contract.name))}):
        if problems := expression_problems(app.spark, contract, source, *read_suites(contract, source)):
            raise ContractError(str(contract.path), problems)
        for batch in _batches(app, run, source):
            stage.say(f"{source}: typing {len(batch.deliveries)} deliveries anew")
            _refuse_other_columns(app, batch)
            ledger.begin_typing(contract.name, source, batch.ids)
            counts = _typed_anew(app, batch)
            app.reach("rebuild.typed")
            found = {(source, one): buckets for one, buckets in counts.items()}
            ledger.mark_ingested(contract.name, found, contract.typed_digest(source))
            told = stage.counts.setdefault("rebuilt", {"deliveries": 0, "rows": 0})
            told["deliveries"] += len(counts)
            told["rows"] += sum(one["raw"] for one in counts.values())


def _of_other_meaning(contract: Contract, deliveries: Iterable[Delivery]) -> list[Delivery]:
    """Deliveries in the lake whose rows have another meaning by now. A lookup has no typed rows of its own."""
    digests = {name: contract.typed_digest(name) for name, one in contract.sources.items() if one.role != "lookup"}
    return [
        one
        for one in deliveries
        if one.state == "ingested" and one.source in digests and one.typed_digest != digests[one.source]
    ]


def _batches(app: Application, run: Run, source: str) -> Iterator[Batch]:
    """What is left of a source to be typed anew, in the order in which it came; a release stands alone."""
    contract = app.contract
    in_order = _as_they_came(app, source)
    suites = read_suites(contract, source)
    are_snapshots = contract.sources[source].delivery == "snapshot"
    other = {one.delivery_id for one in _of_other_meaning(contract, in_order)}
    first = next(place for place, one in enumerate(in_order) if one.delivery_id in other)
    while first < len(in_order):
        size = _size(in_order[first:])
        ones, later = in_order[first : first + size], in_order[first + size :]
        files = [one for one in ones if one.kind == "file"]
        before = current_versions([one for one in in_order[:first] if one.kind == "file"])
        links = links_of(files, before, are_snapshots=are_snapshots)
        yield Batch(source, tuple(ones), (), run.run_id, *suites, links, tuple(one.delivery_id for one in later))
        first += size


def _size(left: Sequence[Delivery]) -> int:
    if left[0].kind == "release":
        return 1
    return sum(1 for _ in itertools.takewhile(lambda one: one.kind == "file", left[:FILES_AT_ONCE]))


def _refuse_other_columns(app: Application, batch: Batch) -> None:
    """Before anything is written: tables keep the columns they were made with.

    Raises:
        UsageError: The contract would need other columns.
    """
    lake, contract, name = app.lake, app.contract, batch.source
    source, raw = contract.sources[name], lake.read(f"raw_{name}")
    landed = [landed_column(one) for one in source.types]
    told = raw.select(*_OF_RAW, *(F.col(one) if one in raw.columns else F.lit("").alias(one) for one in landed))
    lake.assert_same_columns(f"raw_{name}", told)
    classified = classified_batch(lake, contract, batch, raw)
    facts = facts_of(classified, contract, name)
    lake.assert_same_columns(TABLE_OF_ROLE[source.role], facts)
    if source.role == "events":
        lake.assert_same_columns("daily_activity", daily_activity(facts, contract.features))


def _as_they_came(app: Application, source: str) -> list[Delivery]:
    """The deliveries of a source that are in, by the runs that took them in, then by slot and version."""
    name = app.contract.name
    runs = {run.run_id: place for place, run in enumerate(app.ledger.runs(name))}
    taken = [one for one in app.ledger.deliveries(name, source) if one.state == "ingested"]
    return sorted(taken, key=lambda one: (runs[one.run_id], one.slot, one.known_date, one.delivery_id))


def _typed_anew(app: Application, batch: Batch) -> dict[str, dict[str, Any]]:
    """Writes the rows of a batch as the contract reads them now; returns each delivery's account."""
    if batch.deliveries[0].kind == "release":
        return _released_anew(app, batch)
    lake, name = app.lake, f"raw_{batch.source}"
    raw = lake.read(name)
    kept = _kept(app, batch).persist()
    classified = _still_held(rows.without_spare_text(classified_batch(lake, app.contract, batch, raw)), kept).persist()
    try:
        counted = rows.counted(classified).collect()
        counts = accounts(counted, batch.ids)
        hold_to_suites(app, batch, classified)
        fresh = aside(app.contract, batch, classified.filter(~F.col("was_held")), counted)
        landed = Commit(lake.version(name) or 0, raw.filter(F.col("delivery_id").isin(batch.ids)).count())
        settle(app, batch, classified, fresh.unionByName(kept), counts, landed)
    finally:
        classified.unpersist()
        kept.unpersist()
    return counts


def _kept(app: Application, batch: Batch) -> DataFrame:
    """Rows that the batch's deliveries set aside when they came, as quarantine holds them."""
    held = app.lake.read("quarantine").filter(batch.is_source & F.col("changed_by").isin(batch.ids))
    return held.filter(F.col("status") == "held")


def _still_held(classified: DataFrame, kept: DataFrame) -> DataFrame:
    """Rows that were set aside are in the bucket they were in, with the reasons of then: `was_held` marks them."""
    row = ("delivery_id", "row_hash")
    held = kept.groupBy(*row).agg(F.count("*").alias("rows_held"), F.first("reasons").alias("reasons_then"))
    is_new = F.col("bucket") != Bucket.UNCHANGED
    place = F.row_number().over(Window.partitionBy(*row, is_new).orderBy("position"))
    beside = classified.join(F.broadcast(held), [*row], "left").withColumn("place", place)
    was_held = F.coalesce(is_new & (F.col("place") <= F.col("rows_held")), F.lit(False))
    was_malformed = F.col("reasons_then")[0].startswith("bad_")
    then = F.when(was_malformed, F.lit(str(Bucket.MALFORMED))).otherwise(F.lit(str(Bucket.QUARANTINED)))
    return (
        beside.withColumn("was_held", was_held)
        .withColumns(
            {
                "bucket": F.when(F.col("was_held"), then).otherwise(F.col("bucket")),
                "reasons": F.when(F.col("was_held"), F.col("reasons_then")).otherwise(F.col("reasons")),
            }
        )
        .drop("rows_held", "reasons_then", "place")
    )


def _released_anew(app: Application, batch: Batch) -> dict[str, dict[str, Any]]:
    """Types anew what a release let in. What it told of the rows it left or let go stays as it is."""
    contract, (release,) = app.contract, batch.deliveries
    if not release.counts.get("as_released", release.counts)["accepted"]:
        return {release.delivery_id: release.counts}
    told = app.lake.read("quarantine").filter(batch.is_source & F.col("changed_by").isin(batch.ids))
    told = told.filter(F.col("status") == "released").persist()
    accepted = accepted_rows(app.lake, contract.sources[batch.source], batch.source, told)
    judged = judged_anew(accepted, app.lake, contract, batch, batch.unseen).persist()
    try:
        counted = rows.counted(judged).collect()
        found = accounts(counted, batch.ids)[release.delivery_id]
        fresh = aside(contract, batch, judged.drop(*BESIDE), counted)
        app.lake.replace("quarantine", told.unionByName(fresh), batch.changes, batch.run_id)
        facts = write_facts(app.lake, contract, batch, judged.filter(F.col("bucket") == Bucket.ACCEPTED))
    finally:
        judged.unpersist()
        told.unpersist()
    refuse_unequal([adds_up(batch.source, "facts", facts, {"accepted": found["accepted"]})])
    return {release.delivery_id: _account_of_release(release.counts, found)}


def _account_of_release(held: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What became of a release's rows: those it let in as they are now, all others as it told of them then."""
    then = held.get("as_released", held)
    named = {name: dict(Counter(then[name]) + Counter(found[name])) for name in ("ignored", "quarantined")}
    alone = {"accepted": found["accepted"], "duplicate": then["duplicate"] + found["duplicate"]}
    return {**then, **named, **alone, "as_released": then}
