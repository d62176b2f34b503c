"""Features at cutoffs, from tiles alone: the one definition, for one night and for many training cutoffs."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.features import Aggregate, Feature
from jobs.content import KEYS, Tiles, net_days, usable
from jobs.population import population_at


def features_at(
    tiles: Tiles,
    contract: Contract,
    catalogue: Sequence[Feature],
    cutoffs: Sequence[date],
    population: DataFrame | None = None,
) -> DataFrame:
    """One row per eligible customer and cutoff: business_date, customer_id, history_days, <feature> double...

    Reads only facts with `known_date` and `event_date` on or before the cutoff, of the last `span_days` days. Zero
    means held and none; null means not known: a window longer than the history held, or a source that never had a row
    of the customer.
    `population` is `population_at` of the same tiles and cutoffs, where the caller has it already.
    """
    people = population_at(tiles, contract, cutoffs) if population is None else population
    rows = people.filter("eligible").select(*KEYS, _history_days(contract).alias("history_days"))
    sources = sorted({feature.source for feature in catalogue})
    rows = rows.repartition(*KEYS).join(_first_seen(tiles, sources), "customer_id", "left")
    net = net_days(tiles.daily_activity, contract, cutoffs)
    for source in sources:
        own = [feature for feature in catalogue if feature.source == source]
        rows = rows.join(_activity_sums(net.filter(F.col("source") == source), own), [*KEYS], "left")
        if any(feature.aggregate is Aggregate.DISTINCT for feature in own):
            rows = rows.join(_distinct_values(tiles.daily_values, source, own, contract, cutoffs), [*KEYS], "left")
        rows = rows.withColumns(_with_absence(source, own))
    return _with_ratios(rows, catalogue).select(
        *KEYS, "history_days", *(F.col(feature.name).cast("double") for feature in catalogue)
    )


def _first_seen(tiles: Tiles, sources: Sequence[str]) -> DataFrame:
    """customer_id and, for each source, the date its first row of the customer became known."""
    dates = [
        F.min(F.when(F.col("source") == source, F.col("first_known_date"))).alias(f"seen_in_{source}")
        for source in sources
    ]
    return tiles.known_customers.groupBy("customer_id").agg(*dates)


def _history_days(contract: Contract) -> Column:
    return F.datediff("business_date", F.lit(contract.calendar.starts_on)) + 1


def _in_window(days: int | None) -> Column:
    return F.lit(True) if days is None else F.col("event_date") > F.date_sub("business_date", days)


def _activity_sums(net: DataFrame, features: Sequence[Feature]) -> DataFrame:
    direct = {feature.name: _over_days(feature) for feature in features if feature.aggregate in _OVER_DAYS}
    # The activity days of the span, oldest first: at most `span_days` of them, so the array is bounded.
    days = F.array_sort(F.collect_list(F.when(F.col("activity") > 0, F.col("event_date"))))
    summed = net.groupBy(*KEYS).agg(
        *(column.alias(name) for name, column in direct.items()), days.alias("activity_dates")
    )
    gaps = {
        feature.name: F.expr(_FROM_GAPS[feature.aggregate]) for feature in features if feature.aggregate in _FROM_GAPS
    }
    return summed.withColumn("gaps", F.expr(_GAPS)).withColumns(gaps).drop("activity_dates", "gaps")


_OVER_DAYS = (Aggregate.SUM, Aggregate.DAYS, Aggregate.SINCE_LAST, Aggregate.SINCE_FIRST)


def _over_days(feature: Feature) -> Column:
    operand, inside = F.col(feature.operand), _in_window(feature.window_days)
    match feature.aggregate:
        case Aggregate.SUM:
            return F.sum(F.when(inside, operand).otherwise(0))
        case Aggregate.DAYS:
            return F.sum(F.when(inside & (operand > 0), 1).otherwise(0))
        case Aggregate.SINCE_LAST:
            return F.min(F.when(operand > 0, F.datediff("business_date", "event_date")))
        case _:
            return F.max(F.when(operand > 0, F.datediff("business_date", "event_date")))


_GAPS = """CASE WHEN size(activity_dates) > 1
    THEN transform(slice(activity_dates, 2, size(activity_dates)), (day, place) -> datediff(day, activity_dates[place]))
    END"""
_FROM_GAPS = {
    Aggregate.GAP_MEAN: "datediff(array_max(activity_dates), array_min(activity_dates)) / (size(activity_dates) - 1)",
    # sqrt(E[x^2] - E[x]^2) over whole days: exact sums, one division; never below zero.
    Aggregate.GAP_SPREAD: """sqrt(greatest(
        aggregate(gaps, 0D, (total, gap) -> total + gap * gap) / size(gaps)
        - power(aggregate(gaps, 0D, (total, gap) -> total + gap) / size(gaps), 2), 0D))""",
    Aggregate.GAP_LAST: "element_at(gaps, -1)",
    Aggregate.GAP_LONGEST: "array_max(gaps)",
}
_FROM_GAPS = {aggregate: f"CASE WHEN gaps IS NOT NULL THEN {sql} END" for aggregate, sql in _FROM_GAPS.items()}


def _distinct_values(
    tile: DataFrame, source: str, features: Sequence[Feature], contract: Contract, cutoffs: Sequence[date]
) -> DataFrame:
    """Values whose last live date is inside the window: a value bought and returned the same day never counts."""
    wanted = [feature for feature in features if feature.aggregate is Aggregate.DISTINCT]
    own = usable(tile.filter(F.col("source") == source), contract, cutoffs)
    live = own.groupBy(*KEYS, "column", "value", "event_date").agg(F.sum("events").alias("events")).filter("events > 0")
    last = live.groupBy(*KEYS, "column", "value").agg(F.max("event_date").alias("event_date"))
    counts = [
        F.sum(F.when(_in_window(feature.window_days) & (F.col("column") == feature.operand), 1).otherwise(0)).alias(
            feature.name
        )
        for feature in wanted
    ]
    return last.groupBy(*KEYS).agg(*counts)


def _with_absence(source: str, features: Sequence[Feature]) -> dict[str, Column]:
    seen = F.col(f"seen_in_{source}") <= F.col("business_date")
    counted = {Aggregate.SUM, Aggregate.DAYS, Aggregate.DISTINCT}
    columns: dict[str, Column] = {}
    for feature in features:
        if feature.aggregate in counted:
            held = F.lit(True) if feature.window_days is None else F.col("history_days") >= feature.window_days
            columns[feature.name] = F.when(seen & held, F.coalesce(F.col(feature.name), F.lit(0)))
    return columns


def _with_ratios(rows: DataFrame, catalogue: Sequence[Feature]) -> DataFrame:
    """Ratios of features that stand in the frame already; a pace compares daily rates of two windows."""
    windows = {feature.name: feature.window_days for feature in catalogue}
    ratios: dict[str, Column] = {}
    for feature in catalogue:
        if feature.aggregate in (Aggregate.RATIO, Aggregate.PACE):
            ratio = F.try_divide(F.col(feature.operand).cast("double"), F.col(str(feature.other)).cast("double"))
            is_pace = feature.aggregate is Aggregate.PACE
            ratios[feature.name] = (
                ratio * (_days(windows, feature.other) / _days(windows, feature.operand)) if is_pace else ratio
            )
    return rows.withColumns(ratios)


def _days(windows: dict[str, int | None], name: str | None) -> float:
    days = windows[str(name)]
    if days is None:
        raise AssertionError(f"{name} has no window, so it has no daily rate")
    return float(days)
