"""Features of events: recency, counts, sums, means, rhythm and trends, all from the tiles of one source."""

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import NamedTuple

from churnlake.contract.schema import Contract, FeatureRules, Measure
from churnlake.features.feature import Aggregate, Family, Feature, said


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
    lookback = contract.churn.lookback_days
    return min(contract.features.windows_days, key=lambda days: (abs(days - lookback), -days))


class _Events(NamedTuple):
    """A source of events; `where` tells it from others in a wording, where there are others."""

    name: str
    contract: Contract
    where: str

    @property
    def main(self) -> int:
        return main_window(self.contract)

    @property
    def mapped(self) -> Collection[str]:
        return self.contract.sources[self.name].columns

    @property
    def measures(self) -> list[Measure]:
        return [measure for measure in self.contract.features.measures if measure.name in self.mapped]

    @property
    def distinct(self) -> list[str]:
        return [column for column in self.contract.features.distinct if column in self.mapped]

    @property
    def named_values(self) -> list[tuple[str, str]]:
        return [
            (by.column, value) for by in self.contract.features.by if by.column in self.mapped for value in by.values
        ]

    def unit(self, measure: Measure) -> str:
        unit = self.contract.currency if _is_money(measure) else "units"
        return f"10^-{measure.scale} {unit}" if measure.scale else unit

    def value(self, measure: Measure) -> str:
        """A measure's value in a wording: money names its currency."""
        return f"{{value}} {self.contract.currency}" if _is_money(measure) else "{value}"


def events_features(source: str, contract: Contract) -> Iterator[Feature]:
    """The features of one source of events, those that others are computed from first."""
    several = sum(one.role == "events" for one in contract.sources.values()) > 1
    events = _Events(source, contract, f" in {said(source)}" if several else "")
    yield from _recency(events)
    yield from _last_values(events)
    for window in contract.features.windows_days:
        yield from _window_sums(events, window)
        yield from _window_counts(events, window)
        yield from _window_means(events, window)
    yield from _history(events)
    yield from _rhythm(events)
    yield from _trends(events)
    yield from _shares(events)


def _recency(events: _Events) -> Iterator[Feature]:
    yield Feature(
        f"{events.name}_activity_days_since_last",
        events.name,
        Family.RECENCY,
        f"Days since the last activity in {events.name}.",
        "days",
        f"last activity{events.where} {{value}} day{{s}} ago",
        Aggregate.SINCE_LAST,
        "activity",
        lite=True,
    )
    for column, value in events.named_values:
        yield Feature(
            f"{events.name}_{value}_days_since_last",
            events.name,
            Family.RECENCY,
            f"Days since the last {events.name} row with {column} = {value}.",
            "days",
            f"last {said(value)}{events.where} {{value}} day{{s}} ago",
            Aggregate.SINCE_LAST,
            f"{column}_{value}",
        )


def _last_values(events: _Events) -> Iterator[Feature]:
    for by in events.contract.features.by:
        # One named value alone is always the last one.
        if by.column in events.mapped and len(by.values) > 1:
            yield Feature(
                f"{events.name}_{by.column}_last",
                events.name,
                Family.RECENCY,
                f"The value of {by.column} with most rows on the last day of {events.name} that has a named one.",
                "category",
                f"last {said(by.column)}{events.where}: {{value}}",
                Aggregate.LAST_VALUE,
                by.column,
                kind="category",
            )


def _window_sums(events: _Events, window: int) -> Iterator[Feature]:
    inside = f"in the last {window} days"
    yield Feature(
        f"{events.name}_activity_days_{window}d",
        events.name,
        Family.FREQUENCY,
        f"Days with activity in {events.name} {inside}.",
        "days",
        f"active{events.where} on {{value}} day{{s}} {inside}",
        Aggregate.DAYS,
        "activity",
        window_days=window,
    )
    yield Feature(
        f"{events.name}_rows_count_{window}d",
        events.name,
        Family.VOLUME,
        f"Rows of {events.name} {inside}.",
        "rows",
        f"{{value}} row{{s}} of {said(events.name)} {inside}",
        Aggregate.SUM,
        "events",
        window_days=window,
        lite=window == events.main,
    )
    for measure in events.measures:
        yield Feature(
            f"{events.name}_{measure.name}_sum_{window}d",
            events.name,
            _family(measure),
            f"Sum of {measure.name} in {events.name} {inside}.",
            events.unit(measure),
            f"{said(measure.name)}{events.where} of {events.value(measure)} {inside}",
            Aggregate.SUM,
            measure.name,
            window_days=window,
            scale=measure.scale,
            lite=window == events.main and _is_money(measure),
        )


def _window_counts(events: _Events, window: int) -> Iterator[Feature]:
    inside = f"in the last {window} days"
    for column, value in events.named_values:
        yield Feature(
            f"{events.name}_{value}_count_{window}d",
            events.name,
            Family.VOLUME if value != "cancellation" else Family.RETURNS,
            f"Rows of {events.name} with {column} = {value} {inside}.",
            "rows",
            f"{{value}} {said(value)} row{{s}}{events.where} {inside}",
            Aggregate.SUM,
            f"{column}_{value}",
            window_days=window,
        )
    for column in events.distinct:
        yield Feature(
            f"{events.name}_{column}_distinct_{window}d",
            events.name,
            Family.VARIETY,
            f"Different values of {column} in {events.name} {inside}.",
            "values",
            f"{{value}} different value{{s}} of {said(column)}{events.where} {inside}",
            Aggregate.DISTINCT,
            column,
            window_days=window,
            lite=window == events.main and column == events.distinct[0],
        )


def _window_means(events: _Events, window: int) -> Iterator[Feature]:
    inside = f"in the last {window} days"
    for measure in events.measures:
        for mean, each, counted in (
            ("mean", "a row", "rows_count"),
            ("day_mean", "an active day", "activity_days"),
        ):
            yield Feature(
                f"{events.name}_{measure.name}_{mean}_{window}d",
                events.name,
                _family(measure),
                f"Mean {measure.name} of {each} in {events.name} {inside}; null without any.",
                events.unit(measure),
                f"{said(measure.name)}{events.where} of {events.value(measure)} {each} {inside}",
                Aggregate.RATIO,
                f"{events.name}_{measure.name}_sum_{window}d",
                f"{events.name}_{counted}_{window}d",
                scale=measure.scale,
            )


def _history(events: _Events) -> Iterator[Feature]:
    span = events.contract.features.span_days
    yield Feature(
        f"{events.name}_activity_days_{span}d",
        events.name,
        Family.FREQUENCY,
        f"Days with activity in {events.name} in the last {span} days, as far as held.",
        "days",
        f"active{events.where} on {{value}} day{{s}} in the last {span} days",
        Aggregate.DAYS,
        "activity",
        window_days=None,
        lite=True,
    )
    yield Feature(
        f"{events.name}_tenure_days",
        events.name,
        Family.FREQUENCY,
        f"Days since the first activity in {events.name}, at most {span}.",
        "days",
        f"first seen{events.where} {{value}} day{{s}} ago",
        Aggregate.SINCE_FIRST,
        "activity",
    )


def _rhythm(events: _Events) -> Iterator[Feature]:
    for suffix, aggregate, words in (
        ("gap_mean_days", Aggregate.GAP_MEAN, "Mean days between activity days"),
        ("gap_spread_days", Aggregate.GAP_SPREAD, "Spread (standard deviation) of the days between activity days"),
        ("gap_last_days", Aggregate.GAP_LAST, "Days between the last two activity days"),
        ("gap_longest_days", Aggregate.GAP_LONGEST, "Longest pause between activity days"),
    ):
        yield Feature(
            f"{events.name}_{suffix}",
            events.name,
            Family.RHYTHM,
            f"{words} in {events.name}; null with fewer than two.",
            "days",
            f"{words[0].lower()}{words[1:]}{events.where}: {{value}}",
            aggregate,
            "activity",
        )
    yield Feature(
        f"{events.name}_recency_over_gap",
        events.name,
        Family.RHYTHM,
        f"Days since the last activity in {events.name} over the usual days between activity days.",
        "ratio",
        f"silent{events.where} for {{value}} times the usual pause",
        Aggregate.RATIO,
        f"{events.name}_activity_days_since_last",
        f"{events.name}_gap_mean_days",
        lite=True,
    )


def _trends(events: _Events) -> Iterator[Feature]:
    paced = [("activity_days", "active days"), ("rows_count", "rows")]
    paced += [(f"{measure.name}_sum", said(measure.name)) for measure in events.measures]
    for short, long in pairwise(events.contract.features.windows_days):
        for what, words in paced:
            yield Feature(
                f"{events.name}_{what}_pace_{short}d_over_{long}d",
                events.name,
                Family.TREND,
                f"Daily rate of {words} in {events.name} in the last {short} days over that of the last {long}.",
                "ratio",
                f"{words}{events.where} of the last {short} days came at {{value}} times the pace of the last {long}",
                Aggregate.PACE,
                f"{events.name}_{what}_{short}d",
                f"{events.name}_{what}_{long}d",
                lite=what == "activity_days" and long == events.main,
            )


def _shares(events: _Events) -> Iterator[Feature]:
    main = events.main
    for column, value in events.named_values:
        yield Feature(
            f"{events.name}_{value}_share_{main}d",
            events.name,
            Family.RETURNS,
            f"Share of {events.name} rows with {column} = {value} in the last {main} days.",
            "share",
            f"share of {said(value)} rows{events.where} in the last {main} days: {{value}}",
            Aggregate.RATIO,
            f"{events.name}_{value}_count_{main}d",
            f"{events.name}_rows_count_{main}d",
            lite=value == events.contract.features.by[0].values[-1],
        )


def _is_money(measure: Measure) -> bool:
    return measure.name == "amount"


def _family(measure: Measure) -> Family:
    return Family.SPEND if _is_money(measure) else Family.VOLUME
