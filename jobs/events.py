"""Features of events at cutoffs, from the daily tiles of one source: one pass over its rows, however many features."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.features import Aggregate, Feature
from jobs.content import KEYS, Tiles, reached, required, usable, with_corrected

COUNTED = (Aggregate.SUM, Aggregate.DAYS, Aggregate.DISTINCT)
_OF_DAYS = (Aggregate.SUM, Aggregate.DAYS, Aggregate.LAST_VALUE)
# A contract names at most 20 values of a column, so a value's place and a number go into one integer.
_VALUES = 32
# Which days had activity, as bits of whole numbers: a list of dates would make Spark sort all rows to aggregate them.
_BITS = 60
# A day and a number of rows as one integer that grows with the day; nobody has four billion rows on a day.
_ROWS = 32


def event_features(
    tiles: Tiles, source: str, catalogue: Sequence[Feature], contract: Contract, cutoffs: Sequence[date]
) -> list[DataFrame]:
    """Frames of business_date, customer_id and the features of a source; who has no row in reach is in none of them.

    Ratios and paces are not among them: they are made of these.
    """
    own = [feature for feature in catalogue if feature.source == source]
    wanted = [feature for feature in own if feature.aggregate is Aggregate.DISTINCT]
    days = reached(required(tiles.daily_activity), contract, cutoffs).filter(F.col("source") == source)
    frames = [_of_days(days, own, contract, cutoffs)]
    if wanted:
        values = reached(required(tiles.daily_values), contract, cutoffs).filter(F.col("source") == source)
        frames.append(_of_values(values, wanted, contract, cutoffs))
    return frames


class _Asked(NamedTuple):
    """What a source's features ask of the daily tile."""

    features: Sequence[Feature]
    contract: Contract

    @property
    def sums(self) -> list[Feature]:
        return [one for one in self.features if one.aggregate is Aggregate.SUM]

    @property
    def last_values(self) -> dict[str, tuple[str, ...]]:
        """Of each feature that tells a last value: the columns that count rows of the values its contract names."""
        named = {by.column: tuple(f"{by.column}_{value}" for value in by.values) for by in self.contract.features.by}
        return {one.name: named[one.operand] for one in self.features if one.aggregate is Aggregate.LAST_VALUE}

    @property
    def dated(self) -> list[str]:
        """Columns of which the last day matters on which they are positive, but for activity."""
        of_values = [name for columns in self.last_values.values() for name in columns]
        of_days = [one.operand for one in self.features if one.aggregate is Aggregate.SINCE_LAST]
        return sorted({*of_values, *of_days} - {"activity"})

    @property
    def read(self) -> list[str]:
        return sorted({"activity", *self.dated, *(one.operand for one in self.sums)})

    @property
    def words(self) -> range:
        return range(-(-self.contract.features.span_days // _BITS))


def _of_days(tile: DataFrame, features: Sequence[Feature], contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    asked = _Asked(features, contract)
    signed = ["activity", *asked.dated]
    told = with_corrected(tile, signed)
    is_apart = F.col("is_corrected")
    if asked.last_values:
        told = _with_first_delivery(told)
        is_apart = is_apart | ~_told_on_the_day() | (F.col("delivery_id") != F.col("first_delivery"))
    seen = usable(told.withColumn("_apart", F.when(is_apart, F.col("event_date"))), contract, cutoffs)
    rows = seen.select(*KEYS, "event_date", "_apart", *asked.read, *_placed())
    parts = rows.groupBy(*KEYS, "_apart").agg(*_of_a_part(asked))
    return _told(parts.groupBy(*KEYS).agg(*_of_all_parts(asked)), asked)


def _with_first_delivery(tile: DataFrame) -> DataFrame:
    """Adds `first_delivery`: of those that told of a day on the day itself, one; it has a customer's day in one row."""
    told = tile.filter(_told_on_the_day()).select("event_date", "delivery_id").distinct()
    firsts = told.groupBy("event_date").agg(F.min("delivery_id").alias("first_delivery"))
    return tile.join(F.broadcast(firsts), "event_date", "left")


def _told_on_the_day() -> Column:
    return F.col("known_date") == F.col("event_date")


def _placed() -> list[Column]:
    """How old a row is at its cutoff, the bit of its day where that was active, and the word this bit is in."""
    age = "datediff(business_date, event_date)"
    return [
        F.expr(age).alias("_age"),
        F.expr(f"{age} DIV {_BITS}").alias("_word"),
        F.expr(f"CASE WHEN activity > 0 THEN shiftleft(1L, {age} % {_BITS}) ELSE 0L END").alias("_bit"),
    ]


def _of_a_part(asked: _Asked) -> list[Column]:
    """What is kept of the rows that are taken at once, and of each day that is taken apart."""
    windowed = [
        F.sum(F.when(F.col("_age") < F.lit(one.window_days), F.col(one.operand)).otherwise(0)).alias(one.name)
        for one in asked.sums
    ]
    words = [F.bit_or(F.when(F.col("_word") == word, F.col("_bit")).otherwise(0)) for word in asked.words]
    last = [F.max(F.when(F.col(name) > 0, _day_and_rows("event_date", name))) for name in asked.dated]
    return [
        *windowed,
        *(word.alias(f"_word_{place}") for place, word in enumerate(words)),
        *(day.alias(f"_last_{name}") for name, day in zip(asked.dated, last, strict=True)),
        *(F.sum(name).alias(f"_net_{name}") for name in ["activity", *asked.dated]),
    ]


def _of_all_parts(asked: _Asked) -> list[Column]:
    """Sums add up; of a day taken apart, its net decides. Its last rows stay beside those that were taken at once."""
    is_day = F.col("_apart").isNotNull()

    def stands(name: str) -> Column:
        return ~is_day | (F.col(f"_net_{name}") > 0)

    words = [f"_word_{word}" for word in asked.words]
    return [
        *(F.sum(one.name).alias(one.name) for one in asked.sums),
        *(F.bit_or(F.when(stands("activity"), F.col(word)).otherwise(0)).alias(word) for word in words),
        *(F.max(F.when(~is_day, F.col(f"_last_{name}"))).alias(f"_once_{name}") for name in asked.dated),
        *(
            F.max(F.when(is_day & stands(name), _day_and_rows("_apart", f"_net_{name}"))).alias(f"_apart_{name}")
            for name in asked.dated
        ),
    ]


def _day_and_rows(day: str, rows: str) -> Column:
    return F.shiftleft(F.unix_date(day).cast("bigint"), _ROWS) + F.col(rows)


def _told(summed: DataFrame, asked: _Asked) -> DataFrame:
    """The features, from what was kept of each customer and cutoff."""
    words = ", ".join(f"lpad(bin(_word_{word}), {_BITS}, '0')" for word in reversed(asked.words))
    days = summed.withColumn("_days", F.expr(_DAYS.format(words=words)))
    paced = days.withColumn("_active", F.expr(_ACTIVE)).withColumn("_gaps", F.expr(_GAPS))
    told = [one for one in asked.features if one.aggregate in (*_OF_DAYS, *_FROM_DAYS)]
    return paced.select(*KEYS, *(_feature(one, asked).alias(one.name) for one in told))


def _feature(feature: Feature, asked: _Asked) -> Column:
    match feature.aggregate:
        case Aggregate.SUM:
            return F.col(feature.name)
        case Aggregate.DAYS:
            return _active_days(feature.window_days, asked.words)
        case Aggregate.SINCE_LAST if feature.operand != "activity":
            return F.unix_date("business_date") - F.shiftright(_last([feature.operand]), _ROWS)
        case Aggregate.LAST_VALUE:
            return _last_value(asked.last_values[feature.name], feature, asked.contract)
        case _:
            return F.expr(_FROM_DAYS[feature.aggregate])


def _active_days(window_days: int | None, words: range) -> Column:
    """The bits of the days inside the window, counted."""
    counted = F.lit(0)
    for word in words:
        inside = _BITS if window_days is None else min(max(window_days - word * _BITS, 0), _BITS)
        if inside:
            counted = counted + F.bit_count(F.col(f"_word_{word}").bitwiseAND(F.lit(2**inside - 1).cast("bigint")))
    return counted


def _last(columns: Iterable[str]) -> Column:
    """The last day on which one of the columns is positive, and rows of it, as one number; null without any."""
    return F.greatest(*(F.col(f"{way}_{name}") for name in columns for way in ("_once", "_apart")))


def _last_value(columns: Sequence[str], feature: Feature, contract: Contract) -> Column:
    """The value with most rows on the last day that has any of them; ties take the first named."""
    day = F.shiftright(_last(columns), _ROWS)
    most = F.greatest(*(_rows_on(day, name) * _VALUES + (_VALUES - 1 - place) for place, name in enumerate(columns)))
    values = next(by.values for by in contract.features.by if by.column == feature.operand)
    place = (_VALUES - 1 - F.pmod(most, F.lit(_VALUES))).cast("int")
    return F.when(day.isNotNull(), F.get(F.array(*map(F.lit, values)), place))


def _rows_on(day: Column, name: str) -> Column:
    """Rows on a day, told at once and apart; a day is told in each way once at most."""
    ways = [F.col(f"{way}_{name}") for way in ("_once", "_apart")]
    told = [F.when(F.shiftright(way, _ROWS) == day, way - F.shiftleft(day, _ROWS)).otherwise(0) for way in ways]
    return told[0] + told[1]


# From the first active day to the cutoff, one letter a day: Spark runs no loop over bits that is faster than its texts.
_DAYS = "trim(LEADING '0' FROM concat({words}))"
_ACTIVE = "trim(TRAILING '0' FROM _days)"
_GAPS = """CASE WHEN length(_active) > 1
    THEN transform(split(substring(_active, 2, length(_active) - 2), '1'), pause -> length(pause) + 1)
    END"""
_FROM_DAYS = {
    Aggregate.SINCE_LAST: "nullif(length(_days), 0) - length(_active)",
    Aggregate.SINCE_FIRST: "nullif(length(_days), 0) - 1",
    Aggregate.GAP_MEAN: "(length(_active) - 1) / size(_gaps)",
    # sqrt(E[x^2] - E[x]^2) over whole days: exact sums, one division; never below zero.
    Aggregate.GAP_SPREAD: """CASE WHEN _gaps IS NOT NULL THEN sqrt(greatest(
        aggregate(_gaps, 0D, (total, gap) -> total + gap * gap) / size(_gaps)
        - power((length(_active) - 1) / size(_gaps), 2), 0D)) END""",
    Aggregate.GAP_LAST: "element_at(_gaps, -1)",
    Aggregate.GAP_LONGEST: "array_max(_gaps)",
}


def _of_values(tile: DataFrame, wanted: Sequence[Feature], contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """Values with a live day inside the window: a value bought and returned the same day never counts."""
    longest = max(feature.window_days or contract.features.span_days for feature in wanted)
    # Laid out by customer before rows meet cutoffs: each row moves once, however many cutoffs see it.
    laid_out = with_corrected(tile, ["events"]).repartition("customer_id")
    seen = usable(laid_out, contract, cutoffs).filter(_age() < longest)
    value = (*KEYS, "column", "value")
    at_once = seen.filter(~F.col("is_corrected") & (F.col("events") > 0)).select(*value, "event_date")
    by_day = seen.filter("is_corrected").groupBy(*value, "event_date").agg(F.sum("events").alias("events"))
    live = at_once.unionByName(by_day.filter("events > 0").select(*value, "event_date"))
    last = live.groupBy(*value).agg(F.max("event_date").alias("event_date"))
    return last.groupBy(*KEYS).agg(*(_values_inside(feature).alias(feature.name) for feature in wanted))


def _values_inside(feature: Feature) -> Column:
    inside = F.lit(True) if feature.window_days is None else _age() < feature.window_days
    return F.count_if(inside & (F.col("column") == feature.operand))


def _age() -> Column:
    return F.datediff("business_date", "event_date")
