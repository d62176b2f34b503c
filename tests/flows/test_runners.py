"""Jobs as processes: started, followed, resumed, and never left behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from churnlake.errors import ChurnlakeError, UnavailableError
from churnlake.ledger import Run, Stage, processes
from churnlake.settings import Settings
from flows.runners import Application, Kind, job_environment, read_error
from flows.shift import Shift, carry_out

OpenShift = Callable[..., Shift]
Nights = Callable[[Shift], list[Run]]
JOB = Path(__file__).parent / "job.py"


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("night", {}, ["--date", "2011-11-28", "--date", "2011-11-29"]),
        ("night", {"is_due": True}, []),
        (
            "night",
            {"restate": True, "reason": "a bug"},
            ["--date", "2011-11-28", "--date", "2011-11-29", "--restate", "--reason", "a bug"],
        ),
        ("history", {}, ["--history-through", "2011-11-29"]),
        ("training", {}, ["--as-of", "2011-11-29"]),
        ("backfill", {}, ["--backfill-to", "2011-11-29"]),
    ],
)
def test_each_kind_of_application_names_its_dates_in_its_own_way(
    kind: Kind, options: dict[str, Any], expected: list[str]
) -> None:
    """A job gets its dates as arguments; only what is due is left to the job itself."""
    dates = (date(2011, 11, 28), date(2011, 11, 29))
    application = Application(kind, "shop", Path("/shop/contract.toml"), dates, "a1", **options)
    assert application.arguments == ["--contract", "/shop/contract.toml", "--application", "a1", *expected]


def test_a_job_gets_the_settings_as_variables_and_nothing_buffers_its_output(settings: Settings) -> None:
    """The job runs in another folder, so its home is handed down as a full path."""
    given = job_environment(settings)
    assert given["CHURNLAKE_HOME"] == str(settings.home)
    assert given["PYTHONUNBUFFERED"] == "1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("noise\nerror: no model\n  next: train\n", ("no model", "train")),
        ("error: first\nerror: two lines\n  - one\n", ("two lines\n  - one", None)),
        ("error: full\n  next: free space\nlibrary: bye\n", ("full", "free space")),
        ("Traceback\nValueError: x\n", ("ValueError: x", None)),
        ("", ("", None)),
    ],
)
def test_the_last_error_a_job_printed_is_taken_whole(text: str, expected: tuple[str, str | None]) -> None:
    """Message and next step come from the last `error:`; without one, the last line is all there is."""
    assert read_error(text) == expected


def test_exit_6_starts_the_job_again_and_it_resumes_after_the_last_done_stage(
    planned: OpenShift, tmp_path: Path
) -> None:
    """A fault that can pass costs an attempt, not the night: same run, same application, finished stages stay."""
    shift = planned("--fail", "score:6", "--once", str(tmp_path / "failed"))
    carry_out(shift)
    (run,) = shift.published()
    assert (run.attempt, run.application) == (2, shift.agenda[0].name)
    assert {stage.stage: stage.attempt for stage in shift.ledger.stages(run.run_id)} == {
        "ingest": 1, "features": 1, "score": 2, "publish": 2,
    }  # fmt: skip


def test_p19_exit_6_is_tried_three_times_in_all_and_then_named(planned: OpenShift, nights: Nights) -> None:
    """Retries are bounded: then the error has its kind and the next step."""
    shift = planned("--fail", "features:6")
    with pytest.raises(UnavailableError, match="said no") as raised:
        carry_out(shift)
    assert raised.value.next_step == "try again"
    (run,) = nights(shift)
    assert (run.state, run.attempt) == ("failed", 3)


@pytest.mark.faults
def test_an_interruption_ends_the_jobs_whole_group_and_closes_its_run(planned: OpenShift, nights: Nights) -> None:
    """Ctrl-C in the middle of a stage leaves no process and no run that looks alive."""
    shift = planned("--hang", "features")
    groups = []

    def interrupt(_run: Run, stage: Stage) -> None:
        if stage.stage == "features":
            groups.append(shift.running.job.pid)
            raise KeyboardInterrupt

    shift.listener = interrupt
    with pytest.raises(KeyboardInterrupt):
        carry_out(shift)
    assert processes.in_group(groups[0]) == []
    (run,) = nights(shift)
    assert run.state == "failed"


@pytest.mark.faults
def test_a_job_ends_with_a_killed_starter(settings: Settings, contract_path: Path) -> None:
    """Kill -9 of the flow closes the pipe, and the job kills its own group."""
    script = f"""
import sys
from pathlib import Path
from churnlake.settings import Settings
from flows.runners import Application, Job
from datetime import date
settings = Settings.from_environment({{"CHURNLAKE_HOME": {str(settings.home)!r}}})
application = Application("history", "online_retail", Path({str(contract_path)!r}), (date(2011, 11, 27),), "a1")
job = Job(application, (sys.executable, {str(JOB)!r}, "--hang", "ingest"), settings)
print(job.pid, flush=True)
job._process.wait()
"""
    starter = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    pid = int(starter.stdout.readline())
    assert processes.in_group(pid) != []
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    deadline = time.monotonic() + 10
    while processes.in_group(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes.in_group(pid) == []


@pytest.mark.faults
def test_a_job_that_was_killed_says_by_what(planned: OpenShift) -> None:
    """A kill from outside, such as the kernel's for memory, is named with what to look at."""
    shift = planned("--hang", "score")

    def kill(_run: Run, stage: Stage) -> None:
        if stage.stage == "score" and stage.state == "running":
            with contextlib.suppress(ProcessLookupError):  # of a later change it is dead already
                os.killpg(shift.running.job.pid, signal.SIGKILL)

    shift.listener = kill
    with pytest.raises(ChurnlakeError, match="ended by SIGKILL") as raised:
        carry_out(shift)
    assert "out of memory? its largest process used" in raised.value.message
    assert "CHURNLAKE_DRIVER_MEMORY" in raised.value.next_step
