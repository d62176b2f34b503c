"""Whether the columns of a suite are of a type its rules can judge, so that no value meets a cast that raises."""

from collections.abc import Iterator, Mapping
from typing import Any

from churnlake.suites.kinds import KINDS
from churnlake.suites.suite import Suite, expectation_names
from churnlake.suites.values import is_day

_TEXTS = ("text", "string")
_TIMES = ("date", "timestamp", "timestamp_ntz", "timestamptz")
_NUMBERS = ("byte", "short", "tinyint", "smallint", "int", "bigint", "float", "double")
_NUMERIC = ("mean", "median", "stdev", "sum", "quantile")


def type_problems(suite: Suite, types: Mapping[str, str]) -> list[str]:
    """What cannot be judged over columns of these types, by Spark's names or a contract's; empty when all fits."""
    names = expectation_names(suite.name, suite.expectations)
    return [
        f"{name}: {sentence}"
        for name, one in zip(names, suite.expectations, strict=True)
        for sentence in problems_by_type(one["type"], one["kwargs"], types)
    ]


def problems_by_type(kind: str, kwargs: Mapping[str, Any], types: Mapping[str, str]) -> Iterator[str]:
    """What cannot be judged of one expectation whose kwargs are known to be good."""
    for column, wanted in _wanted(kind, kwargs, types):
        found = family(types[column])
        if found != wanted:
            told = f"column {column!r} is {types[column]}, and this judges {wanted} columns"
            yield f"{told}; give it another type or rule"


def family(kind: str) -> str:
    """The sort of values a type holds: what can be compared with each other."""
    plain = kind.partition("(")[0]
    if plain in _TEXTS:
        return "text"
    if plain in _TIMES:
        return "time"
    return "number" if plain in _NUMBERS or plain == "decimal" else plain


def _wanted(kind: str, kwargs: Mapping[str, Any], types: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each column of an expectation with the family of values its rule can be asked of."""
    if "column_A" in kwargs:
        yield kwargs["column_B"], family(types[kwargs["column_A"]])
    if "column" not in kwargs:
        return
    column = kwargs["column"]
    if "regex" in kwargs or kind == "expect_column_value_lengths_to_be_between":
        yield column, "text"
    elif any(kind == f"expect_column_{one}_to_be_between" for one in (*_NUMERIC, "quantile_values")):
        yield column, "number"
    elif "value_set" in kwargs:
        yield column, _of_set(kwargs["value_set"], family(types[column]), kind)
    elif "partition_object" in kwargs:
        yield column, "number" if "bins" in kwargs["partition_object"] else _of(kwargs["partition_object"]["values"][0])
    elif (bounds := KINDS[kind].bounds) and bounds(_SOME_DAY) is None:
        yield column, _of_bounds(kwargs)


_SOME_DAY = "2000-01-01"


def _of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "number"


def _of_bounds(kwargs: Mapping[str, Any]) -> str:
    bounds = [kwargs[name] for name in ("min_value", "max_value") if kwargs.get(name) is not None]
    return "time" if is_day(bounds[0]) else "number"


def _of_set(values: list[Any], found: str, kind: str) -> str:
    """Days are written as texts. Great Expectations finds none of them the most common one, so that is left out."""
    if found == "time" and all(is_day(one) for one in values) and "most_common" not in kind:
        return "time"
    return _of(values[0])
