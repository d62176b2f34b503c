"""The shape of a contract: what pydantic finds wrong with its keys and values, told in our sentences."""

import copy
import re
from datetime import date, time
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from churnlake.contract.expressions import nearest, nearest_name
from churnlake.contract.lines import Place
from churnlake.contract.schema import Contract
from churnlake.contract.values import COLUMN, CURRENCY, NAME, TYPE

COLUMN_TYPES = ("text", "int", "bigint", "double", "boolean", "date", "timestamp", "decimal(12,2)")

# What a value must look like, by the pattern it did not fit.
_SHAPES = {
    f"^{NAME}$": "a lower-case letter, then at most 39 lower-case letters, digits or _",
    f"^{COLUMN}$": (
        "a letter or _, then at most 63 letters, digits, blanks or _; in json and parquet up to five such names with "
        "dots between them"
    ),
    f"^({TYPE})$": f"one of {', '.join(COLUMN_TYPES)} (digits and decimals as needed)",
    f"^{CURRENCY}$": "three capital letters, such as 'GBP'",
}

# What others call our types; a name that is merely misspelt is found without.
_OTHER_NAMES_OF_TYPES = {
    "string": "text", "str": "text", "varchar": "text", "char": "text", "integer": "int", "smallint": "int",
    "long": "bigint", "float": "double", "real": "double", "bool": "boolean", "datetime": "timestamp",
    "number": "decimal(12,2)", "numeric": "decimal(12,2)", "money": "decimal(12,2)",
}  # fmt: skip


def shape_problems(keys: dict[str, Any]) -> tuple[list[str], set[str]]:
    """What is wrong with the raw keys of a contract, and the places of known keys that were meant by unknown ones.

    Each problem is a sentence that begins with its place, such as `churn.gap_days: must be ...`.
    """
    errors = _all_errors(keys)
    meant = (_meant(error) for error in errors if error["type"] == "extra_forbidden")
    return [_sentence(error) for error in errors], {place for place in meant if place is not None}


def _all_errors(keys: dict[str, Any]) -> list[ErrorDetails]:
    """What pydantic finds, and what it would find next: it asks a rule over a table only when all its parts are right.

    So what is wrong is taken out and the rest is looked at again, until a look finds nothing that was not asked before.
    """
    fresh = found = _errors(keys)
    while fresh:
        rest = copy.deepcopy(keys)
        wrong = {_place(error) for error in found if error["type"] != "missing"}
        for place in sorted(wrong, key=lambda one: [str(part).zfill(9) for part in one], reverse=True):
            _drop(rest, place)
        around = {place[:depth] for place in wrong for depth in range(len(place))} - {error["loc"] for error in found}
        fresh = [error for error in _errors(rest) if error["type"] == "value_error" and error["loc"] in around]
        found = [*found, *fresh]
    return found


def _errors(keys: dict[str, Any]) -> list[ErrorDetails]:
    try:
        Contract.model_validate(keys)
    except ValidationError as invalid:
        return invalid.errors()
    return []


def _drop(keys: Any, place: Place) -> None:
    """Takes one part out, and every part around it that is empty then."""
    part, *rest = place
    try:
        if rest:
            _drop(keys[part], tuple(rest))
        if not rest or not keys[part]:
            del keys[part]
    except (LookupError, TypeError):
        pass  # a part of it is out already


def _place(error: ErrorDetails) -> Place:
    return tuple(part for part in error["loc"] if part != "[key]")


def _meant(error: ErrorDetails) -> str | None:
    """The place of the known key that an unknown one is nearest to."""
    *table, key = _place(error)
    close = nearest_name(str(key), _fields_at(tuple(table)))
    return None if close is None else ".".join(map(str, [*table, close]))


def _sentence(error: ErrorDetails) -> str:
    """Where, what was given, and what is allowed."""
    place, given, kind, limits = _place(error), error["input"], error["type"], error.get("ctx", {})
    where, got = ".".join(map(str, place)), f"; got {_shown(given)}"
    match kind:
        case "extra_forbidden":
            allowed = _fields_at(place[:-1])
            told = f"unknown key{nearest(str(place[-1]), allowed)}; allowed: {', '.join(allowed)}"
        case "missing":
            told = "is missing"
        case "value_error":
            told = str(limits["error"])
        case "string_pattern_mismatch":
            told = f"must be {_fitting(limits['pattern'])}{got}{_near_type(given, limits['pattern'])}"
        case "model_type" | "dict_type":
            told = f"must be a table of keys, such as [{where}]{got}"
        case "too_short" | "too_long":
            least, most = limits.get("min_length"), limits.get("max_length")
            bound = f"at least {least}" if most is None else f"at most {most}"
            told = f"must hold {bound}; got {limits['actual_length']}"
        case _ if kind.startswith("date"):
            told = f"must be a date such as '2010-12-01'{_why(limits)}{got}"
        case _ if kind.startswith("time"):
            told = f"must be a time such as '05:00'{_why(limits)}{got}"
        case _:
            choices = re.findall(r"'([^']*)'", str(limits.get("expected", "")))
            told = f"{_lowered(error['msg'])}{got}{nearest(str(given), choices)}"
    return f"{where}: {told}"


def _fitting(pattern: str) -> str:
    return _SHAPES.get(pattern, f"text that fits {pattern}")


def _shown(given: object) -> str:
    match given:
        case dict():
            return "a table"
        case list():
            return "a list"
        case date() | time():
            return given.isoformat()
        case _:
            return repr(given)


def _why(limits: dict[str, Any]) -> str:
    return f" ({limits['error']})" if "error" in limits else ""


def _near_type(given: object, pattern: str) -> str:
    if pattern != f"^({TYPE})$":
        return ""
    known = _OTHER_NAMES_OF_TYPES.get(str(given).strip().lower().partition("(")[0])
    return f", did you mean {known!r}?" if known else nearest(str(given), COLUMN_TYPES)


def _lowered(message: str) -> str:
    """Pydantic's own sentence, in ours: `must be ...`."""
    return re.sub(r"^\w+ should (have|be)", r"must \1", message).replace("tuple", "list")


def _fields_at(place: Place) -> list[str]:
    """The keys allowed in the table at `place`, found by walking the schema's own JSON form."""
    schema = _schema()
    node: dict[str, Any] = schema
    for part in place:
        node = _resolved(schema, node)
        if isinstance(part, int):
            node = node.get("items") or node["prefixItems"][0]
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            node = next(iter(node.get("patternProperties", {}).values()), node.get("additionalProperties", {}))
    return list(_resolved(schema, node).get("properties", {}))


@cache
def _schema() -> dict[str, Any]:
    return Contract.model_json_schema(by_alias=True)


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The node that is meant by a reference, or by the first of several choices: a table before a word for it."""
    choice: dict[str, Any] = node.get("anyOf", [node])[0]
    return schema["$defs"][choice["$ref"].rsplit("/", 1)[1]] if "$ref" in choice else choice
