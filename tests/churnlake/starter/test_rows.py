"""Rows of sample files: encoding, separator, quotes, header, and how much is read."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnlake.errors import DataRefusedError
from churnlake.starter import find_samples, read_tables
from churnlake.starter.rows import Rows, read_rows

Write = Callable[[str, str | bytes], Path]
LINES = "customer;city;total\n001;Köln;12,50\n002;;7,99\n"


@pytest.fixture
def rows(samples: Path, write: Write) -> Callable[..., Rows]:
    """The rows of one sample file."""

    def read(name: str, content: str | bytes) -> Rows:
        write(name, content)
        (told,) = read_tables(find_samples(samples))[0]
        return told

    return read


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (LINES.encode(), "utf-8"),
        (LINES.encode("utf-8-sig"), "utf-8"),
        (LINES.encode("utf-16"), "utf-16"),
        (LINES.encode("cp1252"), "cp1252"),
        (LINES.encode("latin-1").replace(b"K", b"\x81"), "latin-1"),
    ],
)
def test_the_encoding_is_found(rows: Callable[..., Rows], content: bytes, encoding: str) -> None:
    """By its mark, else by what the bytes allow; the header is the same in all of them."""
    told = rows("orders.csv", content)
    assert told.dialect is not None
    assert (told.dialect.encoding, list(told.columns)) == (encoding, ["customer", "city", "total"])
    assert told.columns["total"] == ["12,50", "7,99"]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_parts_all_lines_alike(rows: Callable[..., Rows], separator: str) -> None:
    """A comma inside quotes parts nothing."""
    lines = [["customer", "what"], ["1", '"a, b; c"'], ["2", "d"]]
    told = rows("orders.csv", "\n".join(separator.join(line) for line in lines))
    assert told.dialect is not None
    assert (told.dialect.separator, told.columns["what"]) == (separator, ["a, b; c", "d"])


def test_a_text_parted_by_blanks_is_a_text_of_words(rows: Callable[..., Rows]) -> None:
    """As fixed columns of old systems are, with a blank at the start."""
    told = rows("orders.txt", " customer  day   n\n 00001 19970101  1\n 00002 19970112 12\n")
    assert (told.table.format, told.columns["n"]) == ("text", ["1", "12"])


def test_json_lines_are_read_by_dotted_names_and_lists_are_left_out(rows: Callable[..., Rows]) -> None:
    """A key that a line does not have is null there."""
    told = rows("orders.jsonl", '{"customer": {"id": 7}, "tags": [1]}\n{"customer": {"id": 8}, "total": 1.50}\n')
    assert told.columns == {"customer.id": ["7", "8"], "total": [None, "1.50"]}
    assert (told.kinds, told.unnameable) == ({"customer.id": "number", "total": "number"}, ("tags",))


def test_parquet_tells_its_types_itself(samples: Path) -> None:
    """And the highest value of the whole file, however little is read of it."""
    pq.write_table(pa.table({"customer": [1, 2, None], "tags": [["a"], [], None]}), samples / "orders.parquet")
    (told,) = read_tables(find_samples(samples))[0]
    assert (told.columns, told.kinds) == ({"customer": ["1", "2", None]}, {"customer": "bigint"})
    assert (told.unnameable, told.highest["customer"]) == (("tags",), "2")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "1,2026-01-01\n2,2026-01-02\n", "has no header (its first line holds the value '1')"),
        ("a.csv", "anna,lamp\nanna,lamp\nanna,sofa\n", "has no header (its first line, ['anna', 'lamp'], looks like"),
        ("a.csv", ",customer\n0,1\n", "has no name for column 1"),
        ("a.csv", "Customer,customer\n0,1\n", "has two columns that a contract cannot tell apart"),
        ("a.csv", "customer,at\n", "has a header and no rows"),
        ("a.csv", "customer at\n1 2\n", "is parted by blanks and named .csv: name it .txt"),
        ("a.csv", "hello\nworld, this\nis; no table\n", "is no table"),
        ("a.jsonl", "{ not json\n", "has no line that is a JSON object"),
        ("a.parquet", "PAR1 and no more", "is no whole parquet file"),
    ],
)
def test_a_file_without_header_or_rows_is_refused(
    samples: Path, write: Write, name: str, content: str, told: str
) -> None:
    """Column names are never guessed."""
    write(name, content)
    with pytest.raises(DataRefusedError) as refused:
        read_tables(find_samples(samples))
    assert told in str(refused.value)


def test_a_note_that_is_no_table_is_left_out_where_tables_are(samples: Path, write: Write) -> None:
    """Alone it is refused."""
    write("about.txt", "What this is:\na shop\n")
    with pytest.raises(DataRefusedError, match="is no table"):
        read_tables(find_samples(samples))
    write("orders.csv", "customer,at\n1,2026-01-01\n")
    rows, left_out = read_tables(find_samples(samples))
    assert ([one.table.name for one in rows], len(left_out)) == (["orders"], 1)


def test_a_bounded_amount_is_read_and_said_to_be_a_part(samples: Path, write: Write) -> None:
    """Each file gives its share, so that the newest one is seen too."""
    for day in (1, 2):
        write(f"orders_2026-01-0{day}.csv", "customer\tat\n" + "".join(f"{n}\t{day}\n" for n in range(100)))
    (table,) = find_samples(samples).tables
    few, all_of_them = read_rows(table, most_rows=20), read_rows(table)
    assert (few.count, few.whole, set(few.columns["at"])) == (20, False, {"1", "2"})
    assert (all_of_them.count, all_of_them.whole) == (200, True)
    assert read_rows(table, most_bytes=100).whole is False


def test_names_that_a_contract_cannot_hold_are_left_out(rows: Callable[..., Rows]) -> None:
    """The lake's own names are among them; lines of another width teach nothing."""
    told = rows("orders.csv", "customer,price (EUR),slot\n1,2,3\n4,5\n")
    assert (told.columns, told.unnameable) == ({"customer": ["1"]}, ("price (EUR)", "slot"))


def test_files_of_one_table_must_agree_in_their_encoding(samples: Path, write: Write) -> None:
    """Plain letters fit any of them."""
    write("orders_1.csv", "customer;city\n1;Bonn\n")
    write("orders_2.csv", "customer;city\n1;Köln\n".encode("cp1252"))
    ((told,), _) = read_tables(find_samples(samples))
    assert told.columns["city"] == ["Bonn", "Köln"]
    write("orders_3.csv", "customer;city\n1;Köln\n")
    with pytest.raises(DataRefusedError, match="have different encodings"):
        read_tables(find_samples(samples))
