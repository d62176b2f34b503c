"""The kinds of value a contract holds: names, columns, types, days and times, each with what is allowed."""

from datetime import date, time
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

NAME = r"[a-z][a-z0-9_]{0,39}"
PLAIN_COLUMN = r"[A-Za-z_][A-Za-z0-9_ ]{0,63}"
# A dot leads from a record into one of its fields, five deep: deeper files are rare and nobody can read such names.
COLUMN = rf"{PLAIN_COLUMN}(\.{PLAIN_COLUMN}){{0,4}}"
TYPE = r"text|int|bigint|double|boolean|date|timestamp|decimal\(([1-9]|[12]\d|3[0-8]),([0-9]|[12]\d|3[0-8])\)"
CURRENCY = "[A-Z]{3}"

# Columns that stand beside a file's own while its lines are sorted into buckets.
RESERVED_IN_FILES = frozenset(
    {
        "delivery_id", "slot", "position", "row_hash", "corrupt_record", "known_date", "known_month", "raw_row",
        "malformed", "source_broken", "source_noted", "ignored", "flags", "copy", "held_copies", "is_unchanged", "file",
        "_metadata",
    }
)  # fmt: skip
# Columns that the lake's own tables hold beside the canonical ones.
RESERVED_COLUMNS = frozenset(
    {
        "source", "delivery_id", "slot", "position", "row_hash", "known_date", "known_month", "raw_row", "malformed",
        "source_broken", "source_noted", "ignored", "flags", "copy", "is_copy", "is_unchanged", "typed", "broken",
        "noted", "choice", "why", "bucket", "reasons", "event_date", "is_activity", "sign", "typed_digest", "off_day",
        "business_date", "events", "activity",
    }
)  # fmt: skip
# A `by` value is part of feature names: these would name two features alike, and `other` is what all others count as.
RESERVED_VALUES = frozenset({"other", "activity", "rows"})


def _no_number(value: object) -> object:
    # pydantic reads a bare number as seconds since 1970.
    digits = value.strip().lstrip("+-").replace(".", "") if isinstance(value, str) else ""
    if isinstance(value, int | float) or digits.isdigit():
        raise ValueError(f"must be a date such as '2010-12-01' or a time such as '05:00', in quotes; got {value!r}")
    return value


def _no_zone(value: time) -> time:
    if value.tzinfo is not None:
        raise ValueError(f"must be a local time of the contract's zone, such as '05:00'; got {value.isoformat()!r}")
    return value


def _not_taken(taken: frozenset[str]) -> AfterValidator:
    def check(name: str) -> str:
        if landed_column(name).lower() in taken:
            raise ValueError(
                f"{name!r} is the name of a column of the lake's own; choose another; taken: {', '.join(sorted(taken))}"
            )
        return name

    return AfterValidator(check)


def _fits_its_digits(kind: str) -> str:
    digits, _, decimals = kind.removeprefix("decimal(").removesuffix(")").partition(",")
    if decimals and int(decimals) > int(digits):
        raise ValueError(f"has more decimals than digits; write decimal(digits,decimals); got {kind!r}")
    return kind


Name = Annotated[str, Field(pattern=f"^{NAME}$")]
FileColumn = Annotated[str, Field(pattern=f"^{COLUMN}$"), _not_taken(RESERVED_IN_FILES)]
CanonicalColumn = Annotated[Name, _not_taken(RESERVED_COLUMNS)]
ColumnType = Annotated[str, Field(pattern=f"^({TYPE})$"), AfterValidator(_fits_its_digits)]
Whole = Annotated[int, Field(strict=True)]
Days = Annotated[Whole, Field(ge=0, le=3_660)]
SomeDays = Annotated[Whole, Field(ge=1, le=3_660)]
Day = Annotated[date, BeforeValidator(_no_number)]
LocalTime = Annotated[
    time,
    BeforeValidator(_no_number),
    AfterValidator(_no_zone),
    # JSON schema's own format of a time asks for a zone.
    WithJsonSchema({"type": "string", "pattern": r"^\d{2}:\d{2}(:\d{2})?$"}),
]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class Part(BaseModel):
    """A table of the contract: unknown keys are errors, and nothing changes it once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def landed_column(name: str) -> str:
    """The name a file's column has in the lake: Delta allows no blanks, and a dot would lead into a record."""
    return name.replace(" ", "_").replace(".", "_")


def typed_column(name: str) -> str:
    """The name a file's column has in expressions and suites: as in the file; a nested one as in the lake."""
    return landed_column(name) if "." in name else name
