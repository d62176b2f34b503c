"""The supported types of expectation: their kwargs, what those may hold, and how a rule about a row is compiled."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from churnlake.suites import values
from churnlake.suites.values import Check

Compiler = Callable[[dict[str, Any]], exp.Expr]
CONDITION = ("row_condition", "condition_parser")


@dataclass(frozen=True)
class Kind:
    """One type. `needs` must be given, `may` can be; `bounds` says what min_value and max_value are.

    `compiles` gives the predicate that is true for a breaking row (null counts as false afterwards); None where a rule
    is about the whole table and only gates.
    """

    needs: Mapping[str, Check]
    may: Mapping[str, Check]
    bounds: Check | None = None
    compiles: Compiler | None = None

    @property
    def domain(self) -> tuple[str, ...]:
        """Those of its kwargs that name columns."""
        return tuple(name for name in self.needs if name in ("column", "column_A", "column_B", "column_list"))

    @property
    def kwargs(self) -> tuple[str, ...]:
        """Every kwarg it takes, columns first."""
        return (*self.needs, *self.may, *CONDITION)


def column_of(name: str) -> exp.Expr:
    """The column, quoted: nothing in a suite is ever code."""
    return exp.column(exp.to_identifier(name, quoted=True))


def _number(value: float) -> exp.Expr:
    """A double, as Great Expectations makes of every bound: decimals are compared with it as doubles too."""
    return exp.Cast(this=exp.Literal.string(repr(float(value))), to=exp.DataType.build("DOUBLE"))


def _bound(value: object) -> exp.Expr:
    if isinstance(value, str):
        return exp.Cast(this=exp.Literal.string(value), to=exp.DataType.build("DATE"))
    assert isinstance(value, int | float)  # noqa: S101 - read_suite has refused all others
    return _number(value)


def _member(value: object) -> exp.Expr:
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, float):
        return _number(value)
    return exp.Literal.number(value) if isinstance(value, int) else exp.Literal.string(str(value))


def _outside(measured: exp.Expr, kwargs: dict[str, Any]) -> exp.Expr:
    sides: list[exp.Expr] = []
    if kwargs.get("min_value") is not None:
        below = exp.LTE if kwargs.get("strict_min") else exp.LT
        sides.append(below(this=measured.copy(), expression=_bound(kwargs["min_value"])))
    if kwargs.get("max_value") is not None:
        above = exp.GTE if kwargs.get("strict_max") else exp.GT
        sides.append(above(this=measured.copy(), expression=_bound(kwargs["max_value"])))
    return exp.or_(*sides)


def _is_null(kwargs: dict[str, Any]) -> exp.Expr:
    return exp.Is(this=column_of(kwargs["column"]), expression=exp.Null())


def _not_between(kwargs: dict[str, Any]) -> exp.Expr:
    return _outside(column_of(kwargs["column"]), kwargs)


def _wrong_length(kwargs: dict[str, Any]) -> exp.Expr:
    return _outside(exp.Length(this=column_of(kwargs["column"])), kwargs)


def _in_set(kwargs: dict[str, Any]) -> exp.Expr:
    return exp.In(this=column_of(kwargs["column"]), expressions=[_member(value) for value in kwargs["value_set"]])


def _matches(kwargs: dict[str, Any]) -> exp.Expr:
    return exp.RegexpLike(this=column_of(kwargs["column"]), expression=exp.Literal.string(kwargs["regex"]))


def _not_greater(kwargs: dict[str, Any]) -> exp.Expr:
    """A missing value passes whatever `ignore_row_if` says: that only decides how many rows the share is taken of."""
    breaks = exp.LT if kwargs.get("or_equal") else exp.LTE
    return breaks(this=column_of(kwargs["column_A"]), expression=column_of(kwargs["column_B"]))


def _not(compiles: Compiler) -> Compiler:
    return lambda kwargs: exp.not_(compiles(kwargs))


_MOSTLY = {"mostly": values.share_above_zero}
_RANGE = {"min_value": values.anything, "max_value": values.anything, "strict_min": values.flag, "strict_max": values.flag}  # fmt: skip # noqa: E501


def _row(compiles: Compiler, bounds: Check | None = None, **more: Check) -> Kind:
    return Kind({"column": values.text, **more}, {**(_RANGE if bounds else {}), **_MOSTLY}, bounds, compiles)


def _between(bounds: Check, column: dict[str, Check] | None = None) -> Kind:
    return Kind({"column": values.text} if column is None else column, _RANGE, bounds)


def _values(set_: Check = values.value_set, **may: Check) -> Kind:
    return Kind({"column": values.text, "value_set": set_}, may)


_PAIR = {
    "or_equal": values.flag,
    "ignore_row_if": values.one_of("both_values_are_missing", "either_value_is_missing", "neither"),
}
_COMPOUND = {"ignore_row_if": values.one_of("all_values_are_missing", "any_value_is_missing", "never")}
_HOLDOUTS = {"internal_weight_holdout": values.share, "tail_weight_holdout": values.share}

KINDS: dict[str, Kind] = {
    "expect_column_values_to_not_be_null": _row(_is_null),
    "expect_column_values_to_be_between": _row(_not_between, values.number_or_day),
    "expect_column_values_to_be_in_set": _row(_not(_in_set), value_set=values.value_set),
    "expect_column_values_to_not_be_in_set": _row(_in_set, value_set=values.value_set),
    "expect_column_values_to_match_regex": _row(_not(_matches), regex=values.text),
    "expect_column_values_to_not_match_regex": _row(_matches, regex=values.text),
    "expect_column_value_lengths_to_be_between": _row(_wrong_length, values.count),
    "expect_column_pair_values_a_to_be_greater_than_b": Kind(
        {"column_A": values.text, "column_B": values.text}, {**_PAIR, **_MOSTLY}, None, _not_greater
    ),
    "expect_column_values_to_be_unique": Kind({"column": values.text}, _MOSTLY),
    "expect_compound_columns_to_be_unique": Kind({"column_list": values.columns}, {**_COMPOUND, **_MOSTLY}),
    "expect_column_mean_to_be_between": _between(values.number),
    "expect_column_median_to_be_between": _between(values.number),
    "expect_column_stdev_to_be_between": _between(values.number),
    "expect_column_sum_to_be_between": _between(values.number),
    "expect_column_min_to_be_between": _between(values.number_or_day),
    "expect_column_max_to_be_between": _between(values.number_or_day),
    "expect_column_quantile_values_to_be_between": Kind(
        {"column": values.text, "quantile_ranges": values.quantile_ranges}, {"allow_relative_error": values.share}
    ),
    "expect_column_unique_value_count_to_be_between": _between(values.count),
    "expect_column_proportion_of_unique_values_to_be_between": _between(values.share),
    "expect_column_proportion_of_non_null_values_to_be_between": _between(values.share),
    "expect_column_distinct_values_to_be_in_set": _values(),
    "expect_column_distinct_values_to_contain_set": _values(),
    "expect_column_distinct_values_to_equal_set": _values(),
    "expect_column_most_common_value_to_be_in_set": _values(ties_okay=values.flag),
    "expect_column_kl_divergence_to_be_less_than": Kind(
        {"column": values.text, "partition_object": values.partition, "threshold": values.number}, _HOLDOUTS
    ),
    "expect_table_row_count_to_be_between": _between(values.count, {}),
    "expect_table_row_count_to_equal": Kind({"value": values.count}, {}),
}
KNOWN_TYPES = tuple(sorted(KINDS))
