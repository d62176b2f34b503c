"""Content at cutoffs: the net of the signed facts that were usable by each, which is all that may be read of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.calendar import DayRange
from churnlake.contract.schema import Contract
from jobs.day_files import DayFiles
from jobs.lake import StoredTable
from jobs.tiles import HASHES, customer_hash

KEYS = ("business_date", "customer_id")


@dataclass(frozen=True)
class Tiles:
    """The tables features are made of; those of roles that a contract has no source of are None.

    `stored` says where the daily tiles lie in files, whole: activity and features of events are read there. `share` is
    how many of all customers the other tables hold, where they were sampled.
    """

    known_customers: DataFrame
    daily_activity: DataFrame | None = None
    subscriptions: DataFrame | None = None
    renewals: DataFrame | None = None
    attributes: DataFrame | None = None
    outcomes_told: DataFrame | None = None
    stored: Mapping[str, StoredTable] = field(default_factory=dict)
    share: float = 1.0

    def of(self, customer: str) -> "Tiles":
        """The rows of one customer in every table."""
        is_asked = F.col("customer_id") == customer
        return self._each(lambda frame: frame.filter(is_asked & (_hash_in(frame) == customer_hash(F.lit(customer)))))

    def sample(self, share: float) -> "Tiles":
        """The rows of a share of the customers in every table."""
        return replace(self._each(lambda frame: in_sample(frame, share)), share=share)

    def files(self, table: str, source: str, days: DayRange, known_by: date) -> DayFiles:
        """The files of a daily tile that may hold what a source told of these days by a date."""
        stored = self.stored.get(table)  # no table before the first rows of any source of events
        return stored.files(source, days, known_by) if stored else DayFiles(source, days, known_by, (), 0, True)

    def _each(self, chosen: Callable[[DataFrame], DataFrame]) -> "Tiles":
        """Some customers in each table; of what lies in files, features read those they are asked for."""
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        some: dict[str, Any] = {name: chosen(one) for name, one in held.items() if isinstance(one, DataFrame)}
        return replace(self, **some)


def in_sample(frame: DataFrame, share: float) -> DataFrame:
    """The rows of a share of the customers, the same ones in every table: those whose ids have the lowest hashes."""
    return frame.filter(_hash_in(frame) < int(share * HASHES))


def _hash_in(frame: DataFrame) -> Column:
    """The hash of a row's id; where files lie in its order, the parts of others are passed over."""
    return F.col("customer_hash") if "customer_hash" in frame.columns else customer_hash()


def cutoff_frame(spark: SparkSession, cutoffs: Sequence[date]) -> DataFrame:
    """The cutoffs as a frame of one column, business_date."""
    return spark.createDataFrame([(cutoff,) for cutoff in cutoffs], "business_date DATE")


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
