"""`[sources.<name>]`: where a table of deliveries lies, how its files are written, what its columns mean."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from churnlake.contract.values import (
    WEEKDAYS,
    CanonicalColumn,
    ColumnType,
    Day,
    Days,
    FileColumn,
    Name,
    Part,
    SomeDays,
    Weekday,
    Whole,
    landed_column,
    typed_column,
)


class Closed(Part):
    """Days on which no file is right."""

    weekdays: tuple[Weekday, ...] = ()
    dates: tuple[Day, ...] = ()

    def covers(self, day: date) -> bool:
        return WEEKDAYS[day.weekday()] in self.weekdays or day in self.dates


class Ignore(Part):
    """Rows that are neither good nor bad: counted under `reason` and left out."""

    when: str
    reason: Name


Role = Literal["events", "customers", "subscriptions", "renewals", "labels", "lookup"]
Policy = Literal["fail", "warn", "accept"]


class DriftRules(Part):
    """`[sources.<name>.drift]`: what to do when a file's columns are not quite the contract's.

    A name that stands twice is always refused: nobody can tell which of the two is meant.
    """

    reordered: Policy = "accept"
    bom: Policy = "accept"
    extra: Policy = "fail"
    case: Policy = "fail"
    blanks: Policy = "fail"
    missing: Policy = "fail"
    retyped: Policy = "fail"


# What cannot differ in a format needs no rule there.
DRIFT_WITHOUT_MEANING = {
    "csv": ("retyped",),
    "text": ("reordered", "extra", "case", "blanks", "missing", "retyped"),
    "json": ("reordered",),
    "parquet": ("reordered", "bom"),
}
# How a file is written, by the formats that a key means something for; every other key is for all.
WRITTEN_IN = {
    "separator": ("csv",),
    "quote": ("csv",),
    "header": ("csv",),
    "pattern": ("text",),
    "header_lines": ("text",),
    "encoding": ("csv", "text"),
    "decimal": ("csv", "text"),
    "null_marks": ("csv", "text"),
}
# Signs that people put around fields; « and the like have two sides, which no reader knows.
QUOTES = ('"', "'", "`", "|", "~", "^", "#", "$", "%", "&", "*", "!")
LONGEST_PATTERN = 2_000
"""Characters of a text's pattern: far beyond any that a person could still read."""


class ReadyRules(Part):
    """When a file counts as whole: nobody has touched it for `stable_seconds`; None waits for a marker beside it."""

    stable_seconds: Annotated[Whole, Field(ge=0, le=3_600)] | None = 2


class GateRules(Part):
    """`[sources.<name>.gates]`: how far a delivery may differ from earlier ones, and days that are unlike any other."""

    sensitivity: Literal["low", "normal", "high", "off"] = "normal"
    unusual: tuple[Day, ...] = ()


def _as_ready(value: object) -> object:
    if value == "marker":
        return ReadyRules(stable_seconds=None)
    if isinstance(value, dict | ReadyRules):
        return value
    raise ValueError(f"must be 'marker' or a table such as {{ stable_seconds = 2 }}; got {value!r}")


class Source(Part):
    """`[sources.<name>]`: one table of deliveries."""

    role: Role
    delivery: Literal["daily", "snapshot", "history"] = "daily"
    path: str
    through: Day | None = None
    assumed_lag_days: Days = 0
    format: Literal["csv", "text", "json", "parquet"] = "csv"
    separator: str = ","
    quote: str = '"'
    header: Annotated[bool, Field(strict=True)] = True
    pattern: Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN)] | None = None
    header_lines: Annotated[Whole, Field(ge=0, le=1_000)] = 0
    encoding: Literal["utf-8", "latin-1", "cp1252", "utf-16"] = "utf-8"
    decimal: Literal[".", ","] = "."
    null_marks: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    ready: Annotated[ReadyRules, BeforeValidator(_as_ready, json_schema_input_type=ReadyRules | Literal["marker"])] = (
        ReadyRules()
    )
    drift: DriftRules = DriftRules()
    gates: GateRules = GateRules()
    quarantine_days: SomeDays = 400
    closed: Closed = Closed()
    on_missing: Literal["wait", "warn"] = "wait"
    max_late_days: Days = 35
    max_early_days: Days = 0
    max_disappear: Annotated[float, Field(ge=0, le=1)] = 0.2
    types: dict[FileColumn, ColumnType] = Field(min_length=1)
    ignore: tuple[Ignore, ...] = ()
    duplicates: Literal["drop", "keep"] = "drop"
    key: tuple[FileColumn, ...] = ()
    lookups: dict[Name, Annotated[tuple[FileColumn, ...], Field(min_length=1, max_length=5)]] = {}  # noqa: RUF012
    columns: dict[CanonicalColumn, str] = {}  # noqa: RUF012 - pydantic copies defaults

    @field_validator("path")
    @classmethod
    def _names_its_date(cls, path: str, others: ValidationInfo) -> str:
        dates, is_history = path.count("{business_date}"), others.data.get("delivery") == "history"
        if is_history and dates:
            raise ValueError(f"must hold no {{business_date}}: a history is taken in once, whole; got {path!r}")
        if not is_history and dates != 1:
            raise ValueError(
                f"must hold {{business_date}} exactly once, where the date stands in the file's path; got {path!r}"
            )
        if path.startswith("/") or ".." in path.split("/"):
            raise ValueError(f"must lie below the contract's folder: no leading / and no ..; got {path!r}")
        rest = path.replace("{business_date}", "")
        # A * on either side of the date is two of them, each of one name.
        if "**" in path or any(sign in rest for sign in "{}[]?\\"):
            raise ValueError(f"may hold * for any part of one name, but no ** ? [ ] {{ }} or backslash; got {path!r}")
        if not path.isprintable() or {"", "."} & set(path.split("/")):
            raise ValueError(f"must be plain names with / between: no empty one, no '.', nothing unseen; got {path!r}")
        if path.rpartition("/")[2].startswith((".", "_")):
            raise ValueError(f"must not begin a file's name with . or _: such files count as unfinished; got {path!r}")
        return path

    @field_validator("separator")
    @classmethod
    def _is_one_character(cls, separator: str) -> str:
        if len(separator) != 1 or separator in '"\r\n\\\0':
            raise ValueError(f"must be one character, no quote, backslash or line end; got {separator!r}")
        return separator

    @field_validator("quote")
    @classmethod
    def _is_a_sign(cls, quote: str) -> str:
        if quote not in ("", *QUOTES):
            raise ValueError(f"must be one of {' '.join(QUOTES)}, or empty for none; got {quote!r}")
        return quote

    @field_validator("null_marks")
    @classmethod
    def _are_marks(cls, marks: tuple[str, ...]) -> tuple[str, ...]:
        if "" in marks:
            raise ValueError("must not hold an empty text: that is always null; leave it out")
        if len(set(marks)) < len(marks):
            raise ValueError(f"must name each mark once; got {list(marks)}")
        return marks

    @field_validator("types")
    @classmethod
    def _are_distinct(cls, types: dict[str, str], others: ValidationInfo) -> dict[str, str]:
        nested = [name for name in types if "." in name]
        plain = others.data.get("format")
        if nested and plain in ("csv", "text"):
            raise ValueError(
                f"{nested[0]!r} is a nested field, which only json and parquet have; {plain} has plain names"
            )
        for name in nested:
            parents = [parent for parent in types if name.lower().startswith(f"{parent.lower()}.")]
            if parents:
                raise ValueError(f"{parents[0]!r} cannot be a value and hold {name!r} as well; name one of them")
        if len({landed_column(name).lower() for name in types}) < len(types):
            raise ValueError("two columns differ only in case, blanks or dots; the lake cannot tell them apart")
        return types

    @property
    def typed(self) -> dict[str, str]:
        """Type of each column by the name it has in expressions and suites."""
        return {typed_column(name): kind for name, kind in self.types.items()}


def slot_pattern(source: Source) -> re.Pattern[str]:
    """Matches a file's path relative to the contract's folder; group `business_date` is its slot, if it names one."""
    parts = [re.escape(part).replace(r"\*", "[^/]*") for part in source.path.split("{business_date}")]
    return re.compile(r"(?P<business_date>\d{4}-\d{2}-\d{2})".join(parts))
