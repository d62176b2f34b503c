"""Forms of dates: recognised by shape, asked about where day and month cannot be told apart."""

from datetime import date

import pytest

from churnlake.contract.expressions import Expression, parse_expression
from churnlake.starter.dates import Form, Order, TwoReadings, read_form


def form_of(*texts: str, order: Order | None = None) -> Form | TwoReadings | None:
    """The form of a column that holds each text once."""
    return read_form(dict.fromkeys(texts, 1), order)


@pytest.mark.parametrize(
    ("texts", "pattern", "day"),
    [
        (("2026-01-31", "2026-02-01"), None, date(2026, 1, 31)),
        (("2026-01-31 10:15:00", "2026-02-01"), None, date(2026, 1, 31)),
        (("2026-01-31T10:15:00Z", "2026-02-01T00:00:00.5+02:00"), None, date(2026, 1, 31)),
        (("2026-01-31 10:15", "2026-02-01 00:00"), "yyyy-MM-dd HH:mm", date(2026, 1, 31)),
        (("2026/1/31", "2026/12/01"), "yyyy/M/dd", date(2026, 1, 31)),
        (("20260131", "20260201"), "yyyyMMdd", date(2026, 1, 31)),
        (("31.01.2026", "01.02.2026"), "dd.MM.yyyy", date(2026, 1, 31)),
        (("31.01.2026 09:05:59", "01.02.2026 10:00:00"), "dd.MM.yyyy HH:mm:ss", date(2026, 1, 31)),
        (("31/1/26", "1/2/26"), "d/M/yy", date(2026, 1, 31)),
        (("1/31/2026 2:46 AM", "12/1/2026 10:00 pm"), "M/d/yyyy h:mm a", date(2026, 1, 31)),
        (("31-Jan-2026", "01-feb-2026"), "dd-MMM-yyyy", date(2026, 1, 31)),
    ],
)
def test_a_form_is_told_by_the_shape_of_all_values(texts: tuple[str, ...], pattern: str | None, day: date) -> None:
    """One digit or two, with a time or without, day or month first: the pattern is one that Spark reads all by."""
    form = form_of(*texts)
    assert isinstance(form, Form)
    assert (form.pattern, form.day(texts[0])) == (pattern, day)


@pytest.mark.parametrize(
    "texts",
    [
        ("hello",),
        ("2026-13-40", "2026-14-01"),
        ("12345678",),
        ("31/12/2026", "12/31/2026"),
        ("2026-01-31", "31.01.2026"),
        (),
    ],
)
def test_what_is_no_date_has_no_form(texts: tuple[str, ...]) -> None:
    """Months above 12, two orders in one column, two shapes, no value at all."""
    assert form_of(*texts) is None


def test_a_few_bad_dates_do_not_change_the_form() -> None:
    """One in two hundred is a row for the quarantine; one in a hundred makes the column a text."""
    form = read_form({"2026-01-31 10:00": 199, "none": 1}, None)
    assert isinstance(form, Form)
    assert read_form({"2026-01-31 10:00": 99, "none": 1}, None) is None


def test_days_up_to_12_have_two_readings_and_the_clearest_example_is_shown() -> None:
    """With 13 the data decide; with dots nobody writes the month first."""
    told = form_of("03/05/2026", "05/05/2026", "01/12/2026")
    assert told == TwoReadings("01/12/2026", date(2026, 12, 1), date(2026, 1, 12))
    assert isinstance(form_of("03/05/2026", "13/05/2026"), Form)
    dots = form_of("03.05.2026")
    assert isinstance(dots, Form)
    assert dots.day("03.05.2026") == date(2026, 5, 3)


@pytest.mark.parametrize(
    ("order", "pattern", "day"),
    [("day_first", "dd/MM/yyyy", date(2026, 5, 3)), ("month_first", "MM/dd/yyyy", date(2026, 3, 5))],
)
def test_a_told_order_decides_what_the_data_cannot(order: Order, pattern: str, day: date) -> None:
    """And never overrules what they can."""
    form = form_of("03/05/2026", order=order)
    assert isinstance(form, Form)
    assert (form.pattern, form.day("03/05/2026")) == (pattern, day)
    decided = form_of("13/05/2026", order=order)
    assert isinstance(decided, Form)
    assert decided.day("13/05/2026") == date(2026, 5, 13)


@pytest.mark.parametrize("text", ["31.01.2026 10:15", "1/31/2026 2:46 AM", "2026-01-31T10:15", "31-Jan-26"])
def test_every_pattern_is_one_that_expressions_take(text: str) -> None:
    """A T between day and time stands in quotes inside the pattern."""
    form = form_of(text)
    assert isinstance(form, Form)
    quoted = str(form.pattern).replace("'", "\\'")
    assert isinstance(parse_expression(f"TO_TIMESTAMP(at, '{quoted}')", ["at"]), Expression)
