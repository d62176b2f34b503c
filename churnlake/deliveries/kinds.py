"""Typed and nested files: the kinds of values at every path, held against the types of the contract."""

from collections.abc import Collection, Mapping
from typing import Literal

from churnlake.contract.source import Source
from churnlake.deliveries.layout import Drift, Match, Path, contract_paths, loose, match_columns, shown

Kind = Literal["text", "number", "boolean", "time", "null", "list", "record", "bytes", "time of day", "duration"]

# What is no single value, or one that Spark has no type for, fits nothing; and what many of them are called.
UNSUPPORTED: Mapping[Kind, str] = {
    "list": "lists", "record": "records", "bytes": "bytes", "time of day": "times of day", "duration": "durations",
}  # fmt: skip


def family(column_type: str) -> Kind:
    """The kind of values that a type of the contract is made of."""
    match column_type:
        case "text":
            return "text"
        case "boolean":
            return "boolean"
        case "date" | "timestamp":
            return "time"
        case _:
            return "number"


def match_kinds(kinds: Mapping[Path, Collection[Kind]], source: Source) -> Match:
    """The columns of a file with typed and nested fields, held against the contract's.

    `kinds` are the kinds of values seen at every path, paths of records included. A record that the contract names
    nothing of is one column.
    """
    parents = {loose(path[:depth]) for path in contract_paths(source) for depth in range(1, len(path))}
    columns: dict[Path, set[Kind]] = {}
    for path, here in kinds.items():
        if loose(path) not in parents or "record" not in here:
            columns.setdefault(_outside(path, parents), set()).update(here)
    match = match_columns(list(columns), source)
    strange, retyped = _judge(match, columns, source)
    return Match(match.layout, (*match.problems, *strange), (*match.drift, *retyped))


def _outside(path: Path, parents: Collection[Path]) -> Path:
    """The path as far as it is a column: a record beside the contract's is one, whatever it holds."""
    depth = next((depth for depth in range(1, len(path)) if loose(path[:depth]) not in parents), len(path))
    return path[:depth]


def _judge(match: Match, columns: Mapping[Path, Collection[Kind]], source: Source) -> tuple[list[str], list[Drift]]:
    """Columns that hold what no contract can name, and columns none of whose values can become the contract's type."""
    strange, retyped = [], []
    for field, (path, kinds) in zip(match.layout, columns.items(), strict=True):
        if field.column is None:
            continue
        wanted = source.types[field.column]
        told = sorted(set(kinds) - {"null"})
        unsupported = [kind for kind in told if kind in UNSUPPORTED]
        if unsupported:
            strange.append(
                f"column {shown(path)} holds {UNSUPPORTED[unsupported[0]]}, which cannot become {wanted}; "
                "take it out of `types`"
            )
        elif told and not any(family(wanted) in ("text", kind) for kind in told):
            retyped.append(Drift("retyped", f"column {shown(path)} is {' or '.join(told)}; the contract says {wanted}"))
    return strange, retyped
