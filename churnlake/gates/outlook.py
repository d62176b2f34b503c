"""What a number should be tonight, given its past: an expectation, and how far it may be off.

Everything here is on the number's own scale (see `onto`), where its noise is about the same at every size. The reasons
for each figure are in docs/decisions/0011.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, median

from churnlake.gates.numbers import Scale

RECENT = 10
"""Slots whose median is the local level."""

WEEK_REACH = 3
"""Slots to each side that a weekday's value is held against: a week in all."""

FEW = 3
"""Earlier values of a weekday from which on it has an effect of its own."""

TAIL = 5.0
"""Degrees of freedom of Student's distribution: how fat the tails of daily business are taken to be."""

MEDIAN_WORTH = 0.37
"""What a value is worth when the spread is a median deviation, against a standard deviation."""

_HOUR = 1.0
_HALF_A_ONE = 0.5
_TINY = 1e-4


@dataclass(frozen=True)
class Outlook:
    """Expectation of a number tonight, the errors the same rule made in the past, and the values it rests on."""

    expected: float
    errors: tuple[float, ...]

    @property
    def worst(self) -> float:
        """The largest error of the history: how wrong the rule has been."""
        return max(self.errors, default=0.0)

    def reach(self, chance: float) -> float:
        """How far tonight may be off at this chance of a false alarm, both sides together."""
        if not self.errors:
            return 0.0
        tail = min(TAIL, max(1.0, MEDIAN_WORTH * (len(self.errors) - 1)))
        return median(self.errors) * student(1 - chance / 2, tail) / student(0.75, tail)


def student(probability: float, freedom: float) -> float:
    """Quantile of Student's distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def normal(probability: float) -> float:
    """Quantile of the normal distribution."""
    return NormalDist().inv_cdf(probability)


def onto(scale: Scale, value: float) -> float:
    """A value on the scale where noise is even: logarithm, or arcsine of the root for shares."""
    match scale:
        case Scale.POINTS:
            return math.asin(math.sqrt(min(max(value, 0.0), 1.0)))
        case Scale.HOURS:
            return math.log(_HOUR + max(value, 0.0))
        case Scale.MARK:
            return math.log(max(value, _TINY))
        case Scale.COUNT:
            return math.log(max(value, _HALF_A_ONE))
        case Scale.FACTOR:
            return math.log(max(value, _TINY))


def back(scale: Scale, value: float) -> float:
    """The inverse of `onto`."""
    match scale:
        case Scale.POINTS:
            return math.sin(min(max(value, 0.0), math.pi / 2)) ** 2
        case Scale.HOURS:
            return math.exp(min(value, 50.0)) - _HOUR
        case _:
            return math.exp(min(value, 700.0))


def look_out(values: Sequence[float], weekdays: Sequence[int], tonight: int) -> Outlook:
    """The outlook for one night.

    Args:
        values: The number in earlier slots, oldest first, on its scale.
        weekdays: Weekday of each of them, 0 = Monday.
        tonight: Weekday of the night.
    """
    distances = [
        value - median(values[max(0, place - WEEK_REACH) : place + WEEK_REACH + 1])
        for place, value in enumerate(values)
    ]
    places = {day: [place for place, one in enumerate(weekdays) if one == day] for day in {*weekdays, tonight}}
    free = [
        value - _effect([distances[place] for place in places[day]])
        for value, day in zip(values, weekdays, strict=True)
    ]
    errors = [
        abs(
            values[place]
            - median(free[max(0, place - RECENT) : place])
            - _effect([distances[other] for other in places[weekdays[place]] if other != place])
        )
        for place in range(RECENT // 2, len(values))
    ]
    expected = median(free[-RECENT:]) + _effect([distances[place] for place in places[tonight]])
    return Outlook(expected, tuple(errors))


def _effect(distances: Sequence[float]) -> float:
    return median(distances) if len(distances) >= FEW else 0.0


def counting_noise(name: str, expected: float, customers: float, bins: int) -> float:
    """Standard error, on the number's scale, of what is only counted: baskets of `customers`, not rows.

    Args:
        name: Name of the number's kind.
        expected: What it should be, in its own unit.
        customers: Customers of the delivery.
        bins: Bins of the distribution it is about; 0 for others.
    """
    sample = max(customers, 1.0)
    match name:
        case "rows":
            return math.sqrt(2 / sample)
        case "customers":
            return 1 / math.sqrt(max(expected, 1.0))
        case "median":
            return 1.25 / math.sqrt(sample)
        case "shift":
            return math.sqrt(2 / max(bins - 1, 1))
        case "staleness":
            return 0.0
        case _:
            return 1 / (2 * math.sqrt(sample))
