"""The flows on a real Prefect server: the one that `up` starts, with everything beside it."""

import json
import re
import time
import urllib.request
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from churnlake.ledger import Run
from churnlake.report import data_address
from churnlake.settings import Settings
from flows.orchestrator import answers, is_dead, process_tag, server_url
from flows.shift import Request, Shift, carry_out

OpenShift = Callable[..., Shift]
Nights = Callable[[Shift], list[Run]]
Stack = tuple[Settings, dict[str, str]]
FIRST, THIRD = date(2011, 11, 28), date(2011, 11, 30)


def through_prefect(shift: Shift, business_date: date | None = None) -> Any:
    """Runs the nightly flow over the shift; its end state."""
    from flows.nightly import nightly

    with shift.on_duty():
        return nightly(shift.contract.path, business_date=business_date, return_state=True)


def runs_below(state: Any) -> dict[str, Any]:
    """Flow runs of a flow's tree by name, without its root."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterParentFlowRunId

    root = state.state_details.flow_run_id
    with get_client(sync_client=True) as client:
        children = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[root]))
        found = {run.name: run for run in client.read_flow_runs(flow_run_filter=children)}
        assert client.read_flow_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[root])))
    return found


def tasks_of(flow_run_id: UUID) -> dict[str, str]:
    """Task runs of a flow run: name to state."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id])))
    return {task.name: task.state_name for task in tasks}


def soon(read: Callable[[], Any], expected: Any) -> Any:
    """What `read` gives once it is `expected`, or after ten seconds: Prefect records task runs a little later."""
    deadline = time.monotonic() + 10
    while (found := read()) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def ledger_rows(shift: Shift, nights: list[Run]) -> list[Any]:
    """What a ledger holds of nights, without names and times that are new in every run."""
    return [
        (
            run.business_date, run.kind, run.state, run.attempt, run.exit_code, run.message,
            [(one.stage, one.attempt, one.state, one.counts, one.message) for one in shift.ledger.stages(run.run_id)],
            shift.ledger.checks(run.run_id),
        )
        for run in nights
    ]  # fmt: skip


def test_each_date_is_a_subflow_and_each_stage_a_task_that_ends_as_its_row(
    planned: OpenShift, prefect_api: str
) -> None:
    """What Prefect shows is what the ledger holds."""
    state = through_prefect(planned(), FIRST)
    assert (state.type.value, state.name, state.message) == ("COMPLETED", "Published", "published 2011-11-28")
    below = runs_below(state)
    assert {name: run.state_name for name, run in below.items()} == {"online_retail 2011-11-28": "Published"}
    expected = dict.fromkeys(("ingest", "features", "score", "publish"), "Completed")
    night = below["online_retail 2011-11-28"].id
    assert soon(lambda: tasks_of(night), expected) == expected


def test_a_night_leaves_its_artifacts_and_no_customer_in_them(planned: OpenShift, prefect_api: str) -> None:
    """Keys are the contract's, with dashes; the verdict's table holds the stages in numbers."""
    from prefect.artifacts import Artifact

    through_prefect(planned(), FIRST)
    kinds = ("night", "quality", "population", "report", "data")
    found = {what: Artifact.get(f"online-retail-{what}") for what in kinds}
    assert all(found.values())
    lines = found["night"].data.splitlines()
    assert lines[0] == "# online_retail 2011-11-28: published"
    assert lines[4].startswith("| ingest | 10 | 6 | 2 anonymous, 1 duplicate, 1 quarantined |")
    assert json.loads(found["population"].data) == [
        {"customers": "eligible", "number": 3}, {"customers": "excluded: inactive", "number": 1},
    ]  # fmt: skip
    assert Artifact.get("online-retail-progress-night-2011-11-28").data == 100.0
    # As a word: a run id may hold the same letters.
    assert not any(re.search(r"\bc3\b", str(artifact.data)) for artifact in found.values())


def test_with_and_without_prefect_the_ledgers_are_equal(
    planned: OpenShift, settings: Settings, tmp_path: Path, nights: Nights, prefect_api: str
) -> None:
    """`--direct` is the same stage list: the night the orchestrator is down is a night like any other."""
    other = Settings.from_environment({"CHURNLAKE_HOME": str(tmp_path / "other")})
    by_prefect, direct = planned(), planned(settings=other)
    through_prefect(by_prefect, FIRST)
    carry_out(direct)
    assert ledger_rows(by_prefect, nights(by_prefect)) == ledger_rows(direct, nights(direct))


def test_with_no_model_history_and_training_are_subflows_too(open_shift: OpenShift, prefect_api: str) -> None:
    """The first run shows everything it did."""
    shift = open_shift()
    shift.plan_nights(Request(shift.contract.path, FIRST))
    state = through_prefect(shift, FIRST)
    assert {name: run.state_name for name, run in runs_below(state).items()} == {
        "online_retail history 2011-11-27": "Done",
        "online_retail training 2011-11-27": "Done",
        "online_retail 2011-11-28": "Published",
    }


def test_a_refused_night_is_refused_with_its_message_and_its_stage_failed(planned: OpenShift, prefect_api: str) -> None:
    """The task of the stage fails, the subflow with it, and the flow says why, with a link to the data page."""
    from prefect.artifacts import Artifact

    shift = planned("--fail", "features:3")
    state = through_prefect(shift, FIRST)
    assert (state.type.value, state.name) == ("FAILED", "Refused")
    assert "said no" in state.message
    assert shift.failure is not None
    assert shift.failure.exit_code == 3
    link = Artifact.get("online-retail-data").data
    page = data_address(shift.settings.reports, "online_retail", FIRST)
    assert f"[Why nothing was published for 2011-11-28]({page.as_uri()})" in link
    assert "features said no" in page.read_text(encoding="utf-8")
    night = runs_below(state)["online_retail 2011-11-28"]
    expected = {"ingest": "Completed", "features": "Failed"}
    assert soon(lambda: tasks_of(night.id), expected) == expected


def test_nothing_due_is_caught_up_and_a_missing_file_waits(
    open_shift: OpenShift, planned: OpenShift, prefect_api: str
) -> None:
    """Both are good ends of a tick."""
    assert through_prefect(planned("--wait"), FIRST).name == "WaitingForDelivery"
    done = open_shift(champion=True)
    done.plan_nights(Request(done.contract.path))
    carry_out(done)
    assert through_prefect(open_shift()).name == "CaughtUp"


def test_a_flow_whose_process_was_killed_is_set_crashed_by_the_next_one(planned: OpenShift, prefect_api: str) -> None:
    """Prefect would show it running for ever."""
    from prefect import flow
    from prefect.client.orchestration import get_client
    from prefect.states import Running

    killed = process_tag().rpartition(":")[0] + ":1"
    with get_client(sync_client=True) as client:
        dead = client.create_flow_run(flow(name="nightly")(lambda: None), tags=[killed], state=Running())
        alive = client.create_flow_run(flow(name="nightly")(lambda: None), tags=[process_tag()], state=Running())
        through_prefect(planned(), FIRST)
        assert client.read_flow_run(dead.id).state_name == "Crashed"
        assert client.read_flow_run(alive.id).state_name == "Running"


def test_only_a_process_of_this_machine_can_be_found_dead() -> None:
    """What another machine does is not seen from here."""
    assert not is_dead(process_tag())
    assert is_dead(process_tag().rpartition(":")[0] + ":1")
    assert not is_dead("process:elsewhere:1:boot:1")
    assert not is_dead("online_retail")


def test_up_deploys_every_flow_and_the_tick_is_scheduled_within_a_minute(prefect_api: str) -> None:
    """An hourly tick without a date, one at a time; a broken scheduler would look healthy and schedule nothing."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        deployed = {one.name: one for one in client.read_deployments()}
        assert set(deployed) == {"nightly", "training", "backfill"}
        nightly = deployed["nightly"]
        assert [(str(one.schedule.cron), one.active) for one in nightly.schedules] == [("0 * * * *", True)]
        assert nightly.parameters == {"contract_path": "examples/online_retail/contract.toml"}
        assert nightly.concurrency_options.collision_strategy.value == "CANCEL_NEW"
        deadline = time.monotonic() + 60
        while not (scheduled := [run for run in client.read_flow_runs() if run.deployment_id == nightly.id]):
            assert time.monotonic() < deadline
            time.sleep(0.5)
    assert all(run.state_name == "Scheduled" for run in scheduled)
    assert min(run.expected_start_time for run in scheduled) <= datetime.now(UTC) + timedelta(hours=1, minutes=1)


def test_up_answers_on_loopback_and_other_commands_find_its_server(stack: Stack) -> None:
    """Prefect, MLflow and the pages answer; `run` on the same home uses that Prefect."""
    settings, addresses = stack
    assert set(addresses) == {"MLflow", "Prefect", "pages"}
    assert all(address.startswith("http://127.0.0.1:") for address in addresses.values())
    assert answers(f"{addresses['MLflow']}/health")
    with urllib.request.urlopen(addresses["pages"]) as page:  # noqa: S310 - our own http address
        assert page.status == 200
    assert server_url(settings) == f"{addresses['Prefect']}/api"


def test_without_up_no_server_is_found(settings: Settings) -> None:
    """Also when a note of a server that was killed is left."""
    assert server_url(settings) is None
    settings.prefect_home.mkdir(parents=True)
    (settings.prefect_home / "server.json").write_text('{"url": "http://127.0.0.1:9/api"}')
    assert server_url(settings) is None
