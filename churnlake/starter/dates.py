"""How dates and times are written in a column: recognised by their shape, never by trying one reading after another."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

Order = Literal["day_first", "month_first"]

# A few bad dates are rows for the quarantine; more of them mean that the column is something else.
_LEAST_SHARE = 0.995
_YEARS = range(1900, 2101)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = {
    "iso": r"(?P<y>\d{4})(?P<s>-)(?P<m>\d{2})-(?P<d>\d{2})",
    "year first": r"(?P<y>\d{4})(?P<s>[/.-])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})",
    "digits": r"(?P<y>(?:19|20)\d{2})(?P<s>)(?P<m>\d{2})(?P<d>\d{2})",
    "numbers": r"(?P<d>\d{1,2})(?P<s>[/.-])(?P<m>\d{1,2})(?P=s)(?P<y>\d{4}|\d{2})",
    "month name": r"(?P<d>\d{1,2})(?P<s>[ -])(?P<m>[A-Za-z]{3})(?P=s)(?P<y>\d{4}|\d{2})",
}
_TIME = (
    r"(?:(?P<t>[ T])(?P<hour>\d{1,2}):\d{2}(?P<second>:\d{2}(?P<fraction>[.]\d{1,9})?)?(?P<half> ?[AaPp][Mm])?"
    r"(?P<zone> ?(?:Z|[+-]\d{2}:?\d{2}))?)?"
)
_SHAPES = {name: re.compile(rf"\s*{days}{_TIME}\s*", re.ASCII) for name, days in _DAYS.items()}


class _Shape(NamedTuple):
    """What all values of a column have in common when they are dates written alike."""

    layout: str
    separator: str
    year_digits: int
    between: str | None
    has_seconds: bool
    fraction_digits: int
    half: str | None
    has_zone: bool


@dataclass(frozen=True)
class Form:
    """How the dates of a column are written. `pattern` is Spark's; None where Spark reads them without one."""

    pattern: str | None
    has_time: bool
    has_zone: bool
    layout: str
    order: Order = "day_first"

    def day(self, text: str) -> date | None:
        """The day that a value names, or None where it names none."""
        match = _SHAPES[self.layout].fullmatch(text)
        return None if match is None else _day(match, self.order)


@dataclass(frozen=True)
class TwoReadings:
    """Dates of which no day is above 12: the data cannot tell the day from the month."""

    example: str
    day_first: date
    month_first: date


def read_form(counts: Mapping[str, int], order: Order | None) -> Form | TwoReadings | None:
    """The form that (nearly) all values have, given how often each occurs; None where they are no dates.

    `order` is used only where the values themselves do not tell.
    """
    matched = [(match, count) for text, count in counts.items() if (match := _match(text)) is not None]
    total = sum(counts.values())
    if not total or sum(count for _, count in matched) < _LEAST_SHARE * total:
        return None
    shapes: Counter[_Shape] = Counter()
    for match, count in matched:
        shapes[_shape(match)] += count
    if all(_needs_no_pattern(one) for one in shapes):
        native = Form(None, any(one.between for one in shapes), any(one.has_zone for one in shapes), "iso")
        return native if _name_days([match for match, _ in matched], "day_first") else None
    shape, most = shapes.most_common(1)[0]
    if most < _LEAST_SHARE * total or shape.has_zone:
        return None
    return _form([match for match, _ in matched if _shape(match) == shape], shape, order)


def _form(alike: list[re.Match[str]], shape: _Shape, order: Order | None) -> Form | TwoReadings | None:
    """The form of dates of one shape."""
    chosen = _order(alike, shape, order)
    if not isinstance(chosen, str):
        return chosen
    if not _name_days(alike, chosen):
        return None
    return Form(_pattern(alike, shape, chosen), shape.between is not None, False, shape.layout, chosen)


def _name_days(matches: list[re.Match[str]], order: Order) -> bool:
    """Whether (nearly) all of them are days that exist."""
    return sum(_day(match, order) is not None for match in matches) >= _LEAST_SHARE * len(matches)


def _match(text: str) -> re.Match[str] | None:
    return next((match for shape in _SHAPES.values() if (match := shape.fullmatch(text)) is not None), None)


def _shape(match: re.Match[str]) -> _Shape:
    layout = next(name for name, shape in _SHAPES.items() if shape is match.re)
    half = match["half"]
    return _Shape(
        layout,
        match["s"],
        len(match["y"]),
        match["t"],
        match["second"] is not None,
        len(match["fraction"] or ""),
        None if half is None else (" " if half.startswith(" ") else ""),
        match["zone"] is not None,
    )


def _needs_no_pattern(shape: _Shape) -> bool:
    """Spark casts 2026-01-31 and 2026-01-31 10:15:00, with or without a zone; times without seconds it may not."""
    return shape.layout == "iso" and shape.half is None and (shape.between is None or shape.has_seconds)


def _order(alike: Iterable[re.Match[str]], shape: _Shape, order: Order | None) -> Order | TwoReadings | None:
    if shape.layout != "numbers":
        return "day_first"
    pairs = {(int(match["d"]), int(match["m"])): match for match in alike}
    first, second = (max(pair[place] for pair in pairs) for place in (0, 1))
    if first > 12 and second > 12:
        return None
    if first > 12 or second > 12:
        return "day_first" if first > 12 else "month_first"
    # With dots between them nobody writes the month first.
    if shape.separator == ".":
        return "day_first"
    if order is not None:
        return order
    telling = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
    match = pairs[telling]
    one, other = _day(match, "day_first"), _day(match, "month_first")
    return None if one is None or other is None else TwoReadings(match[0].strip(), one, other)


def _day(match: re.Match[str], order: Order) -> date | None:
    day, month = match["d"], match["m"]
    if order == "month_first" and match.re is _SHAPES["numbers"]:
        day, month = month, day
    year = int(match["y"]) + (2000 if len(match["y"]) == 2 else 0)
    if not month.isdigit():
        if month.lower() not in _MONTHS:
            return None
        month = str(_MONTHS.index(month.lower()) + 1)
    if year not in _YEARS:
        return None
    try:
        return date(year, int(month), int(day))
    except ValueError:
        return None


def _pattern(alike: list[re.Match[str]], shape: _Shape, order: Order) -> str:
    year = "y" * shape.year_digits
    day, month = (_letters(letter, (match[group] for match in alike)) for letter, group in (("d", "d"), ("M", "m")))
    if shape.layout == "month name":
        month = "MMM"
    if shape.layout == "numbers" and order == "month_first":
        day, month = month.replace("M", "d"), day.replace("d", "M")
        parts = (month, day, year)
    else:
        parts = (year, month, day) if shape.layout in ("iso", "year first", "digits") else (day, month, year)
    text = shape.separator.join(parts)
    if shape.between is None:
        return text
    hour = _letters("H" if shape.half is None else "h", (match["hour"] for match in alike))
    text += f"{' ' if shape.between == ' ' else chr(39) + 'T' + chr(39)}{hour}:mm"
    text += ":ss" if shape.has_seconds else ""
    text += f".{'S' * shape.fraction_digits}" if shape.fraction_digits else ""
    return text if shape.half is None else f"{text}{shape.half}a"


def _letters(letter: str, values: Iterable[str]) -> str:
    """`dd` where every value has two digits; `d` reads one or two."""
    return letter * 2 if all(len(value) == 2 for value in values) else letter
