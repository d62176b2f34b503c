"""The numbers of a run, as its stage rows hold them: in, out, set aside, and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from churnlake.ledger import Ledger, Run, Stage
from flows.runners import Application
from flows.shift import Shift

_IN_AND_OUT = {
    "ingest": ("raw", "accepted"),
    "release": ("raw", "accepted"),
    "features": ("known", "eligible"),
    "score": ("eligible", "scored"),
}
_ASIDE = {
    "ingest": ("ignored", "duplicate", "unchanged", "quarantined"),
    "release": ("ignored", "duplicate", "quarantined"),
    "features": ("excluded",),
    "score": ("held",),
}


@dataclass(frozen=True)
class StageLine:
    """One stage in numbers: rows or customers in and out, and what was set aside, by reason.

    `withdrawn` are facts of earlier deliveries that `corrections` took back: they are no part of what came in.
    """

    stage: str
    state: str
    taken: int | None
    given: int | None
    aside: dict[str, int]
    seconds: float | None
    corrections: int = 0
    withdrawn: int = 0

    @property
    def aside_in_words(self) -> str:
        """`123 anonymous, 4 duplicate`, or `0`; after it what corrections took back, where there were any."""
        aside = ", ".join(f"{number:,} {reason}" for reason, number in self.aside.items() if number) or "0"
        return f"{aside}; {self.corrections_in_words}" if self.corrections_in_words else aside

    @property
    def corrections_in_words(self) -> str:
        """`2 corrections took back 17 facts`; empty where nothing was corrected."""
        if not self.corrections and not self.withdrawn:
            return ""
        files = f"{self.corrections:,} correction{'' if self.corrections == 1 else 's'}"
        return f"{files} took back {self.withdrawn:,} fact{'' if self.withdrawn == 1 else 's'}"


@dataclass(frozen=True)
class NightTally:
    """A business date in numbers of customers: known = eligible + excluded, eligible = scored + held."""

    business_date: date
    run_id: str
    known: int
    eligible: int
    excluded: dict[str, int]
    scored: int
    held: int
    model_version: int | None


def stage_lines(stages: Sequence[Stage]) -> list[StageLine]:
    """The stages of a run in the order they ran."""
    return [_line(stage) for stage in stages]


def _line(stage: Stage) -> StageLine:
    taken, given = _IN_AND_OUT.get(stage.stage, ("", ""))
    aside: dict[str, int] = {}
    for name in _ASIDE.get(stage.stage, ()):
        reasons = by_reason(stage.counts.get(name, 0), name)
        # A rule's name says little in a line of numbers; which rules they were is among the checks.
        aside |= {name: sum(reasons.values())} if name == "quarantined" else reasons
    # A ledger of an older version knows no corrections.
    taken_back = {name: int(stage.counts.get(name, 0)) for name in ("corrections", "withdrawn")}
    counts = stage.counts.get(taken), stage.counts.get(given)
    return StageLine(stage.stage, stage.state, *counts, aside, stage.seconds, **taken_back)


def by_reason(count: Any, name: str) -> dict[str, int]:
    """A count that is one number, or one by reason, as numbers by reason."""
    return (
        {str(reason): int(number) for reason, number in count.items()}
        if isinstance(count, dict)
        else {name: int(count)}
    )


def night_tally(ledger: Ledger, run: Run) -> NightTally:
    """The customers of a finished night."""
    counts = {stage.stage: stage.counts for stage in ledger.stages(run.run_id)}
    features, score = counts.get("features", {}), counts.get("score", {})
    return NightTally(
        business_date=run.business_date,
        run_id=run.run_id,
        known=features.get("known", 0),
        eligible=features.get("eligible", 0),
        excluded=by_reason(features.get("excluded", {}), "excluded"),
        scored=score.get("scored", 0),
        held=sum(by_reason(score.get("held", 0), "held").values()),
        model_version=run.model_version,
    )


@dataclass(frozen=True)
class Verdict:
    """How a shift ended, by the names its Prefect state has too."""

    name: str
    message: str


def verdict(shift: Shift) -> Verdict:
    """What a shift that met no error came to."""
    published = [f"{run.business_date}" for run in shift.published()]
    waiting = _waiting(shift)
    if published:
        told = f"published {', '.join(published)}"
        return Verdict("Published", f"{told}; {shift.said[-1]}" if waiting and shift.said else told)
    if waiting:
        return Verdict("WaitingForDelivery", "\n".join(shift.said) or "a due delivery has not come yet")
    if shift.runs:
        return Verdict("Completed", f"{shift.runs[-1].kind} through {shift.runs[-1].business_date} is done")
    sealed = shift.publications.newest(shift.contract.name)
    return Verdict("CaughtUp", "\n".join(shift.said) or f"nothing is due; published through {sealed or 'no date yet'}")


def _waiting(shift: Shift) -> list[date]:
    """Dates that were on the agenda and that nobody published: the job ended well, so they wait for a file."""
    nights = [application for application in shift.agenda if application.kind == "night"]
    return [day for night in nights for day in night.dates if not _is_published(shift, night, day)]


def _is_published(shift: Shift, night: Application, day: date) -> bool:
    return shift.publications.current(night.contract, day) is not None
