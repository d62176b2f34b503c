"""The demo's numbers, counted a second time from the files by DuckDB, without a line of project code."""

import json
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from churnlake.settings import Settings
from jobs.night import Request, run

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1000)]

FILES = Path(__file__).resolve().parents[2] / "examples" / "online_retail" / "data" / "by_day"
HISTORY = date(2011, 11, 27)
NIGHTS = (date(2011, 11, 28), date(2011, 11, 29), date(2011, 11, 30))

# lines, accepted, anonymous, duplicate, quarantined
FLOWS = {
    HISTORY: (505_287, 376_608, 123_839, 4_800, 40),
    NIGHTS[0]: (3_330, 2_734, 541, 55, 0),
    NIGHTS[1]: (4_313, 2_661, 1_577, 75, 0),
    NIGHTS[2]: (3_454, 2_179, 1_259, 16, 0),
}
ALL_FILES = (541_909, 401_564, 135_080, 5_225, 40)
# known, eligible
STANDING = {HISTORY: (4_301, 2_808), NIGHTS[0]: (4_314, 2_827), NIGHTS[1]: (4_326, 2_839), NIGHTS[2]: (4_331, 2_840)}

# What is wrong with the lines of all files, whatever becomes of them: the name the ledger counts it under, how DuckDB
# finds it, and how often the data set's own description says it is there.
DEFECTS = {
    "ignored.anonymous": ("CustomerID IS NULL", 135_080),
    "events.customer_id.not_be_null": ("CustomerID IS NULL", 135_080),
    "invoices.Description.empty": ("Description IS NULL", 1_454),
    "invoices.Description.blanks_at_ends": ("left(Description, 1) = ' ' OR right(Description, 1) = ' '", 113_452),
    "invoices.InvoiceNo.cancellation": ("starts_with(InvoiceNo, 'C')", 9_288),
    "invoices.Quantity.negative": ("Quantity::INT < 0", 10_624),
    "invoices.Quantity.written_off": ("Quantity::INT < 0 AND NOT starts_with(InvoiceNo, 'C')", 1_336),
    "invoices.UnitPrice.zero": ("UnitPrice::DECIMAL(12, 4) = 0", 2_515),
    "invoices.UnitPrice.negative": ("starts_with(UnitPrice, '-')", 2),
    "invoices.UnitPrice.be_between": ("UnitPrice::DECIMAL(12, 4) <= 0", 2_517),
    "invoices.Country.unspecified": ("Country = 'Unspecified'", 446),
    "invoices.StockCode.lower_case_suffix": ("regexp_full_match(StockCode, '[0-9]{5}[a-z]+')", 1_942),
    "duplicate": ("is_copy", 5_268),
}
NUMBERED = ("raw", "accepted", "unchanged", "duplicate", "withdrawn")
REASONED = ("defects", "ignored", "quarantined")

COLUMNS = "InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country"


@pytest.fixture(scope="module")
def lines() -> duckdb.DuckDBPyConnection:
    """All lines of all files as text, with the day of their file."""
    connection = duckdb.connect()
    connection.execute(f"""
        CREATE TABLE line AS
        SELECT {COLUMNS}, regexp_extract(filename, '(\\d{{4}}-\\d{{2}}-\\d{{2}})\\.csv', 1)::DATE AS day
        FROM read_csv('{FILES}/*.csv.gz', header = true, all_varchar = true, filename = true, quote = '"', escape = '"')
    """)
    # One named customer's line; copies beyond the first of an exact line of one file are duplicates.
    connection.execute(f"""
        CREATE TABLE named AS
        SELECT *, row_number() OVER (PARTITION BY day, {COLUMNS}) > 1 AS is_copy,
          UnitPrice::DECIMAL(12, 4) > 0 AS has_price
        FROM line WHERE CustomerID IS NOT NULL
    """)
    return connection


def _defects(lines: duckdb.DuckDBPyConnection) -> dict[str, int]:
    counts = ", ".join(f"count(*) FILTER ({condition})" for condition, _ in DEFECTS.values())
    numbered = f"SELECT *, row_number() OVER (PARTITION BY day, {COLUMNS}) > 1 AS is_copy FROM line"
    row = lines.execute(f"SELECT {counts} FROM ({numbered})").fetchone()
    assert row is not None
    return dict(zip(DEFECTS, row, strict=True))


def _flow(lines: duckdb.DuckDBPyConnection, first: date, last: date) -> tuple[int, ...]:
    asked = """
        SELECT (SELECT count(*) FROM line WHERE day BETWEEN $first AND $last),
          count(*) FILTER (NOT is_copy AND has_price),
          (SELECT count(*) FROM line WHERE day BETWEEN $first AND $last AND CustomerID IS NULL),
          count(*) FILTER (is_copy), count(*) FILTER (NOT is_copy AND NOT has_price)
        FROM named WHERE day BETWEEN $first AND $last
    """
    row = lines.execute(asked, {"first": first, "last": last}).fetchone()
    assert row is not None
    return row


def _standing(lines: duckdb.DuckDBPyConnection, day: date) -> tuple[int, ...]:
    asked = """
        SELECT count(DISTINCT CustomerID), count(DISTINCT CustomerID) FILTER (
          NOT is_copy AND has_price AND NOT starts_with(InvoiceNo, 'C')
          AND Quantity::INT * UnitPrice::DECIMAL(12, 4) > 0 AND InvoiceDate::DATE > $oldest)
        FROM named WHERE day <= $day
    """
    row = lines.execute(asked, {"day": day, "oldest": day - timedelta(days=90)}).fetchone()
    assert row is not None
    return row


def test_the_expected_numbers_are_those_of_the_files(lines: duckdb.DuckDBPyConnection) -> None:
    """Each bucket is counted on its own, none by subtraction."""
    counted = {day: _flow(lines, date(2010, 12, 1) if day == HISTORY else day, day) for day in FLOWS}

    assert counted == FLOWS
    assert _flow(lines, date(2010, 12, 1), date(2011, 12, 9)) == ALL_FILES
    assert {day: _standing(lines, day) for day in STANDING} == STANDING
    assert _standing(lines, date(2011, 12, 9))[0] == 4_372


def test_the_defects_expected_are_those_of_the_files(lines: duckdb.DuckDBPyConnection) -> None:
    """The description of the data set, counted again over all 305 files."""
    assert _defects(lines) == {name: count for name, (_, count) in DEFECTS.items()}


def test_every_defect_of_all_files_is_counted(spark: SparkSession, after_demo: Settings) -> None:
    """With the days after the demo taken in too: defects before any bucket; then the buckets, each counted itself."""
    contract = FILES.parents[1] / "contract.toml"
    rest = Request(contract, "rest", (), history_through=date(2011, 12, 9))
    assert run(rest, after_demo) == 0
    asked = "SELECT counts FROM ledger.delivery WHERE state = 'ingested'"
    told = [json.loads(counts) for (counts,) in _ledger(after_demo.home).execute(asked).fetchall()]
    assert len(told) == 305
    by_name = {name: sum((Counter(one[name]) for one in told), Counter()) for name in REASONED}
    assert by_name["defects"] == {name: count for name, (_, count) in DEFECTS.items()}
    raw, accepted, anonymous, duplicate, quarantined = ALL_FILES
    assert {name: sum(one[name] for one in told) for name in NUMBERED} == {
        "raw": raw, "accepted": accepted, "unchanged": 0, "duplicate": duplicate, "withdrawn": 0,
    }  # fmt: skip
    assert by_name["ignored"] == {"anonymous": anonymous}
    assert by_name["quarantined"] == {"invoices.UnitPrice.be_between": quarantined}


def test_p4_the_demo_accounts_for_every_line_of_every_file(demo_home: Path) -> None:
    """The ledger's buckets of each delivery, summed by step, equal the recount."""
    asked = """
        SELECT greatest(slot, DATE '2011-11-27') AS step, sum((counts->>'raw')::INT), sum((counts->>'accepted')::INT),
          sum((counts->'ignored'->>'anonymous')::INT), sum((counts->>'duplicate')::INT),
          sum(coalesce((counts->'quarantined'->>'invoices.UnitPrice.be_between')::INT, 0))
        FROM (SELECT slot::DATE AS slot, counts::JSON AS counts FROM ledger.delivery WHERE state = 'ingested')
        GROUP BY 1 ORDER BY 1
    """
    told = {
        row[0]: tuple(int(number or 0) for number in row[1:]) for row in _ledger(demo_home).execute(asked).fetchall()
    }

    assert told == FLOWS


def test_p3_every_known_customer_is_scored_or_has_a_reason(demo_home: Path, lines: duckdb.DuckDBPyConnection) -> None:
    """Each night: known = scored + not scored, nobody twice, and exactly the customers of the recount are scored."""
    warehouse = duckdb.connect(str(demo_home / "warehouse" / "warehouse.duckdb"), read_only=True)
    for night in NIGHTS:
        scored = warehouse.execute(
            "SELECT customer_id FROM churn.scores_history WHERE business_date = ?", [night]
        ).fetchall()
        others = warehouse.execute(
            "SELECT customer_id FROM churn.not_scored WHERE business_date = ?", [night]
        ).fetchall()
        assert (len(scored) + len(others), len(scored)) == STANDING[night]
        assert len({*scored, *others}) == len(scored) + len(others)
        eligible = lines.execute(
            """SELECT DISTINCT replace(CustomerID, '.0', '') FROM named WHERE day <= $day AND NOT is_copy AND has_price
            AND NOT starts_with(InvoiceNo, 'C') AND Quantity::INT > 0 AND InvoiceDate::DATE > $oldest""",
            {"day": night, "oldest": night - timedelta(days=90)},
        ).fetchall()
        assert set(scored) == set(eligible)


def _ledger(home: Path) -> duckdb.DuckDBPyConnection:
    """The ledger's deliveries, read with the standard library: DuckDB's own sqlite reader is not at hand offline."""
    import sqlite3

    rows = sqlite3.connect(home / "ledger.sqlite").execute("SELECT slot, state, counts FROM delivery").fetchall()
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA ledger")
    connection.execute("CREATE TABLE ledger.delivery (slot VARCHAR, state VARCHAR, counts VARCHAR)")
    connection.executemany("INSERT INTO ledger.delivery VALUES (?, ?, ?)", rows)
    return connection
