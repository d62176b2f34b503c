"""The numbers of deliveries: two passes over classified rows and two small joins, whatever the number of deliveries."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, NumericType, StringType, StructType

from churnlake.gates.numbers import LAST_BIN, LEVELS_MOST, ONE_BIN, level_name
from jobs.rows import Bucket

Measured = dict[str, dict[str, float]]
"""Numbers by name, by delivery_id."""

# Enough rows of a delivery to tell copies from news to a few points; all of a small one, a part of a large one.
_ROWS_COMPARED = _CUSTOMERS_COMPARED = 5_000
# Shares of levels and sizes to a fraction of a point.
_ROWS_TALLIED = 50_000
# The sample is cut by the first digits of the hash, so that it holds all copies of a row or none.
_DIGITS = 16
# Rows in which a column shows whether it has few values.
_ROWS_LOOKED_AT = 20_000
_TEXT_KEPT = 200
_SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Past:
    """What deliveries are measured against.

    `before` leads from a delivery to the one of the slot before it. `rows` (delivery_id, row_hash) holds those that are
    not measured now; `customers` (customer_id, first_known_date) all known ones. None: there are none.
    """

    before: Mapping[str, str]
    rows: DataFrame | None = None
    customers: DataFrame | None = None


def measure(classified: DataFrame, past: Past, by: Sequence[str]) -> Measured:
    """The numbers of every delivery among the classified rows of one source, by the names of `churnlake.gates`.

    `classified` is read six times: the caller caches it. `by` are the canonical columns whose values the contract
    names: their levels are counted too.
    """
    measured = _totals(classified)
    parts = (
        _tallies(classified, by, measured),
        _customers(classified, past.customers),
        _copies(classified, past, measured),
    )
    return {
        # A delivery without any customer is in no group of theirs: that it has none is a number too.
        delivery_id: {"customers": 0.0}
        | numbers
        | {name: value for part in parts for name, value in part.get(delivery_id, {}).items()}
        for delivery_id, numbers in measured.items()
    }


def _fields(classified: DataFrame, kind: type[DataType]) -> list[str]:
    typed = classified.schema["typed"].dataType
    fields = typed.fields if isinstance(typed, StructType) else []
    return [field.name for field in fields if isinstance(field.dataType, kind)]


def _field(group: str, name: str) -> Column:
    return F.col(f"{group}.`{name}`")


def _totals(classified: DataFrame) -> Measured:
    """Rows, share set aside, share without a value by column, share of the slot's day, hours since the newest event.

    Counts, not means: twenty means would make one method that is too long to be compiled.
    """
    happened = F.col("canonical.event_ts").cast("timestamp_ntz")
    seconds = [F.unix_seconds(moment.cast("timestamp")) for moment in (F.date_add(F.first("slot"), 1), F.max(happened))]
    fields = _fields(classified, DataType)
    counts = (
        F.count("*").alias("rows"),
        F.count_if(F.col("bucket").isin(Bucket.MALFORMED, Bucket.QUARANTINED)).alias("set_aside"),
        F.count_if(F.to_date(happened) == F.col("slot")).alias("own_day"),
        ((seconds[0] - seconds[1]) / _SECONDS_PER_HOUR).alias("staleness"),
        *(F.count(_field("typed", name)).alias(f"held.{place}") for place, name in enumerate(fields)),
    )
    return {
        row["delivery_id"]: {
            "rows": float(row["rows"]),
            **{name: row[name] / row["rows"] for name in ("set_aside", "own_day")},
            **({} if row["staleness"] is None else {"staleness": row["staleness"]}),
            **{f"null.{name}": 1 - row[f"held.{place}"] / row["rows"] for place, name in enumerate(fields)},
        }
        for row in classified.groupBy("delivery_id").agg(*counts).collect()
    }


def _tallies(classified: DataFrame, by: Sequence[str], measured: Measured) -> Measured:
    """Shares of levels and of bins of size, among the values that are there."""
    sample = classified.filter(_sampled(measured, _ROWS_TALLIED))
    levels = {name: _field("typed", name) for name in _with_few_values(classified)}
    levels |= {name: _field("canonical", name) for name in by}
    tallied = [("level", name, F.substring(value.cast("string"), 1, _TEXT_KEPT)) for name, value in levels.items()]
    tallied += [("bin", name, _bin(_field("typed", name))) for name in _fields(classified, NumericType)]
    if not tallied:
        return {}
    cells = F.array(
        *(F.struct(F.lit(place).alias("place"), one[2].alias("value")) for place, one in enumerate(tallied))
    )
    counted = (
        sample.select("delivery_id", F.explode(cells).alias("cell"))
        .filter("cell.value IS NOT NULL")
        .groupBy("delivery_id", "cell.place", "cell.value")
        .count()
    )
    # A column of many values that looked like one of few would fill the driver: its rarest values are cut off.
    most = len(measured) * len(tallied) * 2 * LEVELS_MOST
    counts: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    for delivery_id, place, value, count in counted.orderBy(F.desc("count")).limit(most).collect():
        counts[delivery_id, place][value] = count
    shares: Measured = defaultdict(dict)
    for (delivery_id, place), of_values in counts.items():
        kind, name, _ = tallied[place]
        for value, count in of_values.items():
            key = level_name(name, value) if kind == "level" else f"bin.{name}.{value}"
            shares[delivery_id][key] = count / sum(of_values.values())
    return shares


def _with_few_values(classified: DataFrame) -> list[str]:
    """Text columns that look like a set of levels: a name, a key or a note shows many values at once."""
    texts = _fields(classified, StringType)
    if not texts:
        return []
    some = classified.select("delivery_id", *(_field("typed", name) for name in texts)).limit(_ROWS_LOOKED_AT)
    distinct = [F.count_distinct(F.col(f"`{name}`")).alias(f"{place}") for place, name in enumerate(texts)]
    found = some.groupBy("delivery_id").agg(*distinct).collect()
    return [name for place, name in enumerate(texts) if all(row[f"{place}"] <= LEVELS_MOST for row in found)]


def _bin(value: Column) -> Column:
    """Place of a number's bin of size, as text; null for NaN."""
    number = value.cast("double")
    size = F.greatest(F.lit(1), F.least(F.lit(LAST_BIN), F.floor(2 * F.log10(F.abs(number))) + ONE_BIN))
    place = F.when(number > 0, size).when(number < 0, -size).when(number == 0, 0)
    return F.when(~F.isnan(number), place.cast("string"))


def _customers(classified: DataFrame, known: DataFrame | None) -> Measured:
    """Distinct customers, and the share of them known before the slot: from the lake, or from earlier slots.

    Of very many customers a part is looked at, drawn by a hash of their id, and the number is scaled up.
    """
    rows = classified.filter(F.col("canonical.customer_id").isNotNull() & (F.col("bucket") != Bucket.IGNORED))
    rows = rows.select("delivery_id", "slot", "canonical.customer_id")
    about = rows.groupBy("delivery_id").agg(F.approx_count_distinct("customer_id").alias("customers")).collect()
    if not about:
        return {}
    parts = _DIGITS ** _powers(sum(row["customers"] for row in about) / len(about) / _CUSTOMERS_COMPARED)
    drawn = F.lit(True) if parts == 1 else F.pmod(F.xxhash64("customer_id"), F.lit(parts)) == 0
    named = rows.filter(drawn).distinct()
    before = F.lit(False)
    if len(about) > 1:
        named = named.withColumn("first_here", F.min("slot").over(Window.partitionBy("customer_id")))
        before = F.col("first_here") < F.col("slot")
    if known is not None:
        firsts = known.filter(drawn).groupBy("customer_id").agg(F.min("first_known_date").alias("first_known"))
        named = named.join(firsts, "customer_id", "left")
        before |= F.coalesce(F.col("first_known") < F.col("slot"), F.lit(False))
    counts = named.groupBy("delivery_id").agg(F.count("*").alias("customers"), F.count_if(before).alias("known"))
    return {
        row["delivery_id"]: {"customers": float(row["customers"] * parts), "known": row["known"] / row["customers"]}
        for row in counts.collect()
    }


def _copies(classified: DataFrame, past: Past, measured: Measured) -> Measured:
    """Share of rows that are further copies of another, and of rows that stood in the slot before."""
    rows = classified.select("delivery_id", "row_hash")
    if past.rows is not None:
        rows = rows.unionByName(past.rows.select("delivery_id", "row_hash"))
    copies = (
        rows.filter(_sampled(measured, _ROWS_COMPARED))
        .groupBy("delivery_id", "row_hash")
        .agg(F.count("*").alias("copies"))
    )
    earlier = copies.join(F.broadcast(_followers(classified, past)), "delivery_id").select(
        F.col("follower").alias("delivery_id"), "row_hash", F.lit(1).alias("stood")
    )
    mine = copies.filter(F.col("delivery_id").isin(list(measured)))
    compared = mine.join(earlier, ["delivery_id", "row_hash"], "left")
    total = F.sum("copies")
    shares = compared.groupBy("delivery_id").agg(
        (F.sum(F.col("copies") - 1) / total).alias("doubled"),
        (F.sum(F.when(F.col("stood") == 1, F.col("copies")).otherwise(0)) / total).alias("repeated"),
    )
    return {
        row["delivery_id"]: {"doubled": row["doubled"]}
        | ({"repeated": row["repeated"]} if row["delivery_id"] in past.before else {})
        for row in shares.collect()
    }


def _followers(classified: DataFrame, past: Past) -> DataFrame:
    """Columns delivery_id and follower: who comes right after whom."""
    pairs = [(earlier, later) for later, earlier in past.before.items()]
    return classified.sparkSession.createDataFrame(pairs, "delivery_id STRING, follower STRING")


def _sampled(measured: Measured, least: int) -> Column:
    """True for at least so many rows of a delivery of mean size: for a row with all its copies, or for none."""
    mean = sum(numbers["rows"] for numbers in measured.values()) / len(measured)
    digits = _powers(mean / least)
    return F.substring("row_hash", 1, digits) == "0" * digits


def _powers(times: float) -> int:
    """How often a sample can be cut to a sixteenth when it is so many times too large."""
    return max(0, math.floor(math.log(times, _DIGITS)))
