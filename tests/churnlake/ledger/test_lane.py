"""The lane: one owner per lake, whatever dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from churnlake.errors import ConflictError, UnavailableError
from churnlake.ledger import processes
from churnlake.ledger.lane import Lane, holder, is_free

HOLD = """
import sys, time
from pathlib import Path
from churnlake.ledger.lane import Lane
with Lane.take(Path(sys.argv[1])) as lane:
    print(lane.epoch, flush=True)
    time.sleep(60)
"""
HOLD_WITH_CHILD = """
import subprocess, sys, time
from pathlib import Path
from churnlake.ledger.lane import Lane
with Lane.take(Path(sys.argv[1])) as lane:
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, flush=True)
    time.sleep(60)
"""
RELEASE_AND_STAY = """
import sys, time
from pathlib import Path
from churnlake.ledger.lane import Lane
with Lane.take(Path(sys.argv[1])) as lane:
    pass
print("left", flush=True)
time.sleep(60)
"""


class Holders:
    """Starts processes that take the lane, each leading its own group, and ends them after the test."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self, script: str, lake: Path, *, own_group: bool = True) -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(lake)], stdout=subprocess.PIPE, text=True, start_new_session=own_group
        )
        self.started.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip()

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture
def holders() -> Iterator[Holders]:
    """Ends every process a test started, also when the test fails."""
    all_holders = Holders()
    yield all_holders
    all_holders.end()


def test_p7_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path, holders: Holders) -> None:
    """Two processes want one lake: the second one is told who holds it, since when, and what to do."""
    first, _ = holders.start(HOLD, tmp_path)
    with pytest.raises(ConflictError, match=rf"process {first.pid} \(since 2.* UTC\) holds the lane") as caught:
        Lane.take(tmp_path)
    assert caught.value.exit_code == 5
    assert "wait until it ends" in str(caught.value)
    assert not is_free(tmp_path)


def test_a_killed_holder_frees_the_lane_and_the_epoch_goes_on(tmp_path: Path, holders: Holders) -> None:
    """The kernel frees a dead process's lane at once; the next epoch is one more."""
    first, epoch = holders.start(HOLD, tmp_path)
    first.kill()
    first.wait()
    assert is_free(tmp_path)
    with Lane.take(tmp_path) as lane:
        assert (epoch, lane.epoch) == ("1", 2)
        lane.assert_mine()


def test_p8_a_frozen_holder_keeps_the_lane(tmp_path: Path, holders: Holders) -> None:
    """A paused process still owns its lake: nobody may write beside what it will do when it wakes."""
    first, _ = holders.start(HOLD, tmp_path)
    os.kill(first.pid, signal.SIGSTOP)
    assert not is_free(tmp_path)
    with pytest.raises(ConflictError):
        Lane.take(tmp_path)


def test_an_orphan_in_the_dead_holders_group_is_ended_first(tmp_path: Path, holders: Holders) -> None:
    """A child that outlives its killed driver is gone before the next holder has the lane."""
    driver, child = holders.start(HOLD_WITH_CHILD, tmp_path)
    driver.kill()
    driver.wait()
    assert [process.pid for process in processes.in_group(driver.pid)] == [int(child)]
    with Lane.take(tmp_path):
        assert processes.in_group(driver.pid) == []


def test_a_holder_that_left_in_order_is_left_alone(tmp_path: Path, holders: Holders) -> None:
    """A process that freed the lane and lives on is no orphan."""
    first, _ = holders.start(RELEASE_AND_STAY, tmp_path)
    with Lane.take(tmp_path):
        assert first.poll() is None


def test_a_group_the_holder_did_not_lead_is_left_alone(tmp_path: Path, holders: Holders) -> None:
    """A holder in somebody else's group (a shell's, here the test's) takes nobody with it."""
    first, _ = holders.start(HOLD, tmp_path, own_group=False)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        first.kill()
        first.wait()
        with Lane.take(tmp_path):
            assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_group_number_used_again_is_left_alone(tmp_path: Path) -> None:
    """A live leader with another start time is a stranger who got the number of the dead holder."""
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        boot, moment = processes.started(stranger.pid).split(":")
        record = {"pid": stranger.pid, "pgid": stranger.pid, "epoch": 4, "since": "then"}
        (tmp_path / ".lake.lock").write_text(json.dumps(record | {"started": f"{boot}:{int(moment) - 1}"}))
        with Lane.take(tmp_path) as lane:
            assert (lane.epoch, stranger.poll()) == (5, None)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_raised_epoch_voids_the_lane(tmp_path: Path) -> None:
    """A holder whose record was replaced learns it at its next check, as it does when the file is gone."""
    with Lane.take(tmp_path) as lane:
        lock = tmp_path / ".lake.lock"
        record = json.loads(lock.read_text())
        lock.write_text(json.dumps(record | {"epoch": lane.epoch + 1}))
        with pytest.raises(ConflictError, match=r"with epoch 1, but now process .* with epoch 2"):
            lane.assert_mine()
        lock.unlink()
        with pytest.raises(ConflictError, match="the lock file is gone"):
            lane.assert_mine()


def test_a_broken_record_is_never_counted_from_one_again(tmp_path: Path) -> None:
    """Epochs that restart would make every later write void in silence, so a broken record stops."""
    (tmp_path / ".lake.lock").write_text('{"pid": 1, "epo')
    with pytest.raises(UnavailableError, match="is broken"):
        Lane.take(tmp_path)


def test_training_and_night_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Each kind has a lane and a count of its own."""
    with Lane.take(tmp_path), Lane.take(tmp_path, "training") as training:
        assert training.epoch == 1
        assert not is_free(tmp_path, "training")
    assert is_free(tmp_path, "training")


def test_looking_whether_it_is_free_never_refuses_a_taker(tmp_path: Path) -> None:
    """A status command that looks at the lane all the time does not keep a job from taking it."""
    with Lane.take(tmp_path):
        pass
    script = (
        "import sys\nfrom pathlib import Path\nfrom churnlake.ledger.lane import is_free\nprint(flush=True)\n"
        "while True: is_free(Path(sys.argv[1]))"
    )
    looker = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert looker.stdout is not None
        looker.stdout.readline()
        for _ in range(20):
            with Lane.take(tmp_path) as lane:
                lane.assert_mine()
        assert lane.epoch == 21
    finally:
        looker.kill()
        looker.wait()


def test_both_ways_to_list_processes_agree(tmp_path: Path) -> None:
    """What Linux keeps in /proc and what ps prints name the same groups."""
    if subprocess.run(["which", "ps"], capture_output=True, check=False).returncode:
        pytest.skip("ps is not installed here")
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        time.sleep(0.1)
        groups = [
            {process.pid: process.pgid for process in listing()}[child.pid]
            for listing in (processes._from_proc, processes._from_ps)
        ]
        assert groups == [child.pid, child.pid]
    finally:
        child.kill()
        child.wait()


def test_nobody_ever_held_a_new_lake(tmp_path: Path) -> None:
    """A lake without a lock file is free and has no last holder."""
    assert (is_free(tmp_path / "new"), holder(tmp_path / "new")) == (True, None)
