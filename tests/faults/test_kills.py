"""P1: killed at any moment of a night, readers see the last complete scores, and the next run finishes the night."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from churnlake.failpoints import POINTS
from churnlake.ledger import Ledger
from churnlake.ledger.lane import is_free
from churnlake.settings import Settings
from churnlake.warehouse.duckdb import materialise, query
from churnlake.warehouse.publications import Publications

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

CHECKOUT = Path(__file__).resolve().parents[2]
CONTRACT = CHECKOUT / "examples" / "online_retail" / "contract.toml"
BEFORE, FIRST, SECOND = date(2011, 11, 30), date(2011, 12, 1), date(2011, 12, 2)


def _command(night: date, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "flows.cli", "run", str(CONTRACT), "--date", f"{night}", *arguments]


def _environment(settings: Settings, failpoint: str = "") -> dict[str, str]:
    return {**os.environ, "CHURNLAKE_HOME": str(settings.home), "CHURNLAKE_FAILPOINT": failpoint}


def _run(settings: Settings, night: date, failpoint: str = "") -> tuple[int, str]:
    done = subprocess.run(
        _command(night, "--direct"),
        cwd=CHECKOUT,
        env=_environment(settings, failpoint),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _readers_see(settings: Settings) -> tuple[date, int, int, int]:
    """What an analyst sees, without any verb run in between: date, rows, distinct customers, distinct runs."""
    asked = """SELECT max(business_date), count(*), count(DISTINCT customer_id), count(DISTINCT run_id)
        FROM churn.scores_latest"""
    return query(settings.warehouse, asked).rows[0]


def _assert_whole(seen: tuple[date, int, int, int], night: date) -> None:
    day, rows, customers, runs = seen
    assert (day, customers, runs) == (night, rows, 1)
    assert rows > 2_000


def test_p1_a_night_killed_at_every_point_in_turn_is_finished_by_the_next_run(after_demo: Settings) -> None:
    """Every attempt resumes where the last one died; readers see the old night, then the new one, never a mix."""
    materialise(Publications.open(after_demo.warehouse))
    for point in POINTS[: POINTS.index("publish.materialised")]:
        code, output = _run(after_demo, FIRST, failpoint=point)
        assert "SIGKILL" in output, f"{point} was not reached: {code} {output}"
        _assert_whole(_readers_see(after_demo), BEFORE if point != "publish.committed" else FIRST)

    code, output = _run(after_demo, FIRST)
    assert code == 0, output
    _assert_whole(_readers_see(after_demo), FIRST)

    assert "SIGKILL" in _run(after_demo, SECOND, failpoint="publish.materialised")[1]
    _assert_whole(_readers_see(after_demo), SECOND)
    assert _run(after_demo, SECOND)[0] == 0
    told = query(after_demo.warehouse, "SELECT business_date, count(*) FROM churn.publications GROUP BY 1 ORDER BY 1")
    assert told.rows[-2:] == [(FIRST, 1), (SECOND, 1)]


def test_p1_killing_the_flow_ends_its_job_and_the_next_run_finishes_the_night(after_demo: Settings) -> None:
    """Spark follows a killed flow within seconds, the old scores stay, the next `run` publishes the night once."""
    materialise(Publications.open(after_demo.warehouse))
    # To nowhere: the server that Prefect starts beside the flow would outlive it and hold a pipe open.
    nowhere = subprocess.DEVNULL
    flow = subprocess.Popen(
        _command(FIRST),
        cwd=CHECKOUT,
        env=_environment(after_demo),
        stdout=nowhere,
        stderr=nowhere,
        start_new_session=True,
    )
    ledger = Ledger.open(after_demo.ledger_url)
    _wait_until(lambda: any(run.business_date == FIRST for run in ledger.runs("online_retail")), 120)
    time.sleep(random.Random(FIRST.toordinal()).uniform(0, 10))  # noqa: S311 - a seeded moment, not a secret

    flow.kill()
    flow.wait()
    # The job leads a group of its own; what is left in the flow's is that server.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(flow.pid, signal.SIGKILL)

    _wait_until(lambda: is_free(after_demo.lake("online_retail")), 20)
    _assert_whole(_readers_see(after_demo), BEFORE)
    code, output = _run(after_demo, FIRST)
    assert code == 0, output
    _assert_whole(_readers_see(after_demo), FIRST)
    states = [run.state for run in ledger.runs("online_retail") if run.business_date == FIRST]
    assert states == ["published"]


def _wait_until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.2)
