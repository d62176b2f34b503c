"""Features: what a night's and a training set's cost, and that a longer history costs no more.

`python -m benchmarks.features [--customers N [N]] [--repeats N]` makes tiles of 720 days in a scratch folder: 100 rows
a year of each customer on as many days, 2 % of them late, 0.2 % corrected, one column of distinct values. It prints
medians in seconds by the clock and of the processor, and what the budgets are told in: seconds of the processor for a
million rows, and the ratio of 720 days of history to 360. With two numbers of customers it also tells the slope between
them: what a million more rows cost, without what any night costs. The larger number goes first, so that start-up, which
falls to it, is in the slope. The steps take turns, so that a busy spell hits all of them:

population, features   of one date, each written, over 360 and over 720 days of tiles
training set           12 dates of a sixth of the customers: two rows for each customer, with population and labels
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract, load_contract
from churnlake.features import build_catalogue
from churnlake.settings import Settings
from jobs.content import Tiles
from jobs.features import features_at
from jobs.labels import labels_at
from jobs.lake import StoredTable
from jobs.population import population_at
from jobs.session import ROWS_OF_A_PART, build_session
from jobs.tiles import customer_hash

STARTS_ON = date(2024, 1, 1)
HISTORIES = (360, 720)
LAST = STARTS_ON + timedelta(days=max(HISTORIES) - 1)
BLOCK_DAYS = 30  # made and written at once: more would not fit in memory
CUTOFFS = 12
SPACING_DAYS = 13
SHARE_OF_TRAINING = 1 / 6
MILLION = 1_000_000
CONTRACT = f"""
[contract]
name = "bench"
timezone = "UTC"
currency = "EUR"

[calendar]
starts_on = "{STARTS_ON}"

[sources.orders]
role = "events"
path = "{{business_date}}.csv"
types = {{ customer = "text", sold_at = "timestamp", price = "decimal(12,2)", item = "text", kind = "text" }}
columns = {{ customer_id = "customer", event_ts = "sold_at", amount = "price", product = "item", event_type = "kind" }}

[churn]
definition = "inactivity"
activity = "event_type = 'sale'"
active_within_days = 90
horizon_days = 30

[features]
measures = [{{ name = "amount", scale = 2 }}]
distinct = ["product"]
by = [{{ column = "event_type", values = ["sale", "return"] }}]
"""
# A customer buys on 100 days of 365. A late row is known up to ten days later; a corrected one again after three.
_FACTS = """
WITH bought AS (
    SELECT customer_id, customer_hash, day AS event_date, hash(customer, day, 1) AS h1, hash(customer, day, 2) AS h2
    FROM '{people}/*.parquet',
        (SELECT unnest(range(DATE '{first}', DATE '{after}', INTERVAL 1 DAY))::DATE AS day)
    WHERE hash(customer, day) % 365 < 100
), told AS (
    SELECT *, event_date + CASE WHEN h1 % 50 = 0 THEN 1 + (h1 % 10)::INT ELSE 0 END AS known_date FROM bought
), facts AS (
    SELECT *, 1 AS sign, 100 + h2 % 9900 AS amount FROM told
    UNION ALL SELECT * REPLACE (known_date + 3 AS known_date), -1, 100 + h2 % 9900 FROM told WHERE h2 % 500 = 0
    UNION ALL SELECT * REPLACE (known_date + 3 AS known_date), 1, 90 + h2 % 9900 FROM told WHERE h2 % 500 = 0
)
SELECT 'orders' AS source, customer_id, customer_hash, event_date, known_date::DATE AS known_date,
    known_date::VARCHAR AS delivery_id, sign::BIGINT AS sign, (sign * amount)::BIGINT AS amount,
    h1 % 20 = 3 AS is_return, 'P' || (h2 % 500) AS product
FROM facts
"""
# As the lake writes its tiles: in the order of hashes, in parts of few rows. DuckDB's own partitions keep no order.
_FILE = f"""COPY (
    SELECT * EXCLUDE (known_month, off_day) FROM tiles WHERE known_month = '{{month}}' AND off_day = {{off_day}}
    ORDER BY customer_hash, customer_id
) TO '{{file}}' (FORMAT parquet, CODEC snappy, ROW_GROUP_SIZE {ROWS_OF_A_PART})"""  # noqa: S608 - a constant
_KEYS = "source, customer_id, customer_hash, event_date, known_date, delivery_id"
_PLACE = "strftime(known_date, '%Y-%m') AS known_month, event_date <> known_date AS off_day"
_TILES = {
    "daily_activity": f"""
        SELECT {_KEYS}, sum(sign)::BIGINT AS events, sum(CASE WHEN is_return THEN 0 ELSE sign END)::BIGINT AS activity,
            sum(amount)::BIGINT AS amount, sum(CASE WHEN is_return THEN 0 ELSE sign END)::BIGINT AS event_type_sale,
            sum(CASE WHEN is_return THEN 0 ELSE amount END)::BIGINT AS event_type_sale_amount,
            sum(CASE WHEN is_return THEN sign ELSE 0 END)::BIGINT AS event_type_return,
            sum(CASE WHEN is_return THEN amount ELSE 0 END)::BIGINT AS event_type_return_amount,
            0::BIGINT AS event_type_other, 0::BIGINT AS event_type_other_amount, {_PLACE}
        FROM facts GROUP BY ALL""",  # noqa: S608 - both are constants
    "daily_values": f"""
        SELECT {_KEYS}, 'product' AS "column", product AS value, sum(sign)::BIGINT AS events, {_PLACE}
        FROM facts GROUP BY ALL HAVING sum(sign) <> 0""",  # noqa: S608
}


def main() -> None:
    """Makes the tiles, runs the steps `repeats` times in turn and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.add_argument("--customers", type=int, nargs="+", default=[MILLION])
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    found = {customers: _measured(customers, given.repeats) for customers in sorted(given.customers, reverse=True)}
    if len(found) > 1:
        _print_slope(found[max(found)], found[min(found)])


def _measured(customers: int, repeats: int) -> dict[str, "Cost"]:
    """What each step costs for so many customers: medians of its repeats."""
    taken: dict[str, list[Cost]] = {}
    with tempfile.TemporaryDirectory(prefix="churnlake-bench-") as name:
        scratch = Path(name)
        with _bench(scratch, customers) as bench:
            for _ in range(repeats):
                for step, cost in bench.turn():
                    print(
                        f"{step}: {cost.clock:.0f} s by the clock, {cost.processor:.0f} s of the processor", flush=True
                    )
                    taken.setdefault(step, []).append(cost)
    costs = {step: _median(each) for step, each in taken.items()}
    _print_table(customers, bench.facts, costs)
    return costs


class Cost(NamedTuple):
    """Seconds by the clock and of the processor, Java and Python together, and the rows that came of them."""

    clock: float
    processor: float
    rows: int


def _median(costs: Sequence[Cost]) -> Cost:
    clock, processor, rows = zip(*costs, strict=True)
    return Cost(statistics.median(clock), statistics.median(processor), rows[0])


def make_tiles(scratch: Path) -> int:
    """Tiles of both histories as parquet, partitioned as in the lake; the older half is shared. Returns their rows.

    `people` in the scratch folder says of whom: the number, the id and the hash of each customer.
    """
    connection = duckdb.connect(config={"temp_directory": str(scratch / "spill"), "memory_limit": "6GB"})
    rows = 0
    for first in range(0, max(HISTORIES), BLOCK_DAYS):
        start = STARTS_ON + timedelta(days=first)
        facts = _FACTS.format(people=scratch / "people", first=start, after=start + timedelta(days=BLOCK_DAYS))
        connection.execute(f"CREATE OR REPLACE TEMP TABLE facts AS {facts}")
        held = [days for days in HISTORIES if first >= max(HISTORIES) - days]
        for table, question in _TILES.items():
            connection.execute(f"CREATE OR REPLACE TEMP TABLE tiles AS {question}")
            for month, off_day in connection.execute("SELECT DISTINCT known_month, off_day FROM tiles").fetchall():
                place = Path(table, f"known_month={month}", f"off_day={str(off_day).lower()}", f"from_{first}.parquet")
                files = [scratch / str(days) / place for days in held]
                for file in files:
                    file.parent.mkdir(parents=True, exist_ok=True)
                connection.execute(_FILE.format(month=month, off_day=off_day, file=files[0]))
                for other in files[1:]:
                    os.link(files[0], other)
        rows += connection.execute("SELECT count(*) FROM facts").fetchall()[0][0]
    connection.close()
    return rows


class Bench:
    """The tiles of both histories, as Delta tables, and a folder to write to."""

    def __init__(
        self, spark: SparkSession, contract: Contract, scratch: Path, customers: DataFrame, facts: int
    ) -> None:
        self.facts = facts
        self._spark = spark
        self._contract = contract
        self._catalogue = build_catalogue(contract)
        self._written = scratch / "written"
        self._tiles = {}
        for days in HISTORIES:
            folders = {table: scratch / str(days) / table for table in _TILES}
            activity, _ = (_as_delta(spark, folder) for folder in folders.values())
            stored = {table: StoredTable(folder, 0) for table, folder in folders.items()}
            self._tiles[days] = Tiles(customers, activity, stored=stored)

    def turn(self) -> Iterator[tuple[str, Cost]]:
        """What each step costs."""
        for days, tiles in self._tiles.items():
            population = population_at(tiles, self._contract, [LAST])
            yield f"population, {days} days", self._cost("population", population)
            people = self._spark.read.format("delta").load(str(self._written / "population"))
            features = features_at(tiles, self._contract, self._catalogue, [LAST], people)
            yield f"features, {days} days", self._cost("features", features)
        yield "training set, 12 dates", self._cost("training", self._training_set())

    def _training_set(self) -> DataFrame:
        sampled = self._tiles[max(HISTORIES)].sample(SHARE_OF_TRAINING)
        maturity = self._contract.churn.maturity_days
        cutoffs = [LAST - timedelta(days=maturity + SPACING_DAYS * place) for place in range(CUTOFFS)]
        population = population_at(sampled, self._contract, cutoffs).persist()
        labels = labels_at(
            sampled, self._contract, {day: day + timedelta(days=maturity) for day in cutoffs}, population
        )
        labelled = population.join(labels, ["business_date", "customer_id"], "left")
        features = features_at(sampled, self._contract, self._catalogue, cutoffs, labelled)
        return features.filter("is_churned IS NOT NULL")

    def _cost(self, table: str, frame: DataFrame) -> Cost:
        clock, processor = time.perf_counter(), _processor(os.getpid())
        writer = frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        writer.option("delta.dataSkippingStatsColumns", "business_date").save(str(self._written / table))
        spent = Cost(time.perf_counter() - clock, _processor(os.getpid()) - processor, 0)
        self._spark.catalog.clearCache()
        return spent._replace(rows=self._spark.read.format("delta").load(str(self._written / table)).count())


def _processor(process: int) -> float:
    """Seconds of the processor that a process took with all it started: Java, and the Python workers of Spark."""
    ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:15]
    started = [
        int(one) for told in Path(f"/proc/{process}/task").glob("*/children") for one in told.read_text().split()
    ]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") + sum(map(_processor, started))


def _as_delta(spark: SparkSession, folder: Path) -> DataFrame:
    # As the lake does: bounds of all columns would take longer than all that is measured.
    spark.conf.set(
        "spark.databricks.delta.properties.defaults.dataSkippingStatsColumns", "source,event_date,known_date"
    )
    spark.sql(f"CONVERT TO DELTA parquet.`{folder}` PARTITIONED BY (known_month STRING, off_day BOOLEAN)")
    return spark.read.format("delta").load(str(folder))


@contextmanager
def _bench(scratch: Path, customers: int) -> Iterator[Bench]:
    (scratch / "contract.toml").write_text(CONTRACT)
    contract = load_contract(scratch / "contract.toml")
    spark = build_session("features", Settings.from_environment(), scratch, is_small=False)
    people = spark.range(customers).select(
        F.col("id").alias("customer"), F.concat(F.lit("c"), "id").alias("customer_id")
    )
    people.withColumn("customer_hash", customer_hash()).write.parquet(str(scratch / "people"))
    rows = make_tiles(scratch)
    print(f"{rows:,} facts made", flush=True)
    known = (
        spark.read.parquet(str(scratch / str(max(HISTORIES)) / "daily_activity"))
        .groupBy("source", "customer_id")
        .agg(F.min("known_date").alias("first_known_date"))
    )
    known.write.format("delta").save(str(scratch / "known_customers"))
    known = spark.read.format("delta").load(str(scratch / "known_customers"))
    yield Bench(spark, contract, scratch, known, rows)
    spark.stop()


def _print_table(customers: int, rows: int, costs: dict[str, Cost]) -> None:
    print(f"{customers:,} customers, {rows:,} facts in {max(HISTORIES)} days\n")
    print(f"{'':24} {'rows':>10} {'seconds':>8} {'processor':>10} {'per million rows':>17}")
    for step, cost in costs.items():
        each = cost.processor / cost.rows * MILLION
        print(f"{step:24} {cost.rows:10,} {cost.clock:8.1f} {cost.processor:10.1f} {each:17.1f}")
    short, long = (costs[f"features, {days} days"].processor for days in HISTORIES)
    print(f"\nfeatures over 720 days to over 360: {long / short:.2f} (budget 1.1)")
    print(f"features for a million customers: {short / customers * MILLION:.0f} s of the processor (budget 60)")
    training = costs["training set, 12 dates"]
    print(f"training set of two million rows: {training.processor / training.rows * 2 * MILLION:.0f} s (budget 120)")


def _print_slope(large: dict[str, Cost], small: dict[str, Cost]) -> None:
    print("\nslope, seconds of the processor for a million more rows:")
    for step, cost in large.items():
        more = cost.processor - small[step].processor
        print(f"{step:24} {more / (cost.rows - small[step].rows) * MILLION:10.1f}")


if __name__ == "__main__":
    main()
