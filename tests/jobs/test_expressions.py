from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.contract.expressions import Expression, parse_expression
from jobs.expressions import expression_problems

COLUMNS = "word STRING, day STRING, most INT, nothing INT, price DECIMAL(12,4), at TIMESTAMP_NTZ"
ROW = ("abc", "31.12.2010", 2_147_483_647, 0, Decimal("1.2500"), datetime(2011, 1, 31, 23, 30))  # noqa: DTZ001


@pytest.fixture(scope="module")
def row(spark: SparkSession) -> DataFrame:
    """One row of values that many operations cannot take."""
    return spark.createDataFrame([ROW], COLUMNS)


def values(row: DataFrame, *texts: str) -> list[object]:
    """What Spark makes of contract expressions over the row."""
    parsed = [parse_expression(text, row.columns) for text in texts]
    columns = [F.expr(one.sql) for one in parsed if isinstance(one, Expression)]
    assert len(columns) == len(texts), parsed
    return list(row.select(columns).collect()[0])


def test_no_single_value_ends_a_night(row: DataFrame) -> None:
    """Under ANSI rules Spark raises on each of these; as a contract's expression each is null."""
    bad = (
        "CAST(word AS INT)", "CAST(word AS DECIMAL(12,2))", "word::DATE", "boolean(word)", "most + 1",
        "most * most", "most - -1", "most / nothing", "most DIV nothing", "most % nothing", "to_date(word)",
        "to_date(word, 'dd.MM.yyyy')", "to_timestamp(word)", "to_timestamp(word, 'dd.MM.yyyy HH:mm')",
        "date_add(word, 1)", "datediff(word, at)", "year(word)", "last_day(word)", "hour(word)",
        "date_trunc('month', word)",
    )  # fmt: skip
    assert values(row, *bad) == [None] * len(bad)


def test_good_values_keep_their_meaning(row: DataFrame) -> None:
    """The tolerant forms give what the plain ones give, types included."""
    assert values(
        row,
        "price * 2 + 1",
        "most DIV 2",
        "7 % 4",
        "price / 2",
        "to_date(day, 'dd.MM.yyyy')",
        "date_sub(at, 1)",
        "datediff(at, to_date(day, 'dd.MM.yyyy'))",
        "date_trunc('month', at)",
        "hour(at)",
        "at + INTERVAL 1 HOUR",
        "DATE '2011-01-31' + 1",
    ) == [
        Decimal("3.5000"),
        1_073_741_823,
        3,
        Decimal("0.6250000000"),
        date(2010, 12, 31),
        date(2011, 1, 30),
        31,
        datetime(2011, 1, 1),  # noqa: DTZ001
        23,
        datetime(2011, 2, 1, 0, 30),  # noqa: DTZ001
        date(2011, 2, 1),
    ]


def test_spark_analyses_every_expression_before_a_row_is_read(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """A type that does not fit and a condition that is none are named by place; a sound contract has neither."""
    wrong = make_contract(
        tmp_path / "wrong",
        ("customer IS NULL", "customer"),
        ('quantity = "pieces"', 'quantity = "pieces + at"'),
    )
    problems = expression_problems(spark, wrong, "orders")

    assert [problem.split(": ")[0] for problem in problems] == [
        "sources.orders.ignore.anonymous",
        "sources.orders.columns.quantity",
    ]
    assert problems[0].endswith("is string; it must be boolean")
    assert expression_problems(spark, make_contract(tmp_path / "sound"), "orders") == []


def test_an_activity_that_is_no_condition_is_named(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """The activity is analysed over what the source's columns become."""
    contract = make_contract(tmp_path, ("event_type = 'purchase' AND amount > 0", "amount"))

    assert expression_problems(spark, contract, "orders") == ["churn.activity: is decimal(12,4); it must be boolean"]
