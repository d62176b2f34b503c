import signal
import subprocess
import sys
from pathlib import Path

import pytest

from churnlake.failpoints import POINTS, hit

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("point", POINTS)
def test_an_unarmed_failpoint_does_nothing(point: str) -> None:
    """Nothing armed, or another one: the process goes on."""
    hit(point, None)
    hit(point, next(other for other in POINTS if other != point))


def test_an_armed_failpoint_ends_the_whole_group_at_once() -> None:
    """As a power cut would: no handler runs, and a child of the process goes with it."""
    code = (
        "import subprocess, sys; from churnlake.failpoints import hit\n"
        "child = subprocess.Popen(['sleep', '60'], stdout=sys.stdout); print(child.pid, flush=True)\n"
        "try:\n    hit('publish.loaded', 'publish.loaded')\nfinally:\n    print('survived', flush=True)"
    )
    # The pipe ends only when the child, which holds it too, is gone.
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE, timeout=30, check=False
    )
    assert ran.returncode == -signal.SIGKILL
    assert ran.stdout.strip().isdigit()


def test_an_unknown_failpoint_is_a_mistake_of_ours() -> None:
    """A point that is not on the list could never be armed."""
    with pytest.raises(AssertionError, match=r"unknown failpoint 'publish\.never'; known: ingest\.frozen, "):
        hit("publish.never", None)
