"""Customers that a snapshot no longer has: a table that was cut short must not pass for one that many have left."""

from typing import TYPE_CHECKING

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.errors import DataRefusedError
from churnlake.ledger import CheckResult
from jobs.application import Application
from jobs.facts import TABLE_OF_ROLE

if TYPE_CHECKING:
    from jobs.ingest import Batch


def refuse_cut_short(app: Application, batch: "Batch", classified: DataFrame) -> None:
    """Stops the night where a snapshot lacks too many customers of the one before it; the ledger keeps each share.

    Raises:
        DataRefusedError: More than `max_disappear` of them are gone; all such files are named.
    """
    if not batch.links:
        return
    allowed = app.contract.sources[batch.source].max_disappear
    shares = {row["place"]: (row["gone"], row["customers"]) for row in _counted(app, batch, classified).collect()}
    checks, refused = [], []
    for link in batch.links:
        gone, customers = shares.get(link.place, (0, 0))
        told, passed = f"{gone:,} of {customers:,} customers", gone <= allowed * customers
        name = f"disappeared.{link.delivery.slot}"
        checks.append(CheckResult("floor", batch.source, name, "critical", passed, told, f"at most {allowed:.4%}"))
        if not passed:
            refused.append(f"{link.delivery.path} lacks {told} of the snapshot before it ({gone / customers:.0%})")
    app.ledger.record_checks(batch.run_id, checks)
    if refused:
        raise DataRefusedError(
            f"{batch.source}: snapshots look cut short; at most {allowed:.0%} of customers may disappear "
            "(max_disappear):\n  - " + "\n  - ".join(refused),
            next_step=f"deliver the whole table again. If so many did leave, raise [sources.{batch.source}] "
            "max_disappear and run again; last scores stay",
        )


def _counted(app: Application, batch: "Batch", classified: DataFrame) -> DataFrame:
    """By the place of each link: the customers of the delivery before it, and how many of them it has no row of.

    Columns: place, customers, gone. A customer whose row is set aside is there.
    """
    places = {link.delivery.delivery_id: link.place for link in batch.links}
    known = [(one.delivery_id, places.get(one.delivery_id, 0)) for one in batch.deliveries]
    placed = F.broadcast(app.spark.createDataFrame(known, "delivery_id STRING, place INT"))
    here = (
        classified.select("delivery_id", "canonical.customer_id")
        .filter(F.col("customer_id").isNotNull())
        .join(placed, "delivery_id")
        .select("place", "customer_id")
        .distinct()
    )
    before = here.select((F.col("place") + 1).alias("place"), "customer_id").unionByName(_in_force(app, batch))
    beside = before.join(here.withColumn("stays", F.lit(1)), ["place", "customer_id"], "left")
    gone = F.count(F.when(F.col("stays").isNull(), 1))
    return beside.groupBy("place").agg(F.count("*").alias("customers"), gone.alias("gone"))


def _in_force(app: Application, batch: "Batch") -> DataFrame:
    """The customers of the snapshot that was in force before this batch: those it still has facts of."""
    first = F.lit(1).alias("place")
    table = TABLE_OF_ROLE[app.contract.sources[batch.source].role]
    if app.lake.version(table) is None:
        return app.spark.createDataFrame([], "place INT, customer_id STRING")
    facts = app.lake.read(table).filter((F.col("source") == batch.source) & ~F.col("delivery_id").isin(batch.ids))
    live = facts.groupBy("customer_id").agg(F.sum("sign").alias("net")).filter("net > 0")
    return live.select(first, "customer_id")
