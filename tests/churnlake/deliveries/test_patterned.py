"""Text whose lines a pattern reads."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.contract import Contract
from churnlake.deliveries import Field, Inspected, inspect

PATTERN = r"\s*(?P<id>\d+)\s+(?P<at>\d{8})\s+(?P<price>[\d.]+)(\s+(?P<kind>\w+))?"
TEXT = f"format = \"text\"\npattern = '{PATTERN}'"

LoadShop = Callable[..., Contract]


@pytest.fixture
def seen(load_shop: LoadShop, tmp_path: Path) -> Callable[..., Inspected]:
    """What inspecting a text of this content says; `keys` are further keys of its source."""

    def inspected(content: bytes, keys: str = "", name: str = "2011-02-03.txt") -> Inspected:
        shop = load_shop(
            ('role = "events"', f'role = "events"\n{TEXT}\n{keys}'),
            ("in/{business_date}.csv", "in/{business_date}.txt"),
        )
        path = tmp_path / name
        path.write_bytes(content)
        return inspect(path, shop.sources["sales"])

    return inspected


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        (b" 00001 19970101 11.77\n", ""),
        (b"\r\n--\r\n 00001 19970101 11.77 x", ""),
        (b"customer day\n\n 00001 19970101 11.77\n", "header_lines = 2"),
        (" 00001 19970101 11.77 caf\u00e9\r\n".encode("utf-16"), 'encoding = "utf-16"'),
        (b" 00001 19970101 11.77\n" + b"x" * 100_000, ""),
    ],
)
def test_lines_that_fit_are_the_contracts_columns(seen: Callable[..., Inspected], content: bytes, keys: str) -> None:
    """Above them may stand lines that are no rows; one that does not fit is a row's fault, not the file's."""
    for inspected in (seen(content, keys), seen(gzip.compress(content), keys, "2011-02-03.txt.gz")):
        assert inspected.problems == ()
        assert inspected.layout == tuple(Field(name, name) for name in ("id", "at", "price", "kind"))


@pytest.mark.parametrize(
    ("content", "keys", "problem"),
    [
        (b"1 19970101 2 x y\n" * 300, "",
         ("none of the first 100 lines fits the pattern; the first is '1 19970101 2 x y': correct pattern or "
         "header_lines, or deliver such lines")),
        (b"\n\x1b[31m" + b"x" * 90 + b"\n", "",
         (f"none of the first 1 lines fits the pattern; the first is '\\x1b[31m{'x' * 75}...': correct pattern or "
         "header_lines, or deliver such lines")),
        (b"1 19970101 2 x\n", "header_lines = 1",
         "has no rows below its 1 header_lines: deliver it with its rows, or declare the day closed"),
        (b"a\n" + b"1" * 100_000 + b"\n", "header_lines = 1",
         "has no whole row in its first 64 KB: deliver one row per line, or set header_lines"),
        (b"1 19970101 2 \x00\n", "",
         "is binary (it holds NUL bytes), not text of the contract's pattern: deliver such text, as the contract says"),
        (b"PK\x03\x04", "",
         "is a zip archive or an Excel workbook, not text of the contract's pattern: unpack it, or save the sheet as CSV"),  # noqa: E501
        (" 1 19970101 2 caf\u00e9\n".encode("latin-1"), "",
         ("is not UTF-8 text (first at byte 17): as cp1252 it would read, with '\u00e9' there; "
         'set encoding = "cp1252" or save it as UTF-8')),
    ],
)  # fmt: skip
def test_a_text_that_the_pattern_cannot_read_is_refused(
    seen: Callable[..., Inspected], content: bytes, keys: str, problem: str
) -> None:
    """The first line that should have fitted is shown, cut and with nothing unseen in it."""
    assert seen(content, keys).problems == (problem,)
