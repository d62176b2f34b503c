"""Why a customer was scored on a date or not, and what became of it: in sentences, from the facts that decide it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

from churnlake import calendar
from churnlake.calendar import DayRange
from churnlake.contract.schema import Contract

Outcome = Literal["churned", "stayed"]


@dataclass(frozen=True)
class Window:
    """Days that count for something, both inside; `first` is None where it has no days."""

    name: str
    first: date | None
    last: date | None
    told: str


@dataclass(frozen=True)
class Life:
    """The life of a subscription that counts, as far as it was known; all None and an `oddity` where there is none.

    Where somebody pays ahead, `ended_on` is the first day not paid for, and `paid_on` when the transaction that says so
    happened.
    """

    started_on: date | None = None
    ended_on: date | None = None
    completes_on: date | None = None
    oddity: str | None = None
    paid_on: date | None = None


@dataclass(frozen=True)
class Evidence:
    """What decides about one customer at one cutoff, and later about the label.

    `first_active` and `last_active` are days of the span that the cutoff reads. `life` is as known at the cutoff,
    `later_life` as known when the label matured. `stayed_on` is the first active day inside the label window, or the
    day on which somebody whose time was running out paid for more.
    """

    known_since: date | None
    first_active: date | None = None
    last_active: date | None = None
    stayed_on: date | None = None
    life: Life | None = None
    later_life: Life | None = None
    told: bool | None = None


def windows(contract: Contract, day: date, complete: date) -> Iterator[Window]:
    """The windows of a business date by the contract; data are complete through `complete`."""
    churn = contract.churn
    for days in contract.features.windows_days:
        yield _window(f"observed, {days} days", calendar.observation_window(day, days), "what features look at")
    if churn.active_within_days:
        seen = calendar.observation_window(day, churn.active_within_days)
        yield _window("active within", seen, f"who is active in these {churn.active_within_days} days is scored")
    if churn.definition == "label":
        yield Window("label", None, None, "the data set brings its own outcome")
        return
    label = calendar.label_window(day, churn.gap_days, churn.horizon_days)
    if churn.gap_days:
        yield _window("gap", DayRange(day + calendar.ONE_DAY, label.first - calendar.ONE_DAY), "the time to act")
    yield _window("label", label, f"{churn.horizon_days} days in which leaving counts as churn")
    last = label.last
    for name, days, told in (
        ("grace", churn.grace_days, "coming back in these days is no churn"),
        ("settling", churn.settle_days, "late deliveries are waited for"),
    ):
        if days:
            yield _window(name, DayRange(last + calendar.ONE_DAY, last + timedelta(days=days)), told)
            last += timedelta(days=days)
    matures = calendar.matures_on(day, churn.maturity_days)
    standing = "reached" if matures <= complete else "not reached yet"
    yield Window("matured on", matures, matures, f"{standing}: data are complete through {complete}")


def _window(name: str, days: DayRange, told: str) -> Window:
    return Window(name, days.first, days.last, told)


def why_eligible(contract: Contract, day: date, reason: str | None, found: Evidence) -> str:
    """Why the customer is scored on the day (`reason` is None), or excluded for that reason."""
    if found.known_since is None or found.known_since > day:
        return f"nobody knew of this {contract.unit} on {day}; first known on {found.known_since or 'no date'}"
    match contract.churn.definition:
        case "inactivity":
            return _why_active(contract, day, reason, found)
        case "label":
            return "the data set tells an outcome" if reason is None else "the data set tells no outcome for this date"
        case "expiry":
            return _why_expiring(contract, day, reason, found.life or Life())
        case _:
            return _why_subscribed(contract, day, reason, found.life or Life())


def _why_active(contract: Contract, day: date, reason: str | None, found: Evidence) -> str:
    churn, last, first = contract.churn, found.last_active, found.first_active
    if last is None or first is None:
        return f"no activity in the {contract.features.span_days} days that are read"
    if reason == "too_new":
        return f"first active on {first}, {_days(day - first)} before; min_tenure_days is {churn.min_tenure_days}"
    seen = calendar.observation_window(day, churn.lookback_days)
    told = f"last active on {last}, {_days(day - last)} before"
    where = "inside" if reason is None else "not inside"
    return f"{told}: {where} {seen.first} .. {seen.last}"


def _why_subscribed(contract: Contract, day: date, reason: str | None, life: Life) -> str:
    begun = f"the subscription began on {life.started_on}"
    since, over = (_days(day - (one or day)) for one in (life.started_on, life.ended_on))
    told = {
        None: f"{begun}, and on {day} nobody knew of an end",
        "already_leaving": f"{begun}; that it ends on {life.ended_on} was known by {day}",
        "ended": f"{begun} and ended on {life.ended_on}, {over} before",
        "completed": f"{begun} and was complete on {life.completes_on}, as planned",
        "not_started": f"{begun}, after {day}",
        "too_new": f"{begun}, {since} before; min_tenure_days is {contract.churn.min_tenure_days}",
        "missing_start": "every subscription lacks its start",
        "never_started": "every subscription ends on or before its start",
        "no_subscription": f"no subscription was known by {day}",
    }
    return told.get(reason, f"excluded as {reason}")


def _why_expiring(contract: Contract, day: date, reason: str | None, life: Life) -> str:
    days = calendar.label_window(day, contract.churn.gap_days, contract.churn.horizon_days)
    paid = f"by {day} it was paid until {life.ended_on}"
    since = _days(day - (life.started_on or day))
    told = {
        None: f"{paid}, inside {days.first} .. {days.last}",
        "not_expiring": f"{paid if life.ended_on else 'it was paid for ever'}, after {days.last}",
        "expires_in_gap": f"{paid}, inside the gap: nobody could act on it",
        "ended": f"{paid}, {_days(day - (life.ended_on or day))} before",
        "too_new": f"paid since {life.started_on}, {since} before; min_tenure_days is {contract.churn.min_tenure_days}",
        "missing_end": "no transaction says until when it pays",
        "never_started": "every transaction pays until its own day or before",
        "no_subscription": f"no transaction was known by {day}",
    }
    return told.get(reason, f"excluded as {reason}")


def why_label(contract: Contract, day: date, outcome: Outcome | None, found: Evidence) -> str:
    """Why the customer churned or stayed, from what was known when the label matured; None: why it has no label."""
    if contract.churn.definition == "label":
        return _as_told(outcome)
    days = calendar.label_window(day, contract.churn.gap_days, contract.churn.horizon_days)
    if contract.churn.definition == "inactivity":
        if found.stayed_on is not None:
            return f"active on {found.stayed_on}, inside {days.first} .. {days.last}"
        return f"no activity from {days.first} to {days.last}"
    life = found.later_life or Life()
    if contract.churn.definition == "expiry":
        return _why_renewed(days, contract.churn.grace_days, life, found.stayed_on)
    return _why_left(days, outcome, life)


def _as_told(outcome: Outcome | None) -> str:
    if outcome is None:
        return "the data set tells no outcome for this date"
    return f"the data set says {outcome}"


def _why_left(days: DayRange, outcome: Outcome | None, life: Life) -> str:
    ended = "no end was known" if life.ended_on is None else f"the subscription ended on {life.ended_on}"
    if outcome is None:
        return f"{ended}, before the label window: nobody could act on it"
    if outcome == "churned":
        return f"{ended}, inside {days.first} .. {days.last}"
    return f"{ended}: the subscription goes on" if life.ended_on is None else f"{ended}, after {days.last}"


def _why_renewed(days: DayRange, grace_days: int, life: Life, renewed_on: date | None) -> str:
    if life.ended_on is None or life.ended_on not in days:
        until = life.ended_on or "no certain day"
        return f"as it turned out it was paid until {until}, outside {days.first} .. {days.last}"
    if renewed_on is not None:
        return f"paid until {life.ended_on}, and renewed on {renewed_on}"
    return f"paid until {life.ended_on}, and not renewed by {life.ended_on + timedelta(days=grace_days)}"


def standing(happened: date, known: date, day: date, judged_on: date | None) -> str:
    """What a fact does at a business date; `judged_on` is the date on which its label became known, if it has."""
    if happened <= day:
        return "counts" if known <= day else f"known from {known}: does not count"
    if judged_on is None:
        return f"after {day}"
    return "counts for the label" if known <= judged_on else f"known from {known}: too late for the label"


def _days(span: timedelta) -> str:
    return f"{span.days:,} day{'' if span.days == 1 else 's'}"
