"""The churn contract: what a data set is and what churn means in it. Checked by pydantic; unknown keys are errors."""

import hashlib
import json
import re
from datetime import date, time
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

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
LocalTime = Annotated[time, BeforeValidator(_no_number), AfterValidator(_no_zone)]

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Head(_Part):
    """`[contract]`: who this data set is."""

    name: Name
    version: Annotated[Whole, Field(ge=1)] = 1
    timezone: str
    currency: Annotated[str, Field(pattern=f"^{CURRENCY}$")]
    unit: Name = "customer"

    @field_validator("timezone")
    @classmethod
    def _is_known_zone(cls, zone: str) -> str:
        if zone not in available_timezones():
            raise ValueError(f"unknown time zone {zone!r}; use a name such as 'Europe/London' or 'UTC'")
        return zone


class CalendarRules(_Part):
    """`[calendar]`: which business dates are due, and when."""

    starts_on: Day
    clock: Literal["today", "replay"] = "today"
    expected_by: LocalTime = time(5, 0)
    max_catchup_days: Annotated[Whole, Field(ge=1, le=366)] = 14


class Closed(_Part):
    """Days on which no file is right."""

    weekdays: tuple[Weekday, ...] = ()
    dates: tuple[Day, ...] = ()

    def covers(self, day: date) -> bool:
        return WEEKDAYS[day.weekday()] in self.weekdays or day in self.dates


class Ignore(_Part):
    """Rows that are neither good nor bad: counted under `reason` and left out."""

    when: str
    reason: Name


Policy = Literal["fail", "warn", "accept"]


class DriftRules(_Part):
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
DRIFT_WITHOUT_MEANING = {"csv": ("retyped",), "json": ("reordered",), "parquet": ("reordered", "bom")}


class ReadyRules(_Part):
    """When a file counts as whole: nobody has touched it for `stable_seconds`; None waits for a marker beside it."""

    stable_seconds: Annotated[Whole, Field(ge=0, le=3_600)] | None = 2


class GateRules(_Part):
    """`[sources.<name>.gates]`: how far a delivery may differ from earlier ones, and days that are unlike any other."""

    sensitivity: Literal["low", "normal", "high", "off"] = "normal"
    unusual: tuple[Day, ...] = ()


def _as_ready(value: object) -> object:
    if value == "marker":
        return ReadyRules(stable_seconds=None)
    if isinstance(value, dict | ReadyRules):
        return value
    raise ValueError(f"must be 'marker' or a table such as {{ stable_seconds = 2 }}; got {value!r}")


class Source(_Part):
    """`[sources.<name>]`: one table of deliveries."""

    role: Literal["events"]
    delivery: Literal["daily"] = "daily"
    path: str
    format: Literal["csv", "json", "parquet"] = "csv"
    separator: str = ","
    ready: Annotated[ReadyRules, BeforeValidator(_as_ready)] = ReadyRules()
    drift: DriftRules = DriftRules()
    gates: GateRules = GateRules()
    quarantine_days: SomeDays = 400
    closed: Closed = Closed()
    on_missing: Literal["wait", "warn"] = "wait"
    max_late_days: Days = 35
    max_early_days: Days = 0
    types: dict[FileColumn, ColumnType] = Field(min_length=1)
    ignore: tuple[Ignore, ...] = ()
    duplicates: Literal["drop", "keep"] = "drop"
    columns: dict[CanonicalColumn, str]

    @field_validator("path")
    @classmethod
    def _names_its_date(cls, path: str) -> str:
        if path.count("{business_date}") != 1:
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

    @field_validator("types")
    @classmethod
    def _are_distinct(cls, types: dict[str, str], others: ValidationInfo) -> dict[str, str]:
        nested = [name for name in types if "." in name]
        if nested and others.data.get("format") == "csv":
            raise ValueError(f"{nested[0]!r} is a nested field, which only json and parquet have; csv has plain names")
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


class Churn(_Part):
    """`[churn]`: who is scored, and what leaving means."""

    definition: Literal["inactivity"]
    activity: str
    active_within_days: SomeDays
    min_tenure_days: Days = 0
    grace_days: Days = 0
    gap_days: Days = 0
    horizon_days: SomeDays
    settle_days: Days = 2

    @property
    def maturity_days(self) -> int:
        """M: days after the cutoff until a missing activity is known to be one."""
        return self.gap_days + self.horizon_days + self.grace_days + self.settle_days


class Measure(_Part):
    """A numeric canonical column, kept as an integer of `scale` decimals so that sums are exact."""

    name: Name
    scale: Annotated[Whole, Field(ge=0, le=6)] = 0


class By(_Part):
    """A canonical column whose named values are counted apart; all others count as `other`."""

    column: Name
    values: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]


class FeatureRules(_Part):
    """`[features]`: what the catalogue is built from."""

    windows_days: Annotated[tuple[SomeDays, ...], Field(min_length=1, max_length=8)] = (7, 30, 90, 180)
    measures: tuple[Measure, ...] = ()
    distinct: tuple[Name, ...] = ()
    by: tuple[By, ...] = ()

    @field_validator("windows_days")
    @classmethod
    def _grow(cls, windows: tuple[int, ...]) -> tuple[int, ...]:
        if list(windows) != sorted(set(windows)):
            raise ValueError(f"must grow, each window once; got {list(windows)}")
        return windows

    @field_validator("by")
    @classmethod
    def _count_apart(cls, by: tuple[By, ...]) -> tuple[By, ...]:
        values = [value for one in by for value in one.values]
        taken = sorted(RESERVED_VALUES & set(values))
        repeated = sorted({value for value in values if values.count(value) > 1})
        if taken:
            raise ValueError(
                f"the value {taken[0]!r} would name two features alike; give it another name where the column is mapped"
            )
        if repeated:
            raise ValueError(f"the value {repeated[0]!r} stands twice; each value names features of its own")
        return by

    @model_validator(mode="after")
    def _name_columns_once(self) -> "FeatureRules":
        measures, texts = [one.name for one in self.measures], [one.column for one in self.by]
        twice = sorted(
            {name for names in (measures, texts, self.distinct) for name in names if list(names).count(name) > 1}
        )
        both = sorted(set(measures) & {*texts, *self.distinct})
        if twice:
            raise ValueError(f"{twice[0]!r} stands twice in one list; name it once")
        if both:
            raise ValueError(
                f"{both[0]!r} is a measure and is counted by value; it can be a number or a text, not both"
            )
        return self

    @property
    def longest_window(self) -> int:
        return self.windows_days[-1]

    @property
    def span_days(self) -> int:
        """Days of tiles that features read: twice the longest window. Tenure and counts of history are capped there."""
        return 2 * self.longest_window


class TrainingRules(_Part):
    """`[training]`: the protocol's settings that a contract may change."""

    cutoff_spacing_days: SomeDays | None = None
    max_cutoffs: Annotated[Whole, Field(ge=1, le=60)] = 24
    minimum_outcomes: Annotated[Whole, Field(ge=20)] = 100
    row_budget: Annotated[Whole, Field(ge=1_000)] = 2_000_000
    seed: Annotated[Whole, Field(ge=0, le=2**32 - 1)] = 0


class DecisionRules(_Part):
    """`[decision]`: how scores become bands. Each band is a cumulative share of the ranked list, most at risk first."""

    bands: dict[Name, Annotated[float, Field(gt=0, lt=1)]] = {"high": 0.10, "medium": 0.30}

    @field_validator("bands")
    @classmethod
    def _grow(cls, bands: dict[str, float]) -> dict[str, float]:
        shares = list(bands.values())
        if not bands or shares != sorted(set(shares)) or "low" in bands:
            raise ValueError(f"must grow from the most at risk on, without 'low' (that is the rest); got {bands}")
        return bands


class PublishRules(_Part):
    """`[publish]`: where analysts read."""

    warehouse: Literal["duckdb"] = "duckdb"


class Contract(_Part):
    """A whole contract, checked. Built by `load_contract`, which also checks what one field alone cannot show."""

    head: Head = Field(alias="contract")
    calendar: CalendarRules
    sources: dict[Name, Source] = Field(min_length=1)
    churn: Churn
    features: FeatureRules = FeatureRules()
    training: TrainingRules = TrainingRules()
    decision: DecisionRules = DecisionRules()
    publish: PublishRules = PublishRules()
    _path: Path = PrivateAttr(default=Path("contract.toml"))

    @property
    def name(self) -> str:
        return self.head.name

    @property
    def version(self) -> int:
        return self.head.version

    @property
    def timezone(self) -> str:
        return self.head.timezone

    @property
    def currency(self) -> str:
        return self.head.currency

    @property
    def unit(self) -> str:
        return self.head.unit

    @property
    def path(self) -> Path:
        return self._path

    @property
    def folder(self) -> Path:
        """The folder that relative paths of the contract start from."""
        return self._path.parent

    @property
    def suites(self) -> Path:
        """The folder of the contract's own expectation suites."""
        return self.folder / "expectations"

    @property
    def digest(self) -> str:
        """sha256 of all parsed keys: comments and layout do not count."""
        return _digest(self.model_dump(mode="json"))

    def typed_digest(self, source: str) -> str:
        """sha256 of what gives the typed rows of a source their meaning."""
        rules = self.sources[source].model_dump(mode="json", include={"columns", "types", "ignore", "duplicates"})
        return _digest(
            {
                "source": rules,
                "activity": self.churn.activity,
                "timezone": self.timezone,
                "features": self._tile_rules(),
            }
        )

    def _tile_rules(self) -> object:
        return self.features.model_dump(mode="json", include={"measures", "distinct", "by"})


def _digest(keys: object) -> str:
    return hashlib.sha256(json.dumps(keys, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def landed_column(name: str) -> str:
    """The name a file's column has in the lake: Delta allows no blanks, and a dot would lead into a record."""
    return name.replace(" ", "_").replace(".", "_")


def typed_column(name: str) -> str:
    """The name a file's column has in expressions and suites: as in the file; a nested one as in the lake."""
    return landed_column(name) if "." in name else name


def slot_pattern(source: Source) -> re.Pattern[str]:
    """Matches a file's path relative to the contract's folder; group `business_date` is its slot."""
    before, after = (re.escape(part).replace(r"\*", "[^/]*") for part in source.path.split("{business_date}"))
    return re.compile(rf"{before}(?P<business_date>\d{{4}}-\d{{2}}-\d{{2}}){after}")
