"""Tiles: signed daily sums per customer, the only thing features and labels read."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import FeatureRules
from churnlake.features import tile_columns

DAILY_TILES = ("daily_activity", "daily_values")
TILE_TABLES = (*DAILY_TILES, "known_customers")
# A customer's hash is below this: fine enough for a sample, and for a task's share of the customers.
HASHES = 10_000
TILE_KEYS = ("source", "customer_id", "event_date", "known_date", "delivery_id")


def customer_hash(customer: str | Column = "customer_id") -> Column:
    """The hash of an id, from 0: what tiles are ordered by, and what samples of customers are drawn by."""
    return F.pmod(F.xxhash64(customer), F.lit(HASHES)).cast("int")


def daily_activity(events: DataFrame, rules: FeatureRules) -> DataFrame:
    """One row per source, customer, event date and delivery: rows, activity and measures as signed integer sums."""
    sums = [F.sum(column).cast("bigint").alias(name) for name, column in _signed_columns(rules).items()]
    return _partitioned(events.groupBy(*TILE_KEYS).agg(*sums))


def daily_values(events: DataFrame, distinct: Sequence[str]) -> DataFrame:
    """One row per source, customer, event date, delivery, column and value: the net rows with that value."""
    pairs = F.array(*(F.struct(F.lit(name).alias("column"), F.col(name).alias("value")) for name in distinct))
    # The cast gives an empty array its columns, where a contract counts no distinct values.
    pairs = F.explode(pairs.cast("array<struct<column: string, value: string>>"))
    long = events.select(*TILE_KEYS, "sign", pairs.alias("pair")).select(
        *TILE_KEYS, "sign", "pair.column", "pair.value"
    )
    return _partitioned(
        long.filter(F.col("value").isNotNull())
        .groupBy(*TILE_KEYS, "column", "value")
        .agg(F.sum("sign").cast("bigint").alias("events"))
    )


def newly_known(named: DataFrame, known: DataFrame | None) -> DataFrame:
    """Customers that these rows make known, or known earlier.

    Columns: source, customer_id, delivery_id, first_known_date, known_month.

    A fact dated ahead makes its customer known on its own date, not before. Once known, always known.
    """
    first = F.min(F.struct("usable_from", "known_date", "delivery_id")).alias("first")
    firsts = named.groupBy("source", "customer_id").agg(first).select("source", "customer_id", "first.*")
    if known is not None:
        before = known.groupBy("source", "customer_id").agg(F.min("first_known_date").alias("before"))
        earlier = F.col("before").isNull() | (F.col("usable_from") < F.col("before"))
        firsts = firsts.join(before, ["source", "customer_id"], "left").filter(earlier)
    month = F.date_format("known_date", "yyyy-MM").alias("known_month")
    return firsts.select("source", "customer_id", "delivery_id", F.col("usable_from").alias("first_known_date"), month)


def _signed_columns(rules: FeatureRules) -> dict[str, Column]:
    sign = F.col("sign")
    columns = {"events": sign, "activity": F.when(F.col("is_activity"), sign).otherwise(0)}
    measures = {measure.name: sign * F.coalesce(F.col(measure.name), F.lit(0)) for measure in rules.measures}
    columns |= measures
    for by in rules.by:
        matched = F.coalesce(F.col(by.column).isin(*by.values), F.lit(False))
        for value in (*by.values, "other"):
            fits = ~matched if value == "other" else F.coalesce(F.col(by.column) == value, F.lit(False))
            columns[f"{by.column}_{value}"] = F.when(fits, sign).otherwise(0)
            columns |= {
                f"{by.column}_{value}_{name}": F.when(fits, amount).otherwise(0) for name, amount in measures.items()
            }
    if tuple(columns) != tile_columns(rules):
        raise AssertionError("tiles and catalogue disagree about the tile's columns")
    return columns


def _partitioned(tiles: DataFrame) -> DataFrame:
    return tiles.withColumns(
        {
            "customer_hash": customer_hash(),
            "known_month": F.date_format("known_date", "yyyy-MM"),
            "off_day": F.col("event_date") != F.col("known_date"),
        }
    )
