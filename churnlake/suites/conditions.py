"""Row conditions: which rows a rule is about, compiled by the allow-list of contract expressions."""

from collections.abc import Collection
from typing import Any

from sqlglot import exp

from churnlake.contract.expressions import Expression, nearest, parse_expression

PARSER = "spark"
_COMPARISONS: dict[str, type[exp.Binary]] = {
    "==": exp.EQ, "!=": exp.NEQ, "<": exp.LT, "<=": exp.LTE, ">": exp.GT, ">=": exp.GTE,
}  # fmt: skip
_JOINS = {"and": exp.and_, "or": exp.or_}
_FORM = (
    'an SQL condition with condition_parser "spark", or an object of "type" comparison (column, operator, parameter), '
    "nullity (column, is_null), and, or (conditions)"
)


def compile_condition(kwargs: dict[str, Any], columns: Collection[str]) -> Expression | str | None:
    """The checked condition of an expectation, a sentence that says what is wrong with it, or None: there is none.

    Great Expectations is given the checked text as well, never the given one.
    """
    given, parser = kwargs.get("row_condition"), kwargs.get("condition_parser")
    if given is None:
        return None if parser is None else "condition_parser without row_condition; leave it out"
    if isinstance(given, str):
        if parser != PARSER:
            return f"row_condition needs condition_parser {PARSER!r}; got {parser!r}"
        text: str | None = given
    else:
        tree = _tree(given)
        text = None if tree is None else tree.sql(dialect="spark")
    if text is None:
        return f"row_condition must be {_FORM}; got {given!r}"
    checked = parse_expression(text, columns)
    if isinstance(checked, str):
        return f"row_condition {checked}"
    # Case matters to Great Expectations, so it matters here.
    strange = sorted(checked.columns - set(columns))
    return f"row_condition names {strange[0]!r}{nearest(strange[0], columns)}; case counts" if strange else checked


def _tree(given: object) -> exp.Expr | None:
    """The object form as an expression; None where it is not that form."""
    match given:
        case {"type": "comparison", "column": {"name": str(name)}, "operator": str(sign), "parameter": parameter}:
            return _comparison(_column(name), sign, parameter)
        case {"type": "nullity", "column": {"name": str(name)}, "is_null": bool(is_null)}:
            found = exp.Is(this=_column(name), expression=exp.Null())
            return found if is_null else exp.not_(found)
        case {"type": "and" | "or" as word, "conditions": [_, *_] as conditions}:
            parts = [_tree(one) for one in conditions]
            return None if None in parts else exp.paren(_JOINS[word](*parts), copy=False)
    return None


def _column(name: str) -> exp.Expr:
    return exp.column(exp.to_identifier(name, quoted=True))


def _comparison(column: exp.Expr, sign: str, parameter: object) -> exp.Expr | None:
    if sign in _COMPARISONS and isinstance(parameter, str | int | float):
        return _COMPARISONS[sign](this=column, expression=exp.convert(parameter))
    if sign in ("IN", "NOT_IN") and isinstance(parameter, list) and parameter:
        if not all(isinstance(one, str | int | float) for one in parameter):
            return None
        found = exp.In(this=column, expressions=[exp.convert(one) for one in parameter])
        return found if sign == "IN" else exp.not_(found)
    return None
