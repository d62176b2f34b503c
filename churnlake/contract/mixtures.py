"""Text columns where Spark wants another type: it casts them itself, and the first text that does not fit ends a night.

Only sure cases are found: the column itself, beside a number that is written out or a column of another type.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product

import sqlglot
from sqlglot import exp

_COMPARISONS = (exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Nullif)
_CHOICES = (exp.Coalesce, exp.Greatest, exp.Least)
# + - and * are handed to Spark in a form that makes null of such a text.
_CALCULATIONS = (exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Sign)


def mixed_texts(text: str, types: Mapping[str, str]) -> list[str]:
    """A sentence for each text column that an accepted expression uses where Spark wants another type.

    `types` is the type of each column by name; names match without regard to case, as in Spark.
    """
    known = {name.lower(): (name, kind) for name, kind in types.items()}
    tree = sqlglot.parse_one(text, dialect="spark")
    return list(dict.fromkeys(sentence for node in tree.walk() for sentence in _of_node(node, known)))


def _of_node(node: exp.Expr, known: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    for words, ones, others in _brought_together(node):
        for one, other in product(ones, others):
            for column, beside in ((_column(one, known), other), (_column(other, known), one)):
                if column is not None and column[1] == "text":
                    yield from _beside(words.format(column[0]), beside, known)
    wanted = _calculated_type(node)
    for value in (node.this, node.args.get("expression")) if wanted else ():
        column = None if value is None else _column(value, known)
        if column is not None and column[1] == "text":
            shown = node.sql(dialect="spark")
            yield f"computes {shown} with the text column {column[0]!r}; give it {wanted}, or cast it"


def _calculated_type(node: exp.Expr) -> str | None:
    """What the parts of a calculation must be, where Spark has no form of it that makes null of a text that is not."""
    if isinstance(node, _CALCULATIONS):
        return "a numeric type"
    is_moved = isinstance(node, exp.Add | exp.Sub) and node.find(exp.Interval) in (node.this, node.expression)
    return "the type timestamp" if is_moved else None


def _brought_together(node: exp.Expr) -> Iterator[tuple[str, Sequence[exp.Expr], Sequence[exp.Expr]]]:
    """What is told of it, and the values on either side that Spark brings to one type."""
    compared, chosen = "compares the text column {!r} with", "chooses between the text column {!r} and"
    match node:
        case exp.In():
            yield compared, [node.this], node.expressions
        case exp.Between():
            yield compared, [node.this], [node.args["low"], node.args["high"]]
        case exp.Case():
            results = [choice.args["true"] for choice in node.args["ifs"]]
            results += [node.args["default"]] if node.args.get("default") else []
            yield chosen, results, results
            if node.this is not None:
                yield compared, [node.this], [choice.this for choice in node.args["ifs"]]
        case exp.If() if node.args.get("false"):
            yield chosen, [node.args["true"]], [node.args["false"]]
        case _ if isinstance(node, _COMPARISONS):
            yield compared, [node.this], [node.expression]
        case _ if isinstance(node, _CHOICES):
            values = [node.this, *node.expressions]
            yield chosen, values, values


def _beside(told: str, value: exp.Expr, known: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    column = _column(value, known)
    if _is_number(value):
        shown = value.unnest().sql(dialect="spark")
        yield f"{told} the number {shown}; write '{shown}' or give the column a numeric type"
    elif column is not None and column[1] != "text":
        yield f"{told} the {column[1]} column {column[0]!r}; give both one type, or cast one of them"


def _column(value: exp.Expr, known: Mapping[str, tuple[str, str]]) -> tuple[str, str] | None:
    """Name and type of the column that a value is, if it is one and nothing else."""
    bare = value.unnest()
    return known.get(bare.name.lower()) if isinstance(bare, exp.Column) else None


def _is_number(value: exp.Expr) -> bool:
    bare = value.unnest()
    if isinstance(bare, exp.Neg):
        return _is_number(bare.this)
    return isinstance(bare, exp.Literal) and not bare.is_string
