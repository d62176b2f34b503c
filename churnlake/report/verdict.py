"""The verdict on a published night: red, amber or green, and why, in words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from churnlake import calendar
from churnlake.report.standing import Standing


class Light(StrEnum):
    """What a reader may do with tonight's scores."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


HEADLINES = {
    Light.GREEN: "Good to use",
    Light.AMBER: "Usable, with care",
    Light.RED: "Do not use before it is looked into",
}


@dataclass(frozen=True)
class Finding:
    """One thing to know about the night, and how bad it is."""

    light: Light
    text: str


@dataclass(frozen=True)
class Verdict:
    """The worst light among the findings, and all of them, the worst first."""

    light: Light
    findings: tuple[Finding, ...]

    @property
    def headline(self) -> str:
        return HEADLINES[self.light]


@dataclass(frozen=True)
class Deadline:
    """By when a night is expected the morning after; `expected_by` is None when history is replayed."""

    expected_by: time | None
    timezone: str


def judge(standing: Standing, deadline: Deadline | None) -> Verdict:
    """The verdict of a night. What was not recorded is never taken for good."""
    worst_first = [Light.RED, Light.AMBER, Light.GREEN]
    found = [
        *_freshness(standing, deadline),
        *_checks(standing),
        *_sums(standing),
        *_scores(standing),
        *_model(standing),
    ]
    findings = sorted(found, key=lambda finding: worst_first.index(finding.light))
    return Verdict(findings[0].light, tuple(findings))


def is_late(standing: Standing, deadline: Deadline | None) -> bool | None:
    """Whether the date was first published past its time; None where no time was set. A restatement is never late."""
    if deadline is None or deadline.expected_by is None:
        return None
    return calendar.is_past_expected(
        standing.first_published_at, standing.business_date, deadline.expected_by, deadline.timezone
    )


def _freshness(standing: Standing, deadline: Deadline | None) -> Iterator[Finding]:
    behind = (standing.business_date - standing.data_through).days
    if behind > 0:
        days = "the last day lacks" if behind == 1 else f"the last {behind} days lack"
        yield Finding(Light.AMBER, f"Data are complete only through {standing.data_through}: {days} a delivery.")
    else:
        yield Finding(Light.GREEN, f"Data are complete through {standing.data_through}.")
    yield _punctuality(standing, deadline)
    if standing.restatement:
        why = standing.reason or "no reason given"
        yield Finding(Light.GREEN, f"Published again (restatement {standing.restatement}) by {standing.actor}: {why}.")


def _punctuality(standing: Standing, deadline: Deadline | None) -> Finding:
    if deadline is None:
        return Finding(
            Light.AMBER, "Whether it was on time is not known: its contract's file is gone or does not fit any more."
        )
    if deadline.expected_by is None:
        return Finding(Light.GREEN, "History is replayed, so no time was set to be ready by.")
    due = datetime.combine(
        standing.business_date + calendar.ONE_DAY, deadline.expected_by, tzinfo=ZoneInfo(deadline.timezone)
    )
    words = f"{due:%Y-%m-%d %H:%M} {deadline.timezone}"
    if is_late(standing, deadline):
        return Finding(
            Light.AMBER, f"Late by {_duration(standing.first_published_at - due)}: it was expected by {words}."
        )
    return Finding(Light.GREEN, f"On time: it was expected by {words}.")


def _duration(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    days, hours = minutes // (24 * 60), minutes // 60 % 24
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60} min"


def _checks(standing: Standing) -> Iterator[Finding]:
    if not standing.checks:
        yield Finding(Light.AMBER, "No check was recorded.")
        return
    for light, failed, severity in (
        (Light.RED, standing.failed_critical, "critical"),
        (Light.AMBER, standing.failed_warning, "warning"),
        (Light.GREEN, standing.failed_info, "info"),
    ):
        if failed:
            yield Finding(light, f"Failed with severity {severity}: {failed} of {standing.checks} checks.")
    if not standing.failed_critical + standing.failed_warning + standing.failed_info:
        yield Finding(Light.GREEN, f"All {standing.checks} checks passed.")


def _sums(standing: Standing) -> Iterator[Finding]:
    """Every stage of the funnel has to add up: nothing may vanish between two of its numbers."""
    missing = [name for name in ("raw", "accepted", "known", "eligible", "scored") if getattr(standing, name) is None]
    if missing:
        yield Finding(Light.AMBER, f"Not recorded, so not reconciled: {', '.join(missing)}.")
        return
    sums = (
        ("rows delivered", standing.raw, "accepted and set aside", (standing.accepted or 0) + standing.aside),
        ("known", standing.known, "eligible and excluded", (standing.eligible or 0) + standing.excluded),
        ("eligible", standing.eligible, "scored and held", (standing.scored or 0) + standing.held),
        ("scored by the run", standing.scored, "published", standing.customers_scored),
        (
            "known",
            standing.known,
            "published with and without a score",
            standing.customers_scored + standing.customers_not_scored,
        ),
    )
    for whole, number, parts, total in sums:
        if number != total:
            yield Finding(Light.RED, f"Does not add up: {number:,} {whole}, but {total:,} {parts}.")


def _scores(standing: Standing) -> Iterator[Finding]:
    if not standing.customers_scored:
        yield Finding(Light.RED if standing.eligible else Light.AMBER, "Nobody was scored.")
    if standing.held:
        yield Finding(Light.AMBER, f"Eligible, but held because no score could be made: {standing.held:,}.")
    if standing.is_retrospective:
        yield Finding(
            Light.AMBER, "Retrospective: the model has seen data of after this date. Never count it as performance."
        )


def _model(standing: Standing) -> Iterator[Finding]:
    if standing.model_state is None:
        yield Finding(Light.AMBER, f"The quality of model version {standing.model_version} is not recorded.")
    elif standing.model_state != "registered":
        yield Finding(Light.AMBER, f"Model version {standing.model_version} is {standing.model_state} by its gate.")
