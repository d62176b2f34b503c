"""A small real night's worth of Spark and Delta, run once so that Java can write down the classes it loaded (AppCDS).

Run by `make setup` with the environment's Python: `python -m infra.rehearsal SCRATCH ARCHIVE`
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from pyspark import SparkContext
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

from churnlake.settings import Settings
from jobs.session import build_session


def rehearse(scratch: Path, archive: Path) -> None:
    """Runs the job and leaves the archive of its classes at `archive`."""
    os.environ["SPARK_SUBMIT_OPTS"] = f'-XX:ArchiveClassesAtExit="{archive}" -Xlog:cds=off -Xlog:cds+dynamic=off'
    session = build_session("rehearsal", Settings.from_environment(), scratch)
    _land(session, scratch)
    _reshape(session, scratch)
    _score(session, scratch)
    process = SparkContext._gateway.proc  # type: ignore[union-attr]  # noqa: SLF001 - the only way to wait for this Java
    session.stop()
    # Java writes the archive while it exits, and it exits when its input ends.
    process.stdin.close()
    process.wait()


def _land(session: SparkSession, scratch: Path) -> None:
    """Text in, judged, typed, written as a slice of a Delta table, twice, as a rerun would."""
    source = scratch / "rows.csv"
    source.write_text(
        "customer,day,amount\n" + "".join(f"c{n % 40},2011-07-{1 + n % 28:02d},{n}.5\n" for n in range(400))
    )
    rows = session.read.csv(str(source), header=True, schema="customer string, day string, amount string")
    typed = rows.select("customer", F.expr("try_to_date(day) day"), F.expr("try_cast(amount AS decimal(12, 2)) amount"))
    good = typed.where("day IS NOT NULL AND amount > 0").dropDuplicates().withColumn("month", F.trunc("day", "month"))
    for version in (1, 2):
        writer = good.repartition(1, "customer").sortWithinPartitions("customer").write.format("delta")
        writer = writer.partitionBy("month").option("txnAppId", "rehearsal").option("txnVersion", version)
        writer.mode("overwrite").option("replaceWhere", "month = DATE'2011-07-01'").save(str(scratch / "facts"))


def _reshape(session: SparkSession, scratch: Path) -> None:
    """Sums by customer, windows, a join and a pinned version, written as a second table."""
    facts = session.read.format("delta").option("versionAsOf", 1).load(str(scratch / "facts"))
    daily = facts.groupBy("customer", "day").agg(F.sum("amount").alias("amount"), F.count(F.lit(1)).alias("events"))
    previous = F.lag("day").over(Window.partitionBy("customer").orderBy("day"))
    gaps = daily.withColumn("gap", F.datediff("day", previous)).groupBy("customer").agg(F.avg("gap").alias("gap"))
    wide = daily.groupBy("customer").agg(F.sum("amount").cast("double").alias("spend"), F.max("day").alias("last"))
    wide.join(gaps, "customer", "left").write.format("delta").mode("overwrite").save(str(scratch / "features"))
    session.sql(f"DESCRIBE HISTORY delta.`{scratch / 'features'}`").collect()


def _score(session: SparkSession, scratch: Path) -> None:
    """Arrow batches through a Python worker into parquet, and a look back into pandas and Arrow."""

    def unchanged(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        yield from batches

    features = session.read.format("delta").load(str(scratch / "features"))
    features.mapInArrow(unchanged, features.schema).write.mode("overwrite").parquet(str(scratch / "scores"))
    session.read.parquet(str(scratch / "scores")).toArrow()
    features.toPandas()


if __name__ == "__main__":
    rehearse(Path(sys.argv[1]), Path(sys.argv[2]))
