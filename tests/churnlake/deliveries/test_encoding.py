"""Texts of other encodings: judged in the contract's, named when they are of another."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.contract import Contract
from churnlake.deliveries import inspect

GOOD = "id,at,price,kind\r\n7,2011-02-03,1.50,Caf\u00e9\r\n"
PLAIN = "id,at,price,kind\n7,2011-02-03,1.50,tea\n"

NO_MARK = "has no byte mark of UTF-16 (FF FE or FE FF)"

LoadShop = Callable[..., Contract]


@pytest.fixture
def problems(load_shop: LoadShop, tmp_path: Path) -> Callable[..., list[str]]:
    """What inspecting a delivery of this content says, where the contract states that encoding."""

    def problems_of(encoding: str, content: bytes, name: str = "2011-02-03.csv") -> list[str]:
        shop = load_shop(('role = "events"', f'role = "events"\nencoding = "{encoding}"'))
        path = tmp_path / name
        path.write_bytes(content)
        found = inspect(path, shop.sources["sales"])
        assert found.problems or [field.column for field in found.layout] == ["id", "at", "price", "kind"]
        assert not found.drift
        return list(found.problems)

    return problems_of


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("utf-8", GOOD.encode()),
        ("latin-1", GOOD.encode("latin-1")),
        ("cp1252", GOOD.replace("C", "\u20ac").encode("cp1252")),
        ("utf-16", GOOD.encode("utf-16")),
        ("utf-16", "\ufeff".encode("utf-16-be") + GOOD.encode("utf-16-be")),
        ("utf-16", (GOOD + "8,2011-02-03,1,\u0a00\u0100\U0001f375\n" * 20_000).encode("utf-16")),
        ("latin-1", PLAIN.encode()),
        ("cp1252", b"id,at,price,kind\n7,2011-02-03,1,\xe9\xc3\xa9\n"),
    ],
)
def test_a_text_of_the_contracts_encoding_has_no_problems(
    problems: Callable[..., list[str]], encoding: str, content: bytes
) -> None:
    """UTF-16 of either order and with any character; bytes that could be UTF-8 here and there are no proof of it."""
    assert problems(encoding, content) == []
    assert problems(encoding, gzip.compress(content), "2011-02-03.csv.gz") == []


@pytest.mark.parametrize(
    ("encoding", "content", "problem"),
    [
        ("latin-1", GOOD.encode("utf-16"),
         'is UTF-16 (byte mark FF FE): set encoding = "utf-16" or save it as Latin-1'),
        ("utf-8", "\ufeff".encode("utf-16-be") + GOOD.encode("utf-16-be"),
         'is UTF-16 (byte mark FE FF): set encoding = "utf-16" or save it as UTF-8'),
        ("utf-16", b"\xef\xbb\xbf" + GOOD.encode(),
         'is UTF-8 (byte mark EF BB BF): set encoding = "utf-8" or save it as UTF-16'),
        ("utf-16", GOOD.encode(), f"{NO_MARK}: set encoding to what it is, or save it with that mark"),
        ("utf-16", GOOD.encode("utf-16-le"), f"{NO_MARK}: set encoding to what it is, or save it with that mark"),
        ("cp1252", GOOD.encode(),
         'is UTF-8 text, as its characters beyond ASCII show: set encoding = "utf-8" or save it as cp1252'),
        ("utf-8", GOOD.encode("latin-1"),
         ("is not UTF-8 text (first at byte 39): as cp1252 it would read, with '\u00e9' there; "
         'set encoding = "cp1252" or save it as UTF-8')),
        ("utf-8", GOOD.encode("latin-1") + b"\x81", "is not UTF-8 text (first at byte 39): save it as UTF-8"),
        ("cp1252", PLAIN.encode() * 50_000 + b"8,,,\x81\n",
         f"is not cp1252 text (first at byte {len(PLAIN) * 50_000 + 4:,}): save it as cp1252"),
        ("utf-16", PLAIN.encode("utf-16") + b"8", (f"is not UTF-16 text (first at byte {2 + 2 * len(PLAIN)}): "
         "save it as UTF-16")),
        ("utf-16", f"{PLAIN}\u0100\u0a00\x00".encode("utf-16"),
         f"holds a NUL byte (first at byte {2 * len(PLAIN) + 6}), which no text does: deliver it again"),
        ("cp1252", PLAIN.encode() + b"\x00",
         "is binary (it holds NUL bytes), not CSV text: deliver CSV, as the contract says"),
    ],
)  # fmt: skip
def test_a_text_of_another_encoding_is_named(
    problems: Callable[..., list[str]], encoding: str, content: bytes, problem: str
) -> None:
    """With the first byte that shows it and, where it can be told, the encoding that would fit."""
    assert problems(encoding, content) == [problem]
