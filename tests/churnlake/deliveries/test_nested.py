"""Files with typed and nested fields: JSON lines and parquet."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnlake.contract import Contract
from churnlake.deliveries import Field, Inspected, inspect

TYPES = 'types = { id = "text", at = "timestamp", price = "decimal(12,2)", kind = "text" }'
NESTED = 'types = { "who.id" = "text", at = "timestamp", price = "decimal(12,2)", is_sale = "boolean" }'
RECORD = {"who": {"id": "7"}, "at": "2011-02-03 09:00:00", "price": 1.5, "is_sale": True}
COLUMNS = ("who.id", "at", "price", "is_sale")

LoadShop = Callable[..., Contract]


@pytest.fixture
def open_shop(load_shop: LoadShop) -> Callable[..., Contract]:
    """The shop with nested files of a format; `drift` is the text of its rules."""

    def load(kind: str, drift: str = "") -> Contract:
        return load_shop(
            ('path = "in/{business_date}.csv"', f'path = "{{business_date}}.{kind}"\nformat = "{kind}"\n{drift}'),
            (TYPES, NESTED),
            ("id IS NULL", "who_id IS NULL"),
            ('customer_id = "id"', 'customer_id = "who_id"'),
            ('event_type = "kind"', "event_type = \"IF(is_sale, 'purchase', 'cancellation')\""),
        )

    return load


def seen(shop: Contract, content: bytes) -> Inspected:
    """What inspecting a delivery with this content says."""
    path = shop.folder / shop.sources["sales"].path.format(business_date="2011-02-03")
    path.write_bytes(content)
    return inspect(path, shop.sources["sales"])


def lines(*records: Any) -> bytes:
    """Values as JSON, one a line; a text is a line as it is."""
    return "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in records).encode()


def parquet(**columns: Any) -> bytes:
    """A parquet file of the good record's columns with some replaced; None leaves one out."""
    good = {
        "who": pa.array([{"id": "7"}]),
        "at": pa.array([datetime(2011, 2, 3, 9, tzinfo=UTC).replace(tzinfo=None)], pa.timestamp("us")),
        "price": pa.array([1.5]),
        "is_sale": pa.array([True]),
    }
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({name: one for name, one in (good | columns).items() if one is not None}), out)
    return out.getvalue().to_pybytes()


def without(name: str) -> dict[str, Any]:
    """The good record without a field."""
    return {key: value for key, value in RECORD.items() if key != name}


@pytest.mark.parametrize(
    "content",
    [
        lines(RECORD),
        b"\xef\xbb\xbf" + lines(RECORD),
        lines(RECORD).replace(b"\n", b"\r\n") + b"\n\n",
        lines(dict(reversed(RECORD.items())), RECORD | {"price": None}, without("is_sale")),
        lines(RECORD | {"price": "1.50"}, RECORD | {"price": 10**4000}),
        lines(RECORD | {"price": "cheap"}, RECORD | {"price": "1e3"}),
        lines("no json", "[1, 2]", "[" * 100_000, "{", RECORD),
        lines(RECORD | {"who": {"id": 7}}, RECORD | {"who": None}, RECORD | {"who": "7"}),
    ],
)
def test_good_json_lines_have_no_problems(open_shop: Callable[..., Contract], content: bytes) -> None:
    """Any order of keys, nulls, numbers as exact text; single lines that are no object are rows in a bad shape."""
    report = seen(open_shop("json"), content)
    assert report.problems == ()
    assert {field.column for field in report.layout if field.column} == set(COLUMNS)


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (lines([RECORD]), ["has no line that is a JSON object: deliver one object per line, no array around them"]),
        (json.dumps(RECORD, indent=1).encode(),
         ["has no line that is a JSON object: deliver one object per line, no array around them"]),
        (b'{"id": "\x00"}\n', ["holds a NUL byte (first at byte 8), which no text does: deliver it again"]),
        (b'{"id": "\xff"}\n', ["is not UTF-8 text (first at byte 8): save it as UTF-8"]),
        (parquet(),
         [("is a Parquet file, not JSON lines (one object per line): deliver one JSON object per line, "
           "as the contract says")]),
        (lines(without("price") | {"prize": 1.5}),
         ["column 'price' is missing, was it renamed to 'prize'?",
          "column 'prize' is not in the contract; known: who.id, at, price, is_sale"]),
        (lines(RECORD | {"who": {"key": "7"}}),
         ["column 'who.id' is missing, was it renamed to 'who.key'?",
          "column 'who.key' is not in the contract; known: who.id, at, price, is_sale"]),
        (lines(RECORD | {"shop": {"town": {"name": "Rye"}, "street": 5}}),
         ["column 'shop' is not in the contract; known: who.id, at, price, is_sale"]),
        (lines(without("who") | {"who.id": "7"}),
         ["column 'who.id' is missing, was it renamed to '`who.id`'?",
          "column '`who.id`' is not in the contract; known: who.id, at, price, is_sale"]),
        (lines(without("at") | {"At": "2011-02-03"}), ["column 'at' is written 'At', with other capitals"]),
        (lines(RECORD, without("at") | {"At": "2011-02-03"}),
         ["column 'at' is written 'At', with other capitals", "column 'at' stands 2 times, written 'At' and 'at'"]),
        (lines(without("who") | {"who": {" id": "7"}}),
         ["column 'who.id' is written 'who. id', with blanks around it"]),
        (lines(json.dumps(RECORD)[:-1] + ', "price": 3}'), ["key 'price' stands 2 times in one object"]),
        (lines(RECORD | {"price": True}, RECORD | {"price": "much"}),
         ["column 'price' is boolean or text; the contract says decimal(12,2)"]),
        (lines(RECORD | {"is_sale": 1.0}), ["column 'is_sale' is number; the contract says boolean"]),
        (lines(RECORD | {"at": 1296723600}), ["column 'at' is number; the contract says timestamp"]),
        (lines(RECORD, RECORD | {"who": {"id": ["7"]}}),
         ["column 'who.id' holds lists, which cannot become text; take it out of `types`"]),
        (lines(*({f"k{place}": 1} for place in range(6_000))),
         ["has more than 5,000 different keys: values seem to stand in place of names"]),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[0][:40],
)  # fmt: skip
def test_p6_json_that_drifted_is_refused_by_name(
    open_shop: Callable[..., Contract], content: bytes, problems: list[str]
) -> None:
    """Each field is named by its path, all at once; a record beside the contract's is one field."""
    assert list(seen(open_shop("json"), content).problems) == problems


def test_a_record_beside_the_contracts_may_be_left_out(open_shop: Callable[..., Contract]) -> None:
    """By the source's drift rules; the layout says what stands for what, and the difference is told."""
    shop = open_shop("json", 'drift = { extra = "accept", case = "warn", missing = "accept", retyped = "warn" }')
    report = seen(shop, lines({"Who": {"id": "7", "name": "Ada"}, "shop": {"town": "Rye"}, "price": True}))
    assert report.problems == ()
    assert report.layout == (
        Field("Who.id", "who.id"),
        Field("Who.name", None),
        Field("price", "price"),
        Field("shop", None),
    )
    assert [drift.kind for drift in report.drift] == ["missing", "missing", "extra", "extra", "case", "retyped"]


def test_a_file_without_any_column_of_the_contract_is_never_accepted(open_shop: Callable[..., Contract]) -> None:
    """Whatever may be missing or extra: rows of nulls tell nothing."""
    shop = open_shop("json", 'drift = { extra = "accept", missing = "accept" }')
    assert seen(shop, lines({"a": 1})).problems == (
        "has none of the contract's columns; known: who.id, at, price, is_sale",
    )


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"price": pa.array([Decimal("1.50")]), "at": pa.array([date(2011, 2, 3)])},
        {"price": pa.array([None]), "who": pa.array([{"id": 7}])},
        {"who": pa.array([{"id": "7"}]).cast(pa.struct([("id", pa.large_string())]))},
        {"at": pa.array([datetime(2011, 2, 3, tzinfo=UTC)], pa.timestamp("ns", "Europe/Berlin"))},
    ],
)
def test_good_parquet_has_no_problems(open_shop: Callable[..., Contract], columns: dict[str, Any]) -> None:
    """Any numbers for a number, dates and times with or without zone for a time, everything single for a text."""
    report = seen(open_shop("parquet"), parquet(**columns))
    assert report.problems == ()
    assert {(field.name, field.column) for field in report.layout} == {(name, name) for name in COLUMNS}


FOOTLESS = (
    "is no whole parquet file, its footer cannot be read (Parquet magic bytes not found in footer. "
    "Either the file is corrupted or this is not a parquet file)"
)


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (b"", ["is empty (0 bytes): deliver it again"]),
        (parquet()[:-8], [FOOTLESS]),
        (b"id,at\n7,8\n", ["looks like CSV or other text, not a parquet file: deliver Parquet, as the contract says"]),
        (lines(RECORD), ["looks like JSON, not a parquet file: deliver Parquet, as the contract says"]),
        (parquet(price=pa.array(["1.50"])), ["column 'price' is text; the contract says decimal(12,2)"]),
        (parquet(is_sale=pa.array([1])), ["column 'is_sale' is number; the contract says boolean"]),
        (parquet(at=pa.array([1296723600])), ["column 'at' is number; the contract says timestamp"]),
        (parquet(at=pa.array([time(9)])),
         ["column 'at' holds times of day, which cannot become timestamp; take it out of `types`"]),
        (parquet(at=pa.array([timedelta(9)])),
         ["column 'at' holds durations, which cannot become timestamp; take it out of `types`"]),
        (parquet(who=pa.array([{"id": ["7"]}])),
         ["column 'who.id' holds lists, which cannot become text; take it out of `types`"]),
        (parquet(who=pa.array([{"id": b"7"}])),
         ["column 'who.id' holds bytes, which cannot become text; take it out of `types`"]),
        (parquet(who=pa.array([{"id": "7", "ID": "8"}])),
         ["column 'who.id' is written 'who.ID', with other capitals",
          "column 'who.id' stands 2 times, written 'who.id' and 'who.ID'"]),
        (parquet(price=None, prices=pa.array([1.5])),
         ["column 'price' is missing, was it renamed to 'prices'?",
          "column 'prices' is not in the contract; known: who.id, at, price, is_sale"]),
        (parquet(tags=pa.array([["a"]])), ["column 'tags' is not in the contract; known: who.id, at, price, is_sale"]),
    ],
)  # fmt: skip
def test_p6_parquet_that_drifted_is_refused_by_name(
    open_shop: Callable[..., Contract], content: bytes, problems: list[str]
) -> None:
    """What the footer says of every column, nested ones by path; what the contract does not name may be a list."""
    assert list(seen(open_shop("parquet"), content).problems) == problems


def test_a_parquet_file_with_a_broken_page_is_refused(open_shop: Callable[..., Contract], tmp_path: Path) -> None:
    """The footer stands at the end; the pages before it are read once, so that no engine stumbles over them later."""
    content = bytearray(parquet(who=pa.array([{"id": "customer seven"}])))
    place = bytes(content).index(b"customer")
    content[place - 3 : place + 6] = b"\xff" * 9
    (problem,) = seen(open_shop("parquet"), bytes(content)).problems
    assert problem.startswith("is a parquet file with broken pages (")
