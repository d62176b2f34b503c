from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable
from pyarrow.parquet import ParquetFile
from pyspark.sql import DataFrame, SparkSession

from churnlake.errors import ConflictError, UsageError
from churnlake.ledger import Lane
from churnlake.tables import LAKE
from jobs.lake import Lake, partition_files
from jobs.session import ROWS_OF_A_PART

ONE, TWO = date(2026, 3, 1), date(2026, 3, 2)
POPULATION = "business_date DATE, customer_id STRING, eligible BOOLEAN, reason STRING"


class PausedLane(Lane):
    """A lane whose holder has just looked, and sleeps through its successor's work before it writes."""

    def assert_mine(self) -> None:
        """Was true when it looked."""


def population(spark: SparkSession, day: date, *customers: str) -> DataFrame:
    """Eligible customers of a day."""
    return spark.createDataFrame([(day, customer, True, None) for customer in customers], POPULATION)


def held(lake: Lake, table: str = "population") -> set[tuple[date, str]]:
    """Every (business_date, customer_id) of the table."""
    return {(row.business_date, row.customer_id) for row in lake.read(table).collect()}


def test_a_write_replaces_exactly_its_slice(spark: SparkSession, lake: Path, lane: Lane) -> None:
    """Another slice stays, the own one is replaced whole, an empty one empties it; old versions can still be read."""
    written = Lake(spark, lake, "shop", lane)
    assert written.version("population") is None
    first = written.replace("population", population(spark, ONE, "ann", "bob"), {"business_date": ONE}, "run-1")
    second = written.replace("population", population(spark, TWO, "ann"), {"business_date": TWO}, "run-2")
    third = written.replace("population", population(spark, ONE, "eve"), {"business_date": ONE}, "run-3")
    assert [(one.version, one.rows) for one in (first, second, third)] == [(0, 2), (1, 1), (2, 1)]
    assert held(written) == {(ONE, "eve"), (TWO, "ann")}
    emptied = written.replace("population", population(spark, TWO), {"business_date": TWO}, "run-4")
    assert (emptied.version, emptied.rows, held(written)) == (3, 0, {(ONE, "eve")})
    assert {row.customer_id for row in written.read("population", second.version).collect()} == {"ann", "bob"}
    assert written.version("population") == 3


def test_rows_of_tiles_lie_in_the_order_of_hashes_in_small_parts(spark: SparkSession, lake: Path, lane: Lane) -> None:
    """Who reads few customers opens few parts of a file: each part knows its least and its greatest hash."""
    rows = spark.range(2 * ROWS_OF_A_PART + 1).selectExpr(
        "'orders' AS source", "sha(string(id)) AS customer_id",
        "int(id * 7919 % 40009) AS customer_hash", "DATE '2026-03-01' AS event_date",
        "DATE '2026-03-01' AS known_date", "'d' AS delivery_id", "'2026-03' AS known_month", "false AS off_day",
    )  # fmt: skip
    within: dict[str, str | list[str]] = {"source": "orders", "delivery_id": "d"}
    Lake(spark, lake, "shop", lane).replace("daily_values", rows.repartition(1), within, "run-1")
    (file,) = (lake / "daily_values").glob("*/*/*.parquet")
    parts = [ParquetFile(file).metadata.row_group(part) for part in range(3)]
    assert [part.num_rows for part in parts] == [ROWS_OF_A_PART, ROWS_OF_A_PART, 1]
    bounds = [part.column(2).statistics for part in parts]
    assert bounds[0].min < bounds[0].max < bounds[1].min < bounds[1].max < bounds[2].min


def test_rows_of_other_slices_in_the_same_file_are_kept_and_not_counted(
    spark: SparkSession, lake: Path, lane: Lane
) -> None:
    """Two deliveries may share a file: Delta copies the rows of the one when the other is written anew."""
    schema = "source STRING, customer_id STRING, delivery_id STRING, first_known_date DATE, known_month STRING"
    written = Lake(spark, lake, "shop", lane)

    def told(*rows: tuple[str, str]) -> DataFrame:
        return spark.createDataFrame([("orders", who, by, ONE, "2026-03") for who, by in rows], schema).coalesce(1)

    both: dict[str, str | list[str]] = {"source": "orders", "delivery_id": ["first", "second"]}
    written.replace("known_customers", told(("ann", "first"), ("bob", "second"), ("cid", "second")), both, "run-1")
    one: dict[str, str] = {"source": "orders", "delivery_id": "first"}
    assert written.replace("known_customers", told(("eve", "first")), one, "run-2").rows == 1
    assert {row.customer_id for row in written.read("known_customers").collect()} == {"eve", "bob", "cid"}


def test_a_first_write_without_rows_makes_the_table(spark: SparkSession, lake: Path, lane: Lane) -> None:
    """A night may set nothing aside: its table is there all the same, with its columns."""
    written = Lake(spark, lake, "shop", lane)
    commit = written.replace("population", population(spark, ONE), {"business_date": ONE}, "run-1")
    assert (commit.version, commit.rows) == (0, 0)
    assert written.read("population").columns == list(LAKE["population"].column_names)


def test_rows_outside_the_slice_are_refused(spark: SparkSession, lake: Path, lane: Lane) -> None:
    """A frame that holds another day than the slice says is not written at all."""
    written = Lake(spark, lake, "shop", lane)
    written.replace("population", population(spark, ONE, "ann"), {"business_date": ONE}, "run-1")
    with pytest.raises(Exception, match="DELTA_REPLACE_WHERE_MISMATCH"):
        written.replace("population", population(spark, TWO, "eve"), {"business_date": ONE}, "run-2")
    assert held(written) == {(ONE, "ann")}


def test_a_table_of_another_form_is_named_and_left_alone(spark: SparkSession, lake: Path, lane: Lane) -> None:
    """Columns that came or went since the table was made are named; its rows stay as they are."""
    written = Lake(spark, lake, "shop", lane)
    written.replace("population", population(spark, ONE, "ann"), {"business_date": ONE}, "run-1")
    changed = population(spark, ONE, "bob").withColumnRenamed("reason", "why")
    with pytest.raises(UsageError, match="population has no why and also has reason"):
        written.replace("population", changed, {"business_date": ONE}, "run-2")
    assert (written.version("population"), held(written)) == (0, {(ONE, "ann")})


def test_p15_strange_values_of_a_slice_are_only_values(spark: SparkSession, lake: Path, lane: Lane) -> None:
    """P15: quotes, backslashes and the like in a slice's values neither break out of it nor miss their rows."""
    strange = ["it's", "a\\", "x' OR '1'='1", "new\nline", "100% %41", "日本", "a/b=c", "\\'", ""]
    schema = "source STRING, customer_id STRING, delivery_id STRING, first_known_date DATE, known_month STRING"
    written = Lake(spark, lake, "shop", lane)

    def replaced(customer: str, deliveries: list[str]) -> None:
        rows = [("orders", customer, delivery, ONE, "2026-03") for delivery in deliveries]
        within = {"source": "orders", "delivery_id": deliveries, "known_month": "2026-03"}
        written.replace("known_customers", spark.createDataFrame(rows, schema), within, "run")

    replaced("ann", [*strange, "other"])
    replaced("bob", strange)
    found = {(row.delivery_id, row.customer_id) for row in written.read("known_customers").collect()}
    assert found == {("other", "ann"), *((value, "bob") for value in strange)}


def test_each_commit_names_its_run_and_epoch(spark: SparkSession, lake: Path, lane: Lane) -> None:
    """The newest commit says which run wrote it under which epoch, and the steps of one application grow."""
    written = Lake(spark, lake, "shop", lane)
    for run in ("run-1", "run-2"):
        written.replace("population", population(spark, ONE, "ann"), {"business_date": ONE}, run)
    history = DeltaTable(str(written.path("population"))).history(2)
    assert [commit["userMetadata"] for commit in history] == [
        f'{{"run_id": "run-2", "lane_epoch": {lane.epoch}, "step": 2}}',
        f'{{"run_id": "run-1", "lane_epoch": {lane.epoch}, "step": 1}}',
    ]


def test_p8_a_paused_writer_is_skipped_and_told(spark: SparkSession, lake: Path) -> None:
    """P8: who wakes after its successor wrote changes nothing, though it believes that the lane is still its own."""
    first = Lane.take(lake)
    paused = PausedLane(first.path, first._descriptor, first._holder)
    sleeper = Lake(spark, lake, "shop", paused)
    sleeper.replace("population", population(spark, ONE, "old"), {"business_date": ONE}, "run-1")
    first.release()
    with Lane.take(lake) as lane:
        successor = Lake(spark, lake, "shop", lane)
        version = successor.replace(
            "population", population(spark, ONE, "new"), {"business_date": ONE}, "run-2"
        ).version
        with pytest.raises(ConflictError, match="newest commit is of lane epoch 2, this application has 1") as told:
            sleeper.replace("population", population(spark, ONE, "zombie"), {"business_date": ONE}, "run-1")
        assert told.value.exit_code == 5
        assert (held(successor), successor.version("population")) == ({(ONE, "new")}, version)


def test_p8_a_writer_that_lost_its_lane_does_not_even_start(spark: SparkSession, lake: Path) -> None:
    """P8: a look at the lane before the write ends a successor's predecessor, also where no table is there yet."""
    lost = Lane.take(lake)
    lost.release()
    with Lane.take(lake), pytest.raises(ConflictError, match="took the lane"):
        Lake(spark, lake, "shop", lost).replace("population", population(spark, ONE, "x"), {"business_date": ONE}, "r")
    assert not (lake / "population").exists()


def test_files_of_a_slice_are_those_of_its_version(spark: SparkSession, lake: Path, lane: Lane) -> None:
    """Readers without Spark get absolute paths of the slice at a version, whatever was written since."""
    written = Lake(spark, lake, "shop", lane)
    version = written.replace("population", population(spark, ONE, "ann"), {"business_date": ONE}, "run-1").version
    written.replace("population", population(spark, TWO, "bob"), {"business_date": TWO}, "run-2")
    (file,) = partition_files(lake / "population", version, {"business_date": ONE})
    written.replace("population", population(spark, ONE, "eve"), {"business_date": ONE}, "run-3")
    assert partition_files(lake / "population", version, {"business_date": ONE}) == [file]
    assert partition_files(lake / "population", version, {"business_date": TWO}) == []
    assert [row.customer_id for row in spark.read.parquet(file).collect()] == ["ann"]


@pytest.mark.parametrize("folder", ["two words", "a[1] {x}", "Zoë's"])
def test_p15_a_lake_may_lie_in_any_folder(spark: SparkSession, tmp_path: Path, folder: str) -> None:
    """P15: blanks, accents and brackets in the path of a lake are only its name, for Spark and other readers."""
    root = tmp_path / folder
    with Lane.take(root) as lane:
        written = Lake(spark, root, "shop", lane)
        for customer in ("ann", "bob"):
            commit = written.replace("population", population(spark, ONE, customer), {"business_date": ONE}, "run")
        assert held(written) == {(ONE, "bob")}
        files = partition_files(root / "population", commit.version, {"business_date": ONE})
    assert [Path(file).read_bytes()[:4] for file in files] == [b"PAR1"]
    assert [path.name for path in tmp_path.iterdir()] == [folder]
