"""The label canary: which labels stop a training, which are only shown, and which are left alone."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest

from churnlake.canary import Cutoff, Finding, Labels, Level, Rule, judge_labels
from churnlake.canary.counts import Earlier
from churnlake.contract.comparisons import Comparison, named_values

FIRST = date(2026, 1, 31)
ACTIVITY = "event_type = 'purchase' AND amount > 0"
NEWEST = f"base_rate.{FIRST + timedelta(days=30 * 11)}"
STEADY = [0.30, 0.31, 0.29, 0.32, 0.30, 0.28, 0.31, 0.30, 0.29, 0.33, 0.30]


def cutoffs(
    rates: Sequence[float], customers: int | Sequence[int] = 2000, segments: Sequence[Any] | None = None
) -> tuple[Cutoff, ...]:
    """A cutoff a month with these base rates."""
    counts = [customers] * len(rates) if isinstance(customers, int) else customers
    return tuple(
        Cutoff(FIRST + timedelta(days=30 * place), n, n, round(n * rate), segments[place] if segments else {})
        for place, (rate, n) in enumerate(zip(rates, counts, strict=True))
    )


def labels(at: Sequence[Cutoff], **given: Any) -> Labels:
    """A shop's labels at these cutoffs."""
    values: dict[str, Any] = {
        "churn_key": "[churn] activity", "churn_text": ACTIVITY, "event_rows": 9000, "activity_rows": 8000, "rules": (),
        "contract_version": 1,
    }  # fmt: skip
    return Labels(tuple(at), **values | given)


def failed(judged: Labels, earlier: Earlier | None = None) -> dict[str, str]:
    """Severity by name of what did not pass."""
    return {one.name: one.severity for one in judge_labels(judged, earlier) if not one.passed}


def found(judged: Labels, name: str) -> Finding:
    """The judgement of that name."""
    return next(one for one in judge_labels(judged, None) if one.name == name)


@pytest.mark.parametrize(
    "rates",
    [
        [0.45, 0.52, 0.60, 0.66, 0.75, 0.62, 0.55, 0.58, 0.64, 0.70, 0.61, 0.49],
        [0.75, 0.70, 0.64, 0.58, 0.55, 0.62, 0.60, 0.52, 0.66, 0.61, 0.49, 0.45],
        [0.45, 0.52, 0.60, 0.66, 0.49, 0.62, 0.55, 0.58, 0.64, 0.70, 0.61, 0.75],
        [0.031, 0.028, 0.030, 0.041, 0.025, 0.036, 0.030, 0.033, 0.027, 0.030, 0.029, 0.045],
        [*STEADY, 0.36],
    ],
    ids=["a season", "another", "newest highest", "rare", "steady"],
)
def test_seasons_raise_no_alarm(rates: list[float]) -> None:
    """Base rates of a real shop run from .45 to .75 between cutoffs; nothing of that is a fault or worth a look."""
    assert failed(labels(cutoffs(rates))) == {}


@pytest.mark.parametrize(
    ("newest", "severity"), [(0.30, None), (0.52, "warning"), (0.75, "critical"), (0.05, "critical"), (0.0, "critical")]
)
def test_a_jump_that_history_does_not_explain_stops_at_the_newest_cutoff(newest: float, severity: str | None) -> None:
    """After a steady year .30 to .52 is shown, .30 to .75 stops."""
    assert failed(labels(cutoffs([*STEADY, newest]))) == ({} if severity is None else {NEWEST: severity})


@pytest.mark.parametrize("rate", [0.7, 0.0])
def test_a_jump_that_few_customers_explain_is_none(rate: float) -> None:
    """Of ten customers seven churned, or nobody, where 30 % do: that happens. That they are ten is another matter."""
    assert NEWEST not in failed(labels(cutoffs([*STEADY, rate], [2000] * 11 + [10])))


def test_an_older_cutoff_that_stands_out_is_shown_and_does_not_stop() -> None:
    """A shop that closes in August has such a month every year."""
    assert failed(labels(cutoffs([*STEADY[:5], 0.99, *STEADY[5:]]))) == {
        f"base_rate.{FIRST + timedelta(days=150)}": "warning"
    }


def test_cutoffs_that_a_person_named_warn_and_do_not_stop() -> None:
    """Two courses differ in number and outcome: that was looked at when they were named."""
    two = cutoffs([0.30, 0.75], [2000, 300])
    assert set(failed(labels(two, is_named=True)).values()) == {"warning"}
    assert failed(labels(two))[f"eligible.{FIRST + timedelta(days=30)}"] == "critical"


@pytest.mark.parametrize(("rate", "count"), [(0.0, "0"), (1.0, "24,000")])
def test_a_rule_by_which_nobody_or_everybody_churned_stops_with_its_text(rate: float, count: str) -> None:
    """P12: nothing can be learnt, and the message holds the rule as written."""
    finding = found(labels(cutoffs([rate] * 12)), "outcomes")
    assert (finding.passed, finding.severity) == (False, "critical")
    assert finding.observed == f"{count} of 24,000 customer-cutoffs churned by [churn] activity = {ACTIVITY!r}"


def test_activity_that_matches_nothing_names_the_values_there_are_and_the_nearest() -> None:
    """The message holds rule, column, the values in the data, and which of them was meant."""
    levels = (Level("purchase", 7000), Level("cancellation", 2000))
    rule = Rule("[churn] activity", "event_type = 'purchse'", "event_type", "purchse", 0, levels)
    judged = labels(cutoffs([0.3] * 3), activity_rows=0, churn_text="event_type = 'purchse'", rules=(rule,))
    finding = found(judged, "activity")
    assert not finding.passed
    assert finding.observed == (
        "0 of 9,000 events are activity by [churn] activity = \"event_type = 'purchse'\"; no row has event_type = "
        "'purchse'; there are 'purchase' (7,000), 'cancellation' (2,000), did you mean 'purchase'?"
    )
    assert failed(judged) == {"activity": "critical", "value.event_type.purchse": "warning"}


def test_a_value_that_one_name_of_several_misses_is_shown() -> None:
    """A misspelt value in a list leaves the others; the training goes on and says so."""
    rules = (
        Rule("[features] by", "event_type: purchase", "event_type", "purchase", 5),
        Rule("[features] by", "event_type: refnd", "event_type", "refnd", 0),
    )
    judged = labels(cutoffs([0.3] * 3), rules=rules)
    assert failed(judged) == {"value.event_type.refnd": "warning"}
    assert found(judged, "value.event_type.refnd").observed.endswith("and its values are not kept to be shown")


@pytest.mark.parametrize(("newest", "severity"), [(1001, None), (999, "warning"), (668, "warning"), (665, "critical")])
def test_a_collapsed_volume_stops(newest: int, severity: str | None) -> None:
    """Below a half of the median it is shown, below a third it stops; exactly there it does not."""
    judged = failed(labels(cutoffs([0.3] * 5, [2000] * 4 + [newest])))
    assert set(judged.values()) == ({severity} if severity else set())


def test_few_customers_may_become_fewer() -> None:
    """Nine and then two is what counting does."""
    assert failed(labels(cutoffs([0.4] * 5, [9, 9, 9, 9, 2]))) == {}


def test_segments_that_appear_or_vanish_are_shown() -> None:
    """A plan that a tenth of the customers had is gone; one that three in a hundred have is too small to tell."""
    before = {"plan": {"basic": 1740, "pro": 200, "trial": 60}}
    after = {"plan": {"basic": 1800, "new": 200}}
    judged = labels(cutoffs([0.3] * 4, segments=[before, before, before, after]))
    assert failed(judged) == {"segment.plan.new": "warning", "segment.plan.pro": "warning"}


def test_a_training_is_held_against_the_last_one_of_its_version() -> None:
    """What was kept comes back as it was; another version starts a history of its own."""
    last = labels(cutoffs([0.3] * 4))
    kept = last.to_counts()
    earlier = Earlier.from_counts(kept, 1)
    assert earlier is not None
    assert earlier.cutoffs == last.cutoffs
    assert (Earlier.from_counts(kept, 2), Earlier.from_counts({}, 1)) == (None, None)
    assert failed(labels(cutoffs([0.35] * 4)), earlier) == {}
    assert failed(labels(cutoffs([0.7] * 4, 500)), earlier) == {
        "eligible.last_training": "critical",
        "base_rate.last_training": "critical",
    }


def test_p12_an_error_inside_a_judgement_is_a_fault() -> None:
    """P12: labels without a cutoff cannot be judged, and that is a no."""
    assert failed(labels(()))["labels"] == "critical"


def test_the_only_cutoff_has_nothing_to_be_held_against() -> None:
    """One cutoff, as outcomes without dates have: only its rule is judged."""
    assert failed(labels(cutoffs([0.26]), activity_rows=None)) == {}


def test_values_are_read_from_the_rule_as_it_is_written() -> None:
    """By equality either way round and in lists; not what a value must differ from, nor a number or a pattern."""
    text = "kind = 'a' OR 'b' = Kind OR kind IN ('c', 'd') OR kind <> 'e' OR n = 1 OR kind LIKE 'f%' OR kind <=> 'a'"
    assert set(named_values(text)) == {
        Comparison("kind", "a"), Comparison("Kind", "b"), Comparison("kind", "c"), Comparison("kind", "d"),
    }  # fmt: skip
    assert named_values("amount > 0") == ()
