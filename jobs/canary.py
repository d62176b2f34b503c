"""Counting for the label canary: labels by cutoff and segment, and what the rules' values find in the lake."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.canary import Cutoff, Finding, Labels, Level, Rule, judge_labels
from churnlake.canary.counts import Earlier
from churnlake.canary.judgement import SHOWN
from churnlake.contract.comparisons import Comparison, named_values
from churnlake.contract.schema import Contract
from churnlake.errors import ModelRefusedError
from churnlake.ledger import CheckResult, Ledger, Run
from jobs.application import Application, OpenStage
from jobs.attributes import attributes_at
from jobs.content import KEYS, Tiles
from jobs.lake import Lake
from jobs.lives import lives_at
from jobs.renewals import paid_lives_at

_ABSENT = "(none)"
_ACTIVITY, _BY = "[churn] activity", "[features] by"


def ask_canary(  # noqa: PLR0913, PLR0917 - a training's run, and what it is about to learn from
    app: Application, run: Run, stage: OpenStage, tiles: Tiles, population: DataFrame, labels: DataFrame
) -> None:
    """Counts and judges the labels of a training; keeps the numbers in the stage and every judgement in the ledger.

    Raises:
        ModelRefusedError: They cannot be right: names the numbers and what to do.
    """
    contract = app.contract
    counted = count_labels(app.lake, contract, tiles, population, labels)
    findings = judge_labels(counted, last_training(app.ledger, contract, run))
    app.ledger.record_checks(run.run_id, [_as_check(one) for one in findings])
    faults, warnings = (
        [one for one in findings if not one.passed and one.severity == kind] for kind in ("critical", "warning")
    )
    stage.counts.update(canary=counted.to_counts(), warnings=[_in_words(one) for one in warnings])
    for one in warnings:
        print(f"{contract.name} labels: {_in_words(one)}")
    if faults:
        raise ModelRefusedError(
            f"{contract.name}: the labels cannot be right: {'; '.join(map(_in_words, faults))}",
            next_step=faults[0].next_step,
        )


def count_labels(lake: Lake, contract: Contract, tiles: Tiles, population: DataFrame, labels: DataFrame) -> Labels:
    """The numbers of a training's labels (business_date, customer_id, is_churned) and of what its rules name."""
    key, text = churn_rule(contract)
    rows, active = _activity(tiles, contract)
    return Labels(
        cutoffs=_cutoffs(contract, tiles, population, labels),
        churn_key=key,
        churn_text=text,
        event_rows=rows,
        activity_rows=active,
        rules=tuple(_rules(lake, contract, tiles)),
        contract_version=contract.version,
        is_named=bool(contract.training.train_on),
    )


def churn_rule(contract: Contract) -> tuple[str, str]:
    """The line of the contract that decides who churned: its key, and its text as written."""
    churn = contract.churn
    if churn.definition == "inactivity":
        return _ACTIVITY, churn.activity or ""
    column = {"cancellation": "ended_on", "label": "is_churned"}.get(churn.definition, "paid_until")
    name, source = next((name, one) for name, one in contract.sources.items() if column in one.columns)
    return f"[sources.{name}.columns] {column}", source.columns[column]


def _cutoffs(contract: Contract, tiles: Tiles, population: DataFrame, labels: DataFrame) -> tuple[Cutoff, ...]:
    eligible = F.sum(F.col("eligible").cast("int")).alias("eligible")
    wanted = {row[0]: int(row[1] or 0) for row in population.groupBy("business_date").agg(eligible).collect()}
    churned = F.sum("is_churned").alias("churned")
    told = {row[0]: row[1:] for row in labels.groupBy("business_date").agg(F.count("*"), churned).collect()}
    segments = _segments(contract, tiles, labels, sorted(wanted))
    numbers = {day: (wanted[day], *told.get(day, (0, 0))) for day in sorted(wanted)}
    return tuple(Cutoff(day, int(n), int(k), int(c), segments[day]) for day, (n, k, c) in numbers.items())


def _segments(
    contract: Contract, tiles: Tiles, labels: DataFrame, cutoffs: Sequence[date]
) -> dict[date, dict[str, dict[str, int]]]:
    """Labelled customers by cutoff, and by each protected attribute, peer group and plan that the contract has."""
    found: dict[date, dict[str, dict[str, int]]] = {cutoff: {} for cutoff in cutoffs}
    for column, state in _states(contract, tiles, cutoffs):
        value = F.coalesce(F.col(column).cast("string"), F.lit(_ABSENT)).alias("value")
        counted = labels.join(state, [*KEYS], "left").groupBy("business_date", value).count().collect()
        for row in counted:
            found[row.business_date].setdefault(column, {})[row["value"]] = int(row["count"])
    return found


def _states(contract: Contract, tiles: Tiles, cutoffs: Sequence[date]) -> Iterator[tuple[str, DataFrame]]:
    names = [
        name for name in (*contract.features.protected, *contract.features.peer_group) if name in contract.attributes
    ]
    if names and tiles.attributes is not None:
        attributes = attributes_at(tiles.attributes, contract, cutoffs)
        yield from ((name, attributes.select(*KEYS, name)) for name in names)
    has_plan = any("plan" in source.columns for source in contract.sources.values())
    known_on = {cutoff: cutoff for cutoff in cutoffs}
    if has_plan and tiles.subscriptions is not None:
        yield "plan", lives_at(tiles.subscriptions, contract, known_on).select(*KEYS, "plan")
    elif has_plan and tiles.renewals is not None:
        yield "plan", paid_lives_at(tiles.renewals, contract, known_on).select(*KEYS, "plan")


def _activity(tiles: Tiles, contract: Contract) -> tuple[int, int | None]:
    """Events there are, and those that are activity; None where the definition does not ask for any."""
    if tiles.daily_activity is None or contract.churn.definition != "inactivity":
        return 0, None
    row = tiles.daily_activity.agg(F.sum("events").alias("events"), F.sum("activity").alias("activity")).collect()[0]
    return int(row.events or 0), int(row.activity or 0)


def _rules(lake: Lake, contract: Contract, tiles: Tiles) -> Iterator[Rule]:
    """Every value that the churn rule or `by` names, and the rows that have it; without any, the values there are."""
    matched = _matched_by(tiles, contract)
    for (column, value), rows in matched.items():
        yield Rule(_BY, f"{column}: {value}", column, value, rows, () if rows else _levels(lake, contract, column))
    key, text = churn_rule(contract)
    for one in named_values(text):
        found = matched.get((one.column, one.value), 0)
        levels = () if found else _levels(lake, contract, one.column)
        if found or levels:  # else its values are nowhere kept, and nothing can be said of it
            yield Rule(key, text, one.column, one.value, found or _rows_of(one, lake, contract), levels)


def _matched_by(tiles: Tiles, contract: Contract) -> dict[tuple[str, str], int]:
    """Rows of each value that `by` names, from the tiles' own sums."""
    if tiles.daily_activity is None:
        return {}
    named = [(by.column, value) for by in contract.features.by for value in by.values]
    held = [(column, value) for column, value in named if f"{column}_{value}" in tiles.daily_activity.columns]
    if not held:
        return {}
    sums = [F.sum(f"{column}_{value}").alias(f"{place}") for place, (column, value) in enumerate(held)]
    row: Any = tiles.daily_activity.agg(*sums).collect()[0]
    return {pair: int(row[place] or 0) for place, pair in enumerate(held)}


def _values(lake: Lake, contract: Contract, column: str) -> DataFrame | None:
    """The values of a column that a rule names: of events where the lake keeps it, else of the source as it landed."""
    if lake.version("events") is not None:
        events = lake.read("events")
        if column in events.columns and dict(events.dtypes)[column] == "string":
            return events.select(F.col(column).alias("value"))
    for name, source in contract.sources.items():
        plain = source.columns.get(column, column).strip("` ")
        if plain in source.typed and lake.version(f"raw_{name}") is not None:
            return lake.read(f"raw_{name}").select(F.col(f"`{plain}`").alias("value"))
    return None


def _levels(lake: Lake, contract: Contract, column: str) -> tuple[Level, ...]:
    values = _values(lake, contract, column)
    if values is None:
        return ()
    counted = values.filter("value IS NOT NULL").groupBy("value").count()
    top = counted.orderBy(F.desc("count"), "value").limit(SHOWN).collect()
    return tuple(Level(row["value"], int(row["count"])) for row in top)


def _rows_of(one: Comparison, lake: Lake, contract: Contract) -> int:
    values = _values(lake, contract, one.column)
    return 0 if values is None else values.filter(F.col("value") == one.value).count()


def last_training(ledger: Ledger, contract: Contract, run: Run) -> Earlier | None:
    """The labels of the newest training of the same version before this one whose canary let it pass."""
    trainings = [one for one in ledger.runs(contract.name) if one.kind == "training"]
    for one in reversed([one for one in trainings if one.started_at < run.started_at]):
        counts = next((stage.counts for stage in ledger.stages(one.run_id) if stage.stage == "rows"), {})
        earlier = Earlier.from_counts(counts.get("canary", {}), contract.version)
        if earlier is not None:
            return earlier
    return None


def _as_check(one: Finding) -> CheckResult:
    return CheckResult("gate", "labels", one.name, one.severity, one.passed, one.observed, one.allowed)


def _in_words(one: Finding) -> str:
    return f"{one.observed} (allowed: {one.allowed})"
