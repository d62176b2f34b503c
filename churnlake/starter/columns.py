"""What a column of sample rows is: its type in the contract, how its values are read, and why."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Literal

from churnlake.contract.values import typed_column
from churnlake.starter import words
from churnlake.starter.dates import Form, Order, TwoReadings, read_form
from churnlake.starter.rows import Rows, Values

Nature = Literal["text", "id", "number", "money", "date", "time", "flag", "day number"]

# Texts that mean nothing else than null; the other ones do where all other values are numbers or dates.
_ALWAYS_NULL = frozenset({"?", "NULL", "null", "\\N", "#N/A", "N/A", "n/a", "NaN", "nan"})
_NULL_AMONG_TYPED = frozenset({"NA", "na", "None", "none", "-", "--", ".", "Null", "nil"})
# A text may be a lone question mark now and then; a mark for null stands more often.
_LEAST_NULLS = 0.005
_WHOLE = re.compile(r"[+-]?\d+")
_POINT = re.compile(r"[+-]?(\d+[.]?\d*|[.]\d+)([eE][+-]?\d+)?")
_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}([. ]\d{3})+)(,\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+([.]\d+)?|[+-]?\d+([.]\d+)?")
_WITH_SYMBOL = re.compile(r"([$€£¥]|USD|EUR|GBP|CHF)?\s*[+-]?\d[\d.,]*\s*([$€£¥]|USD|EUR|GBP|CHF)?")
SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY"}
"""Currencies by their signs."""
_SYMBOLS = {**SIGNS, "USD": "USD", "EUR": "EUR", "GBP": "GBP", "CHF": "CHF"}
_FLOAT_ID = re.compile(r"\d+[.]0+")
_LEADING_ZERO = re.compile(r"0\d+")
_TRUTHS = frozenset({"true", "false"})
_INT = 2**31
_EPOCH = (range(600_000_000, 2_200_000_000), range(600_000_000_000, 2_200_000_000_000))

_FEW = 0.01
"""The share of odd values up to which a column is rather one of numbers with mistakes."""


@dataclass(frozen=True)
class Column:
    """A column and what was decided. `sql` gives its value in expressions; `seen` and `why` are for people.

    `read_day` gives the day of a time or date, None for other columns.
    """

    name: str
    nature: Nature
    type: str
    sql: str
    seen: str
    why: str
    values: Values
    distinct: int
    filled: int
    currency: str | None = None
    read_day: Callable[[str], date | None] | None = None
    is_utc: bool = False

    @property
    def is_whole(self) -> bool:
        return self.type in ("int", "bigint")


@dataclass(frozen=True)
class Table:
    """A sample table with its columns decided."""

    rows: Rows
    columns: Mapping[str, Column]
    decimal: str
    null_marks: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.rows.table.name

    def of_nature(self, *natures: Nature) -> list[Column]:
        return [column for column in self.columns.values() if column.nature in natures]


@dataclass(frozen=True)
class OpenDate:
    """A date column that can be read in two ways, and how."""

    table: str
    column: str
    readings: TwoReadings


def decide_columns(rows: Rows, order: Order | None) -> tuple[Table, tuple[OpenDate, ...]]:
    """The columns of a table, and those whose day and month only a person can tell apart.

    Where one column of the table tells the order, its others follow it.
    """
    counted = {name: Counter(value for value in values if value is not None) for name, values in rows.columns.items()}
    marks = _null_marks(counted) if rows.table.format in ("csv", "text") else ()
    counts = {name: Counter({v: n for v, n in count.items() if v not in marks}) for name, count in counted.items()}
    decimal = _decimal(counts) if rows.dialect is not None else "."
    forms = {name: read_form(count, order) for name, count in counts.items() if _may_be_time(name, rows, count)}
    told = {form.order for form in forms.values() if isinstance(form, Form) and form.layout == "numbers"}
    if order is None and len(told) == 1:
        forms |= {name: read_form(counts[name], *told) for name, form in forms.items() if isinstance(form, TwoReadings)}
    open_dates = tuple(
        OpenDate(rows.table.name, name, form) for name, form in forms.items() if isinstance(form, TwoReadings)
    )
    columns = {
        name: _decide(name, values, counts[name], _kind(rows, name), decimal, forms.get(name), marks)
        for name, values in rows.columns.items()
    }
    return Table(rows, columns, decimal, marks), open_dates


def _kind(rows: Rows, name: str) -> str | None:
    """The type that the format gives a column; texts of json may as well be numbers or times, exact ones often are."""
    kind = rows.kinds.get(name)
    return None if rows.table.format == "json" and kind == "text" else kind


def _null_marks(counted: Mapping[str, Counter[str]]) -> tuple[str, ...]:
    marks: dict[str, None] = {}
    for count in counted.values():
        odd = [value for value in count if value in _ALWAYS_NULL | _NULL_AMONG_TYPED or not value.strip()]
        rest = [value for value in count if value not in odd]
        typed = bool(rest) and (all(_COMMA.fullmatch(one) or _POINT.fullmatch(one) for one in rest) or bool(
            read_form(dict.fromkeys(rest, 1), "day_first")
        ))  # fmt: skip
        total = sum(count.values())
        marks |= dict.fromkeys(
            value for value in odd if typed or (value in _ALWAYS_NULL and count[value] >= _LEAST_NULLS * total)
        )
    return tuple(sorted(marks))


def _decimal(counts: Mapping[str, Counter[str]]) -> str:
    """A comma where some column needs it and none has points for decimals."""
    with_comma = with_point = False
    for count in counts.values():
        if not count:
            continue
        has_comma = any("," in value for value in count)
        if has_comma and all(_COMMA.fullmatch(one) for one in count):
            with_comma = with_comma or any(re.search(r",(\d{1,2}|\d{4,})$", value) for value in count)
        elif any("." in value for value in count) and all(_POINT.fullmatch(one) for one in count):
            with_point = with_point or not all(re.fullmatch(r"\d{1,3}([.]\d{3})+", one) for one in count)
    return "," if with_comma and not with_point else "."


def _may_be_time(name: str, rows: Rows, count: Counter[str]) -> bool:
    if rows.kinds.get(name, "text") not in ("text", "int", "bigint", "number"):
        return False
    # Eight digits are a date only in a column that is called one, or the ids of a catalogue would become times.
    if all(value.isdigit() for value in count):
        return words.speaks_of(name, words.TIME) and not words.is_id(name)
    return True


def _decide(  # noqa: PLR0913, PLR0917 - one line for each kind of column
    name: str,
    values: Values,
    count: Counter[str],
    kind: str | None,
    decimal: str,
    form: Form | TwoReadings | None,
    marks: Sequence[str],
) -> Column:
    nulls = frozenset(marks)
    kept = [None if value in nulls else value for value in values] if nulls else values
    told = _Told(name, kept, count)
    if not count:
        return told("text", "text", "no value", "empty in all rows read: text takes whatever comes")
    if kind in ("date", "timestamp"):
        return _native_time(told, kind)
    if kind == "boolean" or set(map(str.lower, count)) <= _TRUTHS:
        return told("flag", "boolean", "true and false", "truth values")
    if isinstance(form, Form):
        return _time(told, form, kind)
    if kind in (None, "int", "bigint", "double", "number") or (kind or "").startswith("decimal"):
        return _number(told, kind, decimal) or _symbols(told) or _text(told)
    return _text(told)


@dataclass(frozen=True)
class _Told:
    """Makes the column once it is known what it is."""

    name: str
    values: Values
    count: Counter[str]

    @property
    def plain(self) -> str:
        name = typed_column(self.name)
        return f"`{name}`" if " " in name else name

    def __call__(
        self, nature: Nature, kind: str, seen: str, why: str, sql: str | None = None, **more: object
    ) -> Column:
        filled = sum(self.count.values())
        return Column(
            self.name,
            nature,
            kind,
            sql or self.plain,
            seen,
            why,
            self.values,
            len(self.count),
            filled,
            **more,  # type: ignore[arg-type]
        )


def _native_time(told: _Told, kind: str) -> Column:
    nature: Nature = "date" if kind == "date" else "time"
    return told(nature, kind, f"{kind}s", "so the file says", read_day=_iso_day)


def _iso_day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None


def _time(told: _Told, form: Form, kind: str | None) -> Column:
    nature: Nature = "time" if form.has_time else "date"
    example = _example(told.count)
    is_utc = form.has_zone and all(value.endswith(("Z", "+00:00", "+0000")) for value in told.count)
    column = _form_column(told, form, kind, nature, example)
    return replace(column, read_day=form.day, is_utc=is_utc)


def _form_column(told: _Told, form: Form, kind: str | None, nature: Nature, example: str) -> Column:
    type_ = "timestamp" if form.has_time else "date"
    zone = "; the zone in it is honoured" if form.has_zone else ""
    if form.pattern is None and kind is None:
        return told(nature, type_, example, f"ISO {nature}s{zone}")
    if form.pattern is None:
        sql = f"CAST({told.plain} AS {type_.upper()})"
        return told(nature, "text", example, f"a text in the file, cast where it is used{zone}", sql)
    function = "TO_TIMESTAMP" if form.has_time else "TO_DATE"
    order = f", {form.order.replace('_', ' ')}" if form.layout == "numbers" else ""
    quoted = form.pattern.replace("'", "\\'")
    sql = f"{function}({told.plain}, '{quoted}')"
    return told(nature, "text", example, f"written {form.pattern}{order}: read by an expression", sql)


def _number(told: _Told, kind: str | None, decimal: str) -> Column | None:
    values, name = told.count, told.name
    if all(_WHOLE.fullmatch(one) for one in values):
        return _whole(told, kind)
    number = _COMMA if decimal == "," else _POINT
    if not all(number.fullmatch(one) for one in values):
        return None
    if words.is_id(name) and all(_FLOAT_ID.fullmatch(one) for one in values):
        sql = f"REGEXP_REPLACE({told.plain}, '[.]0+$', '')"
        return told("id", "text", _example(values), "an id that a program wrote as a float: its .0 is taken off", sql)
    if (kind or "").startswith("decimal"):
        return told("money" if _is_money(name) else "number", str(kind), _example(values), "so the file says")
    decimals = max(len(one.partition(decimal)[2]) for one in values)
    if kind is None and any("e" in one.lower() for one in values):
        decimals = 9
    mark = "decimal comma" if decimal == "," else f"at most {decimals} decimals"
    if _is_money(name) and decimals <= 4:
        scale = 4 if words.speaks_of(name, words.PRICE) or decimals > 2 else 2
        reason = (
            "a unit price may have parts of a cent" if scale == 4 and decimals <= 2 else "money is exact, never a float"
        )
        return told("money", f"decimal(12,{scale})", f"{_example(values)} ({mark})", reason)
    return told("number", "double", f"{_example(values)} ({mark})", "numbers with decimals")


def _whole(told: _Told, kind: str | None) -> Column:
    values, name = told.count, told.name
    if why := _why_no_number(name, values):
        return told("id", "text", next(filter(_LEADING_ZERO.fullmatch, values), _example(values)), why)
    numbers = [int(one) for one in values]
    lowest, highest = min(numbers), max(numbers)
    span, type_ = f"{lowest} .. {highest}", "int" if max(-lowest, highest) < _INT else "bigint"
    if words.speaks_of(name, words.TIME):
        for unit, epoch in zip(("seconds", "milliseconds"), _EPOCH, strict=True):
            if lowest in epoch and highest in epoch:
                return _epoch(told, unit)
        if {"date", "day"} & {words.words(name)[0], words.words(name)[-1]}:
            return told("day number", type_, span, "days counted from a start that the file does not name")
    if _is_money(name) and kind is None and type_ == "int":
        return told("money", "decimal(12,2)", span, "money is exact, never a float")
    return told("number", type_, span, "whole numbers")


def _why_no_number(name: str, values: Counter[str]) -> str | None:
    """Why digits are a text, if they are."""
    if any(_LEADING_ZERO.fullmatch(one) for one in values):
        return "leading zeros live only in a text"
    if words.is_id(name):
        return "an id: nobody computes with it"
    return "too long for a number" if max(map(len, values)) > 18 else None


def _epoch(told: _Told, unit: str) -> Column:
    divisor = 1000 if unit == "milliseconds" else 1
    inner = f"{told.plain} DIV 1000" if divisor > 1 else told.plain
    return told(
        "time", "bigint", _example(told.count), f"{unit} since 1970, which are UTC", f"CAST({inner} AS TIMESTAMP)",
        read_day=lambda text: datetime.fromtimestamp(int(text) // divisor, UTC).date(), is_utc=True,
    )  # fmt: skip


def _symbols(told: _Told) -> Column | None:
    """Amounts that no cast reads: with a currency, or with commas between thousands."""
    values = told.count
    if all(_THOUSANDS.fullmatch(one) for one in values):
        sql = f"CAST(REPLACE({told.plain}, ',', '') AS DECIMAL(12,2))"
        return told("money", "text", _example(values), "commas between thousands: an expression takes them off", sql)
    found = {symbol for one in values for symbol in _SYMBOLS if symbol in one}
    if not found or not all(_WITH_SYMBOL.fullmatch(one.strip()) for one in values):
        return None
    comma = any(re.search(r",\d{1,2}\D*$", one) for one in values)
    bare = f"REGEXP_REPLACE({told.plain}, '{'[^0-9,-]' if comma else '[^0-9.-]'}', '')"
    sql = f"CAST({f'REPLACE({bare}, {chr(39)},{chr(39)}, {chr(39)}.{chr(39)})' if comma else bare} AS DECIMAL(12,2))"
    currencies = {_SYMBOLS[symbol] for symbol in found}
    currency = currencies.pop() if len(currencies) == 1 else None
    return told(
        "money", "text", _example(values), "amounts with a currency: an expression takes it off", sql, currency=currency
    )


def _text(told: _Told) -> Column:
    count, name = told.count, told.name
    if words.is_id(name):
        return told("id", "text", _example(count), "an id")
    return told("text", "text", _example(count), f"text, {len(count):,} different{_nearly_a_number(count)}")


def _nearly_a_number(count: Counter[str]) -> str:
    """A word to whoever knows better, where a few values keep a column from being one of numbers."""
    oddities = (
        Counter({one: rows for one, rows in count.items() if not number.fullmatch(one)}) for number in (_POINT, _COMMA)
    )
    odd = min(oddities, key=Counter.total)
    if not 0 < odd.total() <= count.total() * _FEW:
        return ""
    return (
        f"; CHECK: all but {odd.total():,} of {count.total():,} values are numbers, one is {_example(odd)!r}; as a "
        "number those rows would be set aside"
    )


def _is_money(name: str) -> bool:
    return words.speaks_of(name, words.TOTAL | words.PRICE) and not words.speaks_of(name, words.QUANTITY)


def _example(count: Counter[str]) -> str:
    text = count.most_common(1)[0][0].strip()
    return text if len(text) <= 30 else f"{text[:27]}..."
