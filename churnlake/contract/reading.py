"""Reading a contract file: every problem is found before any is reported."""

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from churnlake.contract.expressions import Expression, nearest, parse_expression
from churnlake.contract.roles import expression_columns, role_problems
from churnlake.contract.schema import Contract, FeatureRules
from churnlake.contract.source import DRIFT_WITHOUT_MEANING, DriftRules
from churnlake.contract.values import COLUMN, CURRENCY, NAME, TYPE
from churnlake.errors import ContractError, UsageError

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

# What the end of a file's name tells of its format; other ends tell nothing.
_ENDINGS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}


def load_contract(path: Path) -> Contract:
    """The checked contract at `path`.

    Raises:
        UsageError: The file is not there or cannot be read.
        ContractError: It can be read and is wrong; all problems are listed.
    """
    resolved = Path(path).resolve()
    try:
        keys = tomllib.loads(resolved.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no contract at {path}", next_step="give the path of a contract.toml") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(
            f"{path} cannot be read: {problem}", next_step="check its path, rights and encoding (UTF-8)"
        ) from problem
    except tomllib.TOMLDecodeError as problem:
        raise ContractError(str(path), [f"not valid TOML: {problem}"]) from problem
    return _validated(resolved, str(path), keys)


def _validated(resolved: Path, shown: str, keys: dict[str, Any]) -> Contract:
    problems: list[str] = []
    contract = None
    try:
        contract = Contract.model_validate(keys)
    except ValidationError as invalid:
        problems += [_sentence(error) for error in invalid.errors()]
    # The expressions are judged from the raw keys, so that one wrong key does not hide a wrong expression.
    problems += _expression_problems(keys)
    if contract is None or problems:
        raise ContractError(shown, problems)
    contract._path = resolved  # noqa: SLF001 - the reader is the one place that knows it
    return contract


def _sentence(error: Any) -> str:
    """Where, what was given, and what is allowed."""
    place = ".".join(str(part) for part in error["loc"] if part != "[key]")
    given = error.get("input")
    shown = f"; got {given!r}" if isinstance(given, str | int | float | bool) else ""
    match error["type"]:
        case "extra_forbidden":
            allowed = _fields_at(error["loc"][:-1])
            return f"{place}: unknown key{nearest(str(error['loc'][-1]), allowed)}; allowed: {', '.join(allowed)}"
        case "missing":
            return f"{place}: is missing"
        case "string_pattern_mismatch":
            close = nearest(str(given), COLUMN_TYPES) if error["ctx"]["pattern"] == f"^({TYPE})$" else ""
            return f"{place}: must be {_SHAPES[error['ctx']['pattern']]}{shown}{close}"
        case "model_type" | "dict_type":
            return f"{place}: must be a table of keys, such as [{place}]; got {given!r}"
        case "value_error":
            return f"{place}: {error['ctx']['error']}"
        case _:
            choices = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
            return f"{place}: {_lowered(error['msg'])}{shown}{nearest(str(given), choices)}"


def _lowered(message: str) -> str:
    """Pydantic's own sentence, in ours: `must be ...`."""
    return re.sub(r"^Input should (have|be)", r"must \1", message).replace("tuple", "list")


def _fields_at(place: tuple[int | str, ...]) -> list[str]:
    """The keys allowed in the table at `place`, found by walking the schema's own JSON form."""
    schema = Contract.model_json_schema(by_alias=True)
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


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return schema["$defs"][reference.rsplit("/", 1)[1]] if reference else node


def _expression_problems(keys: dict[str, Any]) -> list[str]:
    sources = {name: source for name, source in _table(keys, "sources").items() if isinstance(source, dict)}
    problems = role_problems(keys)
    for name, source in sources.items():
        problems += _source_problems(name, source, list(expression_columns(name, sources)))
    activity = _table(keys, "churn").get("activity")
    if isinstance(activity, str):
        found = [
            _expression_problem("churn.activity", activity, list(_table(one, "columns")))
            for one in sources.values()
            if one.get("role") == "events"
        ]
        # It is asked of every source; where all answer alike, once is enough.
        problems += list(dict.fromkeys(problem for one in found for problem in one))
    canonical = sorted({column for source in sources.values() for column in _table(source, "columns")})
    features = [name for name in canonical if name not in ("customer_id", "event_ts")]
    problems += [*_feature_problems(_table(keys, "features"), features), *_span_problems(keys)]
    return [*problems, *_attribute_problems(_table(keys, "features"), sources)]


def _span_problems(keys: dict[str, Any]) -> list[str]:
    """Features and population read twice the longest window; what looks further back would find nothing."""
    windows = _table(keys, "features").get("windows_days", FeatureRules().windows_days)
    if not isinstance(windows, list | tuple) or not all(isinstance(days, int) for days in windows) or not windows:
        return []
    span = 2 * max(windows)
    churn = _table(keys, "churn")
    return [
        f"churn.{name}: must be at most {span}, twice the longest of features.windows_days; got {churn[name]}; "
        "add a longer window or shorten it"
        for name in ("active_within_days", "min_tenure_days")
        if isinstance(churn.get(name), int) and churn[name] > span
    ]


def _table(keys: dict[str, Any], name: str) -> dict[str, Any]:
    value = keys.get(name)
    return value if isinstance(value, dict) else {}


def _records(keys: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = keys.get(name)
    return [record for record in value if isinstance(record, dict)] if isinstance(value, list) else []


def _source_problems(name: str, source: dict[str, Any], typed: list[str]) -> list[str]:
    mapped = _table(source, "columns")
    texts = {f"ignore.{rule.get('reason')}": rule.get("when") for rule in _records(source, "ignore")}
    texts |= {f"columns.{column}": text for column, text in mapped.items()}
    problems = _format_problems(name, source)
    for place, text in texts.items():
        if isinstance(text, str):
            problems += _expression_problem(f"sources.{name}.{place}", text, typed)
    return problems


def _format_problems(name: str, source: dict[str, Any]) -> list[str]:
    """Keys that mean nothing for the source's format, and a path that tells of another one."""
    kind, path = source.get("format", "csv"), str(source.get("path"))
    if kind not in DRIFT_WITHOUT_MEANING:
        return []
    problems = []
    if kind != "csv" and "separator" in source:
        problems.append(f"sources.{name}.separator: means nothing for {kind}; leave it out")
    allowed = [key for key in DriftRules.model_fields if key not in DRIFT_WITHOUT_MEANING[kind]]
    problems += [
        f"sources.{name}.drift.{key}: means nothing for {kind}; leave it out; allowed: {', '.join(allowed)}"
        for key in _table(source, "drift")
        if key in DRIFT_WITHOUT_MEANING[kind]
    ]
    ending = Path(path.removesuffix(".gz")).suffix
    if _ENDINGS.get(ending, kind) != kind:
        problems.append(
            f'sources.{name}.format: the path ends in {ending!r}; write format = "{_ENDINGS[ending]}" or correct the '
            f"path; got {kind!r}"
        )
    if kind == "parquet" and path.endswith(".gz"):
        problems.append(f"sources.{name}.path: a parquet file is packed inside and never .gz; got {path!r}")
    return problems


def _feature_problems(features: dict[str, Any], canonical: list[str]) -> list[str]:
    distinct = features.get("distinct")
    named = [("measures", measure.get("name")) for measure in _records(features, "measures")]
    named += [("by", by.get("column")) for by in _records(features, "by")]
    named += [("distinct", column) for column in (distinct if isinstance(distinct, list) else [])]
    return [
        f"features.{kind}: {column!r} is no canonical column of any source{nearest(column, canonical)}; "
        f"known: {', '.join(canonical)}"
        for kind, column in named
        if isinstance(column, str) and column not in canonical
    ]


def _attribute_problems(features: dict[str, Any], sources: dict[str, dict[str, Any]]) -> list[str]:
    """Lists of attributes that name something else; a peer group may also be the plan of a subscription."""
    by_role = {
        role: {column for one in sources.values() if one.get("role") == role for column in _table(one, "columns")}
        for role in ("customers", "subscriptions")
    }
    attributes = sorted(by_role["customers"] - {"customer_id"})
    groups = sorted({*attributes, *(by_role["subscriptions"] & {"plan"})})
    allowed = {"immutable": attributes, "protected": attributes, "peer_group": groups}
    return [
        f"features.{key}: {name!r} is no attribute of any source of the role customers{nearest(name, known)}; "
        f"known: {', '.join(known) or 'none'}"
        for key, known in allowed.items()
        for name in (features[key] if isinstance(features.get(key), list) else [])
        if isinstance(name, str) and name not in known
    ]


def _expression_problem(place: str, text: str, columns: list[str]) -> list[str]:
    parsed = parse_expression(text, columns)
    return [] if isinstance(parsed, Expression) else [f"{place}: {parsed}"]


def expression_sql(text: str, columns: list[str]) -> str:
    """The SQL of an expression that `load_contract` has accepted."""
    parsed = parse_expression(text, columns)
    if isinstance(parsed, str):
        raise ContractError("contract", [f"{text!r} {parsed}"])
    return parsed.sql
