"""Whole nights through the command line, as a user types it; Spark, MLflow and DuckDB are real."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from churnlake.settings import Settings
from flows.runners import CHECKOUT


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Every test of this folder runs whole nights."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.end_to_end)


@dataclass(frozen=True)
class Home:
    """A home and the command line on it."""

    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "CHURNLAKE_HOME": str(self.settings.home)}

    def command(self, *arguments: str) -> list[str]:
        """The command `churnlake` with arguments."""
        return [sys.executable, "-m", "flows.cli", *arguments]

    def churnlake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a verb to its end."""
        command = self.command(*arguments)
        return subprocess.run(command, cwd=CHECKOUT, env=self.environment, capture_output=True, text=True, check=False)


@pytest.fixture
def home_of() -> Callable[[Settings], Home]:
    """The command line on a home that is there already."""
    return Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home, in a folder with a space in its name, as people have them."""
    return Home(Settings.from_environment({"CHURNLAKE_HOME": str(tmp_path / "my home")}))
