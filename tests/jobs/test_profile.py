"""Numbers of deliveries, on rows small enough to count by hand and on the 305 days of a real shop; what they stop."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from benchmarks.false_alarms import CONTRACT, SOURCE, landed_days, measured_days, replay, rules_at
from churnlake.contract import Contract, load_contract
from churnlake.errors import DataRefusedError
from churnlake.gates import FAMILIES, Judged, Level, Night, Rules, Verdict
from churnlake.ledger import CheckResult, Lane, Ledger
from churnlake.settings import Settings
from jobs.application import Application
from jobs.gates import checks_of, refuse_broken, rules_of
from jobs.ingest import ingest
from jobs.profile import Past, measure

FIRST, SECOND = date(2026, 3, 2), date(2026, 3, 3)
SCHEMA = (
    "delivery_id STRING, slot DATE, row_hash STRING, bucket STRING, "
    "typed STRUCT<`Item Name`: STRING, price: DECIMAL(12,4), weight: DOUBLE>, "
    "canonical STRUCT<customer_id: STRING, event_ts: TIMESTAMP_NTZ, event_type: STRING>"
)


def line(slot: date, row_hash: str, customer: str | None = "ann", **told: Any) -> tuple[Any, ...]:
    """One classified row of the delivery named like its slot, at noon of its day unless told."""
    happened = told.get("at", datetime.combine(slot, time(12)))
    price = None if told.get("price", 1) is None else Decimal(str(told.get("price", 1)))
    typed = (told.get("item", "pen"), price, told.get("weight"))
    return str(slot), slot, row_hash, told.get("bucket", "accepted"), typed, (customer, happened, "sale")


@pytest.fixture(scope="module")
def numbers(spark: SparkSession) -> dict[str, dict[str, float]]:
    """Two days measured together: the second holds a row of the first, a doubled one and every oddity."""
    rows = [
        line(FIRST, "a"),
        line(FIRST, "b", "bob", at=datetime.combine(FIRST, time(18))),
        line(SECOND, "a"),  # stood in the file before, word for word
        line(SECOND, "c", "old", price=-20, weight=0.0),
        line(SECOND, "c", "old", price=-20, weight=float("nan"), bucket="duplicate"),
        line(SECOND, "d", "new", price=0, weight=0.5, at=datetime.combine(SECOND, time())),  # midnight is its day
        line(SECOND, "e", None, price=None, item=None, bucket="ignored", at=datetime.combine(FIRST, time(23, 59))),
        line(SECOND, "f", "eve", item="ink", at=None, bucket="quarantined"),
        line(SECOND, "g", None, item=None, at=None, price=None, bucket="malformed"),
        line(SECOND, "h", "test", bucket="ignored"),
    ]
    known = spark.createDataFrame(
        [("old", date(2026, 1, 1)), ("old", SECOND), ("new", SECOND)], "customer_id STRING, first_known_date DATE"
    )
    classified = spark.createDataFrame(rows, SCHEMA)
    return measure(classified, Past({str(SECOND): str(FIRST)}, None, known), ["event_type"])


def test_shares_are_of_all_delivered_rows(numbers: dict[str, dict[str, float]]) -> None:
    """Every raw row counts, whatever its bucket; a row without a time is not of the day."""
    found = numbers[str(SECOND)]
    assert {name: found[name] for name in ("rows", "set_aside", "own_day", "staleness")} == {
        "rows": 8, "set_aside": 2 / 8, "own_day": 5 / 8, "staleness": 12
    }  # fmt: skip
    assert {name: found[f"null.{name}"] for name in ("Item Name", "price", "weight")} == {
        "Item Name": 2 / 8, "price": 2 / 8, "weight": 5 / 8
    }  # fmt: skip
    assert numbers[str(FIRST)]["staleness"] == 6


def test_levels_and_bins_are_shares_of_the_values_that_are_there(numbers: dict[str, dict[str, float]]) -> None:
    """Nulls and NaN are in no bin, zero has its own, what is below 0 mirrors what is above."""
    found = numbers[str(SECOND)]
    assert {name: found[name] for name in found if name.startswith(("level.", "bin."))} == {
        "level.Item Name.pen": 5 / 6, "level.Item Name.ink": 1 / 6, "level.event_type.sale": 1.0,
        "bin.price.7": 3 / 6, "bin.price.-9": 2 / 6, "bin.price.0": 1 / 6, "bin.weight.0": 1 / 2, "bin.weight.6": 1 / 2,
    }  # fmt: skip


def test_customers_are_known_from_an_earlier_slot_or_from_the_lake(numbers: dict[str, dict[str, float]]) -> None:
    """Known on the slot's own date is not known before; ignored rows and rows without a customer name nobody."""
    assert (numbers[str(SECOND)]["customers"], numbers[str(SECOND)]["known"]) == (4, 2 / 4)
    assert (numbers[str(FIRST)]["customers"], numbers[str(FIRST)]["known"]) == (2, 0)


def test_copies_are_told_from_news(numbers: dict[str, dict[str, float]]) -> None:
    """A further copy of a row is doubled, a row of the slot before is repeated; the first slot has none before it."""
    assert (numbers[str(SECOND)]["doubled"], numbers[str(SECOND)]["repeated"]) == (1 / 8, 1 / 8)
    assert numbers[str(FIRST)]["doubled"] == 0
    assert "repeated" not in numbers[str(FIRST)]


def test_large_deliveries_are_compared_by_a_sample(spark: SparkSession) -> None:
    """A sixteenth of 90,000 rows tells copies from news, and of as many customers how many are known."""
    customer = F.col("id").cast("string").alias("customer_id")
    made = spark.range(90_000).select(
        F.lit("x").alias("delivery_id"),
        F.lit(FIRST).alias("slot"),
        F.lit("accepted").alias("bucket"),
        F.md5((F.col("id") % 60_000).cast("string")).alias("row_hash"),  # a third are copies; a row is drawn with all
        F.struct(F.lit("pen").alias("item")).alias("typed"),
        F.struct(customer, F.lit(None).cast("timestamp_ntz").alias("event_ts")).alias("canonical"),
    )
    known = spark.range(60_000, 200_000).select(customer, F.lit(date(2026, 1, 1)).alias("first_known_date"))
    found = measure(made, Past({}, customers=known), [])["x"]
    assert (found["rows"], found["own_day"], found["level.item.pen"]) == (90_000, 0, 1)
    assert found["doubled"] == pytest.approx(1 / 3, abs=0.02)
    assert found["customers"] == pytest.approx(90_000, rel=0.04)
    assert found["known"] == pytest.approx(1 / 3, abs=0.02)


def test_a_delivery_without_any_customer_says_so(spark: SparkSession) -> None:
    """No customer at all is a number too: 0."""
    rows = spark.createDataFrame([line(FIRST, "a", None)], SCHEMA)
    found = measure(rows, Past({}), [])[str(FIRST)]
    assert found["customers"] == 0
    assert "known" not in found


@pytest.fixture(scope="module")
def online_retail() -> Contract:
    """The contract of the real shop."""
    return load_contract(CONTRACT)


def plainly_sorted(lines: DataFrame, contract: Contract) -> DataFrame:
    """Classified rows without rules: no rule of the shop sets a row aside, and they take most of a night's seconds."""
    source = contract.sources[SOURCE]
    casts = [f"try_cast({name} AS {kind.replace('text', 'string')}) AS {name}" for name, kind in source.types.items()]
    named = [
        f"{text} AS {name}"
        for name, text in source.columns.items()
        if name in {"customer_id", "event_ts", "event_type"}
    ]
    row_hash = F.md5(F.concat_ws("|", *source.types))
    typed = lines.select("slot", row_hash.alias("row_hash"), *map(F.expr, casts))
    return typed.select(
        F.col("slot").cast("string").alias("delivery_id"), "slot", "row_hash", F.struct(*source.types).alias("typed"),
        F.struct(*map(F.expr, named)).alias("canonical"),
        F.expr("if(CustomerID IS NULL, 'ignored', 'accepted') AS bucket"),
    )  # fmt: skip


@pytest.fixture(scope="module")
def real_days(spark: SparkSession, online_retail: Contract) -> list[Night]:
    """The numbers of the real shop's 305 days."""
    return measured_days(plainly_sorted(landed_days(spark, online_retail), online_retail), online_retail)


COUNTED_AGAIN = """
WITH lines AS (
    SELECT * EXCLUDE (filename), CAST(regexp_extract(filename, '(\\d{4}-\\d\\d-\\d\\d)[.]csv', 1) AS DATE) AS slot
    FROM read_csv('{files}', filename = true, all_varchar = true)
), firsts AS (SELECT CustomerID, min(slot) AS first FROM lines GROUP BY ALL)
SELECT slot, count(*), avg(CAST(lines.CustomerID IS NULL AS INT)), count(DISTINCT lines.CustomerID),
    count(DISTINCT lines.CustomerID) FILTER (first < slot) / count(DISTINCT lines.CustomerID),
    1 - count(DISTINCT lines::TEXT) / count(*),
    count(*) FILTER (Country = 'EIRE') / count(*)
FROM lines LEFT JOIN firsts USING (CustomerID) GROUP BY slot ORDER BY slot
"""


def test_numbers_of_real_days_are_those_counted_a_second_way(real_days: list[Night], online_retail: Contract) -> None:
    """DuckDB reads the same files: rows, nulls, customers, those known before, copies and a level, on every day."""
    files = str(online_retail.folder / "data" / "by_day" / "*.csv.gz")
    with duckdb.connect() as engine:
        counted = engine.sql(COUNTED_AGAIN.replace("{files}", files)).fetchall()
    names = ("rows", "null.CustomerID", "customers", "known", "doubled", "level.Country.EIRE")
    found = [(one.slot, *(one.numbers.get(name, 0.0) for name in names)) for one in real_days]
    assert len(found) == 305
    for mine, theirs in zip(found, counted, strict=True):
        assert mine[0] == theirs[0]
        assert mine[1:] == pytest.approx(theirs[1:], abs=1e-9), str(mine[0])


def test_at_most_three_nights_in_a_hundred_cry_wolf(real_days: list[Night], online_retail: Contract) -> None:
    """Over the real shop's year, at the default sensitivity, after the cold start: these nights and no more."""
    odd, judged = replay(real_days, rules_at(online_retail, "normal"))
    told = {str(one.night.slot): [verdict.name for verdict in one.unusual] for one in odd}
    assert judged == 305 - 14
    assert len(odd) <= 0.03 * judged, told
    assert told == {
        "2010-12-22": ["customers", "rows"],  # the last days before Christmas: 17 customers where 90 are usual
        "2011-08-30": ["null.CustomerID"],  # 87 % of the rows have no customer, more than on any other day
        "2011-12-09": ["staleness"],  # the last file of all, cut off at 12:50
    }


SHOP_DAYS = 16
NIGHT = date(2026, 1, 1) + timedelta(days=SHOP_DAYS)
HEADER = "order_no,customer,at,price,pieces,item,kind"


class Desk:
    """A shop's folder, and the ingest stage that takes in what lies there."""

    def __init__(self, app: Application) -> None:
        self.app = app

    def deliver(self, slot: date, rows: int) -> None:
        """A file of as many rows, each of a customer of its own."""
        lines = [f"{slot}-{place},{place:03},{slot} 21:00:00,2.50,1,pen,purchase" for place in range(rows)]
        path = self.app.contract.folder / "orders" / f"{slot}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([HEADER, *lines]) + "\n")

    def take_in(self, night: date, sealed: date | None) -> dict[str, CheckResult]:
        """The gates' results of the night."""
        with self.app.run("night", night, "done") as run, self.app.stage(run, "ingest") as stage:
            ingest(self.app, run, stage, sealed)
        return self.gates(run.run_id)

    def gates(self, run_id: str) -> dict[str, CheckResult]:
        return {one.name: one for one in self.app.ledger.checks(run_id) if one.kind == "gate"}


@pytest.fixture(scope="module")
def desk(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_contract: Callable[..., Contract]
) -> Iterator[Desk]:
    """A shop of 60 rows a day that has taken in 16 days of history."""
    assert spark
    root = tmp_path_factory.mktemp("gates")
    contract = make_contract(root / "shop")
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(root / "home")})
    with Lane.take(settings.lake("shop")) as lane:
        shop = Desk(Application(settings, contract, Ledger.open(settings.ledger_url), lane, "gates"))
        for day in range(SHOP_DAYS):
            shop.deliver(NIGHT - timedelta(days=SHOP_DAYS - day), 58 + day % 3)
        yield shop


def test_a_broken_day_stops_the_night_and_a_repaired_one_passes(desk: Desk) -> None:
    """History is only warned about. A tenth of the rows is refused before a fact is written; the whole file passes."""
    history = desk.take_in(NIGHT - timedelta(days=1), None)
    assert set(history) == {f"earlier.{family}" for family in FAMILIES}
    assert all(check.passed for check in history.values()), history
    assert len(desk.app.ledger.measurements("shop", "orders")) > 20 * SHOP_DAYS

    desk.deliver(NIGHT, 6)
    version = desk.app.lake.version("events")
    with pytest.raises(DataRefusedError) as refused:
        desk.take_in(NIGHT, NIGHT - timedelta(days=1))
    assert "rows is 6 rows; expected " in str(refused.value)
    assert "from 16 earlier slots" in str(refused.value)
    assert f'[sources.orders.gates] unusual = ["{NIGHT}"]' in str(refused.value)
    assert desk.app.lake.version("events") == version
    held = desk.app.ledger.measurements("shop", "orders")
    assert NIGHT not in {one.slot for one in held}

    desk.deliver(NIGHT, 59)
    checks = desk.take_in(NIGHT, NIGHT - timedelta(days=1))
    assert all(check.passed for check in checks.values()), checks
    assert {"rows", "known", "own_day", "null.customer", "level.event_type.purchase", "median.price"} <= set(checks)
    assert checks["known"].observed == "100.0 %"
    assert NIGHT in {one.slot for one in desk.app.ledger.measurements("shop", "orders")}


def judged(slot: date, level: Level) -> Judged:
    """A night with one verdict."""
    return Judged(Night(slot, {}), (Verdict("rows", "volume", level, "6 rows", "about 60 rows"),))


@pytest.mark.parametrize(
    ("level", "tonight", "unusual", "severity", "passed"),
    [
        (Level.USUAL, SECOND, False, "warning", True),
        (Level.UNUSUAL, SECOND, False, "warning", False),
        (Level.BROKEN, SECOND, False, "critical", False),
        (Level.BROKEN, SECOND, True, "warning", False),
        (Level.FAILED, SECOND, True, "critical", False),
        (Level.FAILED, None, False, "critical", False),
    ],
)
def test_what_stops_a_night(level: Level, tonight: date | None, unusual: bool, severity: str, passed: bool) -> None:  # noqa: FBT001 - a table
    """A fault of tonight's file does, unless its day was declared unusual; a gate that failed always does."""
    rules = Rules(unusual=frozenset([SECOND] if unusual else []))
    checks = checks_of("orders", {SECOND: judged(SECOND, level)}, tonight, rules)
    rows = next(one for one in checks if one.name == "rows")
    assert (rows.severity, rows.passed, rows.observed, rows.expected) == (severity, passed, "6 rows", "about 60 rows")
    if severity == "critical":
        with pytest.raises(DataRefusedError, match="rows is 6 rows; expected about 60 rows"):
            refuse_broken("orders", checks, tonight)
    else:
        refuse_broken("orders", checks, tonight)


def test_slots_beside_tonights_are_summed_up_and_stop_nothing() -> None:
    """A broken late file is one failed line of its family, a warning; tonight's own numbers stand one by one."""
    both = {FIRST: judged(FIRST, Level.BROKEN), SECOND: judged(SECOND, Level.USUAL)}
    checks = {one.name: one for one in checks_of("orders", both, SECOND, Rules())}
    assert (checks["rows"].passed, checks["earlier.volume"].passed, checks["earlier.nulls"].passed) == (
        True,
        False,
        True,
    )
    assert checks["earlier.volume"].severity == "warning"
    assert checks["earlier.volume"].observed.startswith("1 of 1 slots unusual: 2026-03-02 rows is 6 rows")
    assert checks_of("orders", both, None, Rules(sensitivity="off")) == []


def test_learning_says_how_far_it_is() -> None:
    """Until two weeks have come, tonight has one line: how many of the nights are there."""
    learning = Judged(Night(SECOND, {}), (), learning=5)
    (check,) = checks_of("orders", {SECOND: learning}, SECOND, Rules())
    assert (check.name, check.severity, check.passed, check.observed) == (
        "learning",
        "info",
        True,
        "learning, 5 of 14 nights",
    )


def test_rules_come_from_the_contract(tmp_path: Path, make_contract: Callable[..., Contract]) -> None:
    """Sensitivity, unusual days and the levels that `by` names; sources that are off share no chance."""
    wish = 'duplicates = "drop"\ngates = { sensitivity = "high", unusual = ["2026-03-03"] }'
    contract = make_contract(tmp_path / "wishful", ('duplicates = "drop"', wish))
    levels = frozenset({"level.event_type.purchase", "level.event_type.cancellation"})
    assert rules_of(contract, "orders") == Rules("high", frozenset([SECOND]), levels, 1)
