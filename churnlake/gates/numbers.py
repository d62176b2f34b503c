"""What is measured of a delivery: numbers by name, their units, and how far they may move before it matters to people.

A name is a kind, or a kind and what it is about: `rows`, `null.CustomerID`, `level.Country.France`, `bin.UnitPrice.7`.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

Numbers = Mapping[str, float]
"""Numbers of one delivery by name. A level or bin that is not named is 0 where others of its column are."""


class Scale(StrEnum):
    """How two values are compared: by factor (counts and sizes), points of a share, hours, or against a fixed mark."""

    COUNT = "count"
    FACTOR = "factor"
    POINTS = "points"
    HOURS = "hours"
    MARK = "mark"


@dataclass(frozen=True)
class Kind:
    """One kind of number. `matters` and `broken` are differences on its scale: what is worth a word, what is a fault.

    `rises` and `falls` say which way is bad. `broken_fall` is the factor by which it must fall to be a fault.
    """

    name: str
    family: str
    unit: str
    scale: Scale
    meaning: str
    matters: float
    broken: float | None = None
    rises: bool = True
    falls: bool = True
    broken_falls: bool = True
    broken_fall: float | None = None


_KINDS = (
    Kind("rows", "volume", "rows", Scale.COUNT, "raw rows as delivered", 1.5, broken=5),
    Kind("customers", "volume", "customers", Scale.COUNT, "distinct customers", 1.5, broken=5),
    Kind("staleness", "freshness", "hours", Scale.HOURS, "newest event to the end of the slot's day", 3, broken=24,
         falls=False),
    Kind("own_day", "freshness", "share", Scale.POINTS, "rows dated on the slot's day", 0.05, broken=0.5, rises=False),
    Kind("null", "nulls", "share", Scale.POINTS, "rows without a value", 0.02, broken=0.5, broken_falls=False),
    Kind("level", "levels", "share", Scale.POINTS, "of the column's values, those that are this one", 0.05, broken=0.5),
    Kind("new", "levels", "share", Scale.POINTS, "of the column's values, those not seen before", 0.05, broken=0.5,
         falls=False),
    Kind("known", "keys", "share", Scale.POINTS, "of the customers, those known before", 0.10, broken_fall=5),
    Kind("repeated", "keys", "share", Scale.POINTS, "rows that stood in the slot before, word for word", 0.05,
         broken=0.5, falls=False),
    Kind("shift", "distribution", "index", Scale.MARK, "population stability index against earlier slots", 0.25,
         falls=False),
    Kind("median", "distribution", "value", Scale.FACTOR, "median size of values that are not 0", 2, broken=10),
    Kind("set_aside", "set aside", "share", Scale.POINTS, "rows that went to quarantine", 0.02, broken=0.5,
         falls=False),
    Kind("doubled", "duplicates", "share", Scale.POINTS, "rows that are further copies of another", 0.02, broken=0.4,
         falls=False),
)  # fmt: skip
KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}
FAMILIES = tuple(dict.fromkeys(kind.family for kind in _KINDS))

LEVELS_MOST = 50
"""A column with more values than this, tonight and in the history together, has no levels."""

LAST_BIN = 21
"""Bins of sizes are half decades, counted from 1; the outer two also hold what is smaller than 0.003 or larger."""

ONE_BIN = 7
"""The bin of sizes from 1 up to the root of 10."""

_LONGEST_LEVEL = 40


def kind_of(name: str) -> Kind | None:
    """The kind of a number; None for one that is only kept, such as a bin."""
    return KINDS.get(name.split(".", 1)[0])


def about(name: str) -> str:
    """What a number is about, without its kind: a column, or a column and its level."""
    return name.partition(".")[2]


def level_name(column: str, value: str) -> str:
    """Name of a level's number. Long and unprintable values are named by a digest: they come from files."""
    plain = value.isprintable() and 0 < len(value) <= _LONGEST_LEVEL
    shown = value if plain else f"#{hashlib.md5(value.encode(), usedforsecurity=False).hexdigest()[:8]}"
    return f"level.{column}.{shown}"


def bin_edges(place: int) -> tuple[float, float]:
    """From, up to: sizes in the bin, which is negative for values below 0. Bin 0 holds zeros alone."""
    size = abs(place)
    if size == 0:
        return 0.0, 0.0
    low = 10 ** ((size - ONE_BIN) / 2) if size > 1 else 0.0
    high = 10 ** ((size - ONE_BIN + 1) / 2) if size < LAST_BIN else math.inf
    return (low, high) if place > 0 else (-high, -low)


def named(numbers: Numbers, kind: str, column: str) -> dict[str, float]:
    """Numbers of one kind and column, by what follows: levels by value, bins by place."""
    start = f"{kind}.{column}."
    return {name.removeprefix(start): value for name, value in numbers.items() if name.startswith(start)}


def columns_with(numbers: Numbers, kind: str) -> list[str]:
    """Columns that have levels or bins. No column's name holds a dot; a level may."""
    return sorted({name.split(".", 2)[1] for name in numbers if name.startswith(f"{kind}.")})


def median_size(bins: Mapping[str, float]) -> float | None:
    """Median size of the values that are not 0, read off their bins: within a half decade, by logarithm."""
    shares = {place: bins.get(str(place), 0) + bins.get(str(-place), 0) for place in range(1, LAST_BIN + 1)}
    half, passed = sum(shares.values()) / 2, 0.0
    for place, share in shares.items():
        if share > 0 and passed + share >= half:
            return float(10 ** ((place - ONE_BIN + (half - passed) / share) / 2))
        passed += share
    return None


def stability_index(tonight: Mapping[str, float], values: float, before: Sequence[Mapping[str, float]]) -> float:
    """Population stability index of tonight's shares against the mean of earlier ones.

    Args:
        tonight: Share by bin.
        values: How many values it is made of.
        before: The same of earlier slots, at least one.

    Bins are counted half a value up, so that an empty one has a logarithm.
    """
    places = sorted({place for shares in (tonight, *before) for place in shares})
    spare = 0.5 / max(values, 1)
    whole = 1 + spare * len(places)
    index = 0.0
    for place in places:
        now = (tonight.get(place, 0) + spare) / whole
        then = (sum(shares.get(place, 0) for shares in before) / len(before) + spare) / whole
        index += (now - then) * math.log(now / then)
    return index


def with_derived(numbers: Numbers, history: Sequence[Numbers]) -> dict[str, float]:
    """The numbers, with those that only a history gives: new levels and shifts, from as many slots as there are.

    Levels of a column that turns out to have too many are dropped: they are keys, not levels.
    """
    keys = {column for column in columns_with(numbers, "level") if _values_of(column, numbers, history) > LEVELS_MOST}
    kept = {
        name: value
        for name, value in numbers.items()
        if not (name.startswith("level.") and about(name).split(".")[0] in keys)
    }
    derived: dict[str, float] = {}
    for column in columns_with(kept, "bin"):
        median = median_size(named(kept, "bin", column))
        derived |= {} if median is None else {f"median.{column}": median}
        before = [bins for night in history if (bins := named(night, "bin", column))]
        if before:
            values = kept["rows"] * (1 - kept.get(f"null.{column}", 0))
            derived[f"shift.{column}"] = stability_index(named(kept, "bin", column), values, before)
    for column in columns_with(kept, "level"):
        seen = {level for night in history for level in named(night, "level", column)}
        if seen:
            derived[f"new.{column}"] = sum(
                share for level, share in named(kept, "level", column).items() if level not in seen
            )
    return {**kept, **derived}


def _values_of(column: str, numbers: Numbers, history: Sequence[Numbers]) -> int:
    return len({level for night in (numbers, *history) for level in named(night, "level", column)})
