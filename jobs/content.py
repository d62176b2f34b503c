"""Content at cutoffs: the net of the signed facts that were usable by each, which is all that may be read of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract

KEYS = ("business_date", "customer_id")


@dataclass(frozen=True)
class Tiles:
    """The tables features are made of; those of roles that a contract has no source of are None."""

    known_customers: DataFrame
    daily_activity: DataFrame | None = None
    daily_values: DataFrame | None = None
    subscriptions: DataFrame | None = None
    renewals: DataFrame | None = None
    attributes: DataFrame | None = None
    outcomes_told: DataFrame | None = None

    def of(self, customers: Column) -> "Tiles":
        """The rows of some customers in every table."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: frame.filter(customers) for name, frame in held.items() if frame is not None})


def cutoff_frame(spark: SparkSession, cutoffs: Sequence[date]) -> DataFrame:
    """The cutoffs as a frame of one column, business_date."""
    return spark.createDataFrame([(cutoff,) for cutoff in cutoffs], "business_date DATE")


def usable(tile: DataFrame, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """Tile rows beside each cutoff that may see them: known by then, happened by then, and inside the span.

    Laid out by customer and cutoff once, so that no later aggregate or join on these keys moves rows again.
    """
    dates = F.broadcast(cutoff_frame(tile.sparkSession, cutoffs))
    inside = F.col("event_date").between(
        F.date_sub("business_date", contract.features.span_days - 1), F.col("business_date")
    )
    return tile.join(dates, inside & (F.col("known_date") <= F.col("business_date")), "inner").repartition(*KEYS)


def net_days(tile: DataFrame, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """Content at each cutoff: signed sums per source, customer and day. Corrections cancel what they withdraw here."""
    keys = ("source", "event_date")
    sums = [
        name
        for name in tile.columns
        if name not in {*KEYS, *keys, "known_date", "delivery_id", "known_month", "off_day"}
    ]
    return usable(tile, contract, cutoffs).groupBy(*KEYS, *keys).agg(*(F.sum(name).alias(name) for name in sums))


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
