"""The verdict on a published night: red, amber or green, and why, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from churnlake import calendar
from churnlake.report.account import BUCKETS, Account
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
    return _worst_first(
        *_freshness(standing, deadline),
        *_checks(standing),
        *_sums(standing),
        *_scores(standing),
        *_model(standing),
    )


def judge_data(account: Account) -> Verdict:
    """The verdict on what a night took in: refused, something to look at, or every row where it belongs."""
    if account.refusal is not None:
        stage = f" in the stage {account.refusal.stage}" if account.refusal.stage else ""
        return _worst_first(
            Finding(Light.RED, f"The run stopped{stage}. The last published scores stay as they are."),
            *_failed_checks(account),
            *_arrived(account),
        )
    return _worst_first(*_rows_add_up(account), *_arrived(account), *_failed_checks(account))


def _worst_first(*found: Finding) -> Verdict:
    order = [Light.RED, Light.AMBER, Light.GREEN]
    findings = sorted(found, key=lambda finding: order.index(finding.light))
    return Verdict(findings[0].light, tuple(findings))


def _rows_add_up(account: Account) -> Iterator[Finding]:
    for source in account.sources:
        raw, placed = account.total("raw", source), sum(account.total(bucket, source) or 0 for bucket in BUCKETS)
        if raw is None:
            yield Finding(Light.AMBER, f"{source}: the rows of its deliveries were not counted.")
        elif raw != placed:
            yield Finding(Light.RED, f"{source}: does not add up, {raw:,} rows came and {placed:,} went somewhere.")
        else:
            yield Finding(Light.GREEN, f"{source}: each of its {raw:,} rows is accounted for.")
    if not account.arrivals:
        yield Finding(Light.AMBER, "No delivery is told: none came, or an older version published this night.")


NOTICED = {
    "delivery": "did not come",
    "unready": "not whole yet, left alone",
    "too_late": "past its days, refused",
    "stale": "older than the snapshot in force, left alone",
    "closed_day": "came for a closed day",
}
"""What may be noticed about files, by how a check's name begins."""


def _arrived(account: Account) -> Iterator[Finding]:
    for start, words in NOTICED.items():
        noticed = [check for check in account.noticed(start) if not check["passed"]]
        if noticed:
            yield Finding(Light.AMBER, f"{_count(len(noticed), 'file')} {words}.")
    late = [one for one in account.arrivals if one.late_days]
    if late:
        most = max(one.late_days for one in late)
        yield Finding(Light.GREEN, f"{_count(len(late), 'file')} came late, by up to {_count(most, 'day')}.")
    corrections = [one for one in account.arrivals if one.kind == "correction"]
    if corrections:
        withdrawn = sum(one.withdrawn or 0 for one in corrections)
        yield Finding(Light.GREEN, f"{_count(len(corrections), 'correction')} took back {_count(withdrawn, 'fact')}.")
    released = [one for one in account.arrivals if one.kind == "release"]
    if released:
        rows = sum(one.accepted or 0 for one in released)
        yield Finding(Light.GREEN, f"{_count(len(released), 'release')} let {_count(rows, 'row')} out of quarantine.")


def _failed_checks(account: Account) -> Iterator[Finding]:
    lights = {"critical": Light.RED, "warning": Light.AMBER, "info": Light.GREEN}
    for kind, words in (("gate", "gate"), ("drift", "column difference"), ("expectation", "expectation"),
                        ("reconciliation", "sum")):  # fmt: skip
        for severity, light in lights.items():
            failed = [one for one in account.of_kind(kind) if not one["passed"] and one["severity"] == severity]
            if failed:
                yield Finding(light, f"{_count(len(failed), words)} with severity {severity}: {_names(failed)}.")


def _names(failed: Sequence[Mapping[str, object]]) -> str:
    named = [f"{one['source']} {one['name']}" for one in failed]
    return ", ".join(named[:SOME]) + (f" and {len(named) - SOME} more" if len(named) > SOME else "")


SOME = 3
"""Names that a finding gives; the tables have them all."""


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


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
