"""Expectation suites: read from JSON, checked, their row rules compiled to SQL that flags a breaking row."""

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlglot import exp

from churnlake.contract.expressions import SUBSTITUTION, nearest
from churnlake.errors import ContractError


class Severity(StrEnum):
    """Great Expectations' levels: critical stops the night, warning is shown, info is recorded."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class RowRule:
    """A rule about one row. `breaks` is Spark SQL, true for a breaking row, never null: null passes, as in GX."""

    name: str
    severity: Severity
    breaks: str


@dataclass(frozen=True)
class Suite:
    """One suite: the expectations as GX takes them, and the row rules among them, compiled."""

    name: str
    expectations: tuple[dict[str, Any], ...]
    row_rules: tuple[RowRule, ...]


def _literal(value: object) -> exp.Expr:
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | float):
        return exp.Literal.number(value)
    return exp.Literal.string(str(value))


def _outside(column: exp.Expr, kwargs: dict[str, Any]) -> exp.Expr:
    sides: list[exp.Expr] = []
    if kwargs.get("min_value") is not None:
        below = exp.LTE if kwargs.get("strict_min") else exp.LT
        sides.append(below(this=column.copy(), expression=_literal(kwargs["min_value"])))
    if kwargs.get("max_value") is not None:
        above = exp.GTE if kwargs.get("strict_max") else exp.GT
        sides.append(above(this=column.copy(), expression=_literal(kwargs["max_value"])))
    return exp.or_(*sides)


def _in_set(column: exp.Expr, kwargs: dict[str, Any]) -> exp.Expr:
    return exp.In(this=column, expressions=[_literal(value) for value in kwargs["value_set"]])


def _matches(column: exp.Expr, kwargs: dict[str, Any]) -> exp.Expr:
    return exp.RegexpLike(this=column, expression=_literal(str(kwargs["regex"])))


# Each gives the predicate that is true for a breaking row (null counts as false afterwards).
_COMPILERS: dict[str, Callable[[exp.Expr, dict[str, Any]], exp.Expr]] = {
    "expect_column_values_to_not_be_null": lambda column, _: exp.Is(this=column, expression=exp.Null()),
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_be_in_set": lambda column, kwargs: exp.not_(_in_set(column, kwargs)),
    "expect_column_values_to_not_be_in_set": _in_set,
    "expect_column_values_to_match_regex": lambda column, kwargs: exp.not_(_matches(column, kwargs)),
    "expect_column_values_to_not_match_regex": _matches,
}

_RANGE = ("min_value", "max_value", "strict_min", "strict_max")
# The kwargs of each expectation beside `column`.
_KWARGS: dict[str, tuple[str, ...]] = {
    "expect_column_values_to_not_be_null": ("mostly",),
    "expect_column_values_to_be_between": (*_RANGE, "mostly"),
    "expect_column_values_to_be_in_set": ("value_set", "mostly"),
    "expect_column_values_to_not_be_in_set": ("value_set", "mostly"),
    "expect_column_values_to_match_regex": ("regex", "mostly"),
    "expect_column_values_to_not_match_regex": ("regex", "mostly"),
    "expect_column_values_to_be_unique": ("mostly",),
    "expect_column_mean_to_be_between": _RANGE,
    "expect_column_sum_to_be_between": _RANGE,
    "expect_column_min_to_be_between": _RANGE,
    "expect_column_max_to_be_between": _RANGE,
    "expect_column_unique_value_count_to_be_between": _RANGE,
    "expect_column_proportion_of_unique_values_to_be_between": _RANGE,
    "expect_table_row_count_to_be_between": _RANGE,
}
KNOWN_TYPES = tuple(sorted(_KWARGS))


def read_suite(path: Path, columns: Collection[str]) -> Suite:
    """The suite at `path`, over a table with `columns`. Every problem is listed at once.

    Raises:
        ContractError: Not JSON, or an unknown expectation, column, kwarg or severity.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
        expectations = tuple(document["expectations"])
        name = str(document["name"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        wanted = 'JSON with "name" and a list "expectations"'
        raise ContractError(str(path), [f"is no expectation suite ({wanted}): {problem!r}"]) from problem
    problems = [] if name == path.stem else [f"name: must be {path.stem!r}, as the file is called; got {name!r}"]
    for place, one in enumerate(expectations):
        problems += [f"expectations[{place}]: {sentence}" for sentence in _problems(one, columns)]
    if problems:
        raise ContractError(str(path), problems)
    return Suite(name, expectations, tuple(_row_rule(name, one) for one in expectations if one["type"] in _COMPILERS))


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _problems(expectation: Any, columns: Collection[str]) -> Iterator[str]:
    if not isinstance(expectation, dict) or not isinstance(expectation.get("type"), str):
        yield "needs a type, such as 'expect_column_values_to_not_be_null'"
        return
    if not isinstance(expectation.get("kwargs"), dict):
        yield 'needs kwargs, such as {"column": ...}'
        return
    kind, kwargs = expectation["type"], expectation["kwargs"]
    for name in expectation:
        if name not in _KEYS:
            yield f"unknown key {name!r}{nearest(name, _KEYS)}; allowed: {', '.join(_KEYS)}"
    if expectation.get("severity", "critical") not in list(Severity):
        yield f"unknown severity {expectation['severity']!r}; allowed: {', '.join(Severity)}"
    if kind in _KWARGS:
        yield from _kwargs_problems(kind, kwargs, columns)
    else:
        yield f"unknown type {kind!r}{nearest(kind, KNOWN_TYPES)}; known: {', '.join(KNOWN_TYPES)}"


_KEYS = ("type", "kwargs", "severity", "meta")


def _kwargs_problems(kind: str, kwargs: dict[str, Any], columns: Collection[str]) -> Iterator[str]:
    """What Great Expectations would take otherwise than it is meant, or would find out only in the night."""
    allowed = (*(() if kind.startswith("expect_table") else ("column",)), *_KWARGS[kind])
    for name in kwargs:
        if name not in allowed:
            yield f"unknown kwarg {name!r}{nearest(name, allowed)}; allowed: {', '.join(allowed)}"
    if "column" in allowed and kwargs.get("column") not in list(columns):
        column = kwargs.get("column")
        told = "column is missing" if column is None else f"unknown column {column!r}{nearest(str(column), columns)}"
        yield f"{told}; known: {', '.join(columns)}"
    if "min_value" in allowed and kwargs.get("min_value") is None and kwargs.get("max_value") is None:
        yield "needs min_value, max_value or both"
    if "regex" in allowed and not isinstance(kwargs.get("regex"), str):
        yield f"needs regex, a text; got {kwargs.get('regex')!r}"
    if "value_set" in allowed and not _is_value_set(kwargs.get("value_set")):
        yield f"needs value_set, a list of at least one text or number; got {kwargs.get('value_set')!r}"
    mostly = kwargs.get("mostly", 1)
    if isinstance(mostly, bool) or not isinstance(mostly, int | float) or not 0 < mostly <= 1:
        yield f"mostly must be a share above 0 and up to 1; got {mostly!r}"
    if SUBSTITUTION in json.dumps(kwargs):
        yield f"holds {SUBSTITUTION!r}, where Spark would put in a setting; leave it out"


def _is_value_set(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(one, str | int | float) for one in values)


def _breaks(kind: str, kwargs: dict[str, Any]) -> str:
    column = exp.column(exp.to_identifier(kwargs["column"], quoted=True))
    broken = exp.Coalesce(this=_COMPILERS[kind](column, kwargs), expressions=[exp.false()])
    return broken.sql(dialect="spark")


def _row_rule(suite: str, expectation: dict[str, Any]) -> RowRule:
    kind, kwargs = expectation["type"], expectation["kwargs"]
    short = kind.removeprefix("expect_column_values_to_")
    name = f"{suite}.{kwargs['column']}.{short}"
    return RowRule(name, Severity(expectation.get("severity", "critical")), _breaks(kind, kwargs))
