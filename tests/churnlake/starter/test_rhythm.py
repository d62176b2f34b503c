"""The horizon from the gaps between active days."""

from datetime import date, timedelta

import pytest

from churnlake.starter.rhythm import Visit, measure_rhythm, windows_for

FIRST = date(2025, 1, 1)
LAST = date(2026, 12, 31)


def every(days: int, customers: int = 10, until: date = LAST) -> list[Visit]:
    """Visits of customers who come each so many days."""
    count = (until - FIRST).days // days + 1
    return [(f"c{one}", FIRST + timedelta(days=days * n)) for one in range(customers) for n in range(count)]


@pytest.mark.parametrize(
    ("gap", "horizon", "within"), [(1, 7, 28), (7, 7, 28), (8, 14, 45), (30, 30, 90), (31, 60, 120)]
)
def test_the_horizon_is_the_next_usual_one_above_the_gaps(gap: int, horizon: int, within: int) -> None:
    """A gap as long as the horizon fits it."""
    told = measure_rhythm(every(gap, customers=30), FIRST, LAST)
    assert (told.gap_days, told.horizon_days, told.active_within_days) == (gap, horizon, within)


def test_a_visit_twice_a_day_is_no_gap() -> None:
    """Days count, not rows."""
    once = measure_rhythm(every(10), FIRST, LAST)
    assert measure_rhythm(every(10) * 2, FIRST, LAST) == once


def test_too_few_gaps_tell_nothing() -> None:
    """Thirty days are taken, and marked."""
    told = measure_rhythm([("c", FIRST), ("c", LAST)], FIRST, LAST)
    assert (told.gap_days, told.horizon_days, told.returning) == (None, 30, None)
    assert "CHECK" in told.why
    assert measure_rhythm([], FIRST, LAST).customers == 0


def test_a_history_too_short_for_the_horizon_gets_a_shorter_one() -> None:
    """Half a year cannot train on sixty days; the reason says so."""
    last = FIRST + timedelta(days=200)
    told = measure_rhythm(every(40, customers=60, until=last), FIRST, last)
    assert told.horizon_days < 60
    assert "60 days would fit" in told.why


def test_a_history_too_short_for_any_horizon_keeps_the_one_that_fits() -> None:
    """And says that it cannot be trained yet."""
    last = FIRST + timedelta(days=20)
    told = measure_rhythm(every(5, customers=60, until=last), FIRST, last)
    assert (told.horizon_days, "too short to train" in told.why) == (7, True)


def test_the_share_that_returns_counts_silences_longer_than_the_horizon() -> None:
    """One of two long silences ended; gaps of the horizon itself are none."""
    steady = every(7, customers=20)
    back = [("back", FIRST), ("back", FIRST + timedelta(days=8)), ("back", LAST)]
    gone = [("gone", LAST - timedelta(days=8)), ("here", LAST - timedelta(days=7))]
    told = measure_rhythm([*steady, *back, *gone], FIRST, LAST)
    assert told.horizon_days == 7
    assert told.returning == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("span", "within", "windows"),
    [(20, 28, (7, 30)), (20, 90, (7, 30, 90)), (400, 90, (7, 30, 90, 180)), (730, 90, (7, 30, 90, 180, 365))],
)
def test_windows_are_as_long_as_history_and_activity_allow(span: int, within: int, windows: tuple[int, ...]) -> None:
    """Eligibility may look back twice the longest."""
    assert windows_for(span, within) == windows
