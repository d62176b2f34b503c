"""Lines of text, as Spark's Python workers read them."""

import gzip
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.text_lines import line_decoder, line_reader, pattern_parser

# Half of each of these is the byte of a line end.
LIKE_LINE_ENDS = "\u0a00\u0100\u010a\u0d0a\u0a0d"


def batch(**columns: Sequence[object]) -> pa.RecordBatch:
    """A batch of columns."""
    return pa.RecordBatch.from_pydict(columns)


@pytest.mark.parametrize("order", ["le", "be"])
def test_a_file_of_utf_16_is_parted_at_its_line_ends_alone(tmp_path: Path, order: str) -> None:
    """Packed or not, in either order, with any line end; blank lines and those above the rows are left out."""
    text = f"\ufeffhead\r\n\r\na,{LIKE_LINE_ENDS}\r\n \nb,\U0001f375\rc\n" + "d\n" * 20_000
    plain, packed = tmp_path / "a.csv", tmp_path / "b.csv.gz"
    plain.write_bytes(text.encode(f"utf-16-{order}"))
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    files = [batch(file=["f", "g"], path=[str(plain), str(packed)])]
    rows = [(row["file"], row["value"]) for one in line_reader("utf-16", 1)(files) for row in one.to_pylist()]
    lines = [f"a,{LIKE_LINE_ENDS}", "b,\U0001f375", "c", *["d"] * 20_000]
    assert rows == [("f", line) for line in lines] + [("g", line) for line in lines]


def test_lines_above_the_rows_are_counted_in_the_first_piece_of_each_file() -> None:
    """However the lines of several files and pieces are batched; blank lines count too."""
    batches = [
        batch(file=["f", "f", "g"], is_top=[True, True, False], value=[b"one", b"", b"three"]),
        batch(file=["f", "h", "h"], is_top=[True, True, True], value=[b"caf\xe9 \x80", b"one", b"two"]),
        batch(file=["h"], is_top=[True], value=[b"three"]),
    ]
    found = [row for one in line_decoder("cp1252", 2)(batches) for row in one.to_pylist()]
    assert found == [
        {"file": "g", "value": "three"},
        {"file": "f", "value": "caf\u00e9 \u20ac"},
        {"file": "h", "value": "three"},
    ]


def test_a_line_fits_the_pattern_as_a_whole_or_is_misshapen() -> None:
    """Nothing is stripped off it; an empty group is null, and so is one that took no part; blank lines are no rows."""
    parse = pattern_parser(r"\s*(?P<id>\d+) (?P<day>\d*)( (?P<kind>\w+))?", ["kind", "id", "day"], "corrupt")
    lines = ["\ufeff 01 2 x", "1 ", "1 2 x ", "", " \t", "1 2 x\u00e9", "\U0001f375"]
    (found,) = parse([batch(file=["f"] * len(lines), value=lines)])
    assert found.schema.names == ["file", "kind", "id", "day", "corrupt"]
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        ("f", "x", "01", "2", None),
        ("f", None, "1", None, None),
        ("f", None, None, None, "1 2 x "),
        ("f", "x\u00e9", "1", "2", None),
        ("f", None, None, None, "\U0001f375"),
    ]


def test_a_batch_of_blank_lines_has_no_rows() -> None:
    """And still its columns."""
    (found,) = pattern_parser("(?P<id>.)", ["id"], "corrupt")([batch(file=["f"], value=[" "])])
    assert (found.num_rows, found.schema.names) == (0, ["file", "id", "corrupt"])
