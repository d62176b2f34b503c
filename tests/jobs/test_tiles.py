from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from churnlake.contract import Contract
from churnlake.features import tile_columns
from jobs.tiles import daily_activity, daily_values, newly_known

FACTS = (
    "source STRING, customer_id STRING, event_date DATE, amount BIGINT, quantity BIGINT, product STRING, "
    "event_type STRING, is_activity BOOLEAN, sign INT, known_date DATE, delivery_id STRING"
)
ONE, TWO = date(2026, 3, 1), date(2026, 3, 2)


@pytest.fixture
def shop(tmp_path: Path, make_contract: Callable[..., Contract]) -> Contract:
    """The shop as it is."""
    return make_contract(tmp_path / "shop")


def facts(spark: SparkSession, rows: Sequence[tuple[Any, ...]]) -> DataFrame:
    """Signed facts, as ingest writes them."""
    return spark.createDataFrame(list(rows), FACTS)


def test_a_tile_holds_signed_sums_of_a_customers_day(spark: SparkSession, shop: Contract) -> None:
    """Rows, activity and measures of a customer, day and delivery are summed with their sign; null amounts add 0."""
    tiles = daily_activity(
        facts(
            spark,
            [
                ("orders", "ann", ONE, 250, 2, "pen", "purchase", True, 1, TWO, "a"),
                ("orders", "ann", ONE, 100, 1, "ink", "purchase", True, 1, TWO, "a"),
                ("orders", "ann", ONE, -250, -2, "pen", "cancellation", False, 1, TWO, "a"),
                ("orders", "ann", ONE, None, 1, None, "gift", False, 1, TWO, "a"),
                ("orders", "ann", ONE, 7, None, None, None, False, 1, TWO, "a"),
                ("orders", "ann", ONE, 100, 1, "ink", "purchase", True, -1, TWO, "b"),
                ("orders", "bob", TWO, 5, 1, "pen", "purchase", True, 1, TWO, "a"),
            ],
        ),
        shop.features,
    )
    sums = {(row.customer_id, row.delivery_id): row for row in tiles.collect()}
    names = tile_columns(shop.features)
    assert dict(zip(names, (sums["ann", "a"][name] for name in names), strict=True)) == {
        "events": 5,
        "activity": 2,
        "amount": 107,
        "quantity": 2,
        "event_type_purchase": 2,
        "event_type_purchase_amount": 350,
        "event_type_purchase_quantity": 3,
        "event_type_cancellation": 1,
        "event_type_cancellation_amount": -250,
        "event_type_cancellation_quantity": -2,
        "event_type_other": 2,  # a value that is not named, and none at all
        "event_type_other_amount": 7,
        "event_type_other_quantity": 1,
    }
    assert [sums["ann", "b"][name] for name in ("events", "activity", "amount", "quantity")] == [-1, -1, -100, -1]
    assert {key: (row.known_month, row.off_day) for key, row in sums.items()} == {
        ("ann", "a"): ("2026-03", True),
        ("ann", "b"): ("2026-03", True),
        ("bob", "a"): ("2026-03", False),
    }


def test_values_are_counted_apart_and_null_is_no_value(spark: SparkSession) -> None:
    """Each value of a distinct column has its own signed count; an absent value has no row."""
    tiles = daily_values(
        facts(
            spark,
            [
                ("orders", "ann", ONE, 1, 1, "pen", "purchase", True, 1, ONE, "a"),
                ("orders", "ann", ONE, 1, 1, "pen", "purchase", True, 1, ONE, "a"),
                ("orders", "ann", ONE, 1, 1, None, "purchase", True, 1, ONE, "a"),
                ("orders", "ann", ONE, 1, 1, "pen", "purchase", True, -1, TWO, "b"),
            ],
        ),
        ["product"],
    )
    assert sorted((row.known_date, row["column"], row.value, row.events) for row in tiles.collect()) == [
        (ONE, "product", "pen", 2),
        (TWO, "product", "pen", -1),
    ]


def test_a_customer_is_known_from_the_first_usable_row(spark: SparkSession) -> None:
    """The earliest date counts; who was known before is written again only when an older row makes it earlier."""
    schema = "source STRING, customer_id STRING, usable_from DATE, known_date DATE, delivery_id STRING"
    named = spark.createDataFrame(
        [
            ("orders", "new", TWO, ONE, "b"),  # dated ahead: known on its own day
            ("orders", "twice", TWO, TWO, "b"),
            ("orders", "twice", ONE, ONE, "a"),
            ("orders", "old", TWO, TWO, "b"),
            ("orders", "earlier", ONE, ONE, "a"),
            ("visits", "old", TWO, TWO, "b"),
        ],
        schema,
    )
    known = spark.createDataFrame(
        [("orders", "old", ONE), ("orders", "earlier", TWO), ("orders", "earlier", date(2026, 3, 5))],
        "source STRING, customer_id STRING, first_known_date DATE",
    )
    found = newly_known(named, known).select("source", "customer_id", "delivery_id", "first_known_date", "known_month")
    assert sorted(tuple(row) for row in found.collect()) == [
        ("orders", "earlier", "a", ONE, "2026-03"),
        ("orders", "new", "b", TWO, "2026-03"),
        ("orders", "twice", "a", ONE, "2026-03"),
        ("visits", "old", "b", TWO, "2026-03"),
    ]
    assert newly_known(named, None).count() == 5


def test_without_distinct_columns_there_are_no_values(spark: SparkSession) -> None:
    """A contract may count no distinct values: the table is there, with its columns and without rows."""
    one = facts(spark, [("orders", "ann", ONE, 1, 1, "pen", "purchase", True, 1, ONE, "a")])
    assert daily_values(one, []).columns == daily_values(one, ["product"]).columns
    assert daily_values(one, []).count() == 0
