"""Tiles are read from their files without Spark: the right rows, whatever else lies beside them, and few files."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.lake import StoredTable

FIRST, LAST = date(2028, 2, 28), date(2028, 3, 1)  # over a leap day
COLUMNS = {"amount": pa.int64(), "value": pa.dictionary(pa.int32(), pa.string())}
SCHEMA = pa.schema({
    "source": pa.string(), "customer_id": pa.string(), "event_date": pa.date32(), "known_date": pa.date32(),
    "amount": pa.int64(), "value": pa.string(), "known_month": pa.string(),
})  # fmt: skip
Told = tuple[str, str, date, date, int | None, str | None]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Where a table is to lie: a home may have any name."""
    return tmp_path / "a höme 100%" / "daily"


def write(table: Path, rows: Sequence[Told], **properties: str) -> None:
    """Adds rows to a table, in files of their own."""
    held = [(*row, f"{row[3]:%Y-%m}") for row in rows]
    frame = pa.table([list(column) for column in zip(*held, strict=True)], schema=SCHEMA)
    write_deltalake(table, frame, partition_by=["known_month"], mode="append", configuration=properties or None)


def told(source: str, customer: str, day: date, known: date | None = None, amount: int | None = 1) -> Told:
    """A row of a tile."""
    return (source, customer, day, known or day, amount, "pen")


def read(table: Path, customers: Sequence[str], version: int = 0) -> list[tuple[int, date, date, int | None]]:
    """What orders told of these customers, as (place, day, known on, amount)."""
    files = StoredTable(table, version).files("orders", FIRST, LAST)
    rows = files.read(pa.array(customers, pa.string()), COLUMNS).to_pylist()
    return sorted((row["place"], row["event_date"], row["known_date"], row["amount"]) for row in rows)


def test_the_rows_of_a_source_of_some_customers_and_days_are_read(table: Path) -> None:
    """Both edges of the days count; rows of others, and what became known after the last day, do not."""
    one = timedelta(days=1)
    wanted = [
        told("orders", "ann", FIRST),
        told("orders", "cid", LAST, LAST - 3 * one),
        told("orders", "cid", FIRST + one, LAST, None),
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
        (0, FIRST, FIRST, 1),
        (1, FIRST + one, LAST, None),
        (1, LAST, LAST - 3 * one, 1),
    ]
    assert read(table, ["dan"]) == []


def test_files_that_hold_none_of_the_days_are_not_opened(table: Path) -> None:
    """Delta knows the bounds of each file; of a source with files of its own, no row is asked whose it is."""
    write(table, [told("orders", "ann", FIRST), told("orders", "bob", LAST)])
    write(table, [told("orders", "ann", FIRST - timedelta(days=1))])
    write(table, [told("visits", "ann", FIRST)])
    files = StoredTable(table, 2).files("orders", FIRST, LAST)
    assert (len(files.paths), files.rows, files.only_source) == (2, 2, True)  # a file for each month known
    write(table, [told("visits", "ann", FIRST), told("orders", "bob", FIRST)])
    files = StoredTable(table, 3).files("orders", FIRST, LAST)
    assert (len(files.paths), files.rows, files.only_source) == (3, 4, False)
    assert StoredTable(table, 1).files("orders", FIRST, LAST).rows == 2


def test_a_file_without_bounds_may_hold_anything(table: Path) -> None:
    """Where Delta was told to keep none, every file is read and the rows are the same."""
    write(table, [told("orders", "ann", FIRST)], **{"delta.dataSkippingNumIndexedCols": "0"})
    files = StoredTable(table, 0).files("orders", FIRST, LAST)
    assert (len(files.paths), files.only_source) == (1, False)
    assert StoredTable(table, 0).files("orders", LAST, LAST).paths == files.paths
    assert read(table, ["ann"]) == [(0, FIRST, FIRST, 1)]


def test_a_table_without_rows_tells_nothing(table: Path) -> None:
    """A contract that counts no values has an empty table of them."""
    write_deltalake(table, SCHEMA.empty_table())
    assert StoredTable(table, 0).files("orders", FIRST, LAST).paths == ()
    assert read(table, ["ann"]) == []
