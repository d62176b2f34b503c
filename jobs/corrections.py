"""Corrections: what a new version of a slot's file withdraws, as a difference of multisets by row hash.

A correction lands whole. Copies of a row that the version before held too are unchanged; the others are judged like
any row. Live facts and rows held back of which the new version has fewer copies are withdrawn: a fact by a copy of
sign -1, a held row by a row of status `withdrawn`. Nothing that was written before is touched.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from churnlake.ledger import Delivery

# What two facts of one row may differ in: when and by which delivery they were told.
_TOLD = ("sign", "known_date", "delivery_id", "known_month", "off_day")
_ENDED = ("released", "withdrawn", "expired")


@dataclass(frozen=True)
class Withdrawal:
    """What corrections take back: signed facts as the table events holds them, and rows of the table quarantine."""

    facts: DataFrame
    held: DataFrame


def copies_before(raw: DataFrame, corrections: Sequence[Delivery]) -> DataFrame:
    """How often the version before held each row.

    Columns: delivery_id (of the correction), row_hash, copies.
    """
    pairs = [(one.corrects, one.delivery_id) for one in corrections]
    new = raw.sparkSession.createDataFrame(pairs, "delivery_id STRING, correction STRING")
    earlier = raw.filter(F.col("delivery_id").isin([before for before, _ in pairs]))
    return (
        earlier.join(F.broadcast(new), "delivery_id")
        .groupBy(F.col("correction").alias("delivery_id"), "row_hash")
        .agg(F.count("*").alias("copies"))
    )


def withdraw(
    landed: DataFrame, facts: DataFrame, quarantine: DataFrame, corrections: Sequence[Delivery], run_id: str
) -> Withdrawal:
    """What the corrections of one source withdraw.

    Args:
        landed: The corrections' own rows in the raw table.
        facts: Events of the source that other deliveries wrote.
        quarantine: Its rows of quarantine that other deliveries wrote.
        corrections: Deliveries that correct another one.
        run_id: The run that withdraws.
    """
    told = [(one.slot, one.delivery_id, one.known_date) for one in corrections]
    by = landed.sparkSession.createDataFrame(told, "slot DATE, by STRING, on DATE")
    ids = [one.delivery_id for one in corrections]
    now = landed.filter(F.col("delivery_id").isin(ids)).groupBy("slot", "row_hash").agg(F.count("*").alias("now"))
    slots = F.col("slot").isin([one.slot for one in corrections])
    live = _live(facts.filter(slots), now)
    is_over = F.col("copy") > F.col("now")
    left = live.filter(~is_over).groupBy("slot", "row_hash").agg(F.count("*").alias("facts"))
    withdrawn = _told_by(live.filter(is_over).drop("copy", "now"), by, facts.columns)
    held = _open(quarantine.filter(slots), now, left)
    return Withdrawal(withdrawn, _ended_by(held, by, quarantine.columns, run_id))


def _live(facts: DataFrame, now: DataFrame) -> DataFrame:
    """One row per live copy of a fact, numbered within its raw row, beside `now`: copies the new version holds."""
    content = [name for name in facts.columns if name not in _TOLD]
    net = facts.groupBy(*content).agg(F.sum("sign").alias("net")).filter(F.col("net") > 0)
    each = net.withColumn("one", F.explode(F.sequence(F.lit(1), F.col("net")))).drop("one", "net")
    return _numbered(each, content).join(now, ["slot", "row_hash"], "left").fillna(0, ["now"])


def _numbered(copies: DataFrame, order: Sequence[str]) -> DataFrame:
    of_row = Window.partitionBy("slot", "row_hash").orderBy(*order)
    return copies.withColumn("copy", F.row_number().over(of_row))


def _told_by(content: DataFrame, by: DataFrame, columns: Sequence[str]) -> DataFrame:
    stamped = content.join(F.broadcast(by), "slot")
    told: dict[str, Column] = {
        "sign": F.lit(-1),
        "known_date": F.col("on"),
        "delivery_id": F.col("by"),
        "known_month": F.date_format("on", "yyyy-MM"),
        "off_day": F.col("event_date") != F.col("on"),
    }
    return stamped.select(*(told.get(name, F.col(name)).alias(name) for name in columns))


def open_copies(quarantine: DataFrame) -> DataFrame:
    """A source's held rows that nothing has ended: of equal rows of one delivery the first ones count as gone."""
    ended = F.sum(F.col("status").isin(*_ENDED).cast("int")).over(Window.partitionBy("delivery_id", "row_hash"))
    order = Window.partitionBy("delivery_id", "row_hash").orderBy("record_number", "raw_row")
    return (
        quarantine.withColumn("ended", ended)
        .filter(F.col("status") == "held")
        .withColumn("place", F.row_number().over(order))
        .filter(F.col("place") > F.col("ended"))
        .drop("ended", "place")
    )


def _open(quarantine: DataFrame, now: DataFrame, left: DataFrame) -> DataFrame:
    """Copies still held of which the new version has fewer, counting first those that are facts by now."""
    held = open_copies(quarantine)
    numbered = _numbered(held, ["delivery_id", "record_number", "raw_row"])
    beside = numbered.join(now, ["slot", "row_hash"], "left").join(left, ["slot", "row_hash"], "left")
    stay = F.coalesce("now", F.lit(0)) - F.coalesce("facts", F.lit(0))
    return beside.filter(F.col("copy") > stay).drop("copy", "now", "facts")


def _ended_by(held: DataFrame, by: DataFrame, columns: Sequence[str], run_id: str) -> DataFrame:
    told: dict[str, Column] = {
        "status": F.lit("withdrawn"),
        "changed_by": F.col("by"),
        "run_id": F.lit(run_id),
        "known_date": F.col("on"),
        "known_month": F.date_format("on", "yyyy-MM"),
    }
    stamped = held.join(F.broadcast(by), "slot")
    return stamped.select(*(told.get(name, F.col(name)).alias(name) for name in columns))
