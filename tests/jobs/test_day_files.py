"""Tiles are read from their files without Spark: the right rows, whatever else lies beside them, and few files."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from churnlake.calendar import DayRange
from jobs.day_files import Customers
from jobs.lake import StoredTable

FIRST, LAST = date(2028, 2, 28), date(2028, 3, 1)  # over a leap day
DAYS = DayRange(FIRST, LAST)
SCHEMA = pa.schema({
    "source": pa.string(), "customer_id": pa.string(), "customer_hash": pa.int32(),
    "event_date": pa.date32(), "known_date": pa.date32(),
    "amount": pa.int64(), "value": pa.string(), "known_month": pa.string(),
})  # fmt: skip
Told = tuple[str, str, date, date, int, str]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Where a table is to lie: a home may have any name."""
    return tmp_path / "a höme 100%" / "daily"


def write(table: Path, rows: Sequence[Told], **properties: str) -> None:
    """Adds rows to a table, in files of their own."""
    held = [(*row[:2], hash_of(row[1]), *row[2:], f"{row[3]:%Y-%m}") for row in rows]
    frame = pa.table([list(column) for column in zip(*held, strict=True)], schema=SCHEMA)
    write_deltalake(table, frame, partition_by=["known_month"], mode="append", configuration=properties or None)


def hash_of(customer: str) -> int:
    """A hash that can be told by looking: a is 1."""
    return ord(customer[0]) - ord("a") + 1


def told(source: str, customer: str, day: date, known: date | None = None, value: str = "pen") -> Told:
    """A row of a tile."""
    return (source, customer, day, known or day, 7, value)


def read(table: Path, customers: Sequence[str], version: int = 0) -> list[tuple[int, date, date, int, str]]:
    """What orders told of these customers, as (place, day, known on, amount, value)."""
    files = StoredTable(table, version).files("orders", DAYS, LAST)
    hashes = [hash_of(one) for one in customers]
    rows = files.read(Customers(pa.array(customers), (min(hashes), max(hashes))), ["amount"], ["value"])
    days = ([date(1970, 1, 1) + timedelta(days=int(day)) for day in each] for each in (rows.event_day, rows.known_day))
    values, code = rows.texts["value"]
    told = zip(rows.place.tolist(), *days, rows.sums["amount"].tolist(), [values[each] for each in code], strict=True)
    return sorted(row for row in told if row[0] >= 0)


def test_the_rows_of_a_source_of_some_customers_and_days_are_read(table: Path) -> None:
    """Both edges of the days count; rows of others, and what became known after the last day, do not."""
    one = timedelta(days=1)
    wanted = [
        told("orders", "ann", FIRST),
        told("orders", "cid", LAST, LAST - 3 * one),
        told("orders", "cid", FIRST + one, LAST, "ink"),
    ]
    others = [
        told("orders", "ann", FIRST - one),
        told("orders", "ann", LAST + one, LAST),
        told("orders", "ann", LAST, LAST + one),
        told("orders", "bob", FIRST),
        told("orders", "zoe", FIRST),
        told("visits", "ann", FIRST),
    ]
    write(table, [*others, *wanted])
    assert read(table, ["ann", "cid"]) == [
        (0, FIRST, FIRST, 7, "pen"),
        (1, FIRST + one, LAST, 7, "ink"),
        (1, LAST, LAST - 3 * one, 7, "pen"),
    ]
    assert read(table, ["dan"]) == []


def test_files_that_hold_none_of_the_days_are_not_opened(table: Path) -> None:
    """Delta knows the bounds of each file; of a source with files of its own, no row is asked whose it is."""
    write(table, [told("orders", "ann", FIRST), told("orders", "bob", LAST)])
    write(table, [told("orders", "ann", FIRST - timedelta(days=1))])
    write(table, [told("visits", "ann", FIRST)])
    files = StoredTable(table, 2).files("orders", DAYS, LAST)
    assert (len(files.paths), files.rows, files.only_source) == (2, 2, True)  # a file for each month known
    write(table, [told("visits", "ann", FIRST), told("orders", "bob", FIRST)])
    files = StoredTable(table, 3).files("orders", DAYS, LAST)
    assert (len(files.paths), files.rows, files.only_source) == (3, 4, False)
    assert StoredTable(table, 1).files("orders", DAYS, LAST).rows == 2


def test_a_file_without_bounds_may_hold_anything(table: Path) -> None:
    """Where Delta was told to keep none, every file is read and the rows are the same."""
    write(table, [told("orders", "ann", FIRST)], **{"delta.dataSkippingNumIndexedCols": "0"})
    files = StoredTable(table, 0).files("orders", DAYS, LAST)
    assert (len(files.paths), files.rows, files.only_source) == (1, 1, False)
    assert StoredTable(table, 0).files("orders", DayRange(LAST, LAST), LAST).paths == files.paths
    assert read(table, ["ann"]) == [(0, FIRST, FIRST, 7, "pen")]


def test_a_table_without_hashes_is_read_whole_and_tells_the_same(table: Path) -> None:
    """Tiles of an earlier version have none: the rows of who was asked for are found all the same."""
    held = [(*told("orders", who, FIRST), f"{FIRST:%Y-%m}") for who in ("ann", "bob")]
    earlier = pa.schema([field for field in SCHEMA if field.name != "customer_hash"])
    write_deltalake(table, pa.table([list(column) for column in zip(*held, strict=True)], schema=earlier))
    assert read(table, ["bob"]) == [(0, FIRST, FIRST, 7, "pen")]


def test_a_table_without_rows_tells_nothing(table: Path) -> None:
    """A contract that counts no values has an empty table of them."""
    write_deltalake(table, SCHEMA.empty_table())
    assert StoredTable(table, 0).files("orders", DAYS, LAST).paths == ()
    assert read(table, ["ann"]) == []
