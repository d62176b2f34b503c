import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from churnlake.errors import UsageError
from churnlake.java import Java
from churnlake.settings import Settings
from jobs.session import KEPT_BYTES, build_session, free_memory, java_options, session_options, usual_memory

JAVA = Java(Path("/opt/java"), "17.0.1", "JAVA_HOME")


def test_a_delta_table_is_written_replaced_by_slice_and_read_back(spark: SparkSession, lake: Path) -> None:
    """The two locked jars are enough for Delta: a slice is replaced, and the version before it can still be read."""
    path = str(lake / "scores")
    spark.createDataFrame([("a", 1), ("b", 2)], "customer string, day int").write.format("delta").save(path)
    spark.createDataFrame([("c", 2)], "customer string, day int").write.format("delta").mode("overwrite").option(
        "replaceWhere", "day = 2"
    ).save(path)
    newest = {tuple(row) for row in spark.read.format("delta").load(path).collect()}
    first = {tuple(row) for row in spark.read.format("delta").option("versionAsOf", 0).load(path).collect()}
    assert (newest, first) == ({("a", 1), ("c", 2)}, {("a", 1), ("b", 2)})


def test_times_are_utc_and_bad_casts_raise(spark: SparkSession) -> None:
    """A timestamp without a zone is UTC whatever the machine's zone, and a cast that fails stops the query."""
    seconds = spark.sql("select unix_timestamp(timestamp '2011-07-01 00:00:00') s").first()
    assert seconds is not None
    assert seconds.s == 1309478400
    with pytest.raises(Exception, match="CAST_INVALID_INPUT"):
        spark.sql("select cast('abc' as int)").collect()


def test_workers_run_this_python(spark: SparkSession) -> None:
    """Python workers use the interpreter of the job, so its packages are there."""
    import sys

    prefixes = spark.sparkContext.parallelize([0], 1).map(lambda _: __import__("sys").prefix).collect()
    assert prefixes == [sys.prefix]


def test_workers_keep_the_memory_they_gave_back(spark: SparkSession) -> None:
    """Python workers are started with the settings that spare them from being given every array anew."""
    names = ["ARROW_DEFAULT_MEMORY_POOL", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"]
    told = spark.sparkContext.parallelize(names, 1).map(os.getenv).collect()
    assert told == ["system", str(KEPT_BYTES), str(KEPT_BYTES)]


def test_a_new_table_has_no_deletion_vectors(spark: SparkSession, lake: Path) -> None:
    """A new table needs no reader feature, so plain parquet readers see the right rows."""
    path = str(lake / "plain")
    spark.range(1).write.format("delta").save(path)
    properties = spark.sql(f"describe detail delta.`{path}`").first()
    assert properties is not None
    assert properties.properties == {"delta.enableDeletionVectors": "false"}


def test_p14_no_secret_of_the_settings_is_shown(spark: SparkSession) -> None:
    """P14: values of settings named after secrets are redacted wherever Spark prints its settings."""
    spark.conf.set("spark.churnlake.warehouse.credential", "open-sesame")
    shown = spark.sql("set").where("key = 'spark.churnlake.warehouse.credential'").first()
    spark.conf.unset("spark.churnlake.warehouse.credential")
    assert shown is not None
    assert "open-sesame" not in shown.value


def test_paths_with_spaces_are_quoted_for_the_virtual_machine() -> None:
    """The archive's path stays one option even with a space in it; large work keeps the optimising compiler."""
    small = java_options(Path("/my home/spark.jsa"), is_small=True)
    large = java_options(None, is_small=False)
    assert '-XX:SharedArchiveFile="/my home/spark.jsa"' in small
    assert ("TieredStopAtLevel" in small, "TieredStopAtLevel" in large) == (True, False)
    assert "SharedArchiveFile" not in large


def test_a_missing_jar_names_itself_and_the_cure(settings: Settings, tmp_path: Path) -> None:
    """Without its jars no session starts, and the message says which jar and what to run."""
    bare = Settings(home=settings.home, jars=tmp_path / "no jars")
    with pytest.raises(UsageError, match=r"delta-spark_4\.1_2\.13:4\.4\.0 is not in .*no jars\n.*make setup"):
        session_options(bare, JAVA, tmp_path)


def test_a_wrong_java_stops_before_spark(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Java chosen through JAVA_HOME that does not fit is refused with exit code 2, not tried."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    (tmp_path / "bin" / "java").chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="Java 17 or 21 needed; found Java 11") as refused:
        build_session("never", settings, tmp_path)
    assert refused.value.exit_code == 2


def test_spark_takes_most_of_what_is_free_and_says_when_that_is_too_little(tmp_path: Path) -> None:
    """60 % of what is free, at most 8 GB; below 3 GB free it is refused with the setting that allows less."""
    assert usual_memory(10 * 2**30) == "6144m"
    assert usual_memory(100 * 2**30) == "8192m"
    assert usual_memory(3 * 2**30) == "1843m"
    with pytest.raises(UsageError, match=r"2\.9 GB of memory are free; Spark needs 3 GB") as refused:
        usual_memory(29 * 2**30 // 10)
    assert "CHURNLAKE_DRIVER_MEMORY" in str(refused.value.next_step)
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    2048 kB\n")
    assert free_memory(tmp_path / "meminfo") == 2048 * 1024
    assert free_memory(tmp_path / "nothing") > 0
