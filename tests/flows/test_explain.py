"""`churnlake explain`: what a job told, for people and for programs, beside what was published."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from churnlake.errors import UsageError
from churnlake.settings import Settings
from flows.asking import ask_job
from flows.console import Terminal
from flows.explain import show_explanation
from flows.shift import Shift

OpenShift = Callable[..., Shift]
LONG = "Days since the last activity in invoices, counted to the end of the business date and never beyond the span."
TOLD: dict[str, Any] = {
    "contract": "shop",
    "unit": "customer",
    "customer": "0017",
    "business_date": "2026-03-01",
    "known_since": "2026-01-05",
    "windows": [
        {"name": "label", "first": "2026-03-02", "last": "2026-03-08", "told": "7 days in which leaving counts"},
        {"name": "matured on", "first": "2026-03-09", "last": "2026-03-09", "told": "not reached yet"},
    ],
    "eligible": True,
    "reason": None,
    "why_eligible": "last active on 2026-02-20, 9 days before",
    "label": {"outcome": None, "known_on": None, "why": "not known before 2026-03-09"},
    "facts": [
        {"source": "orders", "day": "2026-02-20", "told": "3 events", "standing": "counts", "decides": True},
        {"source": "orders", "day": "2026-02-11", "told": "1 events", "standing": "counts", "decides": False},
    ],
    "more_facts": 1_204,
    "not_yet_known": [
        {
            "source": "orders", "day": "2026-02-28", "told": "2 events", "decides": False,
            "standing": "known from 2026-03-05: does not count",
        }
    ],
    "more_not_yet_known": 0,
    "features": [
        {"feature": "orders_amount_sum_30d", "value": 1_234.5, "unit": "EUR", "description": LONG},
        {"feature": "orders_gap_mean_days", "value": None, "unit": "days", "description": "Mean days."},
        {"feature": "orders_rows_count_90d", "value": 123_456.0, "unit": "rows", "description": "Rows."},
        {"feature": "orders_event_type_last", "value": "purchase", "unit": "category", "description": "Kind."},
    ],
}  # fmt: skip
SCORE = {
    "churn_probability": 0.9583, "risk_rank": 1, "risk_band": "high", "model_version": 4,
    "reason_1_text": "quiet for 9 days", "reason_2_text": None, "reason_3_text": None,
}  # fmt: skip


def shown(capsys: pytest.CaptureFixture[str], told: dict[str, Any], score: dict[str, Any] | None) -> list[str]:
    """What is printed, line by line, without spare blanks."""
    show_explanation(Terminal(as_json=False), told, score)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_the_verdict_stands_first_then_label_and_score(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its reason; reasons that are not there leave no empty line."""
    assert shown(capsys, TOLD, SCORE)[:7] == [
        "customer 0017 of shop on 2026-03-01, known since 2026-01-05",
        "",
        "eligible: last active on 2026-02-20, 9 days before",
        "label: none: not known before 2026-03-09",
        "score: 0.958, rank 1, band high, model version 4",
        "1. quiet for 9 days",
        "",
    ]


def test_facts_say_which_decide_how_many_more_there_are_and_which_came_too_late(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A day that is one day is not told as a span."""
    lines = shown(capsys, TOLD, None)
    assert "score: none is published of 0017 on 2026-03-01" in lines
    assert "matured on 2026-03-09 not reached yet" in lines
    assert "* 2026-02-20 orders 3 events counts" in lines
    assert "2026-02-11 orders 1 events counts" in lines
    assert "... 1,204 more" in lines
    late = lines.index("Happened, but was not yet known")
    assert lines[late + 2] == "2026-02-28 orders 2 events known from 2026-03-05: does not count"


def test_a_feature_that_is_not_known_is_not_zero(capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers are short, thousands apart; a category is its word."""
    lines = shown(capsys, TOLD, None)
    assert "orders_gap_mean_days not known days Mean days." in lines
    assert f"orders_amount_sum_30d 1,234 EUR {LONG}" in lines or f"orders_amount_sum_30d 1,235 EUR {LONG}" in lines
    assert "orders_rows_count_90d 123,456 rows Rows." in lines
    assert "orders_event_type_last purchase category Kind." in lines


def test_who_is_excluded_has_a_reason_and_no_features(capsys: pytest.CaptureFixture[str]) -> None:
    """A label with an outcome says since when it is known."""
    label = {"outcome": "churned", "known_on": "2026-03-09", "why": "no activity"}
    excluded = TOLD | {"eligible": False, "reason": "inactive", "features": [], "label": label, "not_yet_known": []}
    lines = shown(capsys, excluded, None)
    assert "excluded (inactive): last active on 2026-02-20, 9 days before" in lines
    assert "label: churned: no activity (known on 2026-03-09)" in lines
    assert lines[-1] == "No features: only who is eligible has them."
    assert "Happened, but was not yet known" not in lines


def test_an_answer_is_the_last_line_of_a_job_which_leaves_nothing_behind(
    settings: Settings, open_shift: OpenShift
) -> None:
    """Libraries may print before it. The options reach the job behind contract and name."""
    shift = open_shift()
    script = "import json, sys; print('noise'); print(json.dumps(sys.argv[5:]))"
    told = ask_job("explain", shift.contract, ("--customer=-7",), settings, (sys.executable, "-c", script))
    assert told == ["--customer=-7"]
    assert not list((settings.home / "runs" / "applications").iterdir())


def test_a_job_that_refuses_is_the_same_error_here(settings: Settings, open_shift: OpenShift) -> None:
    """Message, next step and exit code come through, and what it printed stays to be looked at."""
    script = "import sys; sys.stderr.write('error: knows no customer\\n  next: --customer 17850\\n'); sys.exit(2)"
    with pytest.raises(UsageError) as refused:
        ask_job("explain", open_shift().contract, (), settings, (sys.executable, "-c", script))
    assert (refused.value.message, refused.value.next_step) == ("knows no customer", "--customer 17850")
    (folder,) = (settings.home / "runs" / "applications").iterdir()
    assert (Path(folder) / "stderr.txt").read_text().startswith("error: ")


def test_the_document_is_what_the_job_told_with_the_score(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is printed for people where a program reads."""
    terminal = Terminal(as_json=True)
    terminal.document(TOLD | {"score": SCORE})
    show_explanation(terminal, TOLD, SCORE)
    assert json.loads(capsys.readouterr().out)["score"]["risk_rank"] == 1
