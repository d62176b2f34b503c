import gzip
import hashlib
import io
import os
import zipfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from churnlake.contract import Contract
from churnlake.deliveries import Field, File, find_files, inspect
from churnlake.errors import DataRefusedError

HEADER = "id,at,price,kind\n"
ROW = "7,2011-02-03 09:00:00,1.50,purchase\n"
GOOD = (HEADER + ROW).encode()

LoadShop = Callable[..., Contract]


@pytest.fixture
def shop(load_shop: LoadShop, tmp_path: Path) -> Contract:
    """The shop, its folder of files still empty."""
    (tmp_path / "in").mkdir()
    return load_shop()


def problems_of(shop: Contract, content: bytes, name: str = "2011-02-03.csv") -> list[str]:
    """What inspecting a delivery with this content says."""
    path = shop.folder / "in" / name
    path.write_bytes(content)
    return list(inspect(path, shop.sources["sales"]).problems)


def gzipped(content: bytes) -> bytes:
    """The same bytes at any time: cases are named after them."""
    return gzip.compress(content, mtime=0)


def packed(files: dict[str, str]) -> bytes:
    """A zip archive, which is what an Excel workbook is too."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("2011-02-03.csv", GOOD),
        ("2011-02-03.csv", b"\xef\xbb\xbf" + GOOD),
        ("2011-02-03.csv", GOOD.replace(b"\n", b"\r\n")),
        ("2011-02-03.csv", GOOD.replace(b"\n", b"\r")),
        ("2011-02-03.csv", GOOD.rstrip(b"\n")),
        ("2011-02-03.csv", b'"id","at","price","kind"\n' + ROW.encode()),
        ("2011-02-03.csv", HEADER.encode() + "7,2011-02-03,1,caf\u00e9\n".encode() * 9_000),
        ("2011-02-03.csv.gz", gzipped(GOOD)),
        ("2011-02-03.csv.gz", gzipped(HEADER.encode()) + gzipped(ROW.encode())),
        ("a day with spaces.csv", GOOD),
    ],
)
def test_a_good_delivery_has_no_problems(shop: Contract, name: str, content: bytes) -> None:
    """Byte order mark, any line end, quoted names, long files, gzip in one or more members: all are CSV."""
    assert problems_of(shop, content, name) == []


@pytest.mark.parametrize(
    ("header", "problems"),
    [
        (
            "id,at,prize,kind\n",
            ["column 'price' is missing, was it renamed to 'prize'?",
             "column 'prize' is not in the contract; known: id, at, price, kind"],
        ),
        ("id,at,price\n", ["column 'kind' is missing"]),
        ("id,at,price,kind,shop\n", ["column 'shop' is not in the contract; known: id, at, price, kind"]),
        ("id,at,price,kind,kind\n", ["column 'kind' stands 2 times"]),
        ("id,at,price,kind,Kind\n", ["column 'kind' is written 'Kind', with other capitals",
                                     "column 'kind' stands 2 times, written 'kind' and 'Kind'"]),
        ("id,at ,price,kind\n", ["column 'at' is written 'at ', with blanks around it"]),
        (" ID,at,price,kind\n", ["column 'id' is written ' ID', with blanks around it",
                                 "column 'id' is written ' ID', with other capitals"]),
        (
            "ID,at,Price,kind\n",
            ["column 'id' is written 'ID', with other capitals",
             "column 'price' is written 'Price', with other capitals"],
        ),
        (
            "id;at;price;kind\n",
            ["column 'id' is missing", "column 'at' is missing", "column 'price' is missing", "column 'kind' is missing",  # noqa: E501
             "column 'id;at;price;kind' is not in the contract; known: id, at, price, kind"],
        ),
        ("id,at,price,\n", ["column 'kind' is missing", "column '' is not in the contract; known: id, at, price, kind"]),  # noqa: E501
    ],
)  # fmt: skip
def test_p6_a_drifted_header_is_refused_by_name(shop: Contract, header: str, problems: list[str]) -> None:
    """Renamed, missing, extra, repeated, reordered, respelled: each column is named, all at once."""
    assert problems_of(shop, (header + ROW).encode()) == problems


def test_a_header_in_another_order_is_read_by_name(shop: Contract) -> None:
    """The layout goes from left to right; that it is another order is told, and stops nothing by default."""
    path = shop.folder / "in" / "2011-02-03.csv"
    path.write_bytes(b"\xef\xbb\xbfat,id,price,kind\n2011-02-03,7,1,x\n")
    report = inspect(path, shop.sources["sales"])
    assert report.problems == ()
    assert report.layout == tuple(Field(name, name) for name in ("at", "id", "price", "kind"))
    assert [(drift.kind, drift.told) for drift in report.drift] == [
        ("bom", "begins with a byte order mark"),
        ("reordered", "columns are in another order: at, id, price, kind; the contract says id, at, price, kind"),
    ]


@pytest.mark.parametrize("policy", ["warn", "accept"])
def test_drift_is_refused_or_let_pass_by_its_own_rule(load_shop: LoadShop, tmp_path: Path, policy: str) -> None:
    """Each kind by itself: what may be missing may still not be extra."""
    lenient = load_shop(('role = "events"', f'role = "events"\ndrift = {{ missing = "{policy}", reordered = "fail" }}'))
    path = tmp_path / "2011-02-03.csv"
    path.write_bytes(b"price,id,note\n1,7,x\n")
    report = inspect(path, lenient.sources["sales"])
    assert report.problems == (
        "column 'note' is not in the contract; known: id, at, price, kind",
        "columns are in another order: price, id; the contract says id, at, price, kind",
    )
    assert [drift.told for drift in report.drift] == ["column 'at' is missing", "column 'kind' is missing"]


def test_of_many_differences_twenty_are_named(shop: Contract) -> None:
    """A message stays readable, and names that no screen should show are spelt out and cut."""
    names = ["\x1b[31mid", "\u0440rice", "x" * 100, *(f"c{place}" for place in range(30))]
    problems = problems_of(shop, (",".join(names) + "\n" + ROW).encode())
    assert problems[1] == "column 'at' is missing"
    assert problems[2] == "column 'price' is missing, was it renamed to '\u0440rice'?"
    assert problems[4] == "column '\\x1b[31mid' is not in the contract; known: id, at, price, kind"
    assert problems[5].startswith("column '\u0440rice' ('\\u0440rice') is not in the contract")
    assert problems[6].startswith(f"column '{'x' * 80}...' is not")
    assert (len(problems), problems[-1]) == (4 + 20 + 1, "and 13 more of this kind")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("2011-02-03.csv", b"", "is empty (0 bytes): deliver it again"),
        ("2011-02-03.csv.gz", gzipped(b""), "is empty once unpacked: deliver it again"),
        (
            "2011-02-03.csv",
            HEADER.encode(),
            "has a header and no rows: deliver it with its rows, or declare the day closed",
        ),
        (
            "2011-02-03.csv.gz",
            gzipped(HEADER.encode() + b"\r\n\n"),
            "has a header and no rows: deliver it with its rows, or declare the day closed",
        ),
        ("2011-02-03.csv", b"\n" + GOOD, "begins with a blank line where its header must stand: deliver it again"),
        (
            "2011-02-03.csv",
            GOOD * 2_000 + b"8,\x00,1,x\n",
            f"holds a NUL byte (first at byte {len(GOOD) * 2_000 + 2:,}), which no text does: deliver it again",
        ),
        (
            "2011-02-03.csv",
            packed({"xl/workbook.xml": "<workbook/>"}),
            "is a zip archive or an Excel workbook, not CSV text: unpack it, or save the sheet as CSV",
        ),
        ("2011-02-03.csv", b"PAR1\x15\x04", "is a Parquet file, not CSV text: deliver CSV, as the contract says"),
        ("2011-02-03.csv", GOOD.decode().encode("utf-16"), 'is UTF-16 (byte mark FF FE): set encoding = "utf-16" or save it as UTF-8'),  # noqa: E501
        (
            "2011-02-03.csv",
            GOOD.decode().encode("utf-16-le"),
            "is binary (it holds NUL bytes), not CSV text: deliver CSV, as the contract says",
        ),
        (
            "2011-02-03.csv",
            b"\x89PNG\r\n\x1a\n\x00\x00",
            "is binary (it holds NUL bytes), not CSV text: deliver CSV, as the contract says",
        ),
        ("2011-02-03.csv", b'[{"id": 7}]', "looks like JSON, not CSV text: deliver CSV, as the contract says"),
        ("2011-02-03.csv", b'\xef\xbb\xbf{"id": 7}\n', "looks like JSON, not CSV text: deliver CSV, as the contract says"),  # noqa: E501
        ("2011-02-03.csv", gzipped(GOOD), "is gzip data, not CSV text: name it .gz"),
        (
            "2011-02-03.csv.gz",
            GOOD,
            "cannot be unpacked (Not a gzipped file (b'id')): it is broken or no gzip file; deliver it again",
        ),
        (
            "2011-02-03.csv.gz",
            gzipped(GOOD)[:-9],
            ("cannot be unpacked (Compressed file ended before the end-of-stream marker was reached): "
            "it is broken or no gzip file; deliver it again"),
        ),
        (
            "2011-02-03.csv",
            HEADER.encode() + ROW.encode() * 4_000 + b"8,,,caf\xe9\n",
            (f"is not UTF-8 text (first at byte {len(HEADER) + 4_000 * len(ROW) + 7:,}): as cp1252 it would read, with "
             "'\u00e9' there; set encoding = \"cp1252\" or save it as UTF-8"),
        ),
        (
            "2011-02-03.csv",
            GOOD + b"8,,,caf\xc3",
            (f"is not UTF-8 text (first at byte {len(GOOD) + 7}): as cp1252 it would read, with '\u00c3' there; "
             'set encoding = "cp1252" or save it as UTF-8'),
        ),
        (
            "2011-02-03.csv",
            GOOD + b"8,,,caf\xc3\xa9 caf\xe9\n",
            f"is not UTF-8 text (first at byte {len(GOOD) + 13}): save it as UTF-8",
        ),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:30],
)  # fmt: skip
def test_a_file_that_is_no_csv_text_is_refused_for_what_it_is(
    shop: Contract, name: str, content: bytes, problem: str
) -> None:
    """One sentence says what the file is instead, and what to do about it."""
    assert problems_of(shop, content, name) == [problem]


def test_a_flipped_bit_in_a_gzip_is_found(shop: Contract) -> None:
    """The checksum stands at a gzip's end, so the whole file is read before any of it is used."""
    content = bytearray(gzip.compress(HEADER.encode() + os.urandom(200_000).hex().encode()))
    content[-6] ^= 0x01
    (problem,) = problems_of(shop, bytes(content), "2011-02-03.csv.gz")
    assert problem.startswith("cannot be unpacked (CRC check failed")


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_a_file_nobody_may_read_says_so(shop: Contract) -> None:
    """A file without rights is a problem of that file."""
    path = shop.folder / "in" / "2011-02-03.csv"
    path.write_bytes(GOOD)
    path.chmod(0)
    assert inspect(path, shop.sources["sales"]).problems == (
        "cannot be read (Permission denied): check its owner and rights",
    )


def test_a_file_that_vanished_meanwhile_says_so(shop: Contract) -> None:
    """Between finding and reading a file may go: a problem with its reason, no traceback."""
    assert inspect(shop.folder / "in" / "gone.csv", shop.sources["sales"]).problems == (
        "cannot be read (No such file or directory): check its owner and rights",
    )


def test_a_delivery_is_named_by_its_day_and_its_bytes(shop: Contract) -> None:
    """The same bytes for the same day have one name on any machine; other bytes have another."""
    path = shop.folder / "in" / "2011-02-03.csv"
    path.write_bytes(GOOD)
    report = inspect(path, shop.sources["sales"])
    assert (report.bytes, report.sha256) == (len(GOOD), hashlib.sha256(GOOD).hexdigest())
    assert report.delivery_id(date(2011, 2, 3)) == f"2011-02-03-{report.sha256[:16]}"
    path.write_bytes(GOOD + ROW.encode())
    assert inspect(path, shop.sources["sales"]).delivery_id(date(2011, 2, 3)) != report.delivery_id(date(2011, 2, 3))


def test_files_are_found_by_the_date_in_their_path(load_shop: LoadShop, tmp_path: Path) -> None:
    """Ordered by day; a * stands for any part of one name, spaces are no hindrance, and other files are left alone."""
    shop = load_shop(('path = "in/{business_date}.csv"', 'path = "in box/*/sales {business_date}*.csv"'))
    for name in (
        "b/sales 2011-02-04.csv",
        "a/sales 2011-02-03 final.csv",
        "a/notes.csv",
        "a/deep/sales 2011-02-05.csv",
    ):
        (tmp_path / "in box" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in box" / name).write_bytes(GOOD)
    (tmp_path / "in box" / "a" / "sales 2011-02-06.csv").mkdir()
    assert find_files(shop, "sales") == (
        File("sales", "in box/a/sales 2011-02-03 final.csv", date(2011, 2, 3)),
        File("sales", "in box/b/sales 2011-02-04.csv", date(2011, 2, 4)),
    )


def test_a_dot_in_a_path_is_only_a_dot(shop: Contract) -> None:
    """The path is text with one hole, not a pattern of its own."""
    (shop.folder / "in" / "2011-02-03xcsv").write_bytes(GOOD)
    assert find_files(shop, "sales") == ()


def test_a_day_that_does_not_exist_is_refused_by_name(shop: Contract) -> None:
    """2011 had no 29 February; guessing another day would be worse."""
    (shop.folder / "in" / "2011-02-29.csv").write_bytes(GOOD)
    with pytest.raises(DataRefusedError) as caught:
        find_files(shop, "sales")
    assert str(caught.value) == (
        "in/2011-02-29.csv: 2011-02-29 is no date\n  next: name the file after the day it is for"
    )


def test_two_files_for_one_day_are_refused_by_name(load_shop: LoadShop, tmp_path: Path) -> None:
    """Which of the two is right is not ours to guess."""
    shop = load_shop(("{business_date}.csv", "{business_date}*.csv"))
    (tmp_path / "in").mkdir()
    for name in ("2011-02-03.csv", "2011-02-03-again.csv"):
        (tmp_path / "in" / name).write_bytes(GOOD)
    with pytest.raises(DataRefusedError) as caught:
        find_files(shop, "sales")
    assert str(caught.value) == (
        "in/2011-02-03.csv and in/2011-02-03-again.csv are both for 2011-02-03\n  next: keep one of them"
    )


NAMELESS = ('role = "events"', 'role = "events"\nheader = false')


@pytest.mark.parametrize(
    "content",
    [
        b"7,2011-02-03,1,x\n",
        b"\xef\xbb\xbf\r\n7,2011-02-03,1,x",
        b"cut off\n7,2011-02-03,,\n",
        b'7,2011-02-03,1,"a, b"\n',
    ],
)
def test_a_file_without_a_header_has_its_columns_in_the_order_of_the_types(load_shop: LoadShop, content: bytes) -> None:
    """The first line is a row; one line of another length is that row's fault."""
    shop = load_shop(NAMELESS)
    (shop.folder / "in").mkdir()
    path = shop.folder / "in" / "2011-02-03.csv"
    path.write_bytes(content)
    found = inspect(path, shop.sources["sales"])
    assert found.problems == ()
    assert found.layout == tuple(Field(name, name) for name in ("id", "at", "price", "kind"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"7,2011-02-03,1\n8,2011-02-03,1\n",
         "has 3 fields in its first line; the contract's types are 4: id, at, price, kind"),
        (b"7;2011-02-03;1,5;x\n", "has 2 fields in its first line; the contract's types are 4: id, at, price, kind"),
        (GOOD, "begins with the columns' names: set header = true, or deliver it without them"),
        (b"\r\n \r\n", "is empty once unpacked: deliver it again"),
    ],
)  # fmt: skip
def test_a_file_without_a_header_is_judged_by_the_number_of_its_fields(
    load_shop: LoadShop, content: bytes, problem: str
) -> None:
    """None of its lines could be read: the file is refused, not every row of it."""
    shop = load_shop(NAMELESS)
    (shop.folder / "in").mkdir()
    assert problems_of(shop, content) == [problem]


@pytest.mark.parametrize(
    ("keys", "header"),
    [
        ("separator = ';'", "id;at;price;kind"),
        ('quote = "\'"', "'id','at',price,'kind'"),
        ("quote = ''\ndrift = { extra = 'accept' }", 'id,at,price,kind,"a,b"'),
    ],
)
def test_a_header_is_read_with_the_signs_of_the_contract(load_shop: LoadShop, keys: str, header: str) -> None:
    """Its separator and its quote; without a quote every separator parts."""
    shop = load_shop(('role = "events"', f'role = "events"\n{keys}'))
    (shop.folder / "in").mkdir()
    assert problems_of(shop, f"{header}\n1\n".encode()) == []
