"""Content at cutoffs: the net of the signed facts that were usable by each, which is all that may be read of them."""

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.contract.schema import Contract
from jobs.lake import StoredTable

KEYS = ("business_date", "customer_id")
# So many marks of corrected days are held in memory at most, whatever is corrected.
_MARKS = 2**22


@dataclass(frozen=True)
class Tiles:
    """The tables features are made of; those of roles that a contract has no source of are None.

    `stored` says where the daily tiles lie in files, whole: features of events are read from there.
    """

    known_customers: DataFrame
    daily_activity: DataFrame | None = None
    daily_values: DataFrame | None = None
    subscriptions: DataFrame | None = None
    renewals: DataFrame | None = None
    attributes: DataFrame | None = None
    outcomes_told: DataFrame | None = None
    stored: Mapping[str, StoredTable] = field(default_factory=dict)

    def of(self, customers: Column) -> "Tiles":
        """The rows of some customers in every table; who is asked for picks them from what is stored."""
        held = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "stored"}
        return replace(self, **{name: frame.filter(customers) for name, frame in held.items() if frame is not None})


def cutoff_frame(spark: SparkSession, cutoffs: Sequence[date]) -> DataFrame:
    """The cutoffs as a frame of one column, business_date."""
    return spark.createDataFrame([(cutoff,) for cutoff in cutoffs], "business_date DATE")


def reached(tile: DataFrame, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """The rows that any of the cutoffs may see: older files are not even opened."""
    first = calendar.observation_window(min(cutoffs), contract.features.span_days).first
    return tile.filter(F.col("event_date").between(first, max(cutoffs)) & (F.col("known_date") <= max(cutoffs)))


def usable(tile: DataFrame, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """Rows reached, beside each cutoff that may see them: known by then, happened by then, and inside the span."""
    if len(cutoffs) == 1:
        return tile.withColumn("business_date", F.lit(cutoffs[0]))
    dates = F.broadcast(cutoff_frame(tile.sparkSession, cutoffs))
    inside = F.col("event_date").between(
        F.date_sub("business_date", contract.features.span_days - 1), F.col("business_date")
    )
    return tile.join(dates, inside & (F.col("known_date") <= F.col("business_date")), "inner")


def with_corrected(tile: DataFrame, sums: Sequence[str]) -> DataFrame:
    """Adds `is_corrected`: whether any row takes something from one of these sums on its customer's day.

    On all other days a sum is positive as soon as one row's is, so those rows need not be brought together by the day.
    Corrections are few, and their days are held in memory as marks. Marks may meet, so a day may be called corrected
    that is not: its rows are then brought together for nothing, and come to the same.
    """
    mark = F.pmod(F.xxhash64("customer_id", "event_date"), F.lit(_MARKS))
    takes = functools.reduce(operator.or_, (F.col(name) < 0 for name in sums))
    marks = tile.filter(takes).select(mark.alias("mark")).distinct().withColumn("is_marked", F.lit(True))
    marked = tile.withColumn("mark", mark).join(F.broadcast(marks), "mark", "left")
    return marked.withColumn("is_corrected", F.coalesce("is_marked", F.lit(False))).drop("mark", "is_marked")


def active_days(seen: DataFrame) -> DataFrame:
    """First and last day with net activity: business_date, customer_id, first, last.

    `seen` are rows of daily_activity beside the cutoffs that see them, with `is_corrected`.
    """
    active_on = F.when(F.col("activity") > 0, F.col("event_date"))
    apart = F.when(F.col("is_corrected"), F.struct("source", "event_date")).alias("apart")
    told = seen.groupBy(*KEYS, apart).agg(
        F.min(active_on).alias("first"), F.max(active_on).alias("last"), F.sum("activity").alias("net")
    )
    standing = F.col("first").isNotNull() & (F.col("apart").isNull() | (F.col("net") > 0))
    return told.filter(standing).groupBy(*KEYS).agg(F.min("first").alias("first"), F.max("last").alias("last"))


def net_facts(facts: DataFrame, known_on: Mapping[date, date], content: Sequence[str]) -> DataFrame:
    """Facts of state that hold at each cutoff: business_date, customer_id, <content>, slot, known_date.

    `known_on` gives for each cutoff the date by which a fact must have been known. A fact that was taken back as often
    as it was told in its slot is gone; of one that stands the newest known date is given.
    """
    spark = facts.sparkSession
    dates = F.broadcast(spark.createDataFrame(list(known_on.items()), "business_date DATE, known_on DATE"))
    seen = facts.join(dates, F.col("known_date") <= F.col("known_on"))
    newest = F.max(F.when(F.col("sign") > 0, F.col("known_date")))
    return (
        seen.groupBy(*KEYS, *content, "slot")
        .agg(F.sum("sign").alias("net"), newest.alias("known_date"))
        .filter("net > 0")
        .drop("net")
    )


def newest_first(contract: Contract) -> tuple[Column, Column]:
    """Orders what one source told of one thing. All that is left of snapshots was told by the newest of them alike."""
    snapshots = [name for name, source in contract.sources.items() if source.delivery == "snapshot"]
    told_in_turn = ~F.col("source").isin(snapshots)
    return F.desc(F.when(told_in_turn, F.col("slot"))), F.desc(F.when(told_in_turn, F.col("known_date")))


def required(facts: DataFrame | None) -> DataFrame:
    """The facts of a role that the contract cannot do without."""
    if facts is None:
        raise AssertionError("the contract was read without a source that its definition needs")
    return facts
