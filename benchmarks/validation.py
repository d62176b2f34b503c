"""Validation: sorting rows into facts and quarantine, and the verdict on them, against one aggregate pass.

`python -m benchmarks.validation [--rows N] [--repeats N] [--duplicates keep|drop]` makes a CSV file of 10 columns (the
same for every run of one size) in a scratch folder and prints medians in seconds and ratios to the pass, by the clock
and by the processor, which stays true on a busy machine. The three take turns, so that a busy spell hits all of them:

pass     one aggregate over the file: the same typing, the same rules counted, nothing kept
split    every row typed, flagged and sorted, the accepted ones written as facts and the others to quarantine
verdict  Great Expectations over the split's rows, both suites, each count held against the compiled rules
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

import duckdb
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract, load_contract
from churnlake.contract.reading import expression_sql
from churnlake.deliveries import Field
from churnlake.ledger import Delivery, Lane
from churnlake.settings import Settings
from churnlake.suites import read_suite
from jobs import rows
from jobs.application import CHECKOUT
from jobs.facts import facts_of
from jobs.lake import Lake
from jobs.landing import read_landing
from jobs.quality import judge
from jobs.rows import Bucket
from jobs.session import build_session

DAY = date(2026, 3, 2)
FILE = f"{DAY}.csv"
# Row n is made of its number alone: one row in 200 breaks a rule, one in 1,000 has a value that does not fit its type.
_ROWS = """
SELECT n AS order_no,
    CASE WHEN n % 400 = 7 THEN '' ELSE 'C' || (hash(n) % 1000000) END AS customer,
    strftime(TIMESTAMP '2026-03-02 00:00:00' + INTERVAL (n % 86400) SECOND, '%Y-%m-%d %H:%M:%S') AS sold_at,
    CASE WHEN n % 1000 = 11 THEN 'free' WHEN n % 400 = 13 THEN '-1.00' ELSE ((hash(n + 1) % 99900) / 100.0 + 1)::VARCHAR
        END AS price,
    1 + hash(n + 2) % 12 AS pieces,
    'A' || (hash(n + 3) % 4000) AS item,
    CASE WHEN n % 40 = 3 THEN 'return' ELSE 'sale' END AS kind,
    ['DE', 'FR', 'GB', 'NL', 'PL'][1 + (hash(n + 4) % 5)::INT] AS country,
    CASE WHEN n % 3 = 0 THEN NULL ELSE 'note number ' || (hash(n + 5) % 100000) END AS note,
    ((hash(n + 6) % 3000) / 10000.0)::VARCHAR AS discount
FROM range({rows}) AS numbers(n)
"""
CONTRACT = """
[contract]
name = "bench"
timezone = "Europe/Berlin"
currency = "EUR"

[calendar]
starts_on = "2026-01-01"

[sources.orders]
role = "events"
path = "{business_date}.csv"
duplicates = "DUPLICATES"

[sources.orders.types]
order_no = "text"
customer = "text"
sold_at = "timestamp"
price = "decimal(12,4)"
pieces = "int"
item = "text"
kind = "text"
country = "text"
note = "text"
discount = "double"

[sources.orders.columns]
customer_id = "customer"
event_ts = "sold_at"
event_type = "kind"
amount = "price * pieces"
product = "item"

[churn]
definition = "inactivity"
activity = "event_type = 'sale' AND amount > 0"
active_within_days = 30
horizon_days = 30

[features]
measures = [{ name = "amount", scale = 2 }]
distinct = ["product"]
by = [{ column = "event_type", values = ["sale", "return"] }]
"""
_VALUES = "expect_column_values_to_"
EXPECTATIONS = [
    (f"{_VALUES}not_be_null", {"column": "order_no"}),
    (f"{_VALUES}be_between", {"column": "price", "min_value": 0, "strict_min": True}),
    (f"{_VALUES}be_between", {"column": "pieces", "min_value": 1, "max_value": 100}),
    (f"{_VALUES}be_between", {"column": "discount", "min_value": 0, "max_value": 0.5}),
    (f"{_VALUES}be_in_set", {"column": "kind", "value_set": ["sale", "return"]}),
    (f"{_VALUES}be_in_set", {"column": "country", "value_set": ["DE", "FR", "GB", "NL", "PL"]}),
    (f"{_VALUES}match_regex", {"column": "item", "regex": "^A[0-9]+$"}),
    ("expect_column_value_lengths_to_be_between", {"column": "note", "max_value": 200}),
    ("expect_column_mean_to_be_between", {"column": "price", "min_value": 1, "max_value": 1000}),
    ("expect_table_row_count_to_be_between", {"min_value": 1}),
]


def main() -> None:
    """Runs the three `repeats` times in turn and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validation", description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--duplicates", choices=("keep", "drop"), default="keep")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="churnlake-bench-") as name, _bench(Path(name), given.duplicates) as bench:
        question = _ROWS.replace("{rows}", str(given.rows))
        duckdb.sql(f"COPY ({question}) TO '{bench.contract.folder / FILE}' (HEADER, DELIMITER ',')")
        taken: dict[str, list[Cost]] = {}
        for _ in range(given.repeats):
            for step, cost in bench.turn():
                taken.setdefault(step, []).append(cost)
    _print_table(given.rows, {step: _median(costs) for step, costs in taken.items()})


class Cost(NamedTuple):
    """Seconds by the clock and of the processor, Java and Python together."""

    clock: float
    processor: float

    def __add__(self, other: "Cost") -> "Cost":  # type: ignore[override]
        return Cost(self.clock + other.clock, self.processor + other.processor)


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(column) for column in zip(*costs, strict=True)))


class Bench:
    """One file, its contract and suites, and a lake to write to."""

    def __init__(self, spark: SparkSession, contract: Contract, lake: Lake) -> None:
        self._spark = spark
        self._lake = lake
        self.contract = contract
        source = contract.sources["orders"]
        self._turn = 0
        self._own = read_suite(contract.suites / "orders.json", source.typed)
        self._canonical = read_suite(CHECKOUT / "expectations" / "events.json", list(source.columns))

    def turn(self) -> Iterator[tuple[str, Cost]]:
        """What each step costs. Every turn is a delivery of its own, as every night's is: nothing is replaced."""
        self._turn += 1
        yield "pass", self._cost(lambda: self._aggregate().collect())
        classified = self._classified().persist()
        count = self._cost(lambda: rows.counted(classified).collect())
        aside = self._cost(lambda: self._set_aside(classified))
        facts = self._cost(lambda: self._write_facts(classified))
        yield from (("  sorted and counted", count), ("  quarantine written", aside), ("  facts written", facts))
        yield "split", count + aside + facts
        judged = classified.filter(F.col("bucket").isin(Bucket.QUARANTINED, Bucket.ACCEPTED))
        yield "verdict", self._cost(lambda: self._verdict(judged))
        classified.unpersist(blocking=True)

    @property
    def _id(self) -> str:
        return f"bench-{self._turn}"

    def _cost(self, work: Callable[[], object]) -> Cost:
        clock, processor = time.perf_counter(), self._processor()
        work()
        return Cost(time.perf_counter() - clock, self._processor() - processor)

    def _processor(self) -> float:
        java = self._spark.sparkContext._jvm.java.lang.ProcessHandle.current()  # type: ignore[union-attr]  # noqa: SLF001
        spent = java.info().totalCpuDuration().get()
        return time.process_time() + float(spent.toMillis()) / 1_000

    def _landing(self) -> DataFrame:
        path = self.contract.folder / FILE
        size = path.stat().st_size
        delivery = Delivery(
            "orders", self._id, FILE, size, "0" * 64, DAY, DAY, DAY,
            contract="bench", run_id="bench", state="frozen", counts={},
        )  # fmt: skip
        layout = tuple(Field(name, name) for name in self.contract.sources["orders"].types)
        return read_landing(self._spark, self.contract, [delivery], {self._id: layout})

    def _aggregate(self) -> DataFrame:
        """The same typing and rules as the split's, in one pass that keeps nothing."""
        source = self.contract.sources["orders"]
        typed = rows._with_types(  # noqa: SLF001 - the same typing, without what sorting rows adds
            self._landing().withColumns({"copy": F.lit(1), "is_unchanged": F.lit(False)}), source, "Europe/Berlin"
        )
        names = list(source.typed)
        columns = [F.expr(expression_sql(text, names)).alias(f"c_{name}") for name, text in source.columns.items()]
        mapped = typed.select("*", *columns)
        rules = [rule.breaks for rule in self._own.row_rules]
        rules += [
            rule.breaks.replace("`customer_id`", "c_customer_id").replace("`event_ts`", "c_event_ts")
            for rule in self._canonical.row_rules
        ]
        counts = [F.count_if(F.expr(rule)) for rule in rules]
        return mapped.agg(F.count("*"), F.count_if(F.col("malformed") != ""), F.sum("c_amount"), *counts)

    def _classified(self) -> DataFrame:
        rules = self._own.row_rules, self._canonical.row_rules
        return rows.without_spare_text(rows.classify(self._landing(), self.contract, "orders", *rules))

    def _set_aside(self, classified: DataFrame) -> None:
        places = {self._id: rows.Place.of(FILE, 0, 0)}
        aside = rows.set_aside(classified, "orders", "0" * 64, "bench", places)
        self._lake.replace("quarantine", aside, {"source": "orders", "changed_by": self._id}, "bench")

    def _write_facts(self, classified: DataFrame) -> None:
        facts = facts_of(classified, self.contract, "orders")
        self._lake.replace("events", facts, {"source": "orders", "delivery_id": self._id}, "bench")

    def _verdict(self, judged: DataFrame) -> None:
        verdicts = [*judge(judged.select("typed.*"), self._own), *judge(judged.select("canonical.*"), self._canonical)]
        told = [one.observed for one in verdicts if "disagree" in one.observed or "itself failed" in one.observed]
        if told:
            raise SystemExit("; ".join(told))


@contextmanager
def _bench(scratch: Path, duplicates: str) -> Iterator[Bench]:
    folder = scratch / "contract"
    (folder / "expectations").mkdir(parents=True)
    (folder / "contract.toml").write_text(CONTRACT.replace("DUPLICATES", duplicates))
    suite = [{"type": kind, "kwargs": kwargs, "severity": "warning"} for kind, kwargs in EXPECTATIONS]
    (folder / "expectations" / "orders.json").write_text(json.dumps({"name": "orders", "expectations": suite}))
    settings = Settings.from_environment()
    root = scratch / "lake" / "bench"
    root.mkdir(parents=True)
    spark = build_session("validation", settings, scratch, is_small=False)
    with Lane.take(root) as lane:
        yield Bench(spark, load_contract(folder / "contract.toml"), Lake(spark, root, "bench", lane))
    spark.stop()


def _print_table(count: int, costs: dict[str, Cost]) -> None:
    print(f"{count:,} rows, 10 columns; ratios are to one aggregate pass over the same file with the same typing\n")
    print(f"{'':22} {'seconds':>8} {'ratio':>6} {'processor':>10} {'ratio':>6}")
    base = costs["pass"]
    for step, cost in costs.items():
        by_clock = f"{cost.clock:8.1f} {cost.clock / base.clock:6.2f}"
        print(f"{step:22} {by_clock} {cost.processor:10.1f} {cost.processor / base.processor:6.2f}")


if __name__ == "__main__":
    main()
