"""The feature catalogue: which features a contract yields, what each means, how it is worded. Names only, no data."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Literal

from churnlake.contract.schema import Contract, FeatureRules, Measure
from churnlake.errors import ContractError


class Family(StrEnum):
    """What a feature is about; reasons are summed by family before the top three are named."""

    RECENCY = "recency"
    FREQUENCY = "frequency"
    SPEND = "spend"
    VOLUME = "volume"
    VARIETY = "variety"
    RHYTHM = "rhythm"
    TREND = "trend"
    RETURNS = "returns"


class Aggregate(StrEnum):
    """How a feature is computed from the tiles of one customer (`operand`, and `other` where it takes two)."""

    SUM = "sum of the tile column `operand` in the window"
    DAYS = "days in the window on which the net tile column `operand` is positive"
    DISTINCT = "values of the column `operand` whose last live date is in the window"
    SINCE_LAST = "days from the last day with a positive net `operand` to the business date"
    SINCE_FIRST = "days from the first day with a positive net `operand` to the business date, capped at the span"
    GAP_MEAN = "mean days between consecutive activity days in the span"
    GAP_SPREAD = "population standard deviation of those gaps"
    GAP_LAST = "days between the last two activity days"
    GAP_LONGEST = "longest of those gaps"
    RATIO = "feature `operand` over feature `other`; null where `other` is zero or null"
    PACE = "daily rate of feature `operand` over the daily rate of feature `other`; null where `other` is zero or null"


@dataclass(frozen=True)
class Feature:
    """One column of the feature table; null means not known, which is not zero.

    `wording` is the phrase of a reason; `{value}` stands for the value divided by 10^`scale`, so in people's units.
    `lite` marks the few features of the smallest candidate model, one per family. `kind` is "number", a double, or
    "category", a text of which the model weighs each frequent level by itself.
    """

    name: str
    source: str
    family: Family
    description: str
    unit: str
    wording: str
    aggregate: Aggregate
    operand: str
    other: str | None = None
    window_days: int | None = None
    scale: int = 0
    lite: bool = False
    kind: Literal["number", "category"] = "number"


def build_catalogue(contract: Contract) -> tuple[Feature, ...]:
    """Every feature of the contract, in the order of the table's columns.

    Raises:
        ContractError: Two features would have one name.
    """
    features: list[Feature] = []
    for name, source in contract.sources.items():
        if source.role == "events":
            features += _events_features(name, contract, mapped=frozenset(source.columns))
    names = [feature.name for feature in features]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        problems = [
            f"two features would be called {name}; rename a source, or a value of features.by" for name in twice
        ]
        raise ContractError(str(contract.path), problems)
    return tuple(features)


def tile_columns(rules: FeatureRules) -> tuple[str, ...]:
    """The signed integer sums a daily tile holds, in order."""
    measures = [measure.name for measure in rules.measures]
    columns = ["events", "activity", *measures]
    for by in rules.by:
        for value in (*by.values, "other"):
            columns += [f"{by.column}_{value}", *(f"{by.column}_{value}_{measure}" for measure in measures)]
    return tuple(columns)


def main_window(contract: Contract) -> int:
    """The window nearest to the days that say most about a cutoff: the one single numbers are told for."""
    return min(contract.features.windows_days, key=lambda days: (abs(days - contract.churn.lookback_days), -days))


def _events_features(source: str, contract: Contract, mapped: frozenset[str]) -> Iterator[Feature]:
    rules, main = contract.features, main_window(contract)
    yield from _recency(source, rules, mapped)
    for window in rules.windows_days:
        yield from _window_sums(source, contract, window, mapped)
        yield from _window_counts(source, rules, window, mapped, is_main=window == main)
    yield from _history(source, rules)
    yield from _rhythm(source)
    yield from _trends(source, rules.windows_days, main)
    yield from _shares(source, rules, main, mapped)


def _recency(source: str, rules: FeatureRules, mapped: frozenset[str]) -> Iterator[Feature]:
    yield Feature(
        f"{source}_activity_days_since_last",
        source,
        Family.RECENCY,
        f"Days since the last activity in {source}.",
        "days",
        "last activity {value} days ago",
        Aggregate.SINCE_LAST,
        "activity",
        lite=True,
    )
    for column, value in _named_values(rules, mapped):
        yield Feature(
            f"{source}_{value}_days_since_last",
            source,
            Family.RECENCY,
            f"Days since the last {source} row with {column} = {value}.",
            "days",
            f"last {value} {{value}} days ago",
            Aggregate.SINCE_LAST,
            f"{column}_{value}",
        )


def _window_sums(source: str, contract: Contract, window: int, mapped: frozenset[str]) -> Iterator[Feature]:
    is_main = window == main_window(contract)
    inside = f"in the last {window} days"
    yield Feature(
        f"{source}_activity_days_{window}d",
        source,
        Family.FREQUENCY,
        f"Days with activity in {source} {inside}.",
        "days",
        f"active on {{value}} days {inside}",
        Aggregate.DAYS,
        "activity",
        window_days=window,
    )
    yield Feature(
        f"{source}_rows_count_{window}d",
        source,
        Family.VOLUME,
        f"Rows of {source} {inside}.",
        "rows",
        f"{{value}} rows of {source} {inside}",
        Aggregate.SUM,
        "events",
        window_days=window,
        lite=is_main,
    )
    for measure in contract.features.measures:
        if measure.name in mapped:
            yield _measure_sum(source, measure, window, contract.currency, is_main=is_main)


def _window_counts(
    source: str, rules: FeatureRules, window: int, mapped: frozenset[str], *, is_main: bool
) -> Iterator[Feature]:
    inside = f"in the last {window} days"
    for column, value in _named_values(rules, mapped):
        yield Feature(
            f"{source}_{value}_count_{window}d",
            source,
            Family.VOLUME if value != "cancellation" else Family.RETURNS,
            f"Rows of {source} with {column} = {value} {inside}.",
            "rows",
            f"{{value}} {value} rows {inside}",
            Aggregate.SUM,
            f"{column}_{value}",
            window_days=window,
        )
    for column in rules.distinct:
        if column in mapped:
            yield Feature(
                f"{source}_{column}_distinct_{window}d",
                source,
                Family.VARIETY,
                f"Different values of {column} in {source} {inside}.",
                "values",
                f"{{value}} different values of {column} {inside}",
                Aggregate.DISTINCT,
                column,
                window_days=window,
                lite=is_main and column == rules.distinct[0],
            )


def _measure_sum(source: str, measure: Measure, window: int, currency: str, *, is_main: bool) -> Feature:
    is_money = measure.name == "amount"
    unit = currency if is_money else "units"
    return Feature(
        f"{source}_{measure.name}_sum_{window}d",
        source,
        Family.SPEND if is_money else Family.VOLUME,
        f"Sum of {measure.name} in {source} in the last {window} days.",
        f"10^-{measure.scale} {unit}" if measure.scale else unit,
        f"{measure.name} of {{value}}{f' {currency}' if is_money else ''} in the last {window} days",
        Aggregate.SUM,
        measure.name,
        window_days=window,
        scale=measure.scale,
        lite=is_main and is_money,
    )


def _history(source: str, rules: FeatureRules) -> Iterator[Feature]:
    span = rules.span_days
    yield Feature(
        f"{source}_activity_days_{span}d",
        source,
        Family.FREQUENCY,
        f"Days with activity in {source} in the last {span} days, as far as held.",
        "days",
        f"active on {{value}} days in the last {span} days",
        Aggregate.DAYS,
        "activity",
        window_days=None,
        lite=True,
    )
    yield Feature(
        f"{source}_tenure_days",
        source,
        Family.FREQUENCY,
        f"Days since the first activity in {source}, at most {span}.",
        "days",
        "first seen {value} days ago",
        Aggregate.SINCE_FIRST,
        "activity",
    )


def _rhythm(source: str) -> Iterator[Feature]:
    for suffix, aggregate, words in (
        ("gap_mean_days", Aggregate.GAP_MEAN, "Mean days between activity days"),
        ("gap_spread_days", Aggregate.GAP_SPREAD, "Spread (standard deviation) of the days between activity days"),
        ("gap_last_days", Aggregate.GAP_LAST, "Days between the last two activity days"),
        ("gap_longest_days", Aggregate.GAP_LONGEST, "Longest pause between activity days"),
    ):
        yield Feature(
            f"{source}_{suffix}",
            source,
            Family.RHYTHM,
            f"{words} in {source}; null with fewer than two.",
            "days",
            f"{words[0].lower()}{words[1:]}: {{value}}",
            aggregate,
            "activity",
        )
    yield Feature(
        f"{source}_recency_over_gap",
        source,
        Family.RHYTHM,
        f"Days since the last activity in {source} over the usual days between activity days.",
        "ratio",
        "silent for {value} times the usual pause",
        Aggregate.RATIO,
        f"{source}_activity_days_since_last",
        f"{source}_gap_mean_days",
        lite=True,
    )


def _trends(source: str, windows: tuple[int, ...], main: int) -> Iterator[Feature]:
    for short, long in pairwise(windows):
        for what, words in (("activity_days", "active days"), ("rows_count", "rows")):
            yield Feature(
                f"{source}_{what}_pace_{short}d_over_{long}d",
                source,
                Family.TREND,
                f"Daily rate of {words} in {source} in the last {short} days over that of the last {long}.",
                "ratio",
                f"{words} of the last {short} days came at {{value}} times the pace of the last {long}",
                Aggregate.PACE,
                f"{source}_{what}_{short}d",
                f"{source}_{what}_{long}d",
                lite=what == "activity_days" and long == main,
            )


def _shares(source: str, rules: FeatureRules, main: int, mapped: frozenset[str]) -> Iterator[Feature]:
    for column, value in _named_values(rules, mapped):
        first = value == rules.by[0].values[-1]
        yield Feature(
            f"{source}_{value}_share_{main}d",
            source,
            Family.RETURNS,
            f"Share of {source} rows with {column} = {value} in the last {main} days.",
            "share",
            f"share of {value} rows in the last {main} days: {{value}}",
            Aggregate.RATIO,
            f"{source}_{value}_count_{main}d",
            f"{source}_rows_count_{main}d",
            lite=first,
        )


def _named_values(rules: FeatureRules, mapped: frozenset[str]) -> Iterator[tuple[str, str]]:
    return ((by.column, value) for by in rules.by if by.column in mapped for value in by.values)
