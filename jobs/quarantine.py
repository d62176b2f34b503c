"""What becomes of rows that were set aside: judged anew by the rules as they are now.

A row that is judged anew keeps the hash of the row as it was delivered and the slot of its file, whatever its text is
now: that ties its fact to the file it came in, so that a correction of that file finds it.
"""

from collections.abc import Collection, Sequence
from datetime import date

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.contract.source import Source
from churnlake.contract.values import landed_column
from churnlake.repairs import Repaired
from jobs import rows
from jobs.facts import TABLE_OF_ROLE
from jobs.ingest import Batch
from jobs.lake import Lake
from jobs.landing import CORRUPT, row_hash
from jobs.lookups import read_lookups
from jobs.rows import Bucket

LEAVES = (Bucket.ACCEPTED, Bucket.IGNORED, Bucket.DUPLICATE)
"""The buckets of rows that quarantine has no more to do with."""

BESIDE = ("held_by", "file", "record_number", "content")
"""What ties a chosen row to its file, and the hash of what it is judged by."""


def chosen_rows(
    spark: SparkSession, source: Source, release_id: str, chosen: Sequence[Repaired], days: Sequence[date]
) -> DataFrame:
    """Chosen rows as their source's raw table will hold them, each known from its day, beside what ties it to its file.

    `row_hash` is that of the row as delivered, `content` that of the text it is judged by; `position` is its place in
    the selection, from 0; `held_by` the delivery that holds it in quarantine.
    """
    names = _columns(source)
    frame = spark.createDataFrame(_as_arrow(chosen, days, names))
    month = F.date_format("known_date", "yyyy-MM").alias("known_month")
    return frame.select(F.lit(release_id).alias("delivery_id"), "*", row_hash(names).alias("content"), month)


def as_landed(chosen: DataFrame) -> DataFrame:
    """The columns of the raw table among those of `chosen_rows`."""
    return chosen.drop(*BESIDE)


def _columns(source: Source) -> list[str]:
    return [*map(landed_column, source.types), CORRUPT]


def _as_arrow(chosen: Sequence[Repaired], days: Sequence[date], columns: Sequence[str]) -> pa.Table:
    held = [one.row for one in chosen]
    told: dict[str, pa.Array] = {
        "slot": pa.array([row.slot for row in held], pa.date32()),
        **{name: pa.array([one.text.get(name) for one in chosen], pa.string()) for name in columns},
        "position": pa.array(range(len(held)), pa.int64()),
        "row_hash": pa.array([row.row_hash for row in held], pa.string()),
        "known_date": pa.array(days, pa.date32()),
        "held_by": pa.array([row.delivery_id for row in held], pa.string()),
        "file": pa.array([row.file for row in held], pa.string()),
        "record_number": pa.array([row.record_number for row in held], pa.int64()),
    }
    return pa.table(told)


def judged_anew(
    chosen: DataFrame, lake: Lake, contract: Contract, batch: Batch, unfinished: Collection[str]
) -> DataFrame:
    """`chosen_rows` in the form of `rows.classify`, each with its bucket by the rules of the batch.

    Rows of one slot and one content are copies of each other, whoever sent them; so is one whose content is a live
    fact of its slot already. What deliveries in `unfinished` have written does not count.
    """
    source = contract.sources[batch.source]
    alike = chosen.withColumns({"delivery_id": F.col("slot").cast("string"), "row_hash": F.col("content")})
    own_rules = batch.own.row_rules if batch.own else ()
    lookups = read_lookups(lake, contract, batch.source)
    classified = rows.classify(alike, contract, batch.source, own_rules, batch.canonical.row_rules, lookups=lookups)
    origin = chosen.select("delivery_id", "position", "row_hash", *BESIDE)
    tied = classified.drop("delivery_id", "row_hash").join(origin, "position")
    if source.duplicates == "keep" or lake.version(TABLE_OF_ROLE[source.role]) is None:
        return tied
    live = _live_content(lake, source, batch.source, chosen, unfinished)
    marked = tied.join(live.withColumn("is_live", F.lit(True)), ["slot", "content"], "left")
    is_copy = F.coalesce("is_live", F.lit(False)) & (F.col("bucket") == Bucket.ACCEPTED)
    return marked.withColumns(
        {
            "reasons": F.when(is_copy, F.array(F.lit("duplicate"))).otherwise(F.col("reasons")),
            "bucket": F.when(is_copy, F.lit(str(Bucket.DUPLICATE))).otherwise(F.col("bucket")),
        }
    )


def _live_content(lake: Lake, source: Source, name: str, chosen: DataFrame, unfinished: Collection[str]) -> DataFrame:
    """What live facts of the chosen rows' slots say: slot, content. Delivered so, or repaired to it before."""
    slots = [row["slot"] for row in chosen.select("slot").distinct().collect()]
    counts = F.col("slot").isin(slots) & ~F.col("delivery_id").isin(list(unfinished))
    facts = lake.read(TABLE_OF_ROLE[source.role]).filter((F.col("source") == name) & counts)
    live = facts.groupBy("slot", "row_hash").agg(F.sum("sign").alias("net")).filter("net > 0").drop("net")
    released = lake.read(f"raw_{name}").filter(F.col("delivery_id").startswith("release-") & counts)
    repaired = released.withColumn("content", row_hash(_columns(source))).join(live, ["slot", "row_hash"])
    delivered = live.select("slot", F.col("row_hash").alias("content"))
    return delivered.union(repaired.select("slot", "content")).distinct()


def released_rows(judged: DataFrame, batch: Batch, release_id: str) -> DataFrame:
    """A row of status `released` for each that leaves: its text as judged, and as reasons why it is no fact, if so."""
    return judged.filter(F.col("bucket").isin(*LEAVES)).select(
        F.lit(batch.source).alias("source"),
        F.col("held_by").alias("delivery_id"),
        "slot",
        "file",
        "record_number",
        "row_hash",
        F.to_json("raw_row").alias("raw_row"),
        "reasons",
        F.lit(batch.rule_digest).alias("rule_digest"),
        F.lit("released").alias("status"),
        F.lit(release_id).alias("changed_by"),
        F.lit(batch.run_id).alias("run_id"),
        "known_date",
        F.date_format("known_date", "yyyy-MM").alias("known_month"),
    )


def accepted_rows(lake: Lake, source: Source, name: str, released: DataFrame) -> DataFrame:
    """Rows that one release made facts of, in the form of `chosen_rows`; `released` is what quarantine tells of it.

    Nothing ties them to their file but slot and hash.
    """
    accepted = released.filter(F.size("reasons") == 0).groupBy("row_hash", F.col("changed_by").alias("delivery_id"))
    raw = lake.read(f"raw_{name}").join(F.broadcast(accepted.agg(F.count("*").alias("accepted"))), [
        "row_hash", "delivery_id",
    ])  # fmt: skip
    place = F.row_number().over(Window.partitionBy("row_hash").orderBy("position"))
    return (
        raw.withColumn("place", place)
        .filter(F.col("place") <= F.col("accepted"))
        .drop("place", "accepted")
        .withColumns(
            {
                "held_by": F.lit(None).cast("string"),
                "file": F.lit(None).cast("string"),
                "record_number": F.lit(None).cast("bigint"),
                "content": row_hash(_columns(source)),
            }
        )
    )
