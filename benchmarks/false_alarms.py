"""Gates over time on a real shop: how often they cry wolf, and what they notice when a day is broken on purpose.

`python -m benchmarks.false_alarms [DATES]` measures the 305 days of examples/online_retail in one pass, judges every
day as a night against the days before it, and prints the nights with an alarm at each sensitivity. Then it breaks DATES
(default 20) seeded days in every way of `BROKEN` and prints in how many of them a gate spoke, and in how many the night
stopped.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from functools import reduce
from itertools import pairwise
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract, load_contract
from churnlake.deliveries import find_files
from churnlake.gates import LEARNING, Judged, Night, Rules, judge, judge_in_order
from churnlake.gates.verdicts import Sensitivity
from churnlake.settings import Settings
from jobs.application import CHECKOUT
from jobs.gates import rules_of
from jobs.ingest import read_suites
from jobs.landing import CORRUPT
from jobs.profile import Past, measure
from jobs.rows import classify
from jobs.session import build_session

CONTRACT = CHECKOUT / "examples" / "online_retail" / "contract.toml"
SOURCE = "invoices"
SENSITIVITIES: tuple[Sensitivity, ...] = ("low", "normal", "high")
SEED = 20101201


def landed_days(spark: SparkSession, contract: Contract) -> DataFrame:
    """Every file of the shop as text. Columns: slot and the contract's. The files are known to be well formed."""
    schema = ", ".join(f"`{name}` STRING" for name in contract.sources[SOURCE].types)
    paths = [str(contract.folder / file.path) for file in find_files(contract, SOURCE)]
    lines = spark.read.schema(schema).option("header", True).option("escape", '"').csv(paths)
    return lines.withColumn("slot", F.to_date(F.regexp_extract("_metadata.file_path", r"(\d{4}-\d\d-\d\d)[.]csv", 1)))


def classified(lines: DataFrame, contract: Contract, delivery_id: Column) -> DataFrame:
    """The lines as ingest classifies them, under the delivery each is given."""
    own, canonical = read_suites(contract, SOURCE)
    landed = lines.select(
        delivery_id.alias("delivery_id"),
        "slot",
        *contract.sources[SOURCE].types,
        F.lit(None).cast("string").alias(CORRUPT),
        F.monotonically_increasing_id().alias("position"),
        F.md5(F.to_json(F.struct(*contract.sources[SOURCE].types))).alias("row_hash"),
        F.col("slot").alias("known_date"),
    )
    return classify(landed, contract, SOURCE, own.row_rules if own else (), canonical.row_rules)


def measured_days(rows: DataFrame, contract: Contract) -> list[Night]:
    """The numbers of every real day, oldest first, by one pass over classified rows whose delivery_id is the day."""
    slots = [str(file.slot) for file in find_files(contract, SOURCE)]
    before = {later: earlier for earlier, later in pairwise(slots)}
    kept = rows.persist()
    numbers = measure(kept, Past(before), [by.column for by in contract.features.by])
    kept.unpersist()
    return [Night(date.fromisoformat(slot), numbers[slot]) for slot in slots]


def replay(nights: Sequence[Night], rules: Rules) -> tuple[list[Judged], int]:
    """Nights with an alarm when every day is judged in order, and how many nights were judged at all."""
    judged = [one for one in judge_in_order(nights, (), rules) if one.learning is None]
    return [one for one in judged if one.unusual], len(judged)


def rules_at(contract: Contract, sensitivity: Sensitivity) -> Rules:
    """The contract's rules at a sensitivity; days it declares unusual are not: whether gates speak is the question."""
    return replace(rules_of(contract, SOURCE), sensitivity=sensitivity, unusual=frozenset())


Break = Callable[[DataFrame], DataFrame]


def _column(name: str, value: str) -> Break:
    return lambda day: day.withColumn(name, F.expr(value))


def _copied(times: int, invoice: str) -> Break:
    copies = f"explode(sequence(1, {times})) AS copy"
    return lambda day: day.selectExpr("*", copies).withColumn("InvoiceNo", F.expr(invoice)).drop("copy")


def _kept(one_in: int) -> Break:
    return lambda day: day.filter(f"pmod(xxhash64(InvoiceNo, StockCode, InvoiceDate), {one_in}) = 0")


# What may happen to a day. A stale copy is not among them: it is another day's lines, see `broken_days`.
BROKEN: dict[str, Break] = {
    "10 times the rows": _copied(10, "concat(InvoiceNo, '-', copy)"),
    "half of the rows lost": _kept(2),
    "19 of 20 rows lost": _kept(20),
    "cut off at noon": lambda day: day.filter("hour(InvoiceDate) < 12"),
    "doubled day": _copied(2, "InvoiceNo"),
    "shifted by a day": _column("InvoiceDate", "cast(cast(InvoiceDate AS TIMESTAMP_NTZ) - INTERVAL 1 DAY AS STRING)"),
    "UnitPrice x 100": _column("UnitPrice", "cast(cast(UnitPrice AS DECIMAL(12,4)) * 100 AS STRING)"),
    "Country replaced": _column("Country", "'Unknown'"),
    "StockCode null": _column("StockCode", "NULL"),
    "StockCode null in 1 of 10": _column(
        "StockCode", "if(pmod(xxhash64(InvoiceNo, StockCode), 10) = 0, NULL, StockCode)"
    ),
    "CustomerID of all new": _column("CustomerID", "concat(date_format(slot, 'yyMMdd'), CustomerID)"),
}
STALE = "stale copy of the day before"


def broken_days(days: DataFrame, before: dict[date, date]) -> DataFrame:
    """Lines of the chosen days, broken in every way, which is told in `way`. `before` leads to the day before."""
    chosen = days.filter(F.col("slot").isin(list(before)))
    ways = [spoil(chosen).withColumn("way", F.lit(way)) for way, spoil in BROKEN.items()]
    for slot, earlier in before.items():
        copy = days.filter(F.col("slot") == earlier).withColumn("slot", F.lit(slot))
        ways.append(copy.withColumn("way", F.lit(STALE)))
    return reduce(DataFrame.unionByName, ways)


def measured_breaks(days: DataFrame, contract: Contract, nights: Sequence[Night], count: int) -> dict[str, list[Night]]:
    """The numbers of `count` seeded days, by the way they are broken."""
    slots = [night.slot for night in nights]
    chosen = sorted(random.Random(SEED).sample(range(LEARNING, len(slots)), count))  # noqa: S311 - a choice, no secret
    before = {slots[place]: slots[place - 1] for place in chosen}
    lines = broken_days(days, before)
    broken = classified(lines, contract, F.concat_ws("~", "slot", "way")).persist()
    real = classified(days.filter(F.col("slot").isin(list(before.values()))), contract, F.col("slot").cast("string"))
    named = classified(days, contract, F.lit("all")).filter("canonical.customer_id IS NOT NULL")
    known = named.groupBy("canonical.customer_id").agg(F.min("slot").alias("first_known_date"))
    ids = {f"{slot}~{way}": str(earlier) for slot, earlier in before.items() for way in (*BROKEN, STALE)}
    numbers = measure(broken, Past(ids, real, known), [by.column for by in contract.features.by])
    return {
        way: [Night(slot, numbers.get(f"{slot}~{way}", {"rows": 0.0})) for slot in before] for way in (*BROKEN, STALE)
    }


def print_false_alarms(nights: Sequence[Night], contract: Contract) -> None:
    """One line per sensitivity, and every alarm of it."""
    for sensitivity in SENSITIVITIES:
        odd, judged = replay(nights, rules_at(contract, sensitivity))
        stopped = sum(bool(one.broken) for one in odd)
        rate = 100 * len(odd) / judged
        print(f"\n{sensitivity}: {len(odd)} of {judged} nights with an alarm, {rate:.1f} in 100; {stopped} would stop")
        for one in odd:
            for verdict in one.unusual:
                print(f"  {one.night.slot} {verdict.level:8} {verdict.name} {verdict.observed}; {verdict.expected}")


def print_detection(broken: dict[str, list[Night]], nights: Sequence[Night], contract: Contract) -> None:
    """A table of ways to break a day: in how many days a gate spoke, and in how many the night stopped."""
    history = [one.night for one in judge_in_order(nights, (), rules_at(contract, "off"))]
    print(f"\n| {'broken on purpose':29} |" + "".join(f" {one:>6}: noticed | stopped |" for one in SENSITIVITIES))
    print(f"|{'-' * 31}|" + "---:|---:|" * len(SENSITIVITIES))
    for way, days in broken.items():
        cells = []
        for sensitivity in SENSITIVITIES:
            judged = [judge(day, history, rules_at(contract, sensitivity)) for day in days]
            cells += [sum(bool(one.unusual) for one in judged), sum(bool(one.broken) for one in judged)]
        print(f"| {way:29} |" + "".join(f" {cell}/{len(days)} |" for cell in cells))


def main(count: int) -> None:
    """Measures, replays, breaks, and prints."""
    contract = load_contract(CONTRACT)
    with tempfile.TemporaryDirectory() as scratch:
        spark = build_session("false alarms", Settings.from_environment(), Path(scratch))
        spark.conf.set("spark.sql.shuffle.partitions", "4")
        started = time.perf_counter()
        days = landed_days(spark, contract).persist()
        nights = measured_days(classified(days, contract, F.col("slot").cast("string")), contract)
        print(f"{len(nights)} days measured in {time.perf_counter() - started:.0f} s, {SOURCE} of {contract.name}")
        print_false_alarms(nights, contract)
        print_detection(measured_breaks(days, contract, nights, count), nights, contract)
        print(f"\n{time.perf_counter() - started:.0f} s in all")
        spark.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
