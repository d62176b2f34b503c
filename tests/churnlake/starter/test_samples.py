"""Sample files: what each is, and which of them are one table."""

from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.errors import DataRefusedError, UsageError
from churnlake.starter import find_samples

CSV = "customer,at\n1,2026-01-01\n"
Write = Callable[[str, str | bytes], Path]


def test_files_that_differ_in_dates_and_numbers_only_are_one_table(samples: Path, write: Write) -> None:
    """Folders count; a file named by nothing but a date takes its folder's name."""
    for name in (
        "orders_2026-01-01.csv",
        "orders_2026-01-02.csv",
        "vle_2013B.csv",
        "vle_2013J.csv",
        "daily/2026-01-01.csv",
    ):
        write(name, CSV)
    found = find_samples(samples)
    told = {table.name: [file.relative for file in table.files] for table in found.tables}
    assert told == {
        "daily": ["daily/2026-01-01.csv"],
        "orders": ["orders_2026-01-01.csv", "orders_2026-01-02.csv"],
        "vle": ["vle_2013B.csv", "vle_2013J.csv"],
    }


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"PK\x03\x04rest", "is an Excel workbook or a zip archive: save the sheet as CSV"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n \n", "is empty"),
        ("a.csv", b'{"customer": 1}\n', "is JSON, not CSV: name it .jsonl"),
        ("a.json", b'[{"customer": 1}]', "is one JSON array: write one object per line"),
        ("a.csv", b"%PDF-1.7", "is a PDF document"),
        ("a.csv", b"\x1f\x8b\x08", "is gzip data without .gz in its name: name it .gz"),
        ("a.csv", b"a,b\x00\x00", "is binary"),
    ],
)
def test_a_file_that_is_something_else_is_named_as_what_it_is(
    samples: Path, write: Write, name: str, content: bytes, told: str
) -> None:
    """With what to do about it; exit 3."""
    write(name, content)
    with pytest.raises(DataRefusedError) as refused:
        find_samples(samples)
    assert f"{name}: {told}" in str(refused.value)


def test_a_broken_gzip_file_is_refused(samples: Path, write: Write) -> None:
    """Cut in its middle."""
    path = write("a.csv.gz", CSV * 1000)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataRefusedError, match="cannot be unpacked or read"):
        find_samples(samples)


def test_notes_beside_the_data_are_left_out_by_name_and_hidden_files_are_none(samples: Path, write: Write) -> None:
    """A README is no table; nobody asks for it to be repaired."""
    for name in ("orders.csv", "README.md", ".hidden.csv", "_tmp/x.csv"):
        write(name, CSV)
    found = find_samples(samples)
    assert [table.name for table in found.tables] == ["orders"]
    assert found.left_out == ("README.md: its ending .md is none of data",)


def test_a_place_without_files_is_a_usage_error_and_one_without_data_refused(tmp_path: Path) -> None:
    """The message names the place."""
    with pytest.raises(UsageError, match="no file or folder at"):
        find_samples(tmp_path / "nowhere")
    with pytest.raises(DataRefusedError, match="no table in"):
        find_samples(tmp_path)


def test_one_file_alone_may_have_any_ending(write: Write) -> None:
    """Who names a file means it."""
    (table,) = find_samples(write("orders.export", CSV)).tables
    assert (table.name, table.format) == ("orders", "csv")
