"""Contract expressions: Spark SQL over named columns, limited to deterministic functions of one row."""

import difflib
from collections.abc import Collection
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

# Long enough for any honest rule, short enough that no input makes the parser slow.
MAX_CHARACTERS = 2_000

_VALUES = (exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Tuple)
_LOGIC = (exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Is)
_PATTERNS = (exp.Like, exp.ILike, exp.RegexpLike, exp.Escape)
_CHOICES = (exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Sign)
_TEXT = (
    exp.Concat, exp.ConcatWs, exp.DPipe, exp.Upper, exp.Lower, exp.Trim, exp.Substring, exp.Length, exp.Replace,
    exp.RegexpReplace, exp.RegexpExtract, exp.Split, exp.StartsWith, exp.EndsWith, exp.Pad, exp.StrPosition, exp.Left, exp.Right,
)  # fmt: skip
_DATES = (
    exp.Date, exp.TsOrDsToDate, exp.DateAdd, exp.TsOrDsAdd, exp.DateSub, exp.DateDiff, exp.TsOrDsDiff, exp.DateTrunc, exp.TimestampTrunc,
    exp.Year, exp.Month, exp.Day, exp.DayOfMonth, exp.DayOfWeek, exp.Hour, exp.Minute, exp.LastDay, exp.StrToTime, exp.StrToDate,
)  # fmt: skip
_CASTS = (exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam, exp.Var, exp.Interval)
ALLOWED_NODES: tuple[type[exp.Expression], ...] = (
    *_VALUES, *_LOGIC, *_PATTERNS, *_CHOICES, *_ARITHMETIC, *_TEXT, *_DATES, *_CASTS,
)  # fmt: skip

ALLOWED_IN_WORDS = (
    "column names, literals, AND OR NOT, = <> < <= > >= BETWEEN IN IS NULL, LIKE RLIKE, CASE WHEN, COALESCE NULLIF GREATEST LEAST, "
    "+ - * / % ABS ROUND FLOOR CEIL, CONCAT UPPER LOWER TRIM SUBSTRING LENGTH REPLACE REGEXP_REPLACE REGEXP_EXTRACT, "
    "CAST TRY_CAST, DATE DATE_ADD DATE_SUB DATEDIFF DATE_TRUNC YEAR MONTH DAY HOUR"
)


@dataclass(frozen=True)
class Expression:
    """A checked expression: the SQL to hand to Spark (never the given text) and the columns it reads."""

    sql: str
    columns: frozenset[str]


def parse_expression(text: str, columns: Collection[str]) -> Expression | str:
    """The checked expression, or a sentence saying what is wrong with it.

    `columns` are the names that may be used; they match without regard to case, as in Spark.
    """
    if len(text) > MAX_CHARACTERS:
        return f"is {len(text):,} characters long; at most {MAX_CHARACTERS:,} are allowed"
    try:
        statements = sqlglot.parse(text, dialect="spark")
    except (SqlglotError, RecursionError) as problem:
        return f"cannot be read as one SQL expression: {_first_line(problem)}"
    if len(statements) != 1 or statements[0] is None:
        return f"must be exactly one expression; got {len([s for s in statements if s is not None])}"
    tree = statements[0]
    return _forbidden_node(tree) or _unknown_column(tree, columns) or _checked(tree)


def _checked(tree: exp.Expression) -> Expression:
    return Expression(sql=tree.sql(dialect="spark"), columns=frozenset(column.name for column in tree.find_all(exp.Column)))


def _forbidden_node(tree: exp.Expression) -> str | None:
    for node in tree.walk():
        if not isinstance(node, ALLOWED_NODES):
            return f"uses {_spelling(node)}, which is not allowed; allowed: {ALLOWED_IN_WORDS}"
    return None


def _spelling(node: exp.Expression) -> str:
    if isinstance(node, exp.Anonymous):
        return f"the function {node.name}()"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name()}()"
    return f"{node.sql(dialect='spark')!r}"


def _unknown_column(tree: exp.Expression, columns: Collection[str]) -> str | None:
    known = {name.lower() for name in columns}
    for column in tree.find_all(exp.Column):
        if column.table:
            return f"names the column {column.sql()!r} with a table; write only the column's name"
        if column.name.lower() not in known:
            return f"names an unknown column {column.name!r}{nearest(column.name, columns)}; known: {', '.join(columns)}"
    return None


def nearest(name: str, known: Collection[str]) -> str:
    """`, did you mean 'x'?` for the closest known name, or nothing where none is close."""
    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f", did you mean {lowered[close[0]]!r}?" if close else ""


def _first_line(problem: BaseException) -> str:
    # sqlglot underlines the place with terminal codes; messages here are plain text.
    return str(problem).splitlines()[0].replace("\x1b[4m", "").replace("\x1b[0m", "") if str(problem) else type(problem).__name__
