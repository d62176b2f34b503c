"""All date arithmetic: business dates, windows, maturity, what is due, training cutoffs. Reads no clock."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DayRange:
    """Days `first` to `last`, both inside."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def days(self) -> Iterable[date]:
        return (self.first + timedelta(days=offset) for offset in range((self.last - self.first).days + 1))


@dataclass(frozen=True)
class Seen:
    """Days, and the date by which what was told of them must have been known."""

    days: DayRange
    known_by: date


def day_number(day: date) -> int:
    """Days since 1970, as Arrow and Parquet count them."""
    return (day - date(1970, 1, 1)).days


def cutoff_instant(business_date: date, timezone: str) -> datetime:
    """Midnight at the end of `business_date` in the contract's zone, as UTC. Facts before it belong to the day."""
    midnight = datetime.combine(business_date + ONE_DAY, time(), tzinfo=ZoneInfo(timezone))
    return midnight.astimezone(UTC)


def newest_ended_date(now: datetime, timezone: str) -> date:
    """The newest business date that has ended at `now` (aware) in the contract's zone: yesterday there."""
    return now.astimezone(ZoneInfo(timezone)).date() - ONE_DAY


def is_past_expected(now: datetime, business_date: date, expected_by: time, timezone: str) -> bool:
    """Whether deliveries of `business_date` should have come by `now` (aware): the morning after, at `expected_by`."""
    expected = datetime.combine(business_date + ONE_DAY, expected_by, tzinfo=ZoneInfo(timezone))
    return now >= expected


def observation_window(business_date: date, window_days: int) -> DayRange:
    """Days D-w+1 .. D."""
    return DayRange(business_date - timedelta(days=window_days - 1), business_date)


def window_before_label(business_date: date, lookback_days: int, gap_days: int) -> DayRange:
    """Days D-lookback+1 .. D+gap: all that is looked at before the label window begins."""
    first = observation_window(business_date, lookback_days).first
    return DayRange(first, business_date + timedelta(days=gap_days))


def label_window(business_date: date, gap_days: int, horizon_days: int) -> DayRange:
    """Days D+gap+1 .. D+gap+horizon."""
    first = business_date + timedelta(days=gap_days + 1)
    return DayRange(first, first + timedelta(days=horizon_days - 1))


def matures_on(business_date: date, maturity_days: int) -> date:
    """The first complete-through date at which the label of `business_date` is known."""
    return business_date + timedelta(days=maturity_days)


def known_date(available_on: date, sealed: date | None) -> date:
    """When a fact counts as known: on its delivery's date, but never on a sealed one."""
    return available_on if sealed is None else max(available_on, sealed + ONE_DAY)


def due_slots(days: DayRange, is_closed: Callable[[date], bool]) -> tuple[date, ...]:
    """The days of the range on which a delivery is due."""
    return tuple(day for day in days.days() if not is_closed(day))


def given_up_before(business_date: date, max_late_days: int) -> date:
    """Slots before this date are no longer waited for on `business_date`."""
    return business_date - timedelta(days=max_late_days)


def complete_through(due: Iterable[date], settled: Callable[[date], bool], through: date) -> date:
    """LC: the last date up to which every due slot is settled; `through` when all are."""
    for slot in due:
        if not settled(slot):
            return slot - ONE_DAY
    return through


@dataclass(frozen=True)
class Due:
    """Business dates to run, oldest first, and older ones that are recorded as skipped."""

    dates: tuple[date, ...]
    skipped: tuple[date, ...]


def due_dates(sealed: date | None, newest: date, max_catchup_days: int) -> Due:
    """Dates after the newest published or withdrawn one, up to `newest`; only `newest` while nothing is published."""
    if sealed is None:
        return Due((newest,), ())
    missed = tuple(DayRange(sealed + ONE_DAY, newest).days()) if newest > sealed else ()
    return Due(missed[-max_catchup_days:], missed[:-max_catchup_days])


@dataclass(frozen=True)
class Schedule:
    """Cutoffs of one training, both oldest first."""

    train: tuple[date, ...]
    test: tuple[date, ...]


# A second test cutoff is only worth its rows when this many training cutoffs remain.
TRAIN_CUTOFFS_FOR_TWO_TESTS = 12


def cutoff_spacing(horizon_days: int) -> int:
    """Half the horizon, 7 to 30 days, never a multiple of 7 (cutoffs would all fall on one weekday)."""
    spacing = min(max(horizon_days // 2, 7), 30)
    return spacing + 1 if spacing % 7 == 0 else spacing


def training_schedule(first: date, complete: date, maturity_days: int, spacing_days: int, max_cutoffs: int) -> Schedule:
    """Mature cutoffs for training and test.

    Tests are the newest mature cutoffs; a whole maturity lies between the last training cutoff and the first test, so
    that no training label overlaps a test's observation. `first` is the oldest date whose features can be trusted.
    """
    newest = complete - timedelta(days=maturity_days)
    spacing = timedelta(days=spacing_days)
    for tests in ((newest - spacing, newest), (newest,)):
        train = _back_from(tests[0] - timedelta(days=maturity_days), spacing, first, max_cutoffs)
        if len(train) >= TRAIN_CUTOFFS_FOR_TWO_TESTS or len(tests) == 1:
            return Schedule(train, tests if newest >= first else ())
    raise AssertionError("the one-test schedule always returns")


def _back_from(last: date, spacing: timedelta, first: date, most: int) -> tuple[date, ...]:
    cutoffs: list[date] = []
    while last >= first and len(cutoffs) < most:
        cutoffs.append(last)
        last -= spacing
    return tuple(reversed(cutoffs))


def first_trainable_date(starts_on: date, active_within_days: int | None) -> date:
    """The oldest cutoff whose activity window, if eligibility asks for one, lies wholly inside the data."""
    return starts_on + timedelta(days=(active_within_days or 1) - 1)


def settled_on(delivered: date | None, slot: date, max_late_days: int) -> date:
    """When a due slot was settled: the date its file became known, else the first date it was given up."""
    return delivered if delivered is not None else slot + timedelta(days=max_late_days + 1)


def label_known_on(business_date: date, maturity_days: int, settled: Mapping[date, date]) -> date:
    """L: the first date at which the label of `business_date` is known for good.

    `settled` gives for each due slot when it was settled. L is the first date >= D+M on which every slot up to D+M is.
    """
    matures = matures_on(business_date, maturity_days)
    return max([matures, *(when for slot, when in settled.items() if slot <= matures)])
