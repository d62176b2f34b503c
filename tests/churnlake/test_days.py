"""Features of events from arrays of rows, without Spark: days by hand, and random rows against a plain reading."""

import math
from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from churnlake.features import Aggregate, Family, Feature
from churnlake.features.days import Asked, Rows, Values, active_days, features_of_days, features_of_values

SPAN, CUSTOMERS, VALUES = 20, 3, 4
CUTOFF = 5  # 6 January 1970: most rows are of days before the first one that is counted
SUMS = ("activity", "events", "kind_a", "kind_b")


class Row(NamedTuple):
    """A row of a daily tile, some days before the cutoff; below zero it is of a day after it."""

    customer: int
    age: int
    known: int
    activity: int
    events: int
    kind_a: int
    kind_b: int


def feature(name: str, aggregate: Aggregate, operand: str, window: int | None = None) -> Feature:
    """A feature of which only what is computed matters."""
    kind = "category" if aggregate is Aggregate.LAST_VALUE else "number"
    return Feature(name, "s", Family.RECENCY, "", "", "", aggregate, operand, window_days=window, kind=kind)


ASKED = Asked(
    [
        feature("sum_5", Aggregate.SUM, "events", 5),
        feature("sum_span", Aggregate.SUM, "events"),
        feature("days_5", Aggregate.DAYS, "activity", 5),
        feature("days_span", Aggregate.DAYS, "activity"),
        feature("since_last", Aggregate.SINCE_LAST, "activity"),
        feature("since_a", Aggregate.SINCE_LAST, "kind_a"),
        feature("since_first", Aggregate.SINCE_FIRST, "activity"),
        feature("gap_mean", Aggregate.GAP_MEAN, "activity"),
        feature("gap_spread", Aggregate.GAP_SPREAD, "activity"),
        feature("gap_last", Aggregate.GAP_LAST, "activity"),
        feature("gap_longest", Aggregate.GAP_LONGEST, "activity"),
        feature("last_kind", Aggregate.LAST_VALUE, "kind"),
        feature("different_5", Aggregate.DISTINCT, "item", 5),
        feature("different_10", Aggregate.DISTINCT, "item", 10),
    ],
    SPAN,
    {"kind": ("a", "b")},
)


def found_of_days(rows: list[Row], cutoff: int = CUTOFF) -> list[dict[str, object]]:
    """What daily sums tell of each customer; None where there is nothing to tell."""
    columns = np.array(rows, np.int64).reshape(-1, len(Row._fields)).T
    sums = dict(zip(SUMS, columns[3:], strict=True))
    told = dict(
        features_of_days(
            ASKED, Rows.in_order(columns[0], CUTOFF - columns[1], CUTOFF - columns[2], sums), cutoff, CUSTOMERS
        )
    )
    return [{name: _plain(values[customer]) for name, values in told.items()} for customer in range(CUSTOMERS)]


def _plain(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def expected_of_days(rows: list[Row], cutoff: int = CUTOFF) -> list[dict[str, object]]:
    """The same, told row by row."""
    moved = [row._replace(age=row.age + cutoff - CUTOFF, known=row.known + cutoff - CUTOFF) for row in rows]
    return [_one_customer([row for row in moved if row.customer == customer]) for customer in range(CUSTOMERS)]


def _one_customer(rows: list[Row]) -> dict[str, object]:
    nets: dict[int, list[int]] = defaultdict(lambda: [0] * len(SUMS))
    for row in rows:
        if 0 <= row.age < SPAN and row.known >= 0:
            nets[row.age] = [net + each for net, each in zip(nets[row.age], row[3:], strict=True)]
    active = sorted(age for age, net in nets.items() if net[0] > 0)
    gaps = [older - newer for newer, older in pairwise(active)]
    mean = sum(gaps) / len(gaps) if gaps else None
    kinds = sorted(
        (age, -rows_, kind) for age, net in nets.items() for kind, rows_ in zip("ab", net[2:], strict=True) if rows_ > 0
    )
    of_a = [age for age, net in nets.items() if net[2] > 0]
    return {
        "sum_5": sum(net[1] for age, net in nets.items() if age < 5),
        "sum_span": sum(net[1] for net in nets.values()),
        "days_5": sum(age < 5 for age in active),
        "days_span": len(active),
        "since_last": active[0] if active else None,
        "since_first": active[-1] if active else None,
        "gap_mean": mean,
        "gap_spread": math.sqrt(max(sum(gap * gap for gap in gaps) / len(gaps) - mean * mean, 0)) if mean else None,
        "gap_last": gaps[0] if gaps else None,
        "gap_longest": max(gaps) if gaps else None,
        "last_kind": kinds[0][2] if kinds else None,
        "since_a": min(of_a) if of_a else None,
    }


ROW = st.builds(
    Row,
    customer=st.integers(0, CUSTOMERS - 1),
    age=st.integers(-2, SPAN + 1),
    known=st.integers(-2, SPAN + 1),
    **dict.fromkeys(SUMS, st.integers(-2, 3)),
)


@given(st.lists(ROW, max_size=40), st.integers(-3, 3))
def test_what_daily_sums_tell_is_what_a_plain_reading_tells(rows: list[Row], later: int) -> None:
    """Whatever was corrected, late or early, for customers with and without rows, at this cutoff and those near it."""
    assert found_of_days(rows, CUTOFF + later) == expected_of_days(rows, CUTOFF + later)


def test_the_first_day_of_a_window_and_of_the_span_count_and_the_day_before_does_not() -> None:
    """A day four days back is in a window of five; one that was known only after the cutoff is in none."""
    days = [Row(0, age, age, 1, 1, 0, 0) for age in (0, 4, 5, SPAN - 1, SPAN)]
    first, second, third = found_of_days([*days, Row(1, 3, -1, 1, 1, 1, 0), Row(2, 3, 0, 1, 1, 0, 2)])
    assert (first["days_5"], first["days_span"], first["since_first"]) == (2, 4, SPAN - 1)
    assert (second["sum_span"], second["since_last"], second["last_kind"]) == (0, None, None)
    assert (third["sum_5"], third["since_last"], third["last_kind"], third["since_a"]) == (1, 3, "b", None)


@given(st.lists(ROW, max_size=40), st.integers(1, SPAN), st.integers(-3, 3))
def test_the_first_and_the_last_active_day_are_those_of_a_plain_reading(
    rows: list[Row], days: int, known_later: int
) -> None:
    """Of however many days, as known on the last of them, before or after it; NaN for who was not active."""
    customer, age, known, activity, *_ = np.array(rows, np.int64).reshape(-1, len(Row._fields)).T
    in_order = Rows.in_order(customer, CUTOFF - age, CUTOFF - known, {"activity": activity})
    found = active_days(in_order, CUTOFF, days, CUTOFF + known_later, CUSTOMERS)
    nets: dict[tuple[int, int], int] = defaultdict(int)
    for row in rows:
        if 0 <= row.age < days and row.known >= -known_later:
            nets[row.customer, CUTOFF - row.age] += row.activity
    for one in range(CUSTOMERS):
        active = [day for (who, day), net in nets.items() if who == one and net > 0]
        told = [_plain(float(each[one])) for each in found]
        assert told == ([min(active), max(active)] if active else [None, None])


class Sold(NamedTuple):
    """A row of the values tile, some days before the cutoff."""

    customer: int
    value: int
    age: int
    known: int
    events: int


SOLD = st.builds(
    Sold,
    customer=st.integers(0, CUSTOMERS - 1),
    value=st.integers(0, VALUES - 1),
    age=st.integers(-2, 11),
    known=st.integers(-2, 11),
    events=st.integers(-2, 2),
)


@given(st.lists(SOLD, max_size=40))
def test_different_values_are_those_with_a_live_day_in_the_window(rows: list[Sold]) -> None:
    """A value that was sold and taken back on one day is none of that day, and may be one of another."""
    columns = np.array(rows, np.int64).reshape(-1, len(Sold._fields)).T
    place = columns[0] * VALUES + columns[1]
    held = Rows.in_order(place, CUTOFF - columns[2], CUTOFF - columns[3], {"events": columns[4]})
    told = dict(features_of_values(ASKED, Values("item", VALUES, held), CUTOFF, CUSTOMERS))
    nets: dict[tuple[int, int, int], int] = defaultdict(int)
    for row in rows:
        if row.age >= 0 and row.known >= 0:
            nets[row.customer, row.value, row.age] += row.events
    for window in (5, 10):
        live = {(customer, value) for (customer, value, age), net in nets.items() if net > 0 and age < window}
        expected = [sum(who == customer for who, _ in live) for customer in range(CUSTOMERS)]
        assert told[f"different_{window}"].tolist() == expected
