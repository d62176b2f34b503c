from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.deliveries import inspect
from churnlake.ledger import Delivery, Lane
from jobs.lake import Lake
from jobs.landing import CORRUPT, read_landing
from jobs.lookups import read_lookups
from jobs.rows import classify

EUROPEAN = ('role = "events"', 'role = "events"\nseparator = ";"\ndecimal = ","\nnull_marks = ["?", "n/a", " "]')
ITEMS = (
    "[sources.orders]",
    """
[sources.items]
role = "lookup"
delivery = "history"
path = "items.csv"
separator = ";"
decimal = ","
null_marks = ["?"]
key = ["item"]
types = { item = "text", weight = "double", maker = "text" }

[sources.orders]
lookups = { items = ["item"] }
""",
)
COLUMNS = ("order_no", "customer", "at", "price", "pieces", "item", "kind")
LANDED = (
    ", ".join(f"{name} STRING" for name in (*COLUMNS, CORRUPT, "delivery_id", "row_hash"))
    + ", slot DATE, known_date DATE, position BIGINT"
)


@pytest.fixture
def told(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> Callable[..., list[tuple[object, ...]]]:
    """Price, pieces and item as they are typed and as they were delivered, and the flags of each row."""

    def judged(*values: tuple[str | None, str | None, str | None]) -> list[tuple[object, ...]]:
        shop = make_contract(tmp_path, EUROPEAN)
        rows = [("a", "ann", "2026-03-02", *value, "sale", None, "d", str(value)) for value in values]
        landed = spark.createDataFrame(
            [(*row, None, None, place) for place, row in enumerate(rows)], LANDED
        ).withColumns({name: F.lit("2026-03-02").cast("date") for name in ("slot", "known_date")})
        found = classify(landed, shop, "orders", (), ()).orderBy("position")
        shown = ("typed.price", "typed.pieces", "typed.item", "raw_row.price", "raw_row.pieces", "raw_row.item")
        return [tuple(row) for row in found.select(*shown, "flags").collect()]

    return judged


def test_a_decimal_comma_is_read_and_the_delivered_text_is_kept(told: Callable[..., list[tuple[object, ...]]]) -> None:
    """With points or any blank between thousands; what quarantine would show is what the file held."""
    written = {
        "1.234,56": "1234.56",
        "1 234,56": "1234.56",
        "1\u00a0234\u00a0567,8": "1234567.8",
        "1\u202f234,5": "1234.5",
        "1\u2009234": "1234",
        "-12,5": "-12.5",
        "+0,5": "0.5",
        " 12,5 ": "12.5",
        "12": "12",
        "1.234": "1234",
        "1234567,8": "1234567.8",
        "1,5e2": "150",
    }
    rows = told(*((text, None, "1.234,5") for text in written))
    assert [row[0] for row in rows] == [Decimal(one) for one in written.values()]
    assert [row[3] for row in rows] == list(written)
    assert {row[2] for row in rows} == {"1.234,5"}


def test_a_number_written_otherwise_is_of_a_bad_type(told: Callable[..., list[tuple[object, ...]]]) -> None:
    """A point that would be a decimal mark elsewhere is none here: nothing is guessed."""
    written = (
        "1.5",
        "1,234.56",
        "1.23,4",
        "1.234 567",
        "12,5,1",
        "1.2345",
        "1\u20091234",
        ",",
        "-",
        "1,5 EUR",
        "12.5",
        "\u0661",
    )
    rows = told(*((text, text, text) for text in written))
    assert [row[:2] for row in rows] == [(None, None)] * len(written)
    assert [row[6] for row in rows] == [["bad_type.price", "bad_type.pieces"]] * len(written)


def test_a_null_mark_is_null_and_no_bad_type(told: Callable[..., list[tuple[object, ...]]]) -> None:
    """In every column, and only where it is the whole value; the mark itself is kept as delivered."""
    rows = told(("?", "n/a", " "), (None, None, None), ("??", "7", "? "))
    assert [row[:3] for row in rows] == [(None, None, None), (None, None, None), (None, 7, "? ")]
    assert rows[0][3:] == ("?", "n/a", " ", [])
    assert [row[6] for row in rows] == [[], [], ["bad_type.price"]]


def test_a_lookup_is_read_by_its_own_notation(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract], lake: Path, lane: Lane
) -> None:
    """Its marks and commas are those of its file, whatever the rows it is joined to are written in."""
    shop = make_contract(tmp_path, ITEMS)
    (tmp_path / "items.csv").write_text("item;weight;maker\npen;0,5;?\ncar;1.200;ann\nhat;1.5;\ncap;?;bob\n")
    day, layout = date(2026, 1, 1), inspect(tmp_path / "items.csv", shop.sources["items"]).layout
    delivery = Delivery(
        "items", "d", "items.csv", 1, "0" * 64, day, day, day, contract="shop", run_id="run", state="frozen", counts={}
    )
    written = Lake(spark, lake, "shop", lane)
    written.replace("raw_items", read_landing(spark, shop, [delivery], {"d": layout}), {"delivery_id": ["d"]}, "run")
    (items,) = read_lookups(written, shop, "orders")
    assert {tuple(row) for row in items.rows.collect()} == {
        ("pen", 0.5, None),
        ("car", 1200.0, "ann"),
        ("hat", None, None),
        ("cap", None, "bob"),
    }
