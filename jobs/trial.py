"""A trial of a contract on its files, before anything is taken in: what a first run would set aside and learn from.

Reads by the functions of a night, and leaves nothing behind. Where there are many rows, only the first and the newest
files.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract, load_contract
from churnlake.contract.expressions import Expression, nearest, parse_expression
from churnlake.deliveries import File, Layout, find_files, inspect
from churnlake.due import within_histories
from churnlake.ledger import Delivery
from churnlake.settings import Settings
from churnlake.suites import Severity, Suite
from jobs import rows, tiles
from jobs.application import end_group_with_parent, exit_code_of
from jobs.content import Tiles
from jobs.corrections import Link, Told, copies_before, links_of, replaced_by, withdraw_told
from jobs.expressions import expression_problems
from jobs.extent import SMALL_ROWS, guessed_rows
from jobs.facts import TABLE_OF_ROLE, facts_of, named_customers
from jobs.horizons import outcomes_by_horizon
from jobs.ingest import accounts, lookups_first, read_suites
from jobs.lake import write_aside
from jobs.landing import read_landing
from jobs.lookups import typed_lookups
from jobs.quality import judge
from jobs.rows import Bucket, Place
from jobs.session import build_session

NEWEST_READ = 2
EXAMPLES_SHOWN = 3
VALUES_SHOWN = 5


@dataclass
class Findings:
    """What was found. `contract` are problems of the contract itself, `data` of files; `warnings` stop nothing."""

    sources: list[dict[str, Any]] = field(default_factory=list)
    contract: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    not_counted: str | None = None


@dataclass(frozen=True)
class Choice:
    """The files of each source that are read, and whether they are all there are."""

    files: Mapping[str, tuple[File, ...]]
    is_whole: bool


@dataclass(frozen=True)
class Taken:
    """A source's rows as landed and as classified; `links` are those of snapshots, each with the one before it."""

    landed: DataFrame
    classified: DataFrame
    links: tuple[Link, ...]

    def facts(self, contract: Contract, name: str) -> DataFrame:
        """What the rows come to, with what a newer snapshot takes back."""
        facts = facts_of(self.classified, contract, name)
        if not self.links:
            return facts
        replaced = replaced_by(self.links, self.landed, are_snapshots=True)
        none_held = facts.limit(0)
        return facts.unionByName(withdraw_told(replaced, Told(facts, none_held), "trial").facts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what was found as one JSON document; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.trial", description=__doc__, allow_abbrev=False)
    parser.add_argument("--contract", type=Path, required=True)
    parser.add_argument("--application", required=True)
    parser.add_argument("--through", type=date.fromisoformat, required=True)
    given = parser.parse_args(arguments)
    end_group_with_parent()
    return exit_code_of(lambda: run(given.contract, given.through, Settings.from_environment()))


def run(path: Path, through: date, settings: Settings) -> int:
    """Tries in this process what files of days until `through` would become."""
    contract = load_contract(path)
    choice = choose_files(contract)
    with tempfile.TemporaryDirectory(prefix="churnlake-") as scratch:
        spark = build_session(f"churnlake check {contract.name}", settings, Path(scratch))
        print(json.dumps(asdict(try_files(spark, contract, choice, through, Path(scratch))), default=str))
        spark.stop()
    return 0


def choose_files(contract: Contract) -> Choice:
    """All files where they hold few rows, else of each source the first one and the newest ones; lookups whole."""
    found = {name: find_files(contract, name) for name in contract.sources}
    number = sum(guessed_rows(contract.folder / one.path) for files in found.values() for one in files)
    if number <= SMALL_ROWS:
        return Choice(found, is_whole=True)
    some = {
        name: files if contract.sources[name].role == "lookup" else (*files[:1], *files[1:][-NEWEST_READ:])
        for name, files in found.items()
    }
    return Choice(some, is_whole=False)


def try_files(spark: SparkSession, contract: Contract, choice: Choice, through: date, scratch: Path) -> Findings:
    """Types, maps and judges the rows of the chosen files, and counts outcomes where these are all there are.

    Tables that are needed for that are put into the folder `scratch`.
    """
    told = Findings()
    landed: dict[str, DataFrame] = {}
    taken: dict[str, Taken] = {}
    for name in lookups_first(contract):
        own, canonical = read_suites(contract, name)
        if problems := expression_problems(spark, contract, name, own, canonical):
            told.contract += problems
            continue
        deliveries, layouts = _deliveries(contract, name, choice, told)
        if not deliveries:
            continue
        landed[name] = read_landing(spark, contract, deliveries, layouts)
        if contract.sources[name].role != "lookup":
            taken[name] = _taken(contract, name, landed, deliveries, (own, canonical))
            frame = taken[name].classified
            told.sources.append(_counted(frame, contract, name, deliveries, told))
            told.data += _failed_checks(frame, name, own, canonical) if choice.is_whole else []
    told.not_counted = _why_not_counted(contract, choice, taken, told)
    if told.not_counted is None:
        found = outcomes_by_horizon(tiles_of(contract, taken, scratch), contract, within_histories(contract, through))
        told.outcomes = [asdict(one) for one in found]
    return told


def _taken(
    contract: Contract,
    name: str,
    landed: Mapping[str, DataFrame],
    deliveries: Sequence[Delivery],
    suites: tuple[Suite | None, Suite],
) -> Taken:
    own, canonical = suites
    rows_of, lookups = landed[name], typed_lookups(landed, contract, name)
    links = links_of(deliveries, (), are_snapshots=contract.sources[name].delivery == "snapshot")
    before = copies_before(rows_of, links) if links else None
    own_rules = own.row_rules if own else ()
    frame = rows.classify(rows_of, contract, name, own_rules, canonical.row_rules, before, lookups)
    return Taken(rows_of, frame.persist(), links)


def _failed_checks(classified: DataFrame, name: str, own: Suite | None, canonical: Suite) -> list[str]:
    """The critical expectations that would stop a run which takes all of these rows in."""
    judged = classified.filter("is_judged")
    verdicts = judge(judged.select("typed.*"), own) if own else []
    verdicts += judge(judged.select("canonical.*"), canonical)
    failed = [one for one in verdicts if not one.passed and one.severity is Severity.CRITICAL]
    return [f"{name}: {one.name}: expected {one.expected}; {one.observed}" for one in failed]


def _deliveries(
    contract: Contract, name: str, choice: Choice, told: Findings
) -> tuple[list[Delivery], dict[str, Layout]]:
    """The chosen files of a source as a run would take them in, each known on its own day."""
    deliveries: list[Delivery] = []
    layouts: dict[str, Layout] = {}
    for file in choice.files[name]:
        report = inspect(contract.folder / file.path, contract.sources[name])
        told.data += [f"{file.path}: {problem}" for problem in report.problems]
        if report.problems:
            continue
        found = Delivery(
            source=name, delivery_id=report.delivery_id(file.slot) + f"-{len(deliveries)}", path=file.path,
            bytes=report.bytes, sha256=report.sha256, slot=file.slot, available_on=file.slot, known_date=file.slot,
            contract=contract.name, run_id="trial", state="frozen", counts={},
        )  # fmt: skip
        deliveries.append(found)
        layouts[found.delivery_id] = report.layout
    return deliveries, layouts


def _counted(
    classified: DataFrame, contract: Contract, name: str, deliveries: Sequence[Delivery], told: Findings
) -> dict[str, Any]:
    """What becomes of the rows of a source, with examples of those that would be set aside."""
    counted = rows.counted(classified).collect()
    by_file = accounts(counted, [one.delivery_id for one in deliveries])
    buckets = ("raw", "accepted", "unchanged", "duplicate")
    totals = {bucket: sum(one[bucket] for one in by_file.values()) for bucket in buckets}
    reasons = {
        bucket: dict(reduce(lambda a, b: a + b, (one[bucket] for one in by_file.values())).most_common())
        for bucket in ("ignored", "quarantined")
    }
    if not totals["accepted"]:
        told.data.append(f"{name}: none of {totals['raw']:,} rows would be taken in: {_reasons(reasons) or 'no row'}")
    else:
        told.warnings += _empty_columns(classified, contract, name)
        told.contract += _idle_activity(classified, contract, name)
    places = {one.delivery_id: _place(one, counted) for one in deliveries}
    return {
        "source": name,
        "files_read": len(deliveries),
        **totals,
        **reasons,
        "examples": [_example(row, places[row["delivery_id"]]) for row in _set_aside(classified)],
    }


def _place(delivery: Delivery, counted: Sequence[Row]) -> Place:
    spans = [(row["first"], row["last"]) for row in counted if row["delivery_id"] == delivery.delivery_id]
    return Place.of(delivery.path, min((one for one, _ in spans), default=0), max((one for _, one in spans), default=0))


def _reasons(reasons: Mapping[str, Mapping[str, int]]) -> str:
    return ", ".join(f"{number:,} {why}" for one in reasons.values() for why, number in one.items())


def _set_aside(classified: DataFrame) -> list[Row]:
    """A few rows that would be set aside, each for another first reason."""
    held = classified.filter(F.col("bucket").isin(Bucket.MALFORMED, Bucket.QUARANTINED))
    rows_of = F.struct("position", "delivery_id", "raw_row", "reasons")
    by_reason = held.groupBy(F.col("reasons")[0].alias("why")).agg(
        F.count("*").alias("rows"), F.min_by(rows_of, "position").alias("row")
    )
    return [one["row"] for one in by_reason.orderBy(F.desc("rows"), "why").limit(EXAMPLES_SHOWN).collect()]


def _example(row: Row, place: Place) -> dict[str, Any]:
    reason = row["reasons"][0]
    text = row["raw_row"].asDict()
    kind, _, column = reason.partition(".")
    shown = {column: text[column]} if kind == "bad_type" and column in text else {
        name: value for name, value in text.items() if value is not None
    }  # fmt: skip
    return {
        "file": place.file,
        "record": None if place.first is None else row["position"] - place.first + 1,
        "reasons": row["reasons"],
        "text": shown,
    }


def _empty_columns(classified: DataFrame, contract: Contract, name: str) -> Iterator[str]:
    """Mapped columns that are null in every row that would be taken in."""
    columns = contract.sources[name].columns
    taken = classified.filter(F.col("bucket") == Bucket.ACCEPTED)
    held = taken.agg(*(F.count(f"canonical.{column}").alias(column) for column in columns)).collect()[0]
    for column, text in columns.items():
        if not held[column]:
            yield f"{name}: {column} = {text!r} is null in every row"


def _idle_activity(classified: DataFrame, contract: Contract, name: str) -> Iterator[str]:
    """The rule of activity where it selects nothing, with the values there are."""
    source, churn = contract.sources[name], contract.churn
    if source.role != "events" or churn.definition != "inactivity":
        return
    rule = parse_expression(churn.activity, list(source.columns))
    if not isinstance(rule, Expression):
        return
    mapped = classified.filter(F.col("bucket") == Bucket.ACCEPTED).select("canonical.*")
    if mapped.filter(F.expr(rule.sql)).limit(1).collect():
        return
    there = "; ".join(_there_is(mapped, rule, churn.activity))
    yield f"{name}: churn.activity ({churn.activity}) selects no row; there is {there}"


def _there_is(mapped: DataFrame, rule: Expression, text: str) -> Iterator[str]:
    """The values of each column that a rule reads: the most frequent texts, or the span of numbers and days."""
    kinds = dict(mapped.dtypes)
    for column in sorted(rule.columns):
        if kinds.get(column) != "string":
            span = mapped.agg(F.min(column), F.max(column)).collect()[0]
            yield f"{column}: {span[0]} .. {span[1]}"
            continue
        counted = mapped.groupBy(column).count().orderBy(F.desc("count"), column).limit(VALUES_SHOWN).collect()
        held = {row[column]: row["count"] for row in counted if row[column] is not None}
        told = ", ".join(f"{value!r} {number:,}" for value, number in held.items())
        close = [nearest(one, list(held)) for one in text.split("'")[1::2]]
        yield f"{column}: {told or 'nothing'}{next((one for one in close if one), '')}"


def _why_not_counted(contract: Contract, choice: Choice, taken: Mapping[str, Taken], told: Findings) -> str | None:
    wanted = {name for name, source in contract.sources.items() if source.role != "lookup"}
    if not choice.is_whole:
        return f"more than {SMALL_ROWS:,} rows; training counts them"
    return "there are problems above" if wanted - set(taken) or told.contract or told.data else None


def tiles_of(contract: Contract, taken: Mapping[str, Taken], scratch: Path) -> Tiles:
    """The tiles that the rows would become, every fact known from its file's day; those of days lie in the folder."""
    facts: dict[str, list[DataFrame]] = {}
    for name, one in taken.items():
        facts.setdefault(TABLE_OF_ROLE[contract.sources[name].role], []).append(one.facts(contract, name))
    whole: dict[str, Any] = {table: reduce(DataFrame.unionByName, frames) for table, frames in facts.items()}
    named = [named_customers(one.classified, contract, name) for name, one in taken.items()]
    known = [tiles.newly_known(frame, None) for frame in named]
    events = whole.pop("events", None)
    if events is not None:
        table = write_aside(tiles.daily_activity(events, contract.features), scratch / "daily_activity")
        whole["stored"] = {"daily_activity": table}
    return Tiles(reduce(DataFrame.unionByName, known).persist(), **whole)


if __name__ == "__main__":
    raise SystemExit(main())
