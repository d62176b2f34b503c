"""What a feature is: a column of the feature table, what it is about, how it is computed and how people read it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

PRICE_SCALE = 2
"""Decimals of what a subscription costs, which is kept as an integer of the currency's minor units."""


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
    PLAN = "plan"
    PROFILE = "profile"


class Aggregate(StrEnum):
    """How a feature is computed for one customer at one cutoff (`operand`, and `other` where it takes two)."""

    SUM = "sum of the tile column `operand` in the window"
    DAYS = "days in the window on which the net tile column `operand` is positive"
    DISTINCT = "values of the column `operand` whose last live date is in the window"
    SINCE_LAST = "days from the last day with a positive net `operand` to the business date"
    SINCE_FIRST = "days from the first day with a positive net `operand` to the business date, capped at the span"
    GAP_MEAN = "mean days between consecutive activity days in the span"
    GAP_SPREAD = "population standard deviation of those gaps"
    GAP_LAST = "days between the last two activity days"
    GAP_LONGEST = "longest of those gaps"
    LAST_VALUE = "the named value of the column `operand` with most rows on the last day in the span that has any"
    RATIO = "feature `operand` over feature `other`; null where `other` is not positive"
    PACE = "daily rate of feature `operand` over the daily rate of feature `other`; null where `other` is not positive"
    LIFE_STATE = "column `operand` of the life of the subscription that the cutoff lies in, else of the last one"
    LIFE_AGE = "days from the date `operand` of the life that the cutoff lies in; null outside of one"
    LIFE_LEFT = "days to the date `operand` of the life that the cutoff lies in; null outside of one"
    LIFE_NOW = "column `operand` of the life that the cutoff lies in; null outside of one"
    LIFE_SINCE_END = "days since the last life ended; null in a life"
    TRANSACTIONS = "transactions in the window that count and are of the kind `operand`"
    ATTRIBUTE = "the attribute `operand` as known at the cutoff"
    PLACE = "share of the peer group below feature `operand`, plus half the share that equals it"


@dataclass(frozen=True)
class Feature:
    """One column of the feature table; null means not known, which is not zero.

    `wording` is the phrase of a reason; `{value}` stands for the value divided by 10^`scale`, so in people's
    units, and `{s}` for the ending of what is counted, which a single one does not have.
    `lite` marks the few features of the smallest candidate model, one per family. `kind` is "number", a double, or
    "category", a text of which the model weighs each frequent level by itself. One that is not `is_modelled` is for
    people only: its place among peers speaks for it in models.
    """

    name: str
    source: str
    family: Family
    description: str
    unit: str
    wording: str
    aggregate: Aggregate
    operand: str
    other: str | None = None
    window_days: int | None = None
    scale: int = 0
    lite: bool = False
    kind: Literal["number", "category"] = "number"
    is_modelled: bool = True


def said(name: str) -> str:
    """A name of the contract as people say it."""
    return name.replace("_", " ")
