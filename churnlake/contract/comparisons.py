"""Comparisons that Spark would raise on: a text column against a number, for the first text that is no number."""

from collections.abc import Iterator, Mapping

import sqlglot
from sqlglot import exp

_COMPARISONS = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Nullif)


def compared_with_numbers(text: str, types: Mapping[str, str]) -> list[str]:
    """A sentence for each text column that an accepted expression compares with a number.

    Only sure cases: the column itself beside a number that is written out. `types` is the type of each column by
    name; names match without regard to case, as in Spark.
    """
    texts = {name.lower(): name for name, kind in types.items() if kind == "text"}
    tree = sqlglot.parse_one(text, dialect="spark")
    found = (_text_and_number(texts, one, other) for node in tree.walk() for one, other in _compared(node))
    return list(dict.fromkeys(sentence for sentence in found if sentence is not None))


def _compared(node: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr]]:
    """The pairs of values that a node compares."""
    match node:
        case exp.In():
            yield from ((node.this, value) for value in node.expressions)
        case exp.Between():
            yield from ((node.this, node.args[bound]) for bound in ("low", "high"))
        case exp.Case() if node.this is not None:
            yield from ((node.this, choice.this) for choice in node.args["ifs"])
        case _ if isinstance(node, _COMPARISONS):
            yield node.this, node.expression


def _text_and_number(texts: Mapping[str, str], one: exp.Expr, other: exp.Expr) -> str | None:
    for column, number in ((one.unnest(), other.unnest()), (other.unnest(), one.unnest())):
        name = texts.get(column.name.lower()) if isinstance(column, exp.Column) else None
        if name is not None and _is_number(number):
            shown = number.sql(dialect="spark")
            return (
                f"compares the text column {name!r} with the number {shown}; "
                f"write '{shown}' or give the column a numeric type"
            )
    return None


def _is_number(value: exp.Expr) -> bool:
    if isinstance(value, exp.Neg):
        return _is_number(value.this.unnest())
    return isinstance(value, exp.Literal) and not value.is_string
