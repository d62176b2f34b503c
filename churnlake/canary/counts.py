"""What the canary looks at: numbers of labels by cutoff and segment, and values that rules name."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Self

# column, value ("(none)" where it is absent) -> customers
Share = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Cutoff:
    """One training or test cutoff: customers wanted, those with a label, those churned; and labels by segment."""

    business_date: date
    eligible: int
    labelled: int
    churned: int
    segments: Share

    @property
    def rate(self) -> float:
        """Share of churned among the labelled, 0 where nobody is."""
        return self.churned / self.labelled if self.labelled else 0.0


@dataclass(frozen=True)
class Level:
    """A value there is in the data, and how many rows have it."""

    value: str
    rows: int


@dataclass(frozen=True)
class Rule:
    """A rule of the contract that names a value: where it stands, its text, and what the data hold.

    `column` and `value` as written; `matched` rows have it. `levels`: the most frequent values of that column, where
    they could be counted.
    """

    key: str
    text: str
    column: str
    value: str
    matched: int
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True)
class Labels:
    """All that is judged. `cutoffs` are in order of date, the newest last.

    `churn_key`, `churn_text`: the line of the contract that says who churned. `activity_rows`: of `event_rows` those
    that count as activity, None where the definition asks for none. `is_named`: a person chose the cutoffs.
    """

    cutoffs: tuple[Cutoff, ...]
    churn_key: str
    churn_text: str
    event_rows: int
    activity_rows: int | None
    rules: tuple[Rule, ...]
    contract_version: int
    is_named: bool = False

    def to_counts(self) -> dict[str, Any]:
        """What the ledger keeps, for the next training to be held against."""
        cutoffs = [asdict(one) | {"business_date": f"{one.business_date}"} for one in self.cutoffs]
        return {"contract_version": self.contract_version, "cutoffs": cutoffs}


@dataclass(frozen=True)
class Earlier:
    """The labels of the last training of the same version of the contract."""

    cutoffs: tuple[Cutoff, ...]

    @classmethod
    def from_counts(cls, counts: Mapping[str, Any], contract_version: int) -> Self | None:
        """What `to_counts` kept; None where it is of another version, or of a Churnlake without a canary."""
        if counts.get("contract_version") != contract_version or not counts.get("cutoffs"):
            return None
        rows = [row | {"business_date": date.fromisoformat(row["business_date"])} for row in counts["cutoffs"]]
        return cls(tuple(Cutoff(**row) for row in rows))
