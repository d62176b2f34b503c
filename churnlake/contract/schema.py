"""The churn contract: what a data set is and what churn means in it. Checked by pydantic; unknown keys are errors."""

import hashlib
import json
from datetime import time
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import Field, PrivateAttr, field_validator, model_validator

from churnlake.contract.expressions import nearest
from churnlake.contract.roles import brought_column
from churnlake.contract.source import Source
from churnlake.contract.values import CURRENCY, RESERVED_VALUES, Day, Days, LocalTime, Name, Part, SomeDays, Whole

NUMERIC = ("int", "bigint", "double", "decimal")
DEFAULT_BANDS = {"high": 0.10, "medium": 0.30}

# Keys of a source that decide what its typed rows hold.
_TYPING = (
    "role", "delivery", "through", "assumed_lag_days", "columns", "types", "ignore", "duplicates", "decimal",
    "null_marks", "lookups",
)  # fmt: skip


class Head(Part):
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
            close = nearest(zone, available_timezones())
            raise ValueError(f"unknown time zone {zone!r}{close}; use a name such as 'Europe/London' or 'UTC'")
        return zone


class CalendarRules(Part):
    """`[calendar]`: which business dates are due, and when."""

    starts_on: Day
    clock: Literal["today", "replay"] = "today"
    expected_by: LocalTime = time(5, 0)
    max_catchup_days: Annotated[Whole, Field(ge=1, le=366)] = 14


class Churn(Part):
    """`[churn]`: who is scored, and what leaving means."""

    definition: Literal["inactivity", "cancellation", "expiry", "label"]
    activity: str = "TRUE"
    active_within_days: SomeDays | None = None
    min_tenure_days: Days = 0
    grace_days: Days = 0
    gap_days: Days = 0
    horizon_days: SomeDays
    settle_days: Days = 2

    @property
    def lookback_days(self) -> int:
        """The days before a cutoff that say most about it: the window of activity, else as many as the horizon has."""
        return self.active_within_days or self.horizon_days

    @property
    def maturity_days(self) -> int:
        """M: days after the cutoff until a missing activity is known to be one."""
        return self.gap_days + self.horizon_days + self.grace_days + self.settle_days


class Measure(Part):
    """A numeric canonical column, kept as an integer of `scale` decimals so that sums are exact."""

    name: Name
    scale: Annotated[Whole, Field(ge=0, le=6)] = 0


class By(Part):
    """A canonical column whose named values are counted apart; all others count as `other`."""

    column: Name
    values: Annotated[tuple[Name, ...], Field(min_length=1, max_length=20)]


class FeatureRules(Part):
    """`[features]`: what the catalogue is built from."""

    windows_days: Annotated[tuple[SomeDays, ...], Field(min_length=1, max_length=8)] = (7, 30, 90, 180)
    measures: tuple[Measure, ...] = ()
    distinct: tuple[Name, ...] = ()
    by: tuple[By, ...] = ()
    immutable: tuple[Name, ...] = ()
    protected: tuple[Name, ...] = ()
    peer_group: tuple[Name, ...] = ()

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
        lists = (measures, texts, self.distinct, self.immutable, self.protected, self.peer_group)
        twice = sorted({name for names in lists for name in names if list(names).count(name) > 1})
        both = sorted(set(measures) & {*texts, *self.distinct})
        grouping = sorted({*self.protected} & {*self.peer_group})
        if twice:
            raise ValueError(f"{twice[0]!r} stands twice in one list; name it once")
        if grouping:
            raise ValueError(
                f"{grouping[0]!r} is protected, and a place within its groups would be a feature made of it; take it "
                "out of peer_group or of protected"
            )
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


class TrainingRules(Part):
    """`[training]`: the protocol's settings that a contract may change."""

    cutoff_spacing_days: SomeDays | None = None
    max_cutoffs: Annotated[Whole, Field(ge=1, le=60)] = 24
    minimum_outcomes: Annotated[Whole, Field(ge=20)] = 100
    row_budget: Annotated[Whole, Field(ge=1_000)] = 2_000_000
    seed: Annotated[Whole, Field(ge=0, le=2**32 - 1)] = 0
    train_on: tuple[Day, ...] = ()
    test_on: tuple[Day, ...] = ()


class DecisionRules(Part):
    """`[decision]`: how scores become bands. Each band is a cumulative share of the ranked list, most at risk first."""

    bands: dict[Name, Annotated[float, Field(gt=0, lt=1)]] = DEFAULT_BANDS

    @field_validator("bands")
    @classmethod
    def _grow(cls, bands: dict[str, float]) -> dict[str, float]:
        shares = list(bands.values())
        if not bands or shares != sorted(set(shares)) or "low" in bands:
            raise ValueError(f"must grow from the most at risk on, without 'low' (that is the rest); got {bands}")
        return bands


class PublishRules(Part):
    """`[publish]`: where analysts read."""

    warehouse: Literal["duckdb"] = "duckdb"


class Contract(Part):
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

    def expression_columns(self, source: str) -> dict[str, str]:
        """Type of each column that a source's expressions may use: its own, and those its lookups bring."""
        brought = {
            brought_column(lookup, column): kind
            for lookup in self.sources[source].lookups
            for column, kind in self.sources[lookup].types.items()
        }
        return self.sources[source].typed | brought

    @property
    def has_undated_outcomes(self) -> bool:
        """Whether the data set brings outcomes that do not say from which date they are predicted."""
        told = [source for source in self.sources.values() if source.role == "labels"]
        return self.churn.definition == "label" and not any("as_of" in source.columns for source in told)

    @property
    def attributes(self) -> dict[str, Literal["number", "category"]]:
        """What is known of customers: canonical columns of all sources of that role, and whether each is a number.

        A number is a column of a numeric type taken as it is, of the source or of a lookup, and what is named as a
        measure; all else is a category.
        """
        measures = {measure.name for measure in self.features.measures}
        found: dict[str, Literal["number", "category"]] = {}
        for name, source in self.sources.items():
            kinds = self.expression_columns(name)
            for column, text in source.columns.items() if source.role == "customers" else ():
                is_number = column in measures or kinds.get(text.strip("` "), "text").startswith(NUMERIC)
                found.setdefault(column, "number" if is_number else "category")
        found.pop("customer_id", None)
        return found

    def typed_digest(self, source: str) -> str:
        """sha256 of what gives the typed rows of a source their meaning."""
        rules = self.sources[source].model_dump(mode="json", include=set(_TYPING))
        joined = {
            name: self.sources[name].model_dump(mode="json", include={*_TYPING, "key"})
            for name in self.sources[source].lookups
        }
        return _digest(
            {
                "source": rules,
                "lookups": joined,
                "activity": self.churn.activity,
                "timezone": self.timezone,
                "features": self._tile_rules(),
            }
        )

    def _tile_rules(self) -> object:
        return self.features.model_dump(mode="json", include={"measures", "distinct", "by"})


def _digest(keys: object) -> str:
    return hashlib.sha256(json.dumps(keys, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
