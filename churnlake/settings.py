"""One frozen Settings, read from CHURNLAKE_* variables at the edge and handed down in slices."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from churnlake.errors import UsageError
from churnlake.failpoints import POINTS

KNOWN_VARIABLES = frozenset({"HOME", "CORES", "DRIVER_MEMORY", "JARS", "FAILPOINT", "NOW"})


@dataclass(frozen=True)
class Settings:
    """Where things live and how much of the machine Spark may take; without a word on memory, its usual share."""

    home: Path
    jars: Path
    cores: int = 2
    driver_memory: str | None = None
    failpoint: str | None = None
    now: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> "Settings":
        """Settings of this process.

        Raises:
            UsageError: A CHURNLAKE_* variable is unknown or its value does not fit.
        """
        variables = os.environ if environ is None else environ
        given = {
            key.removeprefix("CHURNLAKE_"): value for key, value in variables.items() if key.startswith("CHURNLAKE_")
        }
        folder = Path.cwd() if cwd is None else cwd
        home = Path(given.get("HOME") or folder / ".churnlake").resolve()
        problems = [*_unknown(given), *_misfits(given), *_unreadable(home)]
        if problems:
            raise UsageError("\n  - ".join(["settings do not fit:", *problems]), next_step="correct or unset them")
        checkout = Path(__file__).resolve().parent.parent
        return cls(
            home=home,
            jars=Path(given.get("JARS") or checkout / ".jars").resolve(),
            cores=int(given.get("CORES") or 2),
            driver_memory=given.get("DRIVER_MEMORY") or None,
            failpoint=given.get("FAILPOINT") or None,
            now=given.get("NOW") or None,
        )

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.home / 'ledger.sqlite'}"

    @property
    def warehouse(self) -> Path:
        return self.home / "warehouse"

    @property
    def mlflow_url(self) -> str:
        return f"sqlite:///{self.home / 'mlflow.sqlite'}"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.home / "mlflow-artifacts"

    @property
    def prefect_home(self) -> Path:
        return self.home / "prefect"

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    def lake(self, contract: str) -> Path:
        return self.home / "lake" / contract

    def attempt_folder(self, run_id: str, attempt: int) -> Path:
        return self.home / "runs" / run_id / str(attempt)


def _unknown(given: Mapping[str, str]) -> list[str]:
    known = ", ".join(f"CHURNLAKE_{name}" for name in sorted(KNOWN_VARIABLES))
    unknown = sorted(set(given) - KNOWN_VARIABLES)
    return [f"unknown setting CHURNLAKE_{name}; known: {known}" for name in unknown]


def _misfits(given: Mapping[str, str]) -> list[str]:
    """Values that would only be found out in the middle of a night."""
    return [
        f"CHURNLAKE_{name} must be {wanted}; got {given[name]!r}"
        for name, (pattern, wanted) in _SHAPES.items()
        if given.get(name) and not re.fullmatch(pattern, given[name])
    ]


def _unreadable(home: Path) -> list[str]:
    """Delta tables are named by address, where these characters mean something else."""
    wrong = sorted({character for character in "%#?" if character in str(home)})
    told = f"the home {home} holds {' '.join(wrong)}, which no lake can have in its path; set CHURNLAKE_HOME elsewhere"
    return [told] if wrong else []


_SHAPES = {
    "CORES": ("[1-9][0-9]{0,3}", "a whole number of at least 1, such as 2"),
    "DRIVER_MEMORY": ("[1-9][0-9]*[mg]", "a whole number with m or g behind it, such as 2g"),
    "FAILPOINT": ("|".join(map(re.escape, POINTS)), f"one of {', '.join(POINTS)}"),
}
