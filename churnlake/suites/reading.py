"""Reading a suite: everything Great Expectations would drop, take otherwise or find out only at night is refused."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from churnlake.contract.expressions import SUBSTITUTION, Expression, nearest
from churnlake.errors import ContractError
from churnlake.suites.conditions import PARSER, compile_condition
from churnlake.suites.kinds import CONDITION, KINDS, KNOWN_TYPES, Kind
from churnlake.suites.suite import RowRule, Severity, Suite, expectation_names, given_name
from churnlake.suites.types import problems_by_type
from churnlake.suites.values import is_day

_KEYS = ("type", "kwargs", "severity", "meta")


def read_suite(path: Path, columns: Collection[str] | Mapping[str, str]) -> Suite:
    """The suite at `path`, over a table with `columns`; every problem is listed at once.

    Where `columns` also gives each one's type (a contract's or Spark's name), rules that cannot judge it are refused.

    Raises:
        ContractError: Not JSON, or an expectation that cannot be meant: unknown, wrongly given, named twice.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
        expectations = tuple(document["expectations"])
        name = str(document["name"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        wanted = 'JSON with "name" and a list "expectations"'
        raise ContractError(str(path), [f"is no expectation suite ({wanted}): {problem!r}"]) from problem
    problems = [] if name == path.stem else [f"name: must be {path.stem!r}, as the file is called; got {name!r}"]
    for place, one in enumerate(expectations):
        problems += [f"expectations[{place}]: {sentence}" for sentence in _problems(one, columns)]
    problems += _named_twice(expectations)
    if problems:
        raise ContractError(str(path), problems)
    held = tuple(_as_judged(one, columns) for one in expectations)
    named = zip(expectation_names(name, held), held, strict=True)
    return Suite(name, held, tuple(_row_rule(title, one) for title, one in named if KINDS[one["type"]].compiles))


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
        given = expectation["severity"]
        yield f"unknown severity {given!r}{nearest(str(given), list(Severity))}; allowed: {', '.join(Severity)}"
    yield from _meta_problems(expectation.get("meta"))
    if kind in KINDS:
        yield from _kwargs_problems(kind, kwargs, columns)
    else:
        yield f"unknown type {kind!r}{nearest(kind, KNOWN_TYPES)}; known: {', '.join(KNOWN_TYPES)}"


def _meta_problems(meta: object) -> Iterator[str]:
    if meta is not None and not isinstance(meta, dict):
        yield f'meta must be an object, such as {{"reason": ...}}; got {meta!r}'
    elif isinstance(meta, dict) and "name" in meta:
        name = meta["name"]
        if not isinstance(name, str) or not name.isascii() or not name.isidentifier() or name != name.lower():
            yield f"meta name must be lower-case letters, digits and _, a letter first; got {name!r}"


def _kwargs_problems(name: str, kwargs: dict[str, Any], columns: Collection[str]) -> Iterator[str]:
    kind = KINDS[name]
    found = [
        *_unknown(kwargs, kind),
        *_columns_problems(kind, kwargs, columns),
        *_value_problems(kind, kwargs),
        *_bounds_problems(kind, kwargs),
    ]
    condition = compile_condition(kwargs, columns)
    found += [condition] if isinstance(condition, str) else []
    if SUBSTITUTION in json.dumps(kwargs):
        found.append(f"holds {SUBSTITUTION!r}, where Spark would put in a setting; leave it out")
    # Only of kwargs that are right can be said what columns they can judge.
    yield from found or (problems_by_type(name, kwargs, columns) if isinstance(columns, Mapping) else ())


def _unknown(kwargs: dict[str, Any], kind: Kind) -> Iterator[str]:
    for name in kwargs:
        if name not in kind.kwargs:
            yield f"unknown kwarg {name!r}{nearest(name, kind.kwargs)}; allowed: {', '.join(kind.kwargs)}"


def _columns_problems(kind: Kind, kwargs: dict[str, Any], columns: Collection[str]) -> Iterator[str]:
    for domain in kind.domain:
        given = kwargs.get(domain)
        if given is None:
            yield f"{domain} is missing; known: {', '.join(columns)}"
            continue
        for column in given if isinstance(given, list) else [given]:
            if column not in list(columns):
                yield f"unknown column {column!r}{nearest(str(column), columns)}; known: {', '.join(columns)}"


def _value_problems(kind: Kind, kwargs: dict[str, Any]) -> Iterator[str]:
    for name, check in {**kind.needs, **kind.may}.items():
        if name in kind.domain and (name != "column_list" or kwargs.get(name) is None):
            continue
        if name in kind.needs and (wanted := check(kwargs.get(name))):
            yield f"needs {name}, {wanted}; got {kwargs.get(name)!r}"
        elif name not in kind.needs and name in kwargs and (wanted := check(kwargs[name])):
            yield f"{name} must be {wanted}; got {kwargs[name]!r}"


def _bounds_problems(kind: Kind, kwargs: dict[str, Any]) -> Iterator[str]:
    if kind.bounds is None:
        return
    given = {name: kwargs[name] for name in ("min_value", "max_value") if kwargs.get(name) is not None}
    if not given:
        yield "needs min_value, max_value or both"
    wrong = [
        f"{name} must be {wanted}; got {value!r}" for name, value in given.items() if (wanted := kind.bounds(value))
    ]
    yield from wrong
    if wrong or len(given) < len(("min_value", "max_value")):
        return
    low, high = given["min_value"], given["max_value"]
    if is_day(low) != is_day(high):
        yield f"min_value and max_value must be two numbers or two days; got {low!r} and {high!r}"
    elif low > high:
        yield f"min_value must not be above max_value; got {low!r} and {high!r}"


def _named_twice(expectations: tuple[Any, ...]) -> list[str]:
    """A name is given to tell one rule from another."""
    met: dict[tuple[str, str], int] = {}
    problems = []
    for place, one in enumerate(expectations):
        if not isinstance(one, dict) or not isinstance(one.get("kwargs"), dict) or not (name := given_name(one)):
            continue
        key = (str(one["kwargs"].get("column") or one["kwargs"].get("column_A")), name)
        if key in met:
            problems.append(f"expectations[{place}]: meta name {name!r} is that of expectations[{met[key]}] too")
        met.setdefault(key, place)
    return problems


def _as_judged(expectation: dict[str, Any], columns: Collection[str]) -> dict[str, Any]:
    """The expectation as Great Expectations gets it: its row condition is the checked text, quantiles are doubles."""
    kwargs = dict(expectation["kwargs"])
    condition = compile_condition(kwargs, columns)
    if isinstance(condition, Expression):
        kwargs |= zip(CONDITION, (condition.sql, PARSER), strict=True)
    if ranges := kwargs.get("quantile_ranges"):
        # Spark takes 0 and 1 only as 0.0 and 1.0.
        kwargs["quantile_ranges"] = {**ranges, "quantiles": [float(one) for one in ranges["quantiles"]]}
    return {**expectation, "kwargs": kwargs}


def _row_rule(name: str, expectation: dict[str, Any]) -> RowRule:
    return RowRule(name, Severity(expectation.get("severity", "critical")), _breaks(expectation))


def _breaks(expectation: dict[str, Any]) -> str:
    compiles = KINDS[expectation["type"]].compiles
    assert compiles is not None  # noqa: S101 - only rules about a row come here
    predicate = compiles(expectation["kwargs"]).sql(dialect="spark")
    condition = expectation["kwargs"].get("row_condition")
    return f"COALESCE(({predicate}) AND ({condition}), FALSE)" if condition else f"COALESCE({predicate}, FALSE)"
