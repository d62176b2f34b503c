"""Values that an expression names: what its columns are compared with, to hold against the values there are."""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp


@dataclass(frozen=True)
class Comparison:
    """A column and a text that an expression wants it to equal, both as written."""

    column: str
    value: str


def named_values(text: str) -> tuple[Comparison, ...]:
    """Every text that a column must equal somewhere in a checked expression: by = and <=>, or in an IN list."""
    found: dict[Comparison, None] = {}
    for node in sqlglot.parse_one(text, dialect="spark").walk():
        found |= dict.fromkeys(_comparisons(node))
    return tuple(found)


def _comparisons(node: exp.Expr) -> Iterator[Comparison]:
    if isinstance(node, exp.EQ | exp.NullSafeEQ):
        for column, value in ((node.this, node.expression), (node.expression, node.this)):
            yield from _pair(column, value)
    if isinstance(node, exp.In):
        for value in node.expressions:
            yield from _pair(node.this, value)


def _pair(column: exp.Expr, value: exp.Expr) -> Iterator[Comparison]:
    if isinstance(column, exp.Column) and isinstance(value, exp.Literal) and value.is_string:
        yield Comparison(column.name, value.this)
