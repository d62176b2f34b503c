"""The verdict of a night: which facts make it green, amber or red."""

from dataclasses import replace
from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from churnlake.report.standing import Standing
from churnlake.report.verdict import Deadline, is_late, judge

DAY = date(2026, 3, 9)
GOOD = Standing(
    contract="shop",
    business_date=DAY,
    restatement=0,
    run_id="run-1",
    load_id=1,
    fingerprint="f1",
    data_through=DAY,
    contract_version=1,
    model_version=1,
    customers_scored=20,
    customers_not_scored=4,
    is_retrospective=False,
    reason=None,
    actor="night",
    published_at=datetime(2026, 3, 10, 4, 30, tzinfo=UTC),
    first_published_at=datetime(2026, 3, 10, 4, 30, tzinfo=UTC),
    model_state="registered",
    checks=5,
    failed_critical=0,
    failed_warning=0,
    failed_info=0,
    raw=130,
    accepted=100,
    aside=30,
    known=24,
    eligible=20,
    excluded=4,
    scored=20,
    held=0,
)
LONDON = Deadline(time(5, 0), "Europe/London")
RETROSPECTIVE = "Retrospective: the model has seen data of after this date. Never count it as performance."
BEHIND = "Data are complete only through 2026-03-08: the last day lacks a delivery."
REPLAY = Deadline(None, "Europe/London")


def test_a_night_with_nothing_wrong_is_green() -> None:
    """Complete data, in time, every check passed, every sum right: good to use."""
    verdict = judge(GOOD, LONDON)

    assert (verdict.light, verdict.headline) == ("green", "Good to use")
    assert [finding.text for finding in verdict.findings] == [
        "Data are complete through 2026-03-09.",
        "On time: it was expected by 2026-03-10 05:00 Europe/London.",
        "All 5 checks passed.",
    ]


@pytest.mark.parametrize(
    ("facts", "light", "first"),
    [
        ({"failed_critical": 1}, "red", "Failed with severity critical: 1 of 5 checks."),
        ({"failed_warning": 2}, "amber", "Failed with severity warning: 2 of 5 checks."),
        ({"failed_info": 1}, "green", "Data are complete through 2026-03-09."),
        ({"checks": 0}, "amber", "No check was recorded."),
        ({"accepted": 99}, "red", "Does not add up: 130 rows delivered, but 129 accepted and set aside."),
        ({"excluded": 5}, "red", "Does not add up: 24 known, but 25 eligible and excluded."),
        ({"held": 1}, "red", "Does not add up: 20 eligible, but 21 scored and held."),
        ({"customers_scored": 19}, "red", "Does not add up: 20 scored by the run, but 19 published."),
        ({"raw": None}, "amber", "Not recorded, so not reconciled: raw."),
        ({"eligible": 21, "excluded": 3, "held": 1}, "amber", "Eligible, but held because no score could be made: 1."),
        ({"is_retrospective": True}, "amber", RETROSPECTIVE),
        ({"model_state": None}, "amber", "The quality of model version 1 is not recorded."),
        ({"model_state": "held"}, "amber", "Model version 1 is held by its gate."),
        ({"data_through": date(2026, 3, 8)}, "amber", BEHIND),
    ],
)  # fmt: skip
def test_each_fault_colours_the_verdict(facts: dict[str, Any], light: str, first: str) -> None:
    """The worst fact decides the colour and is told first."""
    verdict = judge(replace(GOOD, **facts), LONDON)

    assert (verdict.light, verdict.findings[0].text) == (light, first)


def test_nobody_scored_though_some_were_eligible_is_red() -> None:
    """An empty list must not look like a quiet night."""
    nobody = replace(GOOD, customers_scored=0, scored=0, held=20, customers_not_scored=24)

    assert [finding.text for finding in judge(nobody, LONDON).findings if finding.light == "red"] == [
        "Nobody was scored."
    ]


@pytest.mark.parametrize(
    ("deadline", "published", "late"),
    [
        (LONDON, datetime(2026, 3, 10, 4, 59, tzinfo=UTC), False),
        (LONDON, datetime(2026, 3, 10, 5, 0, tzinfo=UTC), True),
        (Deadline(time(5, 0), "America/New_York"), datetime(2026, 3, 10, 8, 59, tzinfo=UTC), False),
        (REPLAY, datetime(2036, 3, 10, 5, 0, tzinfo=UTC), None),
        (None, datetime(2026, 3, 10, 4, 0, tzinfo=UTC), None),
    ],
)
def test_late_is_judged_by_the_contracts_own_clock(
    deadline: Deadline | None,
    published: datetime,
    late: bool | None,  # noqa: FBT001 - a case's expected value
) -> None:
    """At the expected time the next morning, in the contract's zone, a night is late; replayed history never is."""
    assert is_late(replace(GOOD, first_published_at=published), deadline) is late


def test_a_late_night_says_by_how_much() -> None:
    """Amber, with the delay and the hour it was expected."""
    late = replace(GOOD, first_published_at=datetime(2026, 3, 11, 8, 10, tzinfo=UTC))

    verdict = judge(late, LONDON)

    assert verdict.light == "amber"
    assert verdict.findings[0].text == "Late by 1 d 3 h: it was expected by 2026-03-10 05:00 Europe/London."


def test_without_its_contract_nobody_knows_whether_a_night_was_on_time() -> None:
    """What is not known is not taken for good."""
    assert judge(GOOD, None).light == "amber"
    assert judge(GOOD, REPLAY).light == "green"


def test_a_restatement_is_told_with_its_reason_and_is_not_late() -> None:
    """Only the first publication of a date can be late."""
    again = replace(GOOD, restatement=1, reason="wrong model", published_at=datetime(2026, 3, 20, tzinfo=UTC))

    verdict = judge(again, LONDON)

    assert verdict.light == "green"
    assert "Published again (restatement 1) by night: wrong model." in [finding.text for finding in verdict.findings]
