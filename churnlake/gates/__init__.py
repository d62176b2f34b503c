"""Gates over time: what is measured of a delivery, what it should be tonight, and whether the difference matters."""

from churnlake.gates.numbers import FAMILIES, KINDS, Kind, Numbers, kind_of
from churnlake.gates.verdicts import (
    HISTORY,
    LEARNING,
    Judged,
    Level,
    Night,
    Rules,
    Verdict,
    in_words,
    judge,
    judge_in_order,
    summed_up,
)

__all__ = [
    "FAMILIES",
    "HISTORY",
    "KINDS",
    "LEARNING",
    "Judged",
    "Kind",
    "Level",
    "Night",
    "Numbers",
    "Rules",
    "Verdict",
    "in_words",
    "judge",
    "judge_in_order",
    "kind_of",
    "summed_up",
]
