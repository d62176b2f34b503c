import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from churnlake.errors import UsageError
from churnlake.settings import KNOWN_VARIABLES, Settings

ROOT = Path(__file__).resolve().parents[2]


def test_defaults_live_beside_where_one_stands(tmp_path: Path) -> None:
    """Without any variable the home is .churnlake here, and the jars are the checkout's."""
    settings = Settings.from_environment({}, tmp_path)
    assert settings.home == tmp_path / ".churnlake"
    assert settings.jars == ROOT / ".jars"
    assert (settings.cores, settings.driver_memory, settings.failpoint, settings.now) == (2, None, None, None)


def test_everything_lives_under_the_home(tmp_path: Path) -> None:
    """One folder holds all state, so that it can be moved, backed up and removed; an empty variable is no variable."""
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(tmp_path / "my home"), "CHURNLAKE_CORES": ""})
    home = tmp_path / "my home"
    assert settings.cores == 2
    assert settings.ledger_url == f"sqlite:///{home}/ledger.sqlite"
    assert settings.mlflow_url == f"sqlite:///{home}/mlflow.sqlite"
    assert settings.mlflow_artifacts == home / "mlflow-artifacts"
    assert settings.warehouse == home / "warehouse"
    assert settings.prefect_home == home / "prefect"
    assert settings.reports == home / "reports"
    assert settings.lake("shop") == home / "lake" / "shop"
    assert settings.attempt_folder("run-1", 2) == home / "runs" / "run-1" / "2"


def test_a_relative_home_is_of_the_folder_one_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job runs in another folder, so paths are made whole at the edge."""
    monkeypatch.chdir(tmp_path)
    assert Settings.from_environment({"CHURNLAKE_HOME": "state"}).home == tmp_path / "state"


def test_all_wrong_settings_are_told_at_once() -> None:
    """A misspelt or unfit variable is never passed over: what was given, what is allowed, for each."""
    with pytest.raises(UsageError) as caught:
        Settings.from_environment(
            {
                "CHURNLAKE_HOMME": "x",
                "CHURNLAKE_CORES": "two",
                "CHURNLAKE_DRIVER_MEMORY": "2 GB",
                "CHURNLAKE_FAILPOINT": "publish.never",
                "PATH": "/bin",
            }
        )
    lines = str(caught.value).splitlines()
    assert lines[0] == "settings do not fit:"
    assert lines[1] == (
        "  - unknown setting CHURNLAKE_HOMME; known: "
        + ", ".join(f"CHURNLAKE_{name}" for name in sorted(KNOWN_VARIABLES))
    )
    assert lines[2] == "  - CHURNLAKE_CORES must be a whole number of at least 1, such as 2; got 'two'"
    assert (
        lines[3] == "  - CHURNLAKE_DRIVER_MEMORY must be a whole number with m or g behind it, such as 2g; got '2 GB'"
    )
    assert lines[4].startswith("  - CHURNLAKE_FAILPOINT must be one of ingest.frozen, ")
    assert lines[4].endswith("; got 'publish.never'")
    assert lines[5] == "  next: correct or unset them"
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("cores", ["0", "-1", "1.5", "01"])
def test_cores_are_a_whole_number_of_at_least_one(cores: str) -> None:
    """Spark would take some of these for all cores of the machine."""
    with pytest.raises(UsageError, match=f"CHURNLAKE_CORES must be .*; got '{cores}'"):
        Settings.from_environment({"CHURNLAKE_CORES": cores})


@pytest.mark.parametrize("name", sorted(KNOWN_VARIABLES))
def test_every_setting_is_written_down(name: str) -> None:
    """The runbook names each variable an operator may set; the one for tests is told to contributors only."""
    if name != "FAILPOINT":
        assert f"CHURNLAKE_{name}`" in (ROOT / "docs" / "runbook.md").read_text()


def test_reading_settings_is_quick() -> None:
    """A command line that only says what went wrong loads no pydantic and no SQL parser."""
    code = "import sys, churnlake.settings; print(sorted({'pydantic', 'sqlglot', 'pandas'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, check=True)
    assert ran.stdout == b"[]\n"


@pytest.mark.parametrize("character", ["%", "#", "?"])
def test_a_home_that_no_lake_can_lie_in_is_refused(character: str, tmp_path: Path) -> None:
    """Delta tables are named by address, where these characters mean something else: the character is named."""
    home = tmp_path / f"my{character}home"

    with pytest.raises(UsageError, match=re.escape(f"holds {character}, which no lake can have in its path")):
        Settings.from_environment({"CHURNLAKE_HOME": str(home)})
