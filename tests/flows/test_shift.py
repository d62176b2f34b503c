"""What a shift finds to do, and what it comes to, without Prefect."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from churnlake.errors import DataRefusedError, UsageError
from churnlake.ledger import Run, Stage
from churnlake.report import data_address
from churnlake.settings import Settings
from flows.runners import STAGES
from flows.shift import Request, Shift, carry_out, read_clock
from flows.tally import night_tally, stage_lines, verdict

OpenShift = Callable[..., Shift]
Nights = Callable[[Shift], list[Run]]
NOW = datetime(2011, 12, 10, 7, 0, tzinfo=UTC)
FIRST, THIRD = date(2011, 11, 28), date(2011, 11, 30)


def agenda(shift: Shift) -> list[tuple[str, tuple[date, ...]]]:
    """Kind and dates of what is to be run."""
    return [(application.kind, application.dates) for application in shift.agenda]


def test_with_no_model_history_and_training_of_the_day_before_come_first(open_shift: OpenShift) -> None:
    """The first run of a contract is whole: it needs nothing prepared."""
    shift = open_shift()
    shift.plan_nights(Request(shift.contract.path, FIRST))
    before = date(2011, 11, 27)
    assert agenda(shift) == [("history", (before,)), ("training", (before,)), ("night", (FIRST,))]


def test_a_promotion_is_a_job_of_its_own_and_needs_a_reason(open_shift: OpenShift) -> None:
    """It has no dates and no stages; a reason that begins with a dash is still one."""
    shift = open_shift()
    with pytest.raises(UsageError, match="a promotion needs a reason"):
        shift.plan_promotion(2, "  ")
    shift.plan_promotion(2, "-1 % is fine")
    assert agenda(shift) == [("promotion", ())]
    assert shift.agenda[0].arguments[-2:] == ["--to=2", "--reason=-1 % is fine"]
    assert STAGES["promotion"] == ()


def test_outcomes_without_dates_are_learnt_from_on_the_day_they_came(settings: Settings, tmp_path: Path) -> None:
    """The day before there was nothing: a first run would find an empty lake."""
    (tmp_path / "calls.toml").write_text(
        """
        contract = { name = "calls", timezone = "UTC", currency = "USD" }
        calendar = { starts_on = "2018-01-31", clock = "replay" }
        churn = { definition = "label", horizon_days = 30 }
        [sources.told]
        role = "labels"
        delivery = "history"
        path = "told.csv"
        through = "2018-01-31"
        types = { customer = "text", left = "text" }
        columns = { customer_id = "customer", is_churned = "left = 'Yes'" }
        """
    )
    (tmp_path / "told.csv").write_text("customer,left\n1,Yes\n")
    shift = Shift.open(tmp_path / "calls.toml", settings, datetime(2018, 2, 3, tzinfo=UTC))
    shift.plan_nights(Request(shift.contract.path))
    day = (date(2018, 1, 31),)
    assert agenda(shift) == [("history", day), ("training", day), ("night", day)]


def test_p18_missed_nights_are_caught_up_in_order_in_one_application(open_shift: OpenShift, planned: OpenShift) -> None:
    """After the first night is published, asking for the third brings the second too."""
    shift = planned()
    carry_out(shift)
    later = open_shift()
    later.plan_nights(Request(later.contract.path, THIRD))
    assert agenda(later) == [("night", (date(2011, 11, 29), THIRD))]
    carry_out(later)
    assert [run.business_date for run in later.published()] == [date(2011, 11, 29), THIRD]
    assert verdict(later).message == "published 2011-11-29, 2011-11-30"


def test_without_a_date_the_newest_delivered_one_is_due_under_the_replay_clock(open_shift: OpenShift) -> None:
    """With nothing published only the newest date is due."""
    shift = open_shift(champion=True)
    shift.plan_nights(Request(shift.contract.path))
    assert agenda(shift) == [("night", (date(2011, 12, 9),))]
    assert shift.agenda[0].is_due


def test_a_published_date_is_handed_to_the_job_which_compares_fingerprints(planned: OpenShift) -> None:
    """Only the job knows model and code, so it decides whether a date is published already."""
    carry_out(planned())
    shift = planned()
    assert agenda(shift) == [("night", (FIRST,))]


@pytest.mark.parametrize(
    ("request_of", "message"),
    [
        ({"restate": True, "reason": "x"}, "needs the date"),
        ({"business_date": FIRST, "restate": True, "reason": " "}, "needs a reason"),
        ({"business_date": date(2009, 1, 1)}, "before the contract starts"),
    ],
)
def test_a_request_that_cannot_be_meant_is_refused_before_anything_starts(
    open_shift: OpenShift, request_of: dict[str, Any], message: str
) -> None:
    """Usage errors cost no Spark start."""
    shift = open_shift()
    with pytest.raises(UsageError, match=message):
        shift.plan_nights(Request(shift.contract.path, **request_of))


def test_known_customers_are_eligible_plus_excluded_and_all_eligible_are_scored(planned: OpenShift) -> None:
    """The tally of a night is what its stage rows hold."""
    shift = planned()
    carry_out(shift)
    tally = night_tally(shift.ledger, shift.published()[0])
    assert (tally.known, tally.eligible, tally.excluded, tally.scored, tally.held) == (4, 3, {"inactive": 1}, 3, 0)


def test_a_job_that_waits_for_a_file_is_no_error(planned: OpenShift) -> None:
    """Exit 0 without a publication means that the date waits; the job's own line says for what."""
    shift = planned("--wait")
    carry_out(shift)
    ended = verdict(shift)
    assert (ended.name, ended.message) == ("WaitingForDelivery", "online_retail waits for 1 missing file")


def test_a_refusal_keeps_its_exit_code_and_the_next_shift_resumes_after_the_last_done_stage(
    planned: OpenShift, nights: Nights
) -> None:
    """What failed at the score stage has ingest and features done already."""
    shift = planned("--fail", "score:3")
    with pytest.raises(DataRefusedError):
        carry_out(shift)
    assert shift.publications.newest(shift.contract.name) is None
    again = planned()
    carry_out(again)
    (run,) = nights(again)
    assert (run.state, run.attempt) == ("published", 2)
    assert [stage.attempt for stage in again.ledger.stages(run.run_id)] == [1, 1, 2, 2]


def test_a_refused_night_has_a_data_page_that_says_why_until_it_is_published(planned: OpenShift) -> None:
    """It names the stage and what it said; after the repair the page tells of the published night."""
    shift = planned("--fail", "score:3")
    with pytest.raises(DataRefusedError):
        carry_out(shift)
    page = data_address(shift.settings.reports, shift.contract.name, date(2011, 11, 28))
    told = page.read_text(encoding="utf-8")
    assert ("Refused: nothing was published" in told, "score said no" in told) == (True, True)
    assert [run.business_date for run in shift.refused] == [date(2011, 11, 28)]
    index = (shift.settings.reports / "index.html").read_text(encoding="utf-8")
    assert 'href="online_retail/2011-11-28-data.html"' in index
    carry_out(planned())
    assert "Refused" not in page.read_text(encoding="utf-8")


def test_a_data_page_that_cannot_be_written_hides_no_error(planned: OpenShift) -> None:
    """The refusal comes through; that there is no page is said beside it, and what to try."""
    shift = planned("--fail", "score:3")
    shift.settings.reports.parent.mkdir(parents=True, exist_ok=True)
    shift.settings.reports.write_text("a file where the folder must be")
    with pytest.raises(DataRefusedError, match="said no"):
        carry_out(shift)
    (said,) = [line for line in shift.said if "has no data page" in line]
    assert said.endswith(f"try `churnlake report {shift.contract.path} --date 2011-11-28`")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (
            {"unchanged": 128, "corrections": 2, "withdrawn": 1_700},
            "128 unchanged; 2 corrections took back 1,700 facts",
        ),
        ({"ignored": {"anonymous": 2}, "corrections": 1, "withdrawn": 1}, "2 anonymous; 1 correction took back 1 fact"),
        ({"duplicate": 0}, "0"),
    ],
)
def test_a_stage_says_what_corrections_took_back(counts: dict[str, Any], words: str) -> None:
    """Facts taken back are no rows that came in; a ledger of an older version knows neither."""
    (line,) = stage_lines([Stage("r1", "ingest", 1, "done", NOW, NOW, 1.0, None, counts, None)])
    assert line.aside_in_words == words


def test_nothing_due_is_caught_up(open_shift: OpenShift) -> None:
    """After the newest date there is nothing to do, and nothing is started."""
    shift = open_shift(champion=True)
    shift.plan_nights(Request(shift.contract.path))
    carry_out(shift)
    idle = open_shift()
    idle.plan_nights(Request(idle.contract.path))
    assert idle.agenda == ()
    assert verdict(idle).name == "CaughtUp"


def test_the_clock_is_the_settings_or_the_machines_and_always_has_a_zone(settings: Settings) -> None:
    """A moment without a zone could be any of two dates."""
    assert read_clock(replace(settings, now="2011-12-10T07:00:00+00:00")) == NOW
    assert read_clock(settings).tzinfo is UTC
    for wrong in ("2011-12-10T07:00:00", "today"):
        with pytest.raises(UsageError, match="with a time zone"):
            read_clock(replace(settings, now=wrong))


def test_a_backfill_computes_one_date_in_one_application_and_publishes_nothing(open_shift: OpenShift) -> None:
    """Its stages end with the scores; with no model yet, one is trained on the day before."""
    shift = open_shift()
    shift.plan_backfill(date(2011, 11, 20))
    before = date(2011, 11, 19)
    assert agenda(shift) == [("history", (before,)), ("training", (before,)), ("backfill", (date(2011, 11, 20),))]
    carry_out(shift)
    last = shift.runs[-1]
    assert [stage.stage for stage in shift.ledger.stages(last.run_id)] == ["ingest", "features", "score"]
    assert shift.publications.newest(shift.contract.name) is None
