"""Columns: type, expression and reason, from their values and names."""

from collections import Counter
from collections.abc import Callable
from datetime import date

import pytest

from churnlake.contract.expressions import Expression, parse_expression
from churnlake.starter import Table, decide_columns, find_samples, read_tables
from churnlake.starter.columns import Column

TableOf = Callable[..., Table]


@pytest.fixture
def column(table: TableOf) -> Callable[..., Column]:
    """The decided column of a name and its values, in a file parted by tabs."""

    def decided(name: str, *values: str) -> Column:
        lines = [f"key\t{name}", *(f"{place}\t{value}" for place, value in enumerate(values))]
        return table("\n".join(lines)).columns[name]

    return decided


@pytest.mark.parametrize(
    ("name", "values", "kind", "sql"),
    [
        ("units", ("1", "-2", ""), "int", "units"),
        ("units", ("3000000000", "1"), "bigint", "units"),
        ("weight", ("1.5", "2"), "double", "weight"),
        ("weight", ("1e-7", "2"), "double", "weight"),
        ("total", ("1.50", "2"), "decimal(12,2)", "total"),
        ("total", ("1", "2"), "decimal(12,2)", "total"),
        ("price", ("1.50", "2"), "decimal(12,4)", "price"),
        ("total", ("1.12345", "2"), "double", "total"),
        ("active", ("true", "FALSE"), "boolean", "active"),
        ("day", ("2026-01-31", "2026-02-01"), "date", "day"),
        ("at", ("2026-01-31 10:15:00", "2026-02-01 00:00:00"), "timestamp", "at"),
        ("at", ("31.01.2026 10:15", "01.02.2026 11:00"), "text", "TO_TIMESTAMP(at, 'dd.MM.yyyy HH:mm')"),
        ("day", ("20260131", "20260201"), "text", "TO_DATE(day, 'yyyyMMdd')"),
        ("article", ("20260131", "20260201"), "int", "article"),
        ("customer", ("00042", "1"), "text", "customer"),
        ("batch", ("00042", "1"), "text", "batch"),
        ("OrderNo", ("1", "2"), "text", "OrderNo"),
        ("CustomerID", ("17850.0", "", "13047.0"), "text", "REGEXP_REPLACE(CustomerID, '[.]0+$', '')"),
        ("tenure", ("17.0", "13.0"), "double", "tenure"),
        ("Order Date", ("31.01.2026", "01.02.2026"), "text", "TO_DATE(`Order Date`, 'dd.MM.yyyy')"),
        ("total", ("$1,200.50", "$3.00"), "text", "CAST(REGEXP_REPLACE(total, '[^0-9.-]', '') AS DECIMAL(12,2))"),
        ("total", ("1,200.50", "3"), "text", "CAST(REPLACE(total, ',', '') AS DECIMAL(12,2))"),
        ("code", ("123456789012345678901", "1"), "text", "code"),
        ("created_at", ("1760000000", "1760000001"), "bigint", "CAST(created_at AS TIMESTAMP)"),
        ("created_at", ("1760000000000",), "bigint", "CAST(created_at DIV 1000 AS TIMESTAMP)"),
        ("note", ("", ""), "text", "note"),
    ],
)
def test_type_and_expression_of_a_column(
    column: Callable[..., Column], name: str, values: tuple[str, ...], kind: str, sql: str
) -> None:
    """A null is no evidence; the expression is one that contracts take, and there is a reason."""
    told = column(name, *values)
    assert (told.type, told.sql, bool(told.why)) == (kind, sql, True)
    assert isinstance(parse_expression(told.sql, [name]), Expression)


def test_one_odd_value_makes_numbers_a_text(column: Callable[..., Column]) -> None:
    """Else all rows with a letter in their id would be set aside."""
    assert column("amount", *("12",) * 500, "C12").type == "text"


def test_amounts_with_a_sign_tell_their_currency(column: Callable[..., Column]) -> None:
    """A comma before two digits is for decimals."""
    told = column("Preis", "12,50 €", "1.200,00 €")
    assert told.currency == "EUR"
    assert told.sql == "CAST(REPLACE(REGEXP_REPLACE(Preis, '[^0-9,-]', ''), ',', '.') AS DECIMAL(12,2))"


def test_a_decimal_comma_holds_for_the_whole_file(table: TableOf) -> None:
    """Points stand between thousands then."""
    told = table("kunde;menge;betrag\n1;2;1.234,50\n2;3;7,99\n")
    assert (told.decimal, told.columns["betrag"].type, told.columns["menge"].type) == (",", "decimal(12,2)", "int")


def test_points_and_commas_in_one_file_leave_the_comma_to_an_expression(table: TableOf) -> None:
    """Read with a decimal comma, 2.5 would become 25."""
    told = table("kunde;gewicht;betrag\n1;2.5;1234,50\n2;3.5;7,99\n")
    assert (told.decimal, told.columns["gewicht"].type, told.columns["betrag"].type) == (".", "double", "text")


def test_only_thousands_are_no_decimal_comma(table: TableOf) -> None:
    """1,200 may be twelve hundred: commas are taken off."""
    told = table("customer;total\n1;1,200\n2;3,400\n")
    assert (told.decimal, told.columns["total"].sql) == (".", "CAST(REPLACE(total, ',', '') AS DECIMAL(12,2))")


@pytest.mark.parametrize(
    ("values", "marks", "kind"),
    [
        (("1", "?", "3"), ("?",), "int"),
        (("1", "NA", " "), (" ", "NA"), "int"),
        (("2026-01-31", "NULL", "2026-02-01"), ("NULL",), "date"),
        (("Bonn", "NA", "Rome"), (), "text"),
        (("Bonn", "NULL", "Rome"), ("NULL",), "text"),
        (("?", *("a",) * 500), (), "text"),
    ],
)
def test_marks_for_null_are_told_from_values(
    table: TableOf, values: tuple[str, ...], marks: tuple[str, ...], kind: str
) -> None:
    """NA may be Namibia, and one question mark among hundreds of texts is a text."""
    told = table("key\tcolumn\n" + "\n".join(f"k\t{value}" for value in values))
    assert (told.null_marks, told.columns["column"].type) == (marks, kind)


def test_a_column_that_tells_the_order_tells_it_for_its_table(samples: object, write: Callable[..., object]) -> None:
    """Another with no day above 12 needs no question then; alone it does."""
    write("a.csv", "customer,sold,paid\n1,31/01/2026,01/02/2026\n")
    write("b.csv", "customer,sold\n1,01/02/2026\n")
    first, second = read_tables(find_samples(samples))[0]  # type: ignore[arg-type]
    decided, nothing_open = decide_columns(first, None)
    assert (decided.columns["paid"].sql, nothing_open) == ("TO_DATE(paid, 'dd/MM/yyyy')", ())
    assert [(one.table, one.column) for one in decide_columns(second, None)[1]] == [("b", "sold")]


def test_days_counted_from_a_start_are_no_dates(table: TableOf) -> None:
    """They are told as what they are."""
    told = table("id_student,date_registration\n1,-159\n2,12\n").columns["date_registration"]
    assert (told.nature, told.type, told.seen) == ("day number", "int", "-159 .. 12")


def test_parquet_and_json_keep_their_kinds(table: TableOf) -> None:
    """A time that json writes as text is a time; numbers in an id column become a text."""
    told = table('{"user_id": 7, "at": "2026-01-31T10:00:00Z", "total": 1.5}\n', name="a.jsonl")
    assert {name: one.type for name, one in told.columns.items()} == {
        "user_id": "text", "at": "timestamp", "total": "decimal(12,2)",
    }  # fmt: skip
    assert told.columns["at"].is_utc
    read_day = told.columns["at"].read_day
    assert read_day is not None
    assert read_day("2026-01-31T10:00:00Z") == date(2026, 1, 31)
    assert Counter(told.columns["total"].values) == {"1.5": 1}


def test_a_text_that_is_nearly_a_number_is_for_a_person_to_check(column: Callable[..., Column]) -> None:
    """One odd value in a hundred keeps amounts from being amounts; two may mean that they are none."""
    amounts = [f"{number},50" for number in range(99)]
    assert column("total", *amounts, "free").why == (
        "text, 100 different; CHECK: all but 1 of 100 values are numbers, one is 'free'; as a number those rows would "
        "be set aside"
    )
    assert column("total", *amounts[:-1], "free", "gift").why == "text, 100 different"
