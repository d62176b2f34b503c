"""Expectation suites: read from JSON, checked, and their row rules compiled to SQL predicates that flag a breaking row."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from sqlglot import exp

from churnlake.contract.expressions import nearest
from churnlake.errors import ContractError


class Severity(StrEnum):
    """Great Expectations' levels: critical stops the night, warning is shown, info is recorded."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class RowRule:
    """A rule about one row. `breaks` is Spark SQL: true for a breaking row, never null (a null value passes, as in GX)."""

    name: str
    severity: Severity
    breaks: str


@dataclass(frozen=True)
class Suite:
    """One suite: the expectations as GX takes them, and the row rules among them, compiled."""

    name: str
    expectations: tuple[dict[str, Any], ...]
    row_rules: tuple[RowRule, ...]


def _literal(value: object) -> exp.Expression:
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | float):
        return exp.Literal.number(value)
    return exp.Literal.string(str(value))


def _outside(column: exp.Expression, kwargs: dict[str, Any]) -> exp.Expression:
    sides: list[exp.Expression] = []
    if kwargs.get("min_value") is not None:
        below = exp.LTE if kwargs.get("strict_min") else exp.LT
        sides.append(below(this=column.copy(), expression=_literal(kwargs["min_value"])))
    if kwargs.get("max_value") is not None:
        above = exp.GTE if kwargs.get("strict_max") else exp.GT
        sides.append(above(this=column.copy(), expression=_literal(kwargs["max_value"])))
    return exp.or_(*sides)


def _in_set(column: exp.Expression, kwargs: dict[str, Any]) -> exp.Expression:
    return exp.In(this=column, expressions=[_literal(value) for value in kwargs["value_set"]])


def _matches(column: exp.Expression, kwargs: dict[str, Any]) -> exp.Expression:
    return exp.RegexpLike(this=column, expression=_literal(str(kwargs["regex"])))


# Each gives the predicate that is true for a breaking row (null counts as false afterwards).
_COMPILERS: dict[str, Callable[[exp.Expression, dict[str, Any]], exp.Expression]] = {
    "expect_column_values_to_not_be_null": lambda column, _: exp.Is(this=column, expression=exp.Null()),
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_be_in_set": lambda column, kwargs: exp.not_(_in_set(column, kwargs)),
    "expect_column_values_to_not_be_in_set": _in_set,
    "expect_column_values_to_match_regex": lambda column, kwargs: exp.not_(_matches(column, kwargs)),
    "expect_column_values_to_not_match_regex": _matches,
}
_TABLE_TYPES = frozenset(
    {
        "expect_table_row_count_to_be_between",
        "expect_column_values_to_be_unique",
        "expect_column_mean_to_be_between",
        "expect_column_sum_to_be_between",
        "expect_column_min_to_be_between",
        "expect_column_max_to_be_between",
        "expect_column_unique_value_count_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
    }
)
KNOWN_TYPES = tuple(sorted(_TABLE_TYPES | set(_COMPILERS)))


def read_suite(path: Path, columns: Collection[str]) -> Suite:
    """The suite at `path`, over a table with `columns`. Every problem is listed at once.

    Raises:
        ContractError: Not JSON, an unknown expectation type, an unknown column or severity, or a rule that cannot be compiled.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        expectations = tuple(document["expectations"])
        name = str(document["name"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise ContractError(str(path), [f"is no expectation suite: {problem!r}"]) from problem
    problems = [f"expectations[{place}]: {sentence}" for place, one in enumerate(expectations) for sentence in _problems(one, columns)]
    if problems:
        raise ContractError(str(path), problems)
    return Suite(name, expectations, tuple(_row_rule(name, one) for one in expectations if one["type"] in _COMPILERS))


def _problems(expectation: Any, columns: Collection[str]) -> list[str]:
    if not isinstance(expectation, dict) or not isinstance(expectation.get("type"), str) or not isinstance(expectation.get("kwargs"), dict):
        return ["needs a type (text) and kwargs (a table)"]
    kind, kwargs, problems = expectation["type"], expectation["kwargs"], []
    if kind not in KNOWN_TYPES:
        problems.append(f"unknown type {kind!r}{nearest(kind, KNOWN_TYPES)}; known: {', '.join(KNOWN_TYPES)}")
    if expectation.get("severity", "critical") not in list(Severity):
        problems.append(f"unknown severity {expectation['severity']!r}; allowed: {', '.join(Severity)}")
    column = kwargs.get("column")
    if column is not None and column not in columns:
        problems.append(f"unknown column {column!r}{nearest(str(column), columns)}; known: {', '.join(columns)}")
    if "row_condition" in kwargs:
        problems.append("row_condition is not supported")
    return problems or _compile_problems(kind, kwargs)


def _compile_problems(kind: str, kwargs: dict[str, Any]) -> list[str]:
    if kind not in _COMPILERS:
        return []
    try:
        _breaks(kind, kwargs)
    except (KeyError, ValueError, TypeError, AttributeError) as problem:
        return [f"{kind} cannot be compiled: {problem!r}"]
    return []


def _breaks(kind: str, kwargs: dict[str, Any]) -> str:
    column = exp.column(exp.to_identifier(kwargs["column"], quoted=True))
    broken = exp.Coalesce(this=_COMPILERS[kind](column, kwargs), expressions=[exp.false()])
    return broken.sql(dialect="spark")


def _row_rule(suite: str, expectation: dict[str, Any]) -> RowRule:
    kind, kwargs = expectation["type"], expectation["kwargs"]
    short = kind.removeprefix("expect_column_values_to_")
    name = f"{suite}.{kwargs['column']}.{short}"
    return RowRule(name, Severity(expectation.get("severity", "critical")), _breaks(kind, kwargs))
