"""How often customers come back, and the horizon that follows from it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from churnlake.calendar import cutoff_spacing, first_trainable_date, training_schedule

HORIZONS = (7, 14, 30, 60, 90)
"""Horizons that a team plans in, in days."""
SHARE = 0.85
"""Of the gaps between a customer's active days, so many are at most the horizon: a longer silence is no habit."""
DEFAULT_HORIZON = 30
ACTIVE_WITHIN = {7: 28, 14: 45, 30: 90, 60: 120, 90: 180}
"""Days of activity that make a customer worth scoring, by horizon: long enough to know a habit."""

_WINDOWS = (7, 30, 90, 180, 365)
_FEWEST_GAPS = 100
_FEWEST_CUTOFFS = 3
_SETTLE_DAYS = 2

Visit = tuple[str, date]


@dataclass(frozen=True)
class Rhythm:
    """What the gaps between active days say. `gap_days` is the gap that `SHARE` of them do not pass.

    `returning` is the share of silences as long as the horizon that ended within the data; None without any.
    """

    customers: int
    gaps: int
    gap_days: int | None
    horizon_days: int
    returning: float | None
    why: str

    @property
    def active_within_days(self) -> int:
        return ACTIVE_WITHIN[self.horizon_days]


def measure_rhythm(visits: Iterable[Visit], first: date, last: date) -> Rhythm:
    """The horizon from the gaps between each customer's active days; shorter where the data are too few to train it."""
    days: dict[str, set[int]] = defaultdict(set)
    for customer, day in visits:
        days[customer].add(day.toordinal())
    ordered = [sorted(one) for one in days.values()]
    gaps = sorted(later - earlier for one in ordered for earlier, later in pairwise(one))
    if len(gaps) < _FEWEST_GAPS:
        why = f"{len(gaps)} gaps between active days are too few to tell a rhythm: {DEFAULT_HORIZON} days taken; CHECK"
        return Rhythm(len(days), len(gaps), None, DEFAULT_HORIZON, None, why)
    usual = gaps[min(int(SHARE * len(gaps)), len(gaps) - 1)]
    wanted = next((one for one in HORIZONS if one >= usual), HORIZONS[-1])
    horizon = next((one for one in reversed(HORIZONS) if one <= wanted and _trains(first, last, one)), wanted)
    told = f"{SHARE:.0%} of {len(gaps):,} gaps between a customer's active days are at most {usual} days"
    if horizon < wanted:
        told += f"; {wanted} days would fit, but leave too few training cutoffs in these data"
    elif not _trains(first, last, horizon):
        told += "; these data are too short to train on it yet"
    return Rhythm(len(days), len(gaps), usual, horizon, _returning(ordered, horizon, last.toordinal()), told)


def _trains(first: date, last: date, horizon: int) -> bool:
    start = first_trainable_date(first, ACTIVE_WITHIN[horizon])
    schedule = training_schedule(start, last, horizon + _SETTLE_DAYS, cutoff_spacing(horizon), _FEWEST_CUTOFFS)
    return len(schedule.train) >= _FEWEST_CUTOFFS and bool(schedule.test)


def _returning(ordered: list[list[int]], horizon: int, last: int) -> float | None:
    """Of all silences of `horizon` days, the share after which the customer came back within the data."""
    ended = sum(later - earlier > horizon for one in ordered for earlier, later in pairwise(one))
    lasting = sum(last - one[-1] > horizon for one in ordered)
    return ended / (ended + lasting) if ended + lasting else None


def windows_for(span_days: int, active_within_days: int) -> tuple[int, ...]:
    """Windows that the history can fill, long enough for the activity window."""
    fitting = tuple(one for one in _WINDOWS if one <= max(span_days // 2, 30))
    longer = tuple(one for one in _WINDOWS if one not in fitting)
    while 2 * fitting[-1] < active_within_days:
        fitting, longer = (*fitting, longer[0]), longer[1:]
    return fitting
