"""Contract expressions: Spark SQL over named columns, limited to deterministic functions of one row."""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

# Long enough for any honest rule, short enough that no input makes the parser slow.
MAX_CHARACTERS = 2_000
# The parser takes some twenty calls per bracket; far below Python's limit wherever in a program it is called.
MAX_NESTING = 16
# Each becomes a call around the one before it, for Spark's parser as well as for ours.
MAX_OPERATIONS = 50

# Spark puts settings and environment variables in place of ${...} before it parses: behind the back of any check.
SUBSTITUTION = "${"

_VALUES = (exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren)
_LOGIC = (
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In,
    exp.Is,
)  # fmt: skip
_PATTERNS = (exp.Like, exp.ILike, exp.RegexpLike, exp.Escape)
_CHOICES = (exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least)
_ARITHMETIC = (
    exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.Abs, exp.Round, exp.Floor, exp.Ceil, exp.Sign,
)  # fmt: skip
_TEXT = (
    exp.Concat, exp.ConcatWs, exp.DPipe, exp.Upper, exp.Lower, exp.Trim, exp.Substring, exp.Length, exp.Replace,
    exp.RegexpReplace, exp.RegexpExtract, exp.StartsWith, exp.EndsWith, exp.StrPosition, exp.Left, exp.Right,
)  # fmt: skip
_DATES = (
    exp.TsOrDsToDate, exp.TsOrDsAdd, exp.DateDiff, exp.TimestampTrunc, exp.Year, exp.Month, exp.Day, exp.DayOfMonth,
    exp.DayOfWeek, exp.Hour, exp.Minute, exp.LastDay, exp.StrToTime, exp.StrToDate,
)  # fmt: skip
_CASTS = (exp.Cast, exp.TryCast, exp.DataType, exp.DataTypeParam, exp.Var, exp.Interval)
ALLOWED_NODES: tuple[type[exp.Expr], ...] = (
    *_VALUES, *_LOGIC, *_PATTERNS, *_CHOICES, *_ARITHMETIC, *_TEXT, *_DATES, *_CASTS,
)  # fmt: skip

ALLOWED_IN_WORDS = (
    "column names, literals, AND OR NOT, = <=> <> < <= > >= BETWEEN IN IS NULL, LIKE ILIKE RLIKE, "
    "CASE WHEN, IF COALESCE NULLIF GREATEST LEAST, + - * / DIV %, ABS ROUND FLOOR CEIL SIGN, "
    "|| CONCAT CONCAT_WS UPPER LOWER TRIM LTRIM RTRIM SUBSTRING LEFT RIGHT LENGTH REPLACE REGEXP_REPLACE "
    "REGEXP_EXTRACT STARTSWITH ENDSWITH INSTR, CAST TRY_CAST, "
    "TO_DATE TO_TIMESTAMP DATE_ADD DATE_SUB DATEDIFF DATE_TRUNC LAST_DAY YEAR MONTH DAY DAYOFWEEK HOUR MINUTE, "
    "INTERVAL"
)

_OPERATIONS = (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.DPipe)
_OPENING = (TokenType.L_PAREN, TokenType.CASE)
_CLOSING = (TokenType.R_PAREN, TokenType.END)
# Spark raises where these overflow or divide by zero; a fact with a wild number must not end a night.
_TRIED_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "try_add", exp.Sub: "try_subtract", exp.Mul: "try_multiply"}


@dataclass(frozen=True)
class Expression:
    """A checked expression: the SQL to hand to Spark (never the given text) and the columns it reads, as written.

    In that SQL a value that cannot be cast, parsed, divided or held is null; it never raises.
    """

    sql: str
    columns: frozenset[str]


def parse_expression(text: str, columns: Collection[str] | None) -> Expression | str:
    """The checked expression, or a sentence saying what is wrong with it.

    `columns` are the names that may be used, any where it is None; they match without regard to case, as in Spark.
    """
    if len(text) > MAX_CHARACTERS:
        return f"is {len(text):,} characters long; at most {MAX_CHARACTERS:,} are allowed; shorten it"
    if SUBSTITUTION in text:
        return f"holds {SUBSTITUTION!r}, where Spark would put in a setting; leave it out"
    try:
        unclear = _unclear_tokens(sqlglot.tokenize(text, dialect="spark"))
        statements = [] if unclear else [one for one in sqlglot.parse(text, dialect="spark") if one is not None]
    except RecursionError:
        unclear = _too_deep()
    except SqlglotError as problem:
        return f"cannot be read as one SQL expression: {_first_line(problem)}"
    if unclear:
        return unclear
    if len(statements) != 1:
        told = f"{len(statements)} of them, parted by ';'" if statements else "nothing"
        return f"must be exactly one expression; got {told}"
    tree = statements[0]
    wrong = _forbidden_node(tree) or _too_many_operations(tree) or _unknown_columns(tree, columns)
    return wrong or _missing_group(tree) or _checked(tree)


def _unclear_tokens(tokens: Sequence[Token]) -> str | None:
    """Deep nesting, and 'it''s', which Spark and other dialects read differently."""
    depth = 0
    for before, token in zip([None, *tokens], tokens, strict=False):
        depth += (token.token_type in _OPENING) - (token.token_type in _CLOSING)
        if depth > MAX_NESTING:
            return _too_deep()
        if before is not None and before.token_type is token.token_type is TokenType.STRING:
            return "has two texts side by side; write \\' for a quote inside a text, or || between two texts"
    return None


def _too_deep() -> str:
    return f"is nested too deep; at most {MAX_NESTING} brackets and CASEs inside each other are allowed; split it up"


def _checked(tree: exp.Expr) -> Expression:
    columns = frozenset(column.name for column in tree.find_all(exp.Column))
    # Without comments: they have no business in Spark's parser.
    return Expression(sql=_tolerant(tree).sql(dialect="spark", comments=False), columns=columns)


def _tolerant(tree: exp.Expr) -> exp.Expr:
    """The same expression, null where Spark would raise on a value: one bad value must not end a night."""
    holder = exp.Paren(this=tree.copy())
    # Innermost first, so that what is replaced holds what was replaced before.
    for node in reversed(list(holder.this.walk(bfs=False))):
        replacement = _tried(node)
        if replacement is not None:
            node.replace(replacement)
    whole: exp.Expr = holder.this
    return whole


def _tried(node: exp.Expr) -> exp.Expr | None:
    match node:
        case exp.Cast():
            return _try_cast(node.this, node.to)
        case exp.Div() | exp.IntDiv() | exp.Mod():
            return type(node)(
                this=node.this, expression=exp.Nullif(this=node.expression, expression=exp.Literal.number(0))
            )
        case exp.Add() | exp.Sub() | exp.Mul() if not node.find(exp.Interval):
            return exp.Anonymous(this=_TRIED_ARITHMETIC[type(node)], expressions=[node.this, node.expression])
        case exp.TsOrDsToDate() | exp.StrToDate():
            return _try_cast(_try_to_timestamp(node) if node.args.get("format") else node.this, "DATE")
        case exp.StrToTime():
            return _try_to_timestamp(node)
        case exp.TsOrDsAdd() | exp.LastDay():
            node.set("this", _try_cast(node.this, "DATE"))
        case exp.TimestampTrunc() | exp.Hour() | exp.Minute():
            node.set("this", _try_cast(node.this, "TIMESTAMP"))
    return None


def _try_cast(value: exp.Expr, to: exp.DataType | str) -> exp.Expr:
    # `safe` is what makes sqlglot write TRY_CAST and not CAST for Spark.
    return exp.TryCast(this=value, to=exp.DataType.build(to, dialect="spark"), safe=True)


def _try_to_timestamp(node: exp.Expr) -> exp.Expr:
    pattern = sqlglot.parse_one(str(Spark().generator().format_time(node)), dialect="spark")
    return exp.Anonymous(this="try_to_timestamp", expressions=[node.this, pattern])


def _forbidden_node(tree: exp.Expr) -> str | None:
    for node in tree.walk():
        is_nested = isinstance(node, exp.DataType) and bool(node.args.get("nested"))
        if is_nested or not isinstance(node, ALLOWED_NODES):
            return f"uses {_spelling(node)}, which is not allowed; allowed: {ALLOWED_IN_WORDS}"
    return None


def _too_many_operations(tree: exp.Expr) -> str | None:
    count = sum(isinstance(node, _OPERATIONS) for node in tree.walk())
    if count <= MAX_OPERATIONS:
        return None
    return f"has {count} of + - * / DIV % ||; at most {MAX_OPERATIONS} are allowed; shorten it"


def _spelling(node: exp.Expr) -> str:
    if isinstance(node, exp.Anonymous):
        return f"the function {node.name}()"
    if isinstance(node, exp.Func):
        return f"the function {node.sql_name()}()"
    return f"{node.sql(dialect='spark')!r}"


def _unknown_columns(tree: exp.Expr, columns: Collection[str] | None) -> str | None:
    if columns is None:
        return None
    known = {name.lower() for name in columns}
    unknown: dict[str, str] = {}
    for column in tree.find_all(exp.Column, bfs=False):
        if column.table:
            flat = "_".join(part.name for part in column.parts)
            if flat.lower() in known:
                return f"names the nested field {column.sql()!r}; in expressions its dots are underscores: write {flat}"
            return f"names the column {column.sql()!r} with a table; write only the column's name"
        if column.name.lower() not in known:
            unknown[column.name] = f"{column.name!r}{nearest(column.name, columns)}"
    if not unknown:
        return None
    named = "an unknown column" if len(unknown) == 1 else "unknown columns"
    return f"names {named} {', '.join(unknown.values())}; known: {', '.join(columns)}"


def _missing_group(tree: exp.Expr) -> str | None:
    """Spark ends the job where a group is asked for that its pattern does not have."""
    for node in tree.find_all(exp.RegexpExtract):
        pattern, group = node.expression, node.args.get("group")
        if not pattern.is_string or not (group is None or group.is_int):
            continue
        asked = 1 if group is None else int(group.name)
        try:
            groups = re.compile(pattern.name).groups
        except re.error:
            continue  # Java reads patterns that Python does not
        if asked > groups:
            return (
                f"asks for group {asked} of the pattern {pattern.name!r}, which has {groups}; put brackets around what "
                "is wanted, or ask for group 0, the whole match"
            )
    return None


def nearest(name: str, known: Collection[str]) -> str:
    """`, did you mean 'x'?` for the closest known name, or nothing where none is close."""
    close = nearest_name(name, known)
    return "" if close is None else f", did you mean {close!r}?"


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """The closest known name, without regard to case; None where none is close."""
    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=1)
    return lowered[close[0]] if close else None


def _first_line(problem: BaseException) -> str:
    # sqlglot underlines the place with terminal codes; messages here are plain text.
    text = str(problem).replace("\x1b[4m", "").replace("\x1b[0m", "")
    # Its own class names help nobody.
    told = re.sub(r" missing for <class '[^']*'>", " is missing", text.splitlines()[0] if text else "")
    return told or type(problem).__name__
