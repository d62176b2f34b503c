"""The feature catalogue: which features a contract yields, what each means and how it is worded. Pure names, no data."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from churnlake.contract.schema import Contract, Source


class Family(StrEnum):
    """What a feature is about; reasons are summed by family before the top three are named."""

    RECENCY = "recency"
    FREQUENCY = "frequency"
    SPEND = "spend"
    VOLUME = "volume"
    VARIETY = "variety"
    RHYTHM = "rhythm"
    TREND = "trend"
    RETURNS = "returns"


@dataclass(frozen=True)
class Feature:
    """One column of the feature table.

    `wording` is the phrase of a reason; `{value}` stands for the value, already scaled by `scale` to people's units.
    `lite` marks the few features of the smallest candidate model.
    """

    name: str
    family: Family
    description: str
    unit: str
    wording: str
    window_days: int | None = None
    scale: int = 0
    lite: bool = False
