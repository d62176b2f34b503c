"""Canonical columns: which columns of a table stand for them, as expressions of the contract."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from churnlake.contract.values import RESERVED_VALUES
from churnlake.starter import words
from churnlake.starter.columns import Column, Table
from churnlake.starter.samples import contract_name

DAY_ZERO = "2000-01-01"
"""What day numbers are counted from where nobody said: made up, marked CHECK."""

MOST_VALUES = 20
"""Values that a contract counts apart at most."""


class Mapped(NamedTuple):
    """The expression of a canonical column, and why it is this one."""

    sql: str
    why: str


def by_name(columns: Sequence[Column], known: frozenset[str]) -> Column | None:
    """The first column whose name has one of the known words."""
    return next((one for one in columns if words.speaks_of(one.name, known)), None)


def identity(customer: Column) -> Mapped:
    """The customer."""
    each = customer.filled / max(customer.distinct, 1)
    return Mapped(customer.sql, f"{customer.why}; {customer.distinct:,} different, {each:.1f} rows each")


def told_time(time: Column) -> str:
    """What is to be known about a column of times."""
    if time.nature == "day number":
        return f"days counted from {DAY_ZERO}: CHECK and put in the true start"
    return "days without a time count as midnight" if time.nature == "date" else "local time of the contract's zone"


def as_time(column: Column) -> str:
    """The column's value as a moment."""
    if column.nature == "time":
        return column.sql
    if column.sql.startswith("TO_DATE("):
        return column.sql.replace("TO_DATE(", "TO_TIMESTAMP(", 1)
    return f"CAST({as_date(column)} AS TIMESTAMP)"


def as_date(column: Column) -> str:
    """The column's value as a day."""
    if column.nature == "day number":
        return f"DATE_ADD(DATE '{DAY_ZERO}', {column.sql})"
    return f"CAST({column.sql} AS DATE)" if column.nature == "time" else column.sql


def money_of(table: Table) -> Column | None:
    """The column of amounts or prices."""
    money = table.of_nature("money")
    return by_name(money, words.TOTAL) or by_name(money, words.PRICE) or next(iter(money), None)


def amount_of(table: Table) -> Mapped | None:
    """What a row is worth: a total, or a price times a quantity."""
    column, quantity = money_of(table), quantity_of(table)
    if column is None:
        return None
    if words.speaks_of(column.name, words.TOTAL) or quantity is None:
        return Mapped(column.sql, f"{column.name}: {column.why}")
    return Mapped(f"{quantity.sql} * {column.sql}", f"{column.name} is a price for one, {quantity.name} says how many")


def quantity_of(table: Table) -> Column | None:
    """The column that counts pieces."""
    return by_name([one for one in table.of_nature("number") if one.is_whole], words.QUANTITY)


def product_of(table: Table, customer: Column) -> Column | None:
    """The column that says what a row is about."""
    fitting = [
        one for one in table.of_nature("id", "text") if one is not customer and 1 < one.distinct < max(one.filled, 3)
        and not words.speaks_of(one.name, words.TYPE)
    ]  # fmt: skip
    named = [one for one in fitting if words.speaks_of(one.name, words.PRODUCT)]
    return max(named, key=lambda one: words.is_id(one.name), default=None)


def event_type_of(table: Table, customer: Column) -> tuple[Mapped | None, tuple[str, ...]]:
    """The column that says what happened, and the names of its values."""
    fitting = [
        one for one in table.of_nature("text")
        if one is not customer and 2 <= one.distinct <= MOST_VALUES and one.distinct < one.filled / 2
    ]  # fmt: skip
    column = by_name(fitting, words.TYPE)
    return (None, ()) if column is None else by_value(column.sql, column)


def by_value(sql: str, column: Column) -> tuple[Mapped, tuple[str, ...]]:
    """A column of few texts, with names of the contract for its values."""
    seen = sorted({value for value in column.values if value is not None})
    names = {value: _value_name(value) for value in seen}
    why = f"{column.name}: {len(seen)} values"
    if all(value == name for value, name in names.items()):
        return Mapped(sql, why), tuple(names.values())
    cases = " ".join(f"WHEN {literal(value)} THEN '{name}'" for value, name in names.items())
    return Mapped(f"CASE {sql} {cases} END", f"{why}, with names that features can have"), tuple(
        dict.fromkeys(names.values())
    )


def _value_name(value: str) -> str:
    name = contract_name(value) or "value_" + re.sub(r"[^a-z0-9]+", "_", value.lower())[:30].strip("_")
    return f"is_{name}" if name in RESERVED_VALUES else name


def literal(text: str) -> str:
    """A text in an expression."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def has_negative(column: Column) -> bool:
    """Whether a value of the column begins with a minus."""
    return any(value is not None and value.lstrip().startswith("-") for value in column.values)
