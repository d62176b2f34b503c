"""What every room of tests shares: settings on a scratch home, and one lazy Spark session for all."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from churnlake.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent
DEMO_SECONDS = 900

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Set before anything reads them: no test reports to anybody.
os.environ |= {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "False",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
SLOWER_MARKS = ("spark", "browser", "end_to_end", "faults")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that ask for Spark, and puts the quick ones first: a plain mistake shows within seconds.

    Where two processes share the work, one makes the demo's home meanwhile, for those at the end that wait for it.
    """
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker("spark")
        if "demo_home" in getattr(
            item, "fixturenames", ()
        ):  # the first of them makes it, or waits for the other process
            item.add_marker(pytest.mark.timeout(2 * DEMO_SECONDS))
    items.sort(key=_slowness)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.path.name != "test_demo.py")


def _slowness(item: pytest.Item) -> int:
    return max((1 + position for position, mark in enumerate(SLOWER_MARKS) if item.get_closest_marker(mark)), default=0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a fresh home, with this checkout's jars."""
    return Settings.from_environment({"CHURNLAKE_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkSession"]:
    """The one session of this process: a start takes seconds, so tests share it and keep apart by folder."""
    from jobs.session import build_session

    scratch = tmp_path_factory.mktemp("spark")
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(scratch / "home")})
    # Its tables are tiny, but it lives for many minutes, in which the optimising compiler pays for itself.
    session = build_session("tests", settings, scratch, is_small=False)
    # A handful of rows: one partition a core exercises the shuffle, more would only be empty tasks.
    session.conf.set("spark.sql.shuffle.partitions", "2")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home that the demo leaves: a year of a real shop, a model, three nights. Made once; copy it to change it.

    Its folder has a blank in its name, as people's folders have. `demo.txt` in it holds what was printed. Of several
    processes of one test run the first one to ask makes it, and the others wait for it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    home = shared / "demo" / "my home"
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "demo.txt").exists():
            _run_demo(home)
    return home


def _run_demo(home: Path) -> None:
    environment = {**os.environ, "CHURNLAKE_HOME": str(home)}
    command = [sys.executable, "-m", "flows.cli", "demo"]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=DEMO_SECONDS, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (home / "demo.txt").write_text(done.stdout)


@pytest.fixture
def after_demo(demo_home: Path, tmp_path: Path) -> Settings:
    """Settings of a copy of the demo's home, free to be changed."""
    shutil.copytree(demo_home, tmp_path / "home", symlinks=True)
    return Settings.from_environment({"CHURNLAKE_HOME": str(tmp_path / "home")})


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the demo's contract with the files of its last six weeks: older ones are no longer looked at."""
    source = CHECKOUT / "examples" / "online_retail"
    shutil.copytree(source / "expectations", tmp_path / "shop" / "expectations")
    (tmp_path / "shop" / "data" / "by_day").mkdir(parents=True)
    for file in sorted((source / "data" / "by_day").iterdir()):
        if file.name >= "2011-10-25":
            shutil.copy(file, tmp_path / "shop" / "data" / "by_day")
    return Path(shutil.copy(source / "contract.toml", tmp_path / "shop" / "contract.toml"))
