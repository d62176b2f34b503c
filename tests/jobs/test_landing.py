import gzip
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.deliveries import Field, Layout
from churnlake.ledger import Delivery
from jobs.json_lines import json_parser
from jobs.landing import read_landing
from jobs.rows import Place

DAY = date(2026, 3, 2)
NESTED = (
    ('path = "orders/{business_date}.csv"', 'path = "orders/{business_date}.json"\nformat = "json"'),
    ('customer = "text"', '"customer.id" = "text"'),
    ('customer_id = "customer"', 'customer_id = "customer_id"'),
    ("customer IS NULL", "customer_id IS NULL"),
)
PARQUET = (('.json"\nformat = "json"', '.parquet"\nformat = "parquet"'),)


def landed(spark: SparkSession, contract: Contract, layouts: Mapping[str, Layout]) -> DataFrame:
    """Rows of files in the contract's folder, each with its own layout."""
    deliveries = [
        Delivery(
            "orders", name, name, 1, "0" * 64, DAY, DAY, DAY, contract="shop", run_id="run", state="frozen", counts={}
        )
        for name in layouts
    ]
    return read_landing(spark, contract, deliveries, layouts)


def as_named(contract: Contract, **other_names: str) -> Layout:
    """A layout whose columns are called as the contract calls them, but for some."""
    return tuple(Field(other_names.get(name, name), name) for name in contract.sources["orders"].types)


def test_csv_columns_are_taken_by_the_name_they_stand_for(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Order, extra columns and packing change nothing of a row, not even its hash; a missing column is null."""
    shop = make_contract(tmp_path)
    plain = as_named(shop)
    turned = (Field("kind`; DROP", "kind"), Field("x`y", None), *(one for one in plain if one.column != "kind"))
    short = tuple(one for one in plain if one.column != "item")
    (tmp_path / "plain.csv").write_text("h\na,ann,2026-03-02,1,1,pen,purchase\n")
    (tmp_path / "turned.csv").write_text("\ufeffh\r\npurchase,left out,a,ann,2026-03-02,1,1,pen\r\n")
    (tmp_path / "turned2.csv.gz").write_bytes(gzip.compress(b"h\npurchase,,a,ann,2026-03-02,1,1,pen\n"))
    (tmp_path / "short.csv").write_text("h\na,ann,2026-03-02,1,1,purchase\nb,bob\n")
    layouts = {"plain.csv": plain, "turned.csv": turned, "turned2.csv.gz": turned, "short.csv": short}
    rows = sorted(landed(spark, shop, layouts).collect(), key=lambda row: (row.delivery_id, row.position))
    assert [(row.delivery_id, row.order_no, row.kind, row["item"], row.corrupt_record) for row in rows] == [
        ("plain.csv", "a", "purchase", "pen", None),
        ("short.csv", "a", "purchase", None, None),
        ("short.csv", "b", None, None, "b,bob"),
        ("turned.csv", "a", "purchase", "pen", None),
        ("turned2.csv.gz", "a", "purchase", "pen", None),
    ]
    assert len({row.row_hash for row in rows if row["item"]}) == 1
    assert len({row.position for row in rows}) == len(rows)
    assert {(row.slot, row.known_date, row.known_month) for row in rows} == {(DAY, DAY, "2026-03")}


def rows_of(spark: SparkSession, contract: Contract, *names: str) -> list[tuple[str | None, ...]]:
    """(order_no, price, item, corrupt_record, row_hash) of files as the contract calls their columns, in order."""
    rows = landed(spark, contract, dict.fromkeys(names, as_named(contract))).collect()
    shown = sorted(rows, key=lambda row: (row.delivery_id, row.position))
    return [(row.order_no, row.price, row["item"], row.corrupt_record, row.row_hash) for row in shown]


def test_csv_of_every_encoding_gives_the_same_rows(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Plain or packed, with any line end, header or not, down to the hashes of the rows."""
    lines = ["h", 'a;ann;;1,5;;"Caf\u00e9; ""x""";', "", 'b;bob;;;;"";y', "c;cut \u00e9", ' \u00fc;ann;;1;;"x;y;z']
    first = None
    for encoding in ("utf-8", "latin-1", "cp1252", "utf-16"):
        for header in (True, False):
            keys = f"separator = ';'\nencoding = '{encoding}'\nheader = {str(header).lower()}"
            shop = make_contract(tmp_path, ('role = "events"', f'role = "events"\n{keys}'))
            for name, line_end in (("a.csv", "\n"), ("b.csv", "\r\n")):
                content = line_end.join(lines[not header :]).encode(encoding)
                (tmp_path / name).write_bytes(content)
                (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
            rows = rows_of(spark, shop, "a.csv", "a.csv.gz", "b.csv", "b.csv.gz")
            assert rows[:4] == rows[4:8] == rows[8:12] == rows[12:]
            first = first or rows[:4]
            assert rows[:4] == first
    assert first is not None
    assert [row[:4] for row in first] == [
        ("a", "1,5", 'Caf\u00e9; "x"', None),
        ("b", None, None, None),
        ("c", None, None, "c;cut \u00e9"),
        (" \u00fc", "1", "x;y;z", ' \u00fc;ann;;1;;"x;y;z'),
    ]


def test_utf_16_is_parted_at_line_ends_and_cp1252_has_its_own_signs(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """A character half of which is the byte of a line end is no line end; a byte order mark is no part of a value."""
    items = {"utf-16": "\u0a00\u0100\u010a\u0d0a\U0001f375", "cp1252": "\u20ac\u2019\u0161"}
    for encoding, item in items.items():
        shop = make_contract(tmp_path, ('role = "events"', f'role = "events"\nencoding = "{encoding}"\nheader = false'))
        (tmp_path / "a.csv").write_bytes((f"a,,,1,,{item},\r\n" * 3).encode(encoding))
        rows = rows_of(spark, shop, "a.csv")
        assert [row[:4] for row in rows] == [("a", "1", item, None)] * 3
        assert len({row[4] for row in rows}) == 1


def test_quotes_are_those_of_the_contract(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Another sign, or none: then a quote is a character like any other and every separator parts."""
    found = {}
    lines = ["h", "a,,,1,,'it''s, \"fine\"',", 'b,,,1,,"x"y",', 'c,,,1,,"d, e",', "d,,,'',,\\'x\\,", "e,,,1,,it's,"]
    for sign in ("'", ""):
        for encoding in ("utf-8", "utf-16"):
            keys = f'quote = "{sign}"\nencoding = "{encoding}"'
            shop = make_contract(tmp_path, ('role = "events"', f'role = "events"\n{keys}'))
            (tmp_path / "a.csv").write_bytes("\n".join(lines).encode(encoding))
            found[sign, encoding] = [row[:4] for row in rows_of(spark, shop, "a.csv")]
    assert (
        found["'", "utf-8"]
        == found["'", "utf-16"]
        == [
            ("a", "1", 'it\'s, "fine"', None),
            ("b", "1", '"x"y"', None),
            ("c", "1", '"d', 'c,,,1,,"d, e",'),
            ("d", None, "\\'x\\", None),
            ("e", "1", "it's", None),
        ]
    )
    assert (
        found["", "utf-8"]
        == found["", "utf-16"]
        == [
            ("a", "1", "'it''s", "a,,,1,,'it''s, \"fine\"',"),
            ("b", "1", '"x"y"', None),
            ("c", "1", '"d', 'c,,,1,,"d, e",'),
            ("d", "''", "\\'x\\", None),
            ("e", "1", "it's", None),
        ]
    )


def test_lines_are_read_by_the_contracts_pattern(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """In every encoding, packed or not: groups by name, nothing else of the line; what does not fit is misshapen."""
    pattern = (
        r"\s*(?P<order_no>\d+) (?P<customer>\w+) (?P<at>\S+) (?P<price>\S+) (?P<pieces>\d+) "
        r"(?P<item>.*?)( (?P<kind>sale))?"
    )
    lines = [
        "  no customer",
        "",
        " 007 \u00e5sa 1997-01-01 11,77 1 caf\u00e9 sale",
        "8 bob x ? 2 ",
        " \t ",
        "9 bob \u00e9",
    ]
    first = None
    for encoding in ("utf-8", "latin-1", "cp1252", "utf-16"):
        keys = f"format = 'text'\npattern = '{pattern}'\nheader_lines = 2\nencoding = '{encoding}'"
        shop = make_contract(tmp_path, ('role = "events"', f'role = "events"\n{keys}'))
        content = "\r\n".join(lines).encode(encoding)
        (tmp_path / "a.txt").write_bytes(content)
        (tmp_path / "b.txt.gz").write_bytes(gzip.compress(content))
        rows = rows_of(spark, shop, "a.txt", "b.txt.gz")
        assert rows[:3] == rows[3:]
        first = first or rows[:3]
        assert rows[:3] == first
    assert first is not None
    assert [row[:4] for row in first] == [
        ("007", "11,77", "caf\u00e9", None),
        ("8", "?", None, None),
        (None, None, None, "9 bob \u00e9"),
    ]


def test_a_text_without_header_lines_loses_no_line(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Read in pieces too: with lines above the rows only those of its first piece are left out."""
    pattern = "(?P<order_no>\\d+) (?P<customer>.*) " + " ".join(
        f"(?P<{name}>.)?" for name in ("at", "price", "pieces", "item", "kind")
    )
    lines = [f"{number} {'ann' * 10}     " for number in range(1, 200_001)]
    (tmp_path / "large.txt").write_text("\ufeff" + "\n".join(lines))
    for above in (0, 2):
        keys = f"format = 'text'\npattern = '{pattern}'\nheader_lines = {above}"
        shop = make_contract(tmp_path, ('role = "events"', f'role = "events"\n{keys}'))
        read = landed(spark, shop, {"large.txt": as_named(shop)})
        told = read.agg(
            F.count("*"), F.count_distinct("order_no"), F.min(F.col("order_no").cast("int")), F.count("corrupt_record")
        )
        assert tuple(told.first() or ()) == (200_000 - above, 200_000 - above, 1 + above, 0)
        assert read.select(F.shiftright("position", 33)).distinct().count() > 1


def test_json_values_keep_the_text_they_were_written_in(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Numbers keep every digit, texts every character, objects and lists are JSON; what is no object is misshapen."""
    shop = make_contract(tmp_path, *NESTED)
    good = [
        {"order_no": "007", "customer": {"id": "001", "x": 1}, "item": 'a "b"\n\u00e9', "kind": ""},
        {"customer": None, "item": {"a": [1, None]}, "kind": True},
    ]
    written = '{"order_no": 12345678901234567890123, "price": 1.10, "pieces": 1e400, "customer": {"id": 7.50}}'
    bad = ["[1]", "null", '{"a":1}{"a":2}', '{"a":1},{"a":2}', "{'a':1}", '{"a":NaN}', '{"customer":"ann"}', "{"]
    lines = [*map(json.dumps, good), "", written, *bad]
    (tmp_path / "one.json").write_text("\ufeff" + "\r\n".join(lines))
    (tmp_path / "two.json.gz").write_bytes(gzip.compress(b'{"ORDER_NO": "b"}\n'))
    layouts = {"one.json": as_named(shop), "two.json.gz": as_named(shop, order_no="ORDER_NO")}
    rows = sorted(landed(spark, shop, layouts).collect(), key=lambda row: (row.delivery_id, row.position))
    read = [(row.order_no, row.customer_id, row.price, row.pieces, row["item"], row.kind) for row in rows]
    assert read[:3] == [
        ("007", "001", None, None, 'a "b"\n\u00e9', ""),
        (None, None, None, None, '{"a":[1,null]}', "true"),
        ("12345678901234567890123", "7.50", "1.10", "1e400", None, None),
    ]
    assert [row.corrupt_record for row in rows] == [None, None, None, *bad, None]
    assert set(read[3:-1]) == {(None,) * 6}
    assert rows[-1].order_no == "b"


def test_a_json_line_may_be_nested_as_deep_as_it_likes() -> None:
    """A line that would exhaust the parser is a misshapen row, no failed night."""
    deep = '{"a":' * 100_000
    parse = json_parser({"a": ["a"]}, "corrupt")
    (batch,) = parse([pa.RecordBatch.from_pydict({"file": ["f", "f"], "value": [deep, "  "]})])
    assert batch.to_pylist() == [{"file": "f", "a": None, "corrupt": deep}]


def test_parquet_values_become_the_text_of_their_type(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Times with a zone carry their offset, others do not; nested fields go by path; each file has types of its own."""
    shop = make_contract(tmp_path, *NESTED, *PARQUET)
    at = datetime(2026, 3, 2, 10, 30, 0, 123456)  # noqa: DTZ001 - a time without a zone is the point
    whole = {
        "order_no": pa.array([7, None], pa.int64()),
        "customer": pa.array([{"id": "001"}, None], pa.struct([("id", pa.string())])),
        "at": pa.array([at, None], pa.timestamp("us")),
        "price": pa.array([Decimal("1.10"), None], pa.decimal128(12, 4)),
        "pieces": pa.array([2.0, None], pa.float64()),
        "item": pa.array([[1, 2], None], pa.list_(pa.int32())),
        "kind": pa.array([True, None], pa.bool_()),
    }
    zoned = whole | {"at": pa.array([at.replace(tzinfo=UTC), None], pa.timestamp("ns", "Europe/Berlin"))}
    plain = whole | {"at": pa.array([at, None], pa.timestamp("ns")), "kind`x": pa.array(["sale", None])}
    for name, columns in (("whole", whole), ("zoned", zoned), ("plain", plain)):
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
    layout = as_named(shop)
    quoted = (*(one for one in layout if one.column != "kind"), Field("kind", None), Field("kind`x", "kind"))
    layouts = {"whole.parquet": layout, "zoned.parquet": layout, "plain.parquet": quoted}
    rows = landed(spark, shop, layouts).collect()
    found = {
        row.delivery_id: (row.order_no, row.customer_id, row["at"], row.price, row.pieces, row["item"], row.kind)
        for row in rows
        if row.order_no
    }
    same = ("7", "001", "2026-03-02 10:30:00.123456", "1.1000", "2.0", "[1,2]")
    assert found == {
        "whole.parquet": (*same, "true"),
        "zoned.parquet": (*same[:2], "2026-03-02T10:30:00.123456+00:00", *same[3:], "true"),
        "plain.parquet": (*same, "sale"),
    }
    assert sum(row.order_no is None and row.kind is None and row.corrupt_record is None for row in rows) == 3


def test_rows_of_a_file_read_in_pieces_are_told_apart(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """A packed file's rows are numbered as they stand in it; a large plain one is read in pieces, and that shows."""
    shop = make_contract(tmp_path)
    lines = (f"{number},ann,2026-03-02 10:00:00,1,1,some longer item,purchase\n" for number in range(1, 200_001))
    text = "h\n" + "".join(lines)
    (tmp_path / "large.csv").write_text(text)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(text.encode(), 1))
    layouts = dict.fromkeys(("large.csv", "packed.csv.gz"), as_named(shop))
    read = landed(spark, shop, layouts)
    spans = read.groupBy("delivery_id").agg(F.min("position").alias("first"), F.max("position").alias("last")).collect()
    places = {row.delivery_id: Place.of(row.delivery_id, row.first, row.last) for row in spans}
    assert places["large.csv"].first is None
    first = places["packed.csv.gz"].first
    packed = read.filter(F.col("delivery_id") == "packed.csv.gz")
    assert packed.filter(F.col("position") - first + 1 == F.col("order_no").cast("bigint")).count() == 200_000
