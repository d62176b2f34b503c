"""The gates: tonight's numbers of a delivery against those of earlier slots, judged one by one.

A number is unusual when neither its history nor counting noise explains it and the difference matters to people; it is
broken when the difference is a fault whatever the spread. An error inside a gate counts as broken.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Literal

from churnlake.contract.values import WEEKDAYS
from churnlake.gates.numbers import FAMILIES, Kind, Numbers, Scale, about, columns_with, kind_of, named, with_derived
from churnlake.gates.outlook import Outlook, back, counting_noise, look_out, normal, onto

HISTORY = 60
"""Earlier slots a number is held against."""

LEARNING = 14
"""Slots, and values of a number, without which nothing is judged: two of each weekday."""

LEVELS_JUDGED = 10
"""The most frequent levels of a column that are judged one by one, beside those the contract names."""

LEAST_LEVEL = 0.01
"""Mean share of a level in the history below which it is only part of the rest."""

Sensitivity = Literal["low", "normal", "high", "off"]
CHANCE = {"low": 0.001, "normal": 0.01, "high": 0.05}
"""Chance of any false alarm in a night."""

STRETCH = {"low": 2.0, "normal": 1.0, "high": 0.5}
"""What `matters` is multiplied by (a factor: raised to)."""


_BY_FACTOR = (Scale.COUNT, Scale.FACTOR)


class Level(StrEnum):
    """What a gate says of a number; failed: it could not say, which is a no."""

    USUAL = "usual"
    UNUSUAL = "unusual"
    BROKEN = "broken"
    FAILED = "failed"


@dataclass(frozen=True)
class Night:
    """The numbers of one delivered slot."""

    slot: date
    numbers: Numbers


@dataclass(frozen=True)
class Rules:
    """How a source is judged: sensitivity, days declared unusual, named levels (`level.kind.value`), sources in all."""

    sensitivity: Sensitivity = "normal"
    unusual: frozenset[date] = frozenset()
    named_levels: frozenset[str] = frozenset()
    sources: int = 1


@dataclass(frozen=True)
class Verdict:
    """What a gate says of one number: where it is, and the range it was expected in."""

    name: str
    family: str
    level: Level
    observed: str
    expected: str


@dataclass(frozen=True)
class Judged:
    """A night with all its numbers, derived ones too, and what was said of them. `learning`: slots known so far."""

    night: Night
    verdicts: tuple[Verdict, ...]
    learning: int | None = None

    @property
    def broken(self) -> tuple[Verdict, ...]:
        return tuple(one for one in self.verdicts if one.level in (Level.BROKEN, Level.FAILED))

    @property
    def unusual(self) -> tuple[Verdict, ...]:
        """Every verdict that is not `usual`."""
        return tuple(one for one in self.verdicts if one.level is not Level.USUAL)


def judge(night: Night, earlier: Sequence[Night], rules: Rules) -> Judged:
    """Holds a night's numbers against earlier slots, oldest first; later ones and unusual days are left out."""
    history = [one for one in earlier if one.slot < night.slot and one.slot not in rules.unusual][-HISTORY:]
    try:
        complete = replace(night, numbers=with_derived(night.numbers, [one.numbers for one in history]))
        if rules.sensitivity == "off":
            return Judged(complete, ())
        if len(history) < LEARNING:
            return Judged(complete, (), learning=len(history))
        return Judged(complete, _verdicts(complete, history, rules))
    except Exception as problem:  # noqa: BLE001 - whatever fails in a check, the answer is no
        return Judged(night, (_failed("gates", FAMILIES[0], problem),))


def _verdicts(night: Night, history: Sequence[Night], rules: Rules) -> tuple[Verdict, ...]:
    """A verdict on every number that has a past, all of them at one chance of a false alarm."""
    pasts = [past for name in _judged_names(night, history, rules) if (past := _past(name, night, history))]
    chance = CHANCE[rules.sensitivity] / max(len(pasts) * rules.sources, 1)
    return tuple(_guarded(past, night, rules, chance) for past in pasts)


def _failed(name: str, family: str, problem: Exception) -> Verdict:
    return Verdict(name, family, Level.FAILED, f"unknown: the check itself failed ({problem!r})", "a check that works")


def judge_in_order(nights: Sequence[Night], earlier: Sequence[Night], rules: Rules) -> list[Judged]:
    """Judges slots that came together, oldest first, each against those before it."""
    known, judged = list(earlier), []
    for night in sorted(nights, key=lambda one: one.slot):
        judged.append(judge(night, known, rules))
        known = sorted([*known, judged[-1].night], key=lambda one: one.slot)
    return judged


@dataclass(frozen=True)
class _Past:
    """A number with its values in earlier slots, oldest first."""

    name: str
    kind: Kind
    values: tuple[float, ...]
    weekdays: tuple[int, ...]


def _judged_names(night: Night, history: Sequence[Night], rules: Rules) -> Iterator[str]:
    """Numbers worth a verdict: all but bins and rare levels."""
    levels = set(rules.named_levels)
    for column in columns_with(night.numbers, "level"):
        totals: dict[str, float] = {}
        for one in history:
            for level, share in named(one.numbers, "level", column).items():
                totals[level] = totals.get(level, 0) + share
        frequent = sorted(totals, key=lambda level: (-totals[level], level))[:LEVELS_JUDGED]
        levels |= {f"level.{column}.{level}" for level in frequent if totals[level] >= LEAST_LEVEL * len(history)}
    yield from sorted(levels)
    yield from sorted(name for name in night.numbers if kind_of(name) and not name.startswith("level."))


def _past(name: str, night: Night, history: Sequence[Night]) -> _Past | None:
    kind = kind_of(name)
    held = [(value, one.slot.weekday()) for one in history if (value := _value(name, one.numbers)) is not None]
    if kind is None or len(held) < LEARNING or _value(name, night.numbers) is None:
        return None
    return _Past(name, kind, tuple(value for value, _ in held), tuple(day for _, day in held))


def _value(name: str, numbers: Numbers) -> float | None:
    """A number; a level that is not named is 0 where its column has others."""
    if name in numbers or not name.startswith("level."):
        return numbers.get(name)
    column = about(name).split(".", 1)[0]
    return 0.0 if any(one.startswith(f"level.{column}.") for one in numbers) else None


def _guarded(past: _Past, night: Night, rules: Rules, chance: float) -> Verdict:
    try:
        return _verdict(past, night, rules, chance)
    except Exception as problem:  # noqa: BLE001 - whatever fails in a check, the answer is no
        return _failed(past.name, past.kind.family, problem)


@dataclass(frozen=True)
class _Range:
    """From, to: outside of it a number is unusual, or broken."""

    low: float
    high: float

    def misses(self, value: float) -> bool:
        return not self.low <= value <= self.high


def _verdict(past: _Past, night: Night, rules: Rules, chance: float) -> Verdict:
    kind, value = past.kind, _value(past.name, night.numbers)
    if value is None or not math.isfinite(value):
        raise ValueError(f"{past.name} is {value}, no number")
    outlook = look_out([onto(kind.scale, one) for one in past.values], past.weekdays, night.slot.weekday())
    typical = back(kind.scale, outlook.expected)
    noise = _noise(past, night, typical)
    counted = normal(1 - chance / 2) * noise
    usual = _usual_range(kind, outlook, max(outlook.reach(chance), counted), rules)
    sound = _sound_range(kind, outlook, max(outlook.worst, counted))
    level = Level.BROKEN if sound.misses(value) else Level.UNUSUAL if usual.misses(value) else Level.USUAL
    shown = _Range(max(usual.low, sound.low), min(usual.high, sound.high))
    return Verdict(past.name, kind.family, level, spell(kind, value), _expectation(past, night, typical, shown))


def _noise(past: _Past, night: Night, typical: float) -> float:
    bins = len(named(night.numbers, "bin", about(past.name)))
    return counting_noise(past.kind.name, typical, night.numbers.get("customers", 1.0), bins)


def _usual_range(kind: Kind, outlook: Outlook, reach: float, rules: Rules) -> _Range:
    stretch = STRETCH[rules.sensitivity]
    low, high = _away(
        kind, outlook.expected, reach, kind.matters**stretch if kind.scale in _BY_FACTOR else kind.matters * stretch
    )
    return _Range(low if kind.falls else -math.inf, high if kind.rises else math.inf)


def _sound_range(kind: Kind, outlook: Outlook, reach: float) -> _Range:
    """Where a number is no fault: its difference is small enough, or has been seen, or is noise of counting."""
    low, high = -math.inf, math.inf
    if kind.broken is not None:
        low, high = _away(kind, outlook.expected, reach, kind.broken)
        low, high = low if kind.falls and kind.broken_falls else -math.inf, high if kind.rises else math.inf
    if kind.broken_fall is not None:
        low = min(back(kind.scale, outlook.expected - reach), back(kind.scale, outlook.expected) / kind.broken_fall)
    return _Range(low, high)


def _away(kind: Kind, expected: float, reach: float, difference: float) -> tuple[float, float]:
    """The range around an expectation that reaches at least as far as the history does and as matters."""
    middle = back(kind.scale, expected)
    near, far = back(kind.scale, expected - reach), back(kind.scale, expected + reach)
    match kind.scale:
        case Scale.COUNT | Scale.FACTOR:
            return min(near, middle / difference), max(far, middle * difference)
        case Scale.MARK:
            return near, max(far, difference)
        case _:
            return min(near, middle - difference), max(far, middle + difference)


def _expectation(past: _Past, night: Night, typical: float, shown: _Range) -> str:
    is_share = past.kind.scale is Scale.POINTS
    low, high = (spell(past.kind, end) for end in (shown.low, shown.high))
    match (
        math.isinf(shown.low) or (is_share and shown.low <= 0),
        math.isinf(shown.high) or (is_share and shown.high >= 1),
    ):
        case (True, True):
            span = "anything"
        case (True, False):
            span = f"at most {high}"
        case (False, True):
            span = f"at least {low}"
        case _:
            span = f"{low.removesuffix(past.kind.unit).rstrip()} to {high}"
    day = WEEKDAYS[night.slot.weekday()]
    return f"{span}; about {spell(past.kind, typical)} for a {day}, from {len(past.values)} earlier slots"


def spell(kind: Kind, value: float) -> str:
    """A value with its unit, for people."""
    match kind.unit:
        case "share":
            return f"{100 * value:.1f} %"
        case "hours":
            return f"{value:.1f} hours"
        case "rows" | "customers":
            return f"{value:,.0f} {kind.unit}"
        case _:
            return f"{value:,.3g}"


def in_words(verdict: Verdict) -> str:
    """One line: the number, what it is and what was expected."""
    return f"{verdict.name} is {verdict.observed}; expected {verdict.expected}"


def summed_up(judged: Sequence[Judged], families: Sequence[str]) -> Mapping[str, tuple[bool, str]]:
    """Per family: whether every slot was as expected, and in words which were not."""
    told = {}
    for family in families:
        odd = [(one.night.slot, verdict) for one in judged for verdict in one.unusual if verdict.family == family]
        slots = sorted({slot for slot, _ in odd})
        first = "; ".join(f"{slot} {in_words(verdict)}" for slot, verdict in odd[:3])
        more = f"; and {len(odd) - 3} more" if len(odd) > 3 else ""
        told[family] = (not odd, f"{len(slots)} of {len(judged)} slots unusual{': ' if odd else ''}{first}{more}")
    return told
