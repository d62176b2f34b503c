"""Whether there is enough to learn from: customers by outcome for a horizon, and what to do where they are too few."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_DAYS_A_MONTH = 30


@dataclass(frozen=True)
class Outcomes:
    """What training with a horizon would learn from: its cutoffs, and the customers who show each outcome at any."""

    horizon_days: int
    cutoffs: int
    spacing_days: int
    churned: int
    stayed: int

    @property
    def rarer(self) -> int:
        return min(self.churned, self.stayed)


def in_words(found: Sequence[Outcomes], own: int, needed: int) -> str:
    """The outcomes of the contract's own horizon, held against what is needed; with ways out where they are too few.

    `found` are the outcomes of that horizon, `own`, and of others; `needed` customers must show the rarer outcome.
    """
    mine = next(one for one in found if one.horizon_days == own)
    rarer = "churned" if mine.churned <= mine.stayed else "stayed"
    if mine.rarer >= needed:
        return f"{mine.churned:,} churned and {mine.stayed:,} stayed (>= {needed:,}): enough"
    others = [f"{one.horizon_days} days {one.rarer:,}" for one in found if one is not mine]
    counts = f" (with a horizon of {', '.join(others)})" if others else ""
    return f"{mine.rarer:,} {rarer}, {needed:,} needed{counts}: {', or '.join(_ways_out(found, mine, needed))}"


def _ways_out(found: Sequence[Outcomes], mine: Outcomes, needed: int) -> list[str]:
    ways = []
    if mine.rarer:
        cutoffs = math.ceil(needed * mine.cutoffs / mine.rarer) - mine.cutoffs
        months = max(1, math.ceil(cutoffs * mine.spacing_days / _DAYS_A_MONTH))
        ways.append(f"about {months} more month{'' if months == 1 else 's'} of data")
    fitting = [one for one in found if one.rarer >= needed]
    if fitting:
        ways.append(
            f"horizon_days = {min(fitting, key=lambda one: abs(one.horizon_days - mine.horizon_days)).horizon_days}"
        )
    elif mine.rarer == mine.churned:
        ways.append("a shorter gap or a wider definition of who is scored")
    return [*ways, f"[training] minimum_outcomes = {max(20, mine.rarer)} and a weaker model"]
