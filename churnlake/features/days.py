"""Features and activity, from rows of tiles: arrays of many customers at once, for one cutoff after the other.

A row stands for a place, which is a customer or a value of a customer, and for a day, counted from 1970. All is told of
nets: what the rows of a place's day come to, as far as they were known by the cutoff.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from churnlake.features.feature import Aggregate, Feature

Integers = NDArray[np.signedinteger]
Numbers = NDArray[np.float64]
Told = Iterator[tuple[str, Numbers | NDArray[np.object_]]]
_OF_DAYS = {
    Aggregate.SUM,
    Aggregate.DAYS,
    Aggregate.SINCE_LAST,
    Aggregate.SINCE_FIRST,
    Aggregate.GAP_MEAN,
    Aggregate.GAP_SPREAD,
    Aggregate.GAP_LAST,
    Aggregate.GAP_LONGEST,
    Aggregate.LAST_VALUE,
}


@dataclass(frozen=True)
class Asked:
    """The features of one source of events; `named` are the values that the contract names, by their column."""

    features: Sequence[Feature]
    span_days: int
    named: Mapping[str, Sequence[str]]

    @property
    def of_days(self) -> list[Feature]:
        """Those that the daily sums tell."""
        return [one for one in self.features if one.aggregate in _OF_DAYS]

    @property
    def of_values(self) -> list[Feature]:
        """Those that the daily values tell."""
        return [one for one in self.features if one.aggregate is Aggregate.DISTINCT]

    @property
    def told(self) -> list[Feature]:
        """Both; ratios and paces are made of them."""
        return [*self.of_days, *self.of_values]

    @property
    def sums(self) -> list[str]:
        """The daily sums that are read."""
        return sorted({"activity", *(name for one in self.of_days for name in self.operands(one))})

    @property
    def longest_of_values(self) -> int:
        """The longest window in which values are counted, in days."""
        return max(self.window(one) for one in self.of_values)

    def operands(self, feature: Feature) -> list[str]:
        """The daily sums a feature is told from: for a last value, the rows of each value it is chosen from."""
        if feature.aggregate is Aggregate.LAST_VALUE:
            return [f"{feature.operand}_{value}" for value in self.named[feature.operand]]
        return [feature.operand]

    def window(self, feature: Feature) -> int:
        """The window of a feature in days; without one, the span."""
        return feature.window_days or self.span_days


@dataclass(frozen=True)
class Rows:
    """Rows of a tile by place, and of each place the newest day first."""

    place: Integers
    event_day: Integers
    known_day: Integers
    sums: Mapping[str, Integers]

    @classmethod
    def in_order(
        cls, place: Integers, event_day: Integers, known_day: Integers, sums: Mapping[str, Integers]
    ) -> "Rows":
        """Sorts rows once for all cutoffs."""
        age = event_day.max(initial=0) - event_day
        order = np.argsort(place * (age.max(initial=0) + 1) + age)
        return cls(place[order], event_day[order], known_day[order], {name: each[order] for name, each in sums.items()})


@dataclass(frozen=True)
class Days:
    """Days of places: `key` is place * span + age and rises; `sums` are each day's nets."""

    key: Integers
    sums: Mapping[str, Integers]
    span: int

    @classmethod
    def at(cls, last: int, rows: Rows, span: int, known_by: int) -> "Days":
        """The `span` days up to the last, of rows that were known by a day."""
        age = last - rows.event_day
        seen = np.flatnonzero((rows.known_day <= known_by) & (age >= 0) & (age < span))
        key = rows.place[seen] * span + age[seen]
        is_first = np.diff(key, prepend=-1) > 0
        first, more = np.flatnonzero(is_first), np.flatnonzero(~is_first)
        nets = {name: each[seen[first]] for name, each in rows.sums.items()}
        # Few rows are the second of their day or more: adding those alone costs a third of summing runs of rows.
        of_more = np.searchsorted(first, more) - 1
        for name, each in rows.sums.items():
            np.add.at(nets[name], of_more, each[seen[more]])
        return cls(key[first], nets, span)

    def with_positive(self, name: str) -> "Days":
        """The days on which a net is positive, with that net alone."""
        stands = np.flatnonzero(self.sums[name] > 0)
        return Days(self.key[stands], {name: self.sums[name][stands]}, self.span)

    def before(self, window: int, places: int) -> Integers:
        """For each of the places, how many days come before its first one of age `window`."""
        return np.searchsorted(self.key, np.arange(places) * self.span + window)


def features_of_days(asked: Asked, rows: Rows, cutoff: int, customers: int) -> Told:
    """What daily sums tell: each feature with a value for each customer, NaN or None where there is nothing to tell.

    `rows` hold the sums that are asked for; their places are customers, from 0.
    """
    days = Days.at(cutoff, rows, asked.span_days, cutoff)
    yield from _window_sums(asked, days, customers)
    yield from _of_activity(asked, days.with_positive("activity"), customers)
    for one in asked.of_days:
        if one.aggregate is Aggregate.LAST_VALUE:
            yield one.name, _last_value(days, asked.operands(one), asked.named[one.operand], customers)
        elif one.aggregate is Aggregate.SINCE_LAST and one.operand != "activity":
            yield one.name, _newest(days.with_positive(one.operand), customers)[0]


def active_days(rows: Rows, last: int, span: int, known_by: int, customers: int) -> tuple[Numbers, Numbers]:
    """First and last day with net activity among the `span` days up to the last; NaN for customers without any.

    `rows` hold the sum `activity`; their places are customers, from 0.
    """
    active = Days.at(last, rows, span, known_by).with_positive("activity")
    starts, ends = active.before(0, customers), active.before(span, customers)
    return last - _age(active, ends - 1, ends > starts), last - _age(active, starts, ends > starts)


@dataclass(frozen=True)
class Values:
    """Rows of the values of a column: their place is customer * `number` + value, each from 0."""

    column: str
    number: int
    rows: Rows


def features_of_values(asked: Asked, values: Values, cutoff: int, customers: int) -> Told:
    """Different values of a column inside each window, by their last live day.

    A value bought and returned on one day never counts.
    """
    live = Days.at(cutoff, values.rows, asked.longest_of_values, cutoff).with_positive("events")
    place, age = np.divmod(live.key, live.span)
    is_newest = np.diff(place, prepend=-1) > 0
    customer, age = place[is_newest] // values.number, age[is_newest]
    for one in asked.of_values:
        if one.operand == values.column:
            yield one.name, np.bincount(customer[age < asked.window(one)], minlength=customers).astype(np.float64)


def _window_sums(asked: Asked, days: Days, customers: int) -> Told:
    """Differences of two running sums: whole numbers, so that nothing is lost."""
    wanted = [one for one in asked.of_days if one.aggregate is Aggregate.SUM]
    starts = days.before(0, customers)
    ends = {window: days.before(window, customers) for window in {asked.window(one) for one in wanted}}
    for operand in {one.operand for one in wanted}:
        running = np.concatenate([[0], np.cumsum(days.sums[operand])])
        for one in wanted:
            if one.operand == operand:
                yield one.name, (running[ends[asked.window(one)]] - running[starts]).astype(np.float64)


def _of_activity(asked: Asked, active: Days, customers: int) -> Told:
    starts, ends = active.before(0, customers), active.before(active.span, customers)
    told = _rhythm(active, starts, ends)
    for one in asked.of_days:
        if one.aggregate is Aggregate.DAYS:
            yield one.name, (active.before(asked.window(one), customers) - starts).astype(np.float64)
        elif one.aggregate in told and one.operand == "activity":
            yield one.name, told[one.aggregate]


def _rhythm(active: Days, starts: Integers, ends: Integers) -> dict[Aggregate, Numbers]:
    """Ages of the newest and the oldest active day, and what the pauses between active days are like."""
    newest, oldest = _age(active, starts, ends > starts), _age(active, ends - 1, ends > starts)
    has_pauses = ends - starts > 1
    first, after = starts[has_pauses], ends[has_pauses] - 1
    pauses, number = np.diff(active.key, append=0), after - first
    mean = (oldest - newest)[has_pauses] / number
    # sqrt(E[x^2] - E[x]^2) over whole days: exact sums, one division; never below zero.
    squares = _over(first, after, np.add, pauses * pauses)
    told = {
        Aggregate.GAP_MEAN: mean,
        Aggregate.GAP_SPREAD: np.sqrt(np.maximum(squares / number - mean * mean, 0)),
        Aggregate.GAP_LAST: pauses[first],
        Aggregate.GAP_LONGEST: _over(first, after, np.maximum, pauses),
    }
    return {Aggregate.SINCE_LAST: newest, Aggregate.SINCE_FIRST: oldest} | {
        aggregate: _spread(values, has_pauses) for aggregate, values in told.items()
    }


def _over(starts: Integers, ends: Integers, function: np.ufunc, values: Integers) -> Integers:
    """A function over each of these ranges; none is empty, and none ends after the last value."""
    reached: Integers = function.reduceat(values, np.column_stack([starts, ends]).ravel())[::2]
    return reached


def _last_value(days: Days, counts: Sequence[str], values: Sequence[str], customers: int) -> NDArray[np.object_]:
    """The value with most rows on the last day that has any of them; ties take the first named."""
    newest = [_newest(days.with_positive(name), customers) for name in counts]
    last = np.fmin.reduce([age for age, _ in newest])
    rows = np.where([age == last for age, _ in newest], [rows for _, rows in newest], 0)
    chosen: NDArray[np.object_] = np.array(values, dtype=object)[rows.argmax(axis=0)]
    chosen[np.isnan(last)] = None
    return chosen


def _newest(days: Days, customers: int) -> tuple[Numbers, Numbers]:
    """Of each customer's newest day: its age, and its only net."""
    starts, ends = days.before(0, customers), days.before(days.span, customers)
    (net,) = days.sums.values()
    return _age(days, starts, ends > starts), _spread(net[starts[ends > starts]], ends > starts)


def _age(days: Days, at: Integers, has_day: NDArray[np.bool_]) -> Numbers:
    return _spread(days.key[at[has_day]] % days.span, has_day)


def _spread(values: Integers | Numbers, held: NDArray[np.bool_]) -> Numbers:
    """The values at the places that have one, NaN at all others."""
    spread = np.full(len(held), np.nan)
    spread[held] = values
    return spread
