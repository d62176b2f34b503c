"""Features at cutoffs, from tiles alone: the one definition, for one night and for many training cutoffs."""

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.features import Aggregate, Feature
from jobs.content import KEYS, Tiles, net_days, required, usable
from jobs.peers import with_places
from jobs.population import population_at
from jobs.states import states_at

_OVER_DAYS = (Aggregate.SUM, Aggregate.DAYS, Aggregate.SINCE_LAST, Aggregate.SINCE_FIRST)
_COUNTED = (Aggregate.SUM, Aggregate.DAYS, Aggregate.DISTINCT)
# A contract names at most 20 values of a column, so a value's place and a number go into one integer.
_VALUES = 32


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
    `population` is `population_at` of the same tiles and cutoffs, where the caller has it already. A place in a peer
    group is among all who are eligible in it: a sample of customers gives other places.
    """
    people = population_at(tiles, contract, cutoffs) if population is None else population
    rows = people.filter("eligible").select(*KEYS, _history_days(contract).alias("history_days"))
    rows = _with_events(rows.repartition(*KEYS), tiles, contract, catalogue, cutoffs)
    for state in states_at(tiles, contract, catalogue, cutoffs):
        rows = rows.join(state, [*KEYS], "left")
    rows = with_places(_with_ratios(rows, catalogue), contract, catalogue)
    return rows.select(*KEYS, "history_days", *(_typed(feature) for feature in catalogue))


def _typed(feature: Feature) -> Column:
    return F.col(feature.name).cast("double" if feature.kind == "number" else "string").alias(feature.name)


def _with_events(
    rows: DataFrame, tiles: Tiles, contract: Contract, catalogue: Sequence[Feature], cutoffs: Sequence[date]
) -> DataFrame:
    sources = [name for name, source in contract.sources.items() if source.role == "events"]
    if not sources:
        return rows
    rows = rows.join(_first_seen(tiles, sources), "customer_id", "left")
    for source in sources:
        own = [feature for feature in catalogue if feature.source == source]
        daily = _within_reach(required(tiles.daily_activity), source, contract, cutoffs).select(
            "source", "customer_id", "event_date", "known_date", *sorted(_operands(own, contract))
        )
        rows = rows.join(_activity_sums(net_days(daily, contract, cutoffs), own, contract), [*KEYS], "left")
        if any(feature.aggregate is Aggregate.DISTINCT for feature in own):
            values = _within_reach(required(tiles.daily_values), source, contract, cutoffs)
            rows = rows.join(_distinct_values(values, own, contract, cutoffs), [*KEYS], "left")
        rows = rows.withColumns(_with_absence(source, own))
    return rows


def _within_reach(tile: DataFrame, source: str, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """The rows of a source that any of the cutoffs may see: older files are not even opened."""
    first = min(cutoffs) - timedelta(days=contract.features.span_days - 1)
    seen = F.col("event_date").between(first, max(cutoffs)) & (F.col("known_date") <= max(cutoffs))
    return tile.filter((F.col("source") == source) & seen)


def _operands(features: Sequence[Feature], contract: Contract) -> set[str]:
    """The columns of the daily tile that these features read."""
    found = {feature.operand for feature in features if feature.aggregate in _OVER_DAYS} | {"activity"}
    for feature in features:
        if _is_last_value(feature):
            found |= {f"{feature.operand}_{value}" for value in _named_values(feature, contract)}
    return found


def _named_values(feature: Feature, contract: Contract) -> tuple[str, ...]:
    return next(by.values for by in contract.features.by if by.column == feature.operand)


def _first_seen(tiles: Tiles, sources: Sequence[str]) -> DataFrame:
    """customer_id and, for each source, the date its first row of the customer became known."""
    dates = [
        F.min(F.when(F.col("source") == source, F.col("first_known_date"))).alias(f"_seen_in_{source}")
        for source in sources
    ]
    return tiles.known_customers.groupBy("customer_id").agg(*dates)


def _history_days(contract: Contract) -> Column:
    return F.datediff("business_date", F.lit(contract.calendar.starts_on)) + 1


def _in_window(days: int | None) -> Column:
    return F.lit(True) if days is None else F.col("event_date") > F.date_sub("business_date", days)


def _activity_sums(net: DataFrame, features: Sequence[Feature], contract: Contract) -> DataFrame:
    direct = {feature.name: _over_days(feature) for feature in features if feature.aggregate in _OVER_DAYS}
    last = {one.name: (one.operand, _named_values(one, contract)) for one in features if _is_last_value(one)}
    direct |= {name: F.max(_day_and_value(column, values)) for name, (column, values) in last.items()}
    words = range(-(-contract.features.span_days // _BITS))
    active = {f"_word_{word}": F.expr(_ACTIVE_WORD.format(word=word, bits=_BITS)) for word in words}
    summed = net.groupBy(*KEYS).agg(*(column.alias(name) for name, column in (direct | active).items()))
    ages = F.concat(*(F.expr(_AGES.format(word=word, bits=_BITS)) for word in reversed(words)))
    made = {
        feature.name: F.expr(_FROM_GAPS[feature.aggregate]) for feature in features if feature.aggregate in _FROM_GAPS
    }
    made |= {name: _value_of(F.col(name), values) for name, (_, values) in last.items()}
    aged = summed.withColumn("_ages", ages).withColumn("_gaps", F.expr(_GAPS))
    return aged.withColumns(made).drop("_ages", "_gaps", *active)


def _is_last_value(feature: Feature) -> bool:
    return feature.aggregate is Aggregate.LAST_VALUE


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


def _day_and_value(column: str, values: Sequence[str]) -> Column:
    """The day, and on it the value with most rows, as one integer that grows with the day; ties take the first named.

    Null on a day without a named value.
    """
    most = F.greatest(
        *(
            F.when(F.col(f"{column}_{value}") > 0, F.col(f"{column}_{value}") * _VALUES + (_VALUES - 1 - place))
            for place, value in enumerate(values)
        )
    )
    return F.unix_date("event_date").cast("bigint") * _VALUES + F.pmod(most, F.lit(_VALUES))


def _value_of(day_and_value: Column, values: Sequence[str]) -> Column:
    place = F.lit(_VALUES) - F.pmod(day_and_value, F.lit(_VALUES))
    return F.get(F.array(*map(F.lit, values)), (place - 1).cast("int"))


# Which days had activity, as bits of whole numbers: a list of dates would make Spark sort all rows to aggregate them.
_BITS = 60
_ACTIVE_WORD = """bit_or(CASE WHEN activity > 0 AND datediff(business_date, event_date) DIV {bits} = {word}
    THEN shiftleft(1L, datediff(business_date, event_date) % {bits}) END)"""
# The bits of a word that are set, as days before the cutoff, oldest first.
_AGES = """transform(
    coalesce(filter(sequence({bits} - 1, 0, -1), bit -> getbit(_word_{word}, bit) = 1), array()),
    bit -> bit + {word} * {bits})"""
_GAPS = """CASE WHEN size(_ages) > 1
    THEN transform(slice(_ages, 2, size(_ages)), (age, place) -> _ages[place] - age)
    END"""
_FROM_GAPS = {
    Aggregate.GAP_MEAN: "(_ages[0] - element_at(_ages, -1)) / (size(_ages) - 1)",
    # sqrt(E[x^2] - E[x]^2) over whole days: exact sums, one division; never below zero.
    Aggregate.GAP_SPREAD: """sqrt(greatest(
        aggregate(_gaps, 0D, (total, gap) -> total + gap * gap) / size(_gaps)
        - power(aggregate(_gaps, 0D, (total, gap) -> total + gap) / size(_gaps), 2), 0D))""",
    Aggregate.GAP_LAST: "element_at(_gaps, -1)",
    Aggregate.GAP_LONGEST: "array_max(_gaps)",
}
_FROM_GAPS = {aggregate: f"CASE WHEN _gaps IS NOT NULL THEN {sql} END" for aggregate, sql in _FROM_GAPS.items()}


def _distinct_values(
    tile: DataFrame, features: Sequence[Feature], contract: Contract, cutoffs: Sequence[date]
) -> DataFrame:
    """Values whose last live date is inside the window: a value bought and returned the same day never counts."""
    wanted = [feature for feature in features if feature.aggregate is Aggregate.DISTINCT]
    own = usable(tile, contract, cutoffs)
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
    seen = F.col(f"_seen_in_{source}") <= F.col("business_date")
    columns: dict[str, Column] = {}
    for feature in features:
        if feature.aggregate in _COUNTED:
            held = F.lit(True) if feature.window_days is None else F.col("history_days") >= feature.window_days
            columns[feature.name] = F.when(seen & held, F.coalesce(F.col(feature.name), F.lit(0)))
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
