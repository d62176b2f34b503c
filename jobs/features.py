"""Features at cutoffs, from tiles alone: the one definition, for one night and for many training cutoffs."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.features import Aggregate, Feature
from jobs.content import KEYS, Tiles
from jobs.events import with_events
from jobs.peers import with_places
from jobs.population import population_at
from jobs.states import states_at

_COUNTED = (Aggregate.SUM, Aggregate.DAYS, Aggregate.DISTINCT)


def features_at(
    tiles: Tiles,
    contract: Contract,
    catalogue: Sequence[Feature],
    cutoffs: Sequence[date],
    population: DataFrame | None = None,
) -> DataFrame:
    """One row per eligible customer and cutoff: business_date, customer_id, history_days, then a column per feature.

    A number is a double, a category a text. Reads only what was known and had happened by the cutoff, of events the
    last `span_days` days. Zero means held and none; null means not known: a window longer than the history held, or a
    source that never had a row of the customer.
    `population` is `population_at` of the same tiles and cutoffs, where the caller has it already; what else it has
    comes along, before the features. A place in a peer group is among all who are eligible in it: a sample of customers
    gives other places.
    """
    people = population_at(tiles, contract, cutoffs) if population is None else population
    rows = people.filter("eligible").drop("eligible", "reason").withColumn("history_days", _history_days(contract))
    held = rows.columns
    rows = _with_events(rows, tiles, contract, catalogue, cutoffs)
    for state in states_at(tiles, contract, catalogue, cutoffs):
        rows = rows.join(state, [*KEYS], "left")
    rows = with_places(_with_ratios(rows, catalogue), contract, catalogue)
    return rows.select(*held, *(_typed(feature) for feature in catalogue))


def _typed(feature: Feature) -> Column:
    return F.col(feature.name).cast("double" if feature.kind == "number" else "string").alias(feature.name)


def _with_events(
    rows: DataFrame, tiles: Tiles, contract: Contract, catalogue: Sequence[Feature], cutoffs: Sequence[date]
) -> DataFrame:
    sources = [name for name, source in contract.sources.items() if source.role == "events"]
    if not sources:
        return rows
    rows = with_events(_with_first_seen(rows, tiles, contract, sources), tiles, contract, catalogue, cutoffs)
    for source in sources:
        rows = rows.withColumns(_with_absence(source, [one for one in catalogue if one.source == source]))
    return rows


def _with_first_seen(rows: DataFrame, tiles: Tiles, contract: Contract, sources: Sequence[str]) -> DataFrame:
    """Adds for each source the date its first row of the customer became known.

    Where no other source names customers, its own activity has made everybody eligible: nothing need be looked up.
    """
    if sum(one.role != "lookup" for one in contract.sources.values()) == 1:
        return rows.withColumn(_seen_in(sources[0]), F.col("business_date"))
    dates = [
        F.min(F.when(F.col("source") == source, F.col("first_known_date"))).alias(_seen_in(source))
        for source in sources
    ]
    return rows.join(tiles.known_customers.groupBy("customer_id").agg(*dates), "customer_id", "left")


def _seen_in(source: str) -> str:
    return f"_seen_in_{source}"


def _history_days(contract: Contract) -> Column:
    return F.datediff("business_date", F.lit(contract.calendar.starts_on)) + 1


def _with_absence(source: str, features: Sequence[Feature]) -> dict[str, Column]:
    seen = F.col(_seen_in(source)) <= F.col("business_date")
    columns: dict[str, Column] = {}
    for feature in features:
        if feature.aggregate in _COUNTED:
            held = F.lit(True) if feature.window_days is None else F.col("history_days") >= feature.window_days
            columns[feature.name] = F.when(seen & held, F.col(feature.name))
    return columns


def _with_ratios(rows: DataFrame, catalogue: Sequence[Feature]) -> DataFrame:
    """Ratios of features that stand in the frame already; a pace compares daily rates of two windows."""
    windows = {feature.name: feature.window_days for feature in catalogue}
    ratios: dict[str, Column] = {}
    for feature in catalogue:
        if feature.aggregate in (Aggregate.RATIO, Aggregate.PACE):
            whole = F.col(str(feature.other)).cast("double")
            ratio = F.try_divide(F.col(feature.operand).cast("double"), F.when(whole > 0, whole))
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
