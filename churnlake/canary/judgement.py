"""Judging labels. A fault stops the training; a warning is kept with it. An error inside a judgement is a fault.

Why these limits: docs/decisions, "The label canary's limits".
"""

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from churnlake.canary.counts import Cutoff, Earlier, Labels, Rule
from churnlake.contract.expressions import nearest

VOLUME_FAULT, VOLUME_WARNING = 1 / 3, 1 / 2
"""Of the median of the other cutoffs, or of the last training: less is a collapse, or worth a look."""

RATE_FAULT, RATE_WARNING = 1.0, 0.5
"""Log-odds between a base rate and its history that no season explains (.5 becomes .73), or worth a look (.62)."""

SPREADS_FAULT, SPREADS_WARNING = 3.0, 2.0
"""How many spreads of the history's own base rates are allowed on top."""

NOISE = 3.0
"""Standard errors of counting that are allowed on top of every limit."""

SPREAD_FROM = 4
"""Cutoffs without which a history has no spread of its own."""

CHANCE = 1e-4
"""A base rate of 0 or 1 less likely than this, by the rate of all cutoffs, is no luck."""

SEGMENT_SHARE, SEGMENT_FACTOR = 0.05, 3.0
"""A segment of this share or more that grew or shrank by this factor is worth a look."""

SHOWN = 10
"""The values of a column that a message lists."""


LOOK_AFTER = "look at the days after that cutoff; where all is right, name cutoffs in [training] train_on and test_on"

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Finding:
    """One judgement: what was looked at, what was found and what is allowed; `passed` where nothing is wrong."""

    name: str
    severity: Severity
    passed: bool
    observed: str
    allowed: str
    next_step: str = ""


def judge_labels(labels: Labels, earlier: Earlier | None) -> tuple[Finding, ...]:
    """Every judgement of a training's labels, against each other and against the last training's."""
    judgements: tuple[Callable[[], Iterator[Finding]], ...] = (
        lambda: _selection(labels),
        lambda: _named(labels),
        lambda: _rates(labels),
        lambda: _volumes(labels),
        lambda: _segments(labels),
        lambda: _against_earlier(labels, earlier),
    )
    return tuple(finding for judgement in judgements for finding in _judged(judgement))


def _judged(judgement: Callable[[], Iterator[Finding]]) -> Sequence[Finding]:
    try:
        return list(judgement())
    except Exception as error:  # noqa: BLE001 - whatever it was, the answer is no
        return [Finding("labels", "critical", False, f"{type(error).__name__}: {error}", "an answer", "report this")]


def _selection(labels: Labels) -> Iterator[Finding]:
    """A rule that selects nothing, or everything, decides nothing."""
    rule = f"{labels.churn_key} = {labels.churn_text!r}"
    if labels.activity_rows is not None:
        passed = labels.activity_rows > 0 or not labels.event_rows
        told = f"{labels.activity_rows:,} of {labels.event_rows:,} events are activity by {rule}"
        yield Finding(
            "activity", "critical", passed, told + _values(labels, wanted=not passed), "at least one",
            f"correct {labels.churn_key}",
        )  # fmt: skip
    labelled, churned = (sum(getattr(one, name) for one in labels.cutoffs) for name in ("labelled", "churned"))
    passed = 0 < churned < labelled
    told = f"{churned:,} of {labelled:,} customer-cutoffs churned by {rule}"
    yield Finding(
        "outcomes", "critical", passed, told + _values(labels, wanted=not passed), "some, and not all",
        f"correct {labels.churn_key}, or the horizon; `churnlake explain` shows a customer's facts",
    )  # fmt: skip


def _values(labels: Labels, *, wanted: bool) -> str:
    told = [_told(rule) for rule in labels.rules if rule.key == labels.churn_key]
    return "".join(f"; {one}" for one in told) if wanted else ""


def _named(labels: Labels) -> Iterator[Finding]:
    for rule in labels.rules:
        yield Finding(
            f"value.{rule.column}.{rule.value}", "warning", rule.matched > 0, f"{rule.key}: {_told(rule)}",
            "at least one row", f"correct {rule.key}",
        )  # fmt: skip


def _told(rule: Rule) -> str:
    """What was written, what there is, and what comes next to it."""
    if rule.matched:
        return f"{rule.matched:,} rows have {rule.column} = {rule.value!r}"
    missing = f"no row has {rule.column} = {rule.value!r}"
    if not rule.levels:
        return f"{missing}, and its values are not kept to be shown"
    held = ", ".join(f"{one.value!r} ({one.rows:,})" for one in rule.levels[:SHOWN])
    return f"{missing}; there are {held}{nearest(rule.value, [one.value for one in rule.levels])}"


def _rates(labels: Labels) -> Iterator[Finding]:
    """Each cutoff's base rate against those of the others; only the newest stops a training, and none that is named."""
    pooled = _pooled(labels.cutoffs)
    for place, one in enumerate(labels.cutoffs):
        others = [*labels.cutoffs[:place], *labels.cutoffs[place + 1 :]]
        if one.labelled and others and 0 < pooled < 1:
            decides = place == len(labels.cutoffs) - 1 and not labels.is_named
            yield _one_sided(one, pooled, decides=decides) or _rate(one, others, decides=decides)


def _one_sided(one: Cutoff, pooled: float, *, decides: bool) -> Finding | None:
    """A base rate of 0 or 1 that is no luck; None for any other."""
    chance = {0: 1 - pooled, one.labelled: pooled}.get(one.churned, 1.0) ** one.labelled
    if chance >= CHANCE:
        return None
    told = f"{_churned(one)}, {pooled:.1%} over all cutoffs"
    severity: Severity = "critical" if decides else "warning"
    return Finding(f"base_rate.{one.business_date}", severity, False, told, "some, and not all", LOOK_AFTER)


def _rate(one: Cutoff, others: Sequence[Cutoff], *, decides: bool) -> Finding:
    """A base rate against the median of the others, in log-odds."""
    known = [_log_odds(other) for other in others]
    center = statistics.median(known)
    spread = 1.4826 * statistics.median(abs(each - center) for each in known) if len(known) >= SPREAD_FROM else 0.0
    usual = statistics.median(other.labelled for other in others)
    noise = NOISE * math.hypot(_error(center, one.labelled), _error(center, usual))
    fault = RATE_FAULT + SPREADS_FAULT * spread + noise
    warning = RATE_WARNING + SPREADS_WARNING * spread + noise
    distance = abs(_log_odds(one) - center)
    return Finding(
        f"base_rate.{one.business_date}", "critical" if decides and distance > fault else "warning",
        distance <= warning, f"{_churned(one)}, {distance:.2f} log-odds from the others' median",
        f"{warning:.2f} around {_share_of(center):.1%}, {fault:.2f} at the newest cutoff", LOOK_AFTER,
    )  # fmt: skip


def _churned(one: Cutoff) -> str:
    return f"{one.churned:,} of {one.labelled:,} churned at {one.business_date} ({one.rate:.1%})"


def _volumes(labels: Labels) -> Iterator[Finding]:
    """Customers wanted and labelled at the newest cutoff against those of the others."""
    *others, newest = labels.cutoffs
    for name in ("eligible", "labelled") if others else ():
        found, usual = getattr(newest, name), statistics.median(getattr(other, name) for other in others)
        told = (
            f"{found:,} customers are {name} at {newest.business_date}, the median of the other cutoffs is {usual:,.0f}"
        )
        yield _volume(f"{name}.{newest.business_date}", told, found, usual, can_stop=not labels.is_named)


def _volume(name: str, told: str, found: int, usual: float, *, can_stop: bool) -> Finding:
    fallen = usual - found > NOISE * math.sqrt(max(usual, 1.0))
    is_fault = fallen and found < VOLUME_FAULT * usual and can_stop
    return Finding(
        name, "critical" if is_fault else "warning", not (fallen and found < VOLUME_WARNING * usual), told,
        "at least a third; below a half is worth a look",
        "look for deliveries that are missing or cut short in the days before",
    )  # fmt: skip


def _segments(labels: Labels) -> Iterator[Finding]:
    """Shares by segment at the newest cutoff against the median share at the others; only those that moved."""
    *others, newest = labels.cutoffs
    for column in newest.segments if others else ():
        for value in sorted({value for one in labels.cutoffs for value in one.segments.get(column, {})}):
            now = _share(newest, column, value)
            usual = statistics.median(_share(other, column, value) for other in others)
            if _has_moved(now, usual, newest.labelled):
                yield Finding(
                    f"segment.{column}.{value}", "warning", False,
                    f"{now:.1%} have {column} = {value!r} at {newest.business_date}, {usual:.1%} at the others",
                    f"within a factor of {SEGMENT_FACTOR:.0f}", f"look at how {column} is filled",
                )  # fmt: skip


def _has_moved(now: float, usual: float, customers: int) -> bool:
    more, less = max(now, usual), min(now, usual)
    error = math.sqrt(more / max(customers, 1))
    return more >= SEGMENT_SHARE and more - less > NOISE * error and more > SEGMENT_FACTOR * less


def _share(one: Cutoff, column: str, value: str) -> float:
    return one.segments.get(column, {}).get(value, 0) / one.labelled if one.labelled else 0.0


def _against_earlier(labels: Labels, earlier: Earlier | None) -> Iterator[Finding]:
    """The newest volume, and the base rate of all cutoffs together, against the last training of the same version."""
    if earlier is None:
        return
    last, newest = earlier.cutoffs[-1], labels.cutoffs[-1]
    told = f"{newest.eligible:,} customers are eligible at {newest.business_date}, "
    told += f"{last.eligible:,} were at {last.business_date} in the last training"
    yield _volume("eligible.last_training", told, newest.eligible, last.eligible, can_stop=not labels.is_named)
    then, now = (_logit(_pooled(cutoffs)) for cutoffs in (earlier.cutoffs, labels.cutoffs))
    if then is None or now is None:
        return
    fewest = min(sum(one.labelled for one in cutoffs) for cutoffs in (labels.cutoffs, earlier.cutoffs))
    noise, distance = NOISE * _error(then, fewest), abs(now - then)
    is_fault = distance > RATE_FAULT + noise and not labels.is_named
    yield Finding(
        "base_rate.last_training", "critical" if is_fault else "warning", distance <= RATE_WARNING + noise,
        f"{_share_of(now):.1%} churned over all cutoffs, {_share_of(then):.1%} in the last training",
        f"within {RATE_WARNING + noise:.2f} log-odds, {RATE_FAULT + noise:.2f} to go on",
        "look at what changed since; where churn means something else now, raise [contract] version",
    )  # fmt: skip


def _pooled(cutoffs: Sequence[Cutoff]) -> float:
    labelled = sum(one.labelled for one in cutoffs)
    return sum(one.churned for one in cutoffs) / labelled if labelled else 0.0


def _logit(share: float) -> float | None:
    """Log-odds of a share; None where they are not finite."""
    return math.log(share / (1 - share)) if 0 < share < 1 else None


def _log_odds(one: Cutoff) -> float:
    """Log-odds of a base rate. Half a customer is added on each side, so that they are finite."""
    return math.log((one.churned + 0.5) / (one.labelled - one.churned + 0.5))


def _share_of(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _error(log_odds: float, customers: float) -> float:
    """Standard error of the log-odds of a rate of so many customers."""
    rate = _share_of(log_odds)
    return 1 / math.sqrt(max(customers * rate * (1 - rate), 0.25))
