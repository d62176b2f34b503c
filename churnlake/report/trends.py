"""How deliveries went over the last days: rows by day, and the measured numbers that tell most about tonight."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median

from churnlake.gates import KINDS, kind_of
from churnlake.gates.verdicts import spell
from churnlake.report.account import Account, Arrival, Value, oldest_day

MOST = 8
"""Numbers that are shown: what a reader takes in at a glance."""

LEAST_VALUES = 3
"""Values without which there is no course to show."""

_SPREAD = 1.4826  # of a normal distribution: its deviation over its median deviation


@dataclass(frozen=True)
class Course:
    """A measured number over the days. `odd` is what a gate found tonight where it was not as expected."""

    source: str
    name: str
    values: tuple[Value, ...]
    odd: str | None

    @property
    def last(self) -> Value:
        return self.values[-1]

    @property
    def meaning(self) -> str:
        """What it is in words, with what it is about."""
        kind = kind_of(self.name)
        about = self.name.partition(".")[2]
        told = self.name if kind is None else kind.meaning
        return f"{about}: {told}" if about and kind is not None else told

    def spelled(self, value: float) -> str:
        """A value with its unit."""
        kind = kind_of(self.name)
        return f"{value:,.4g}" if kind is None else spell(kind, value)

    @property
    def distance(self) -> float:
        """How far the newest value is from what was usual, in deviations of the others."""
        before = [one.value for one in self.values[:-1]]
        middle = median(before)
        spread = _SPREAD * median([abs(value - middle) for value in before])
        return abs(self.last.value - middle) / max(spread, abs(middle) / 20, 1e-3)


def tell(account: Account) -> list[Course]:
    """The courses to show: those a gate finds odd first, then those furthest from what was usual."""
    odd = {(one["source"], one["name"]): str(one["observed"]) for one in account.of_kind("gate") if not one["passed"]}
    courses = [course for course in _courses(account, odd) if course.odd or not _is_told_elsewhere(course)]
    order = list(KINDS)
    courses.sort(
        key=lambda one: (one.odd is None, -round(one.distance, 1), order.index(one.name.split(".")[0]), one.name)
    )
    return courses[:MOST]


def _courses(account: Account, odd: Mapping[tuple[str, str], str]) -> Iterator[Course]:
    by_number: dict[tuple[str, str], list[Value]] = {}
    for value in sorted(account.measured, key=lambda one: one.slot):
        by_number.setdefault((value.source, value.name), []).append(value)
    newest = {source: max(one.slot for one in account.days if one.source == source) for source in account.trend_sources}
    for (source, name), values in by_number.items():
        if len(values) >= LEAST_VALUES and kind_of(name) and values[-1].slot == newest.get(source):
            yield Course(source, name, tuple(values), odd.get((source, name)))


def _is_told_elsewhere(course: Course) -> bool:
    # Rows have a picture of their own; single levels are many and mean little to who does not know the column.
    return course.name == "rows" or course.name.startswith("level.")


def by_day(account: Account, source: str) -> dict[date, Arrival]:
    """The delivery of each day of one source."""
    return {one.slot: one for one in account.days if one.source == source and one.raw is not None}


def first_day(account: Account, sources: Sequence[str]) -> date:
    """Where the pictures begin: sixty days back, or where a younger history does."""
    slots = [one.slot for one in account.days if one.source in sources]
    return max(oldest_day(account.business_date), min(slots, default=account.business_date))
