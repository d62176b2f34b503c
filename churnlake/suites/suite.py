"""A suite as it is held: what Great Expectations is given, the compiled row rules, and the name of each expectation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """Great Expectations' levels: critical stops the night, warning is shown, info is recorded."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True)
class RowRule:
    """A rule about one row. `breaks` is Spark SQL, true for a breaking row, never null: null passes, as in GX."""

    name: str
    severity: Severity
    breaks: str


@dataclass(frozen=True)
class Suite:
    """One suite: the expectations as GX takes them, and the row rules among them, compiled."""

    name: str
    expectations: tuple[dict[str, Any], ...]
    row_rules: tuple[RowRule, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each expectation, in order: of its verdict, and of its rule where it is one about a row."""
        return expectation_names(self.name, self.expectations)


def expectation_names(suite: str, expectations: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """`suite.column.rule` for each, the rule by its meta "name" or else its type; a second one alike gets `.2`."""
    met: Counter[str] = Counter()
    names = []
    for one in expectations:
        name = f"{suite}.{_column(one['kwargs'])}.{given_name(one) or short_type(one['type'])}"
        met[name] += 1
        names.append(name if met[name] == 1 else f"{name}.{met[name]}")
    return tuple(names)


def given_name(expectation: dict[str, Any]) -> str | None:
    """The name a suite's author gave, if there is one."""
    meta = expectation.get("meta")
    name = meta.get("name") if isinstance(meta, dict) else None
    return name if isinstance(name, str) else None


def short_type(kind: str) -> str:
    """The type without what all types start with."""
    return kind.removeprefix("expect_column_values_to_").removeprefix("expect_")


def _column(kwargs: dict[str, Any]) -> str:
    # Rules about two columns belong to the first; `events.customer_id.` is how rules about ids are found.
    return str(kwargs.get("column") or kwargs.get("column_A") or "table")
