"""Reading a contract file: every problem is found before any is reported.

A problem is a sentence that begins with the place it stands at, such as `churn.gap_days: must be ...`. The place is the
path of a key, with the number of an element in a list; from it the reader finds the line. Rules that one key alone
cannot show are judged from the raw keys, so that no wrong key hides another: add one beside those it resembles.
"""

import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from churnlake.contract.expressions import Expression, nearest, parse_expression
from churnlake.contract.lines import KeyLines
from churnlake.contract.mixtures import mixed_texts
from churnlake.contract.roles import ROLES_WITH_PLANS, expression_columns, role_problems
from churnlake.contract.schema import Contract, FeatureRules
from churnlake.contract.shape import shape_problems
from churnlake.contract.source import DRIFT_WITHOUT_MEANING, WRITTEN_IN, DriftRules
from churnlake.errors import ContractError, UsageError

# What the end of a file's name tells of its format; other ends tell nothing.
_ENDINGS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet"}
# Lines of these may be anything that a pattern can read.
_TEXT_ENDINGS = (".csv", ".tsv")


def load_contract(path: Path) -> Contract:
    """The checked contract at `path`.

    Raises:
        UsageError: The file is not there or cannot be read.
        ContractError: It can be read and is wrong; all problems are listed.
    """
    resolved = Path(path).resolve()
    text = _read(resolved, path)
    try:
        placed = _placed_problems(text)
    except RecursionError:
        placed = [(1, "its lists and tables are nested too deep; split them up")]
    if placed:
        raise ContractError(str(path), [f"{resolved.name}:{line}: {problem}" for line, problem in placed])
    contract = Contract.model_validate(tomllib.loads(text))
    contract._path = resolved  # noqa: SLF001 - the reader is the one place that knows it
    return contract


def _read(resolved: Path, path: Path) -> str:
    try:
        return resolved.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"no contract at {path}", next_step="give the path of a contract.toml") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(
            f"{path} cannot be read: {problem}", next_step="check its path, rights and encoding (UTF-8)"
        ) from problem


def _placed_problems(text: str) -> list[tuple[int, str]]:
    """Every problem with its line, in the order of the file."""
    try:
        keys = tomllib.loads(text)
    except ValueError as problem:  # tomllib's own error, or a number of thousands of digits
        return [(_broken_line(text, str(problem)), f"not valid TOML: {problem}")]
    lines = KeyLines(text)
    return sorted(((lines.line_of(one), one) for one in _problems(keys)), key=lambda placed: placed[0])


def _broken_line(text: str, told: str) -> int:
    """The line that tomllib names; it names none at the end of a text."""
    at = re.search(r"line (\d+)", told)
    return int(at[1]) if at else text.removesuffix("\n").count("\n") + 1


def _problems(keys: dict[str, Any]) -> list[str]:
    """All that is wrong, each problem once, in no certain order."""
    problems, misspelt = shape_problems(keys)
    problems += _expression_problems(keys)
    # Whoever corrects a misspelt key has it: that it is missing would be the same mistake told twice.
    return [one for one in dict.fromkeys(problems) if one.partition(": is missing")[0] not in misspelt]


def _expression_problems(keys: dict[str, Any]) -> list[str]:
    sources = {name: source for name, source in _table(keys, "sources").items() if isinstance(source, dict)}
    problems = role_problems(keys)
    for name, source in sources.items():
        problems += _source_problems(name, source, expression_columns(name, sources))
    problems += _activity_problems(_table(keys, "churn").get("activity"), sources)
    problems += _span_problems(keys)
    if all(source.get("role") == "lookup" or _table(source, "columns") for source in sources.values()):
        canonical = sorted({column for source in sources.values() for column in _table(source, "columns")})
        named = [name for name in canonical if name not in ("customer_id", "event_ts")]
        problems += _feature_problems(_table(keys, "features"), named)
        problems += _attribute_problems(_table(keys, "features"), sources)
    return problems


def _activity_problems(activity: object, sources: dict[str, dict[str, Any]]) -> list[str]:
    """It is asked of every source of events; where all answer alike, once is enough."""
    if not isinstance(activity, str):
        return []
    found = {
        name: _expression_problem("churn.activity", activity, list(_table(source, "columns")))
        for name, source in sources.items()
        if source.get("role") == "events" and _table(source, "columns")
    }
    alike = len({tuple(told) for told in found.values()}) == 1
    return [
        problem if alike else f"{problem}; asked of sources.{name}" for name, told in found.items() for problem in told
    ]


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


def _records(keys: dict[str, Any], name: str) -> list[tuple[int, dict[str, Any]]]:
    """The tables of the list `name`, each with its number in it."""
    return [(number, one) for number, one in _elements(keys, name) if isinstance(one, dict)]


def _elements(keys: dict[str, Any], name: str) -> list[tuple[int, Any]]:
    value = keys.get(name)
    return list(enumerate(value)) if isinstance(value, list) else []


def _source_problems(name: str, source: dict[str, Any], types: dict[str, str]) -> list[str]:
    """What is wrong in one source; `types` of the columns that its expressions may use, by name."""
    place = f"sources.{name}"
    texts = {f"{place}.ignore.{number}.when": rule.get("when") for number, rule in _records(source, "ignore")}
    texts |= {f"{place}.columns.{column}": text for column, text in _table(source, "columns").items()}
    problems = _format_problems(name, source) + _repeated_reasons(place, source)
    for where, text in texts.items():
        if isinstance(text, str):
            # Without its types a source would have every column unknown; that they are missing is told already.
            problems += _expression_problem(where, text, types if _table(source, "types") else None)
    return problems


def _repeated_reasons(place: str, source: dict[str, Any]) -> list[str]:
    reasons = [rule.get("reason") for _, rule in _records(source, "ignore")]
    return [
        f"{place}.ignore.{number}.reason: {rule['reason']!r} stands twice; each reason counts rows of its own"
        for at, (number, rule) in enumerate(_records(source, "ignore"))
        if rule.get("reason") is not None and rule["reason"] in reasons[:at]
    ]


def _format_problems(name: str, source: dict[str, Any]) -> list[str]:
    """Keys that mean nothing for the source's format, and a path that tells of another one."""
    kind, path = str(source.get("format", "csv")), str(source.get("path"))
    if kind not in DRIFT_WITHOUT_MEANING:
        return []
    problems = [
        f"sources.{name}.{key}: means nothing for {kind}, only for {' and '.join(formats)}; leave it out"
        for key, formats in WRITTEN_IN.items()
        if key in source and kind not in formats
    ]
    # Without a header a csv file has no names that could differ; nor has a text of a pattern.
    is_nameless = kind == "csv" and source.get("header") is False
    told, meaningless = (
        ("csv without a header", DRIFT_WITHOUT_MEANING["text"]) if is_nameless else (kind, DRIFT_WITHOUT_MEANING[kind])
    )
    allowed = [key for key in DriftRules.model_fields if key not in meaningless]
    problems += [
        f"sources.{name}.drift.{key}: means nothing for {told}; leave it out; allowed: {', '.join(allowed)}"
        for key in _table(source, "drift")
        if key in meaningless
    ]
    problems += [f"sources.{name}.{problem}" for problem in (*_sign_problems(source), *_pattern_problems(source))]
    ending = Path(path.removesuffix(".gz")).suffix
    if _ENDINGS.get(ending, kind) != kind and not (kind == "text" and ending in _TEXT_ENDINGS):
        problems.append(
            f'sources.{name}.format: the path ends in {ending!r}; write format = "{_ENDINGS[ending]}" or correct the '
            f"path; got {kind!r}"
        )
    if kind == "parquet" and path.endswith(".gz"):
        problems.append(f"sources.{name}.path: a parquet file is packed inside and never .gz; got {path!r}")
    return problems


def _sign_problems(source: dict[str, Any]) -> list[str]:
    """Signs of a csv file that would be taken for one another."""
    if source.get("format", "csv") != "csv":
        return []
    separator = source.get("separator", ",")
    problems = []
    if separator == source.get("quote", '"'):
        problems.append(f"quote: must differ from the separator; got {separator!r} for both")
    if separator == source.get("decimal", "."):
        instead = "such as ';'" if separator == "," else "such as ','"
        problems.append(f"decimal: must differ from the separator, {instead}; got {separator!r} for both")
    return problems


def _pattern_problems(source: dict[str, Any]) -> list[str]:
    """A text's pattern: it must be one, and its named groups must be the columns of `types`."""
    if source.get("format") != "text":
        return []
    pattern, columns = source.get("pattern"), list(_table(source, "types"))
    if pattern is None:
        return ['pattern: is missing; format = "text" needs a regular expression with a group (?P<name>...) per column']
    if not isinstance(pattern, str):
        return []
    try:
        groups = list(re.compile(pattern).groupindex)
    except (re.error, OverflowError, RecursionError) as problem:
        return [f"pattern: is no regular expression ({problem}); got {pattern!r}"]
    known = ", ".join(columns)
    problems = [
        f"pattern: the group {group!r} is no column of types{nearest(group, columns)}; known: {known}"
        for group in groups
        if group not in columns
    ]
    return problems + [
        f"types.{column}: has no group in pattern; write (?P<{column}>...) or leave the column out; "
        f"groups: {', '.join(groups) or 'none'}"
        for column in columns
        if column not in groups
    ]


def _feature_problems(features: dict[str, Any], canonical: list[str]) -> list[str]:
    named = [(f"measures.{number}.name", measure.get("name")) for number, measure in _records(features, "measures")]
    named += [(f"by.{number}.column", by.get("column")) for number, by in _records(features, "by")]
    named += [(f"distinct.{number}", column) for number, column in _elements(features, "distinct")]
    return [
        f"features.{where}: {column!r} is no canonical column of any source{nearest(column, canonical)}; "
        f"known: {', '.join(canonical)}"
        for where, column in named
        if isinstance(column, str) and column not in canonical
    ]


def _attribute_problems(features: dict[str, Any], sources: dict[str, dict[str, Any]]) -> list[str]:
    """Lists of attributes that name something else; a peer group may also be the plan that somebody pays for."""

    def mapped(*roles: str) -> set[str]:
        return {column for one in sources.values() if one.get("role") in roles for column in _table(one, "columns")}

    attributes = sorted(mapped("customers") - {"customer_id"})
    groups = sorted({*attributes, *(mapped(*ROLES_WITH_PLANS) & {"plan"})})
    allowed = {"immutable": attributes, "protected": attributes, "peer_group": groups}
    return [
        f"features.{key}.{number}: {name!r} is no attribute of any source of the role customers{nearest(name, known)}; "
        f"known: {', '.join(known) or 'none'}"
        for key, known in allowed.items()
        for number, name in _elements(features, key)
        if isinstance(name, str) and name not in known
    ]


def _expression_problem(place: str, text: str, types: Collection[str] | None) -> list[str]:
    """What is wrong with one expression; `types` is of its columns by name, or just names where types are unknown."""
    parsed = parse_expression(text, types)
    if not isinstance(parsed, Expression):
        return [f"{place}: {parsed}"]
    return [f"{place}: {told}" for told in mixed_texts(text, types)] if isinstance(types, dict) else []


def expression_sql(text: str, columns: list[str]) -> str:
    """The SQL of an expression that `load_contract` has accepted."""
    parsed = parse_expression(text, columns)
    if isinstance(parsed, str):
        raise ContractError("contract", [f"{text!r} {parsed}"])
    return parsed.sql
