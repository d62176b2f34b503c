from datetime import UTC, date, datetime, time, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnlake import calendar
from churnlake.calendar import DayRange, Due, Schedule

DAYS = st.dates(date(2000, 1, 1), date(2099, 12, 31))
LENGTHS = st.integers(1, 400)


@pytest.mark.parametrize(
    ("business_date", "timezone", "cutoff", "hours"),
    [
        (date(2011, 3, 26), "Europe/London", datetime(2011, 3, 27, 0, tzinfo=UTC), 24),
        (date(2011, 3, 27), "Europe/London", datetime(2011, 3, 27, 23, tzinfo=UTC), 23),
        (date(2011, 10, 30), "Europe/London", datetime(2011, 10, 31, 0, tzinfo=UTC), 25),
        (date(2011, 3, 13), "America/New_York", datetime(2011, 3, 14, 4, tzinfo=UTC), 23),
        (date(2011, 11, 6), "America/New_York", datetime(2011, 11, 7, 5, tzinfo=UTC), 25),
        (date(2012, 2, 29), "UTC", datetime(2012, 3, 1, 0, tzinfo=UTC), 24),
        (date(2011, 12, 31), "Asia/Kolkata", datetime(2011, 12, 31, 18, 30, tzinfo=UTC), 24),
    ],
)
def test_a_day_ends_at_local_midnight(business_date: date, timezone: str, cutoff: datetime, hours: int) -> None:
    """The cutoff is midnight at the day's end in the contract's zone; days of a clock change have 23 or 25 hours."""
    before = calendar.cutoff_instant(business_date - timedelta(days=1), timezone)
    assert calendar.cutoff_instant(business_date, timezone) == cutoff
    assert cutoff - before == timedelta(hours=hours)


ZONES = st.sampled_from(["Europe/London", "America/New_York", "Asia/Kolkata", "Pacific/Auckland"])


# pandas' zones stop changing their clocks after 2037.
@given(st.dates(date(2000, 1, 1), date(2036, 12, 31)), ZONES)
def test_the_cutoff_agrees_with_pandas(business_date: date, timezone: str) -> None:
    """pandas, which shares no code with it, finds the same instant for any day and zone."""
    midnight = pd.Timestamp(business_date + timedelta(days=1)).tz_localize(timezone)
    assert calendar.cutoff_instant(business_date, timezone) == midnight.tz_convert("UTC").to_pydatetime()


@given(st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1)), st.sampled_from(["Europe/London", "America/New_York"]))  # noqa: DTZ001
def test_the_newest_ended_date_is_the_last_whose_cutoff_has_passed(moment: datetime, timezone: str) -> None:
    """At any instant its own cutoff is over and that of the day after is not: no night runs twice or never."""
    now = moment.replace(tzinfo=UTC)
    ended = calendar.newest_ended_date(now, timezone)
    assert (
        calendar.cutoff_instant(ended, timezone) <= now < calendar.cutoff_instant(ended + timedelta(days=1), timezone)
    )


def test_a_night_of_a_clock_change_runs_once() -> None:
    """Hourly ticks over both changes of a year find each business date newest for 23, 24 or 25 hours in a row, once."""
    ticks = [datetime(2011, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(24 * 365)]
    newest = [calendar.newest_ended_date(tick, "America/New_York") for tick in ticks]
    assert newest == sorted(newest)
    hours = {day: newest.count(day) for day in (date(2011, 3, 12), date(2011, 3, 13), date(2011, 11, 6))}
    assert hours == {date(2011, 3, 12): 23, date(2011, 3, 13): 24, date(2011, 11, 6): 24}
    assert newest.count(date(2011, 11, 5)) == 25


@pytest.mark.parametrize(
    ("now", "past"),
    [
        (datetime(2011, 3, 28, 3, 59, tzinfo=UTC), False),
        (datetime(2011, 3, 28, 4, 0, tzinfo=UTC), True),
    ],
)
def test_a_file_is_late_from_the_local_time_of_the_next_morning(now: datetime, past: bool) -> None:  # noqa: FBT001
    """Five o'clock in London's summer is four o'clock UTC."""
    assert calendar.is_past_expected(now, date(2011, 3, 27), time(5, 0), "Europe/London") is past


@pytest.mark.parametrize(
    ("business_date", "days", "first"),
    [
        (date(2011, 10, 26), 90, date(2011, 7, 29)),
        (date(2012, 2, 29), 1, date(2012, 2, 29)),
        (date(2012, 3, 1), 2, date(2012, 2, 29)),
        (date(2011, 3, 1), 2, date(2011, 2, 28)),
        (date(2012, 12, 31), 366, date(2012, 1, 1)),
    ],
)
def test_an_observation_window_ends_with_its_business_date(business_date: date, days: int, first: date) -> None:
    """Window w is days D-w+1 .. D, over month ends and leap days."""
    assert calendar.observation_window(business_date, days) == DayRange(first, business_date)


def test_what_is_looked_at_before_the_label_window_ends_with_the_gap() -> None:
    """Without a gap it ends with the business date; over a leap day every day counts."""
    day = date(2012, 2, 27)
    assert calendar.window_before_label(day, 30, 0) == calendar.observation_window(day, 30)
    assert calendar.window_before_label(day, 1, 3) == DayRange(day, date(2012, 3, 1))
    assert calendar.label_window(day, 3, 7).first == date(2012, 3, 2)


def test_the_label_window_starts_after_the_gap() -> None:
    """Gap 0 starts the day after the business date; a gap of seven leaves seven days to act."""
    assert calendar.label_window(date(2011, 10, 26), 0, 30) == DayRange(date(2011, 10, 27), date(2011, 11, 25))
    assert calendar.label_window(date(2012, 2, 21), 7, 30) == DayRange(date(2012, 2, 29), date(2012, 3, 29))


@given(DAYS, LENGTHS, st.integers(0, 60), LENGTHS)
def test_windows_count_their_days_and_never_touch(day: date, window: int, gap: int, horizon: int) -> None:
    """Counted by pandas: w observed days, then exactly `gap` days of nothing, then the horizon."""
    observed = calendar.observation_window(day, window)
    label = calendar.label_window(day, gap, horizon)
    assert list(observed.days()) == [one.date() for one in pd.date_range(end=day, periods=window)]
    assert list(label.days()) == [one.date() for one in pd.date_range(day, periods=gap + horizon + 1)[gap + 1 :]]
    assert not any(one in observed for one in label.days())


@given(DAYS, st.integers(0, 100))
def test_a_range_holds_both_its_ends(first: date, length: int) -> None:
    """A range of n+1 days holds first and last, and neither neighbour."""
    days = DayRange(first, first + timedelta(days=length))
    assert len(list(days.days())) == length + 1
    assert days.first in days
    assert days.last in days
    assert days.first - timedelta(days=1) not in days
    assert days.last + timedelta(days=1) not in days


def test_a_label_matures_after_the_whole_of_gap_horizon_grace_and_settling() -> None:
    """The reference: H 30, settle 2, D 26 October is mature at 27 November."""
    assert calendar.matures_on(date(2011, 10, 26), 32) == date(2011, 11, 27)
    assert calendar.matures_on(date(2012, 1, 29), 31) == date(2012, 2, 29)


@pytest.mark.parametrize(
    ("available_on", "sealed", "known"),
    [
        (date(2011, 11, 5), None, date(2011, 11, 5)),
        (date(2011, 11, 5), date(2011, 11, 4), date(2011, 11, 5)),
        (date(2011, 11, 5), date(2011, 11, 19), date(2011, 11, 20)),
        (date(2011, 11, 5), date(2011, 11, 5), date(2011, 11, 6)),
    ],
)
def test_a_fact_is_never_known_on_a_sealed_date(available_on: date, sealed: date | None, known: date) -> None:
    """A late file counts from the first night that could use it."""
    assert calendar.known_date(available_on, sealed) == known


@pytest.mark.parametrize(
    ("sealed", "newest", "most", "due"),
    [
        (None, date(2011, 11, 28), 14, Due((date(2011, 11, 28),), ())),
        (date(2011, 11, 28), date(2011, 11, 28), 14, Due((), ())),
        (date(2011, 11, 30), date(2011, 11, 28), 14, Due((), ())),
        (date(2012, 2, 27), date(2012, 3, 1), 14, Due((date(2012, 2, 28), date(2012, 2, 29), date(2012, 3, 1)), ())),
        (
            date(2011, 11, 24),
            date(2011, 11, 28),
            2,
            Due((date(2011, 11, 27), date(2011, 11, 28)), (date(2011, 11, 25), date(2011, 11, 26))),
        ),
    ],
)
def test_p18_missed_nights_catch_up_in_order_once_each(sealed: date | None, newest: date, most: int, due: Due) -> None:
    """Nothing published: only the newest; else all since the seal, oldest first, those beyond the limit skipped."""
    assert calendar.due_dates(sealed, newest, most) == due


@given(DAYS, st.integers(0, 60), st.integers(1, 30))
def test_no_missed_date_is_lost(sealed: date, missed: int, most: int) -> None:
    """Due and skipped together are exactly the days after the seal."""
    due = calendar.due_dates(sealed, sealed + timedelta(days=missed), most)
    assert [*due.skipped, *due.dates] == [sealed + timedelta(days=day) for day in range(1, missed + 1)]
    assert len(due.dates) == min(missed, most)


def test_complete_through_stops_before_the_first_unsettled_slot() -> None:
    """LC is the day before the first slot that is still waited for, else the whole range; a closed day is no slot."""
    days = DayRange(date(2011, 11, 24), date(2011, 11, 28))
    due = calendar.due_slots(days, lambda day: day == date(2011, 11, 26))
    assert due == (date(2011, 11, 24), date(2011, 11, 25), date(2011, 11, 27), date(2011, 11, 28))
    assert calendar.complete_through(due, lambda _: True, days.last) == date(2011, 11, 28)
    assert calendar.complete_through(due, lambda slot: slot < date(2011, 11, 27), days.last) == date(2011, 11, 26)
    assert calendar.complete_through(due, lambda _: False, days.last) == date(2011, 11, 23)


def test_a_slot_is_given_up_the_day_after_its_last_chance() -> None:
    """A file may come up to max_late_days after its slot; on the first night that no longer takes it, it is settled."""
    slot = date(2011, 11, 5)
    gone = calendar.settled_on(None, slot, 35)
    assert calendar.settled_on(date(2011, 11, 7), slot, 35) == date(2011, 11, 7)
    assert gone == date(2011, 12, 11)
    assert slot >= calendar.given_up_before(gone - timedelta(days=1), 35)
    assert slot < calendar.given_up_before(gone, 35)


def test_a_label_is_known_once_every_slot_up_to_its_maturity_is_settled() -> None:
    """A file that was late for the label window delays the label; one for a later day does not."""
    on_time = {date(2011, 11, day): date(2011, 11, day) for day in range(20, 28)}
    cutoff = date(2011, 10, 26)
    assert calendar.label_known_on(cutoff, 32, on_time) == date(2011, 11, 27)
    late = on_time | {date(2011, 11, 25): date(2011, 11, 30)}
    assert calendar.label_known_on(cutoff, 32, late) == date(2011, 11, 30)
    beside = on_time | {date(2011, 11, 28): date(2011, 12, 5)}
    assert calendar.label_known_on(cutoff, 32, beside) == date(2011, 11, 27)


def test_the_reference_schedule() -> None:
    """The web shop, complete through 2011-11-27, H 30, M 32: thirteen training cutoffs from 13 March, two tests."""
    first = calendar.first_trainable_date(date(2010, 12, 1), 90)
    spacing = calendar.cutoff_spacing(30)
    schedule = calendar.training_schedule(first, date(2011, 11, 27), 32, spacing, 24)
    assert (first, spacing) == (date(2011, 2, 28), 15)
    assert schedule.test == (date(2011, 10, 11), date(2011, 10, 26))
    assert (len(schedule.train), schedule.train[0], schedule.train[-1]) == (13, date(2011, 3, 13), date(2011, 9, 9))


@pytest.mark.parametrize(
    ("complete", "schedule"),
    [
        (date(2011, 3, 1), Schedule((), ())),
        (date(2011, 4, 1), Schedule((), (date(2011, 2, 28),))),
        (date(2011, 5, 3), Schedule((date(2011, 2, 28),), (date(2011, 4, 1),))),
    ],
)
def test_a_short_history_has_one_test_or_none(complete: date, schedule: Schedule) -> None:
    """Nothing mature, a test without training, and the first day on which a model can be trained."""
    assert calendar.training_schedule(date(2011, 2, 28), complete, 32, 15, 24) == schedule


@pytest.mark.parametrize(("horizon", "spacing"), [(1, 8), (14, 8), (28, 15), (30, 15), (42, 22), (56, 29), (90, 30)])
def test_cutoffs_never_all_fall_on_one_weekday(horizon: int, spacing: int) -> None:
    """Half the horizon within 7 to 30 days, pushed off every multiple of seven."""
    assert calendar.cutoff_spacing(horizon) == spacing


@given(st.integers(0, 900), st.integers(1, 120), st.integers(1, 40), st.integers(1, 30))
def test_the_embargo_holds_for_every_schedule(history: int, maturity: int, spacing: int, most: int) -> None:
    """No training label overlaps a test, no label is immature, and no cutoff lies before the data can be trusted."""
    first = date(2010, 1, 1)
    complete = first + timedelta(days=history)
    schedule = calendar.training_schedule(first, complete, maturity, spacing, most)
    assert all(day + timedelta(days=maturity) <= complete for day in schedule.test)
    assert all(train + timedelta(days=maturity) <= test for train in schedule.train for test in schedule.test)
    assert all(day >= first for day in (*schedule.train, *schedule.test))
    assert len(schedule.train) <= most
    gaps = {later - earlier for earlier, later in zip(schedule.train, schedule.train[1:], strict=False)}
    assert gaps <= {timedelta(days=spacing)}
