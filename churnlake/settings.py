"""One frozen Settings, read from CHURNLAKE_* variables at the edge and handed down in slices."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from churnlake.errors import UsageError

KNOWN_VARIABLES = frozenset({"HOME", "CORES", "DRIVER_MEMORY", "JARS", "FAILPOINT", "NOW"})


@dataclass(frozen=True)
class Settings:
    """Where things live and how much of the machine Spark may take."""

    home: Path
    jars: Path
    cores: int = 2
    driver_memory: str = "2g"
    failpoint: str | None = None
    now: str | None = None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> "Settings":
        """Settings of this process.

        Raises:
            UsageError: A CHURNLAKE_* variable is unknown or its value does not fit.
        """
        variables = os.environ if environ is None else environ
        given = {key.removeprefix("CHURNLAKE_"): value for key, value in variables.items() if key.startswith("CHURNLAKE_")}
        unknown = sorted(set(given) - KNOWN_VARIABLES)
        if unknown:
            raise UsageError(
                f"unknown setting{'s' if len(unknown) > 1 else ''} {', '.join('CHURNLAKE_' + name for name in unknown)}; "
                f"known: {', '.join('CHURNLAKE_' + name for name in sorted(KNOWN_VARIABLES))}",
                next_step="unset it or correct its name",
            )
        folder = Path.cwd() if cwd is None else cwd
        checkout = Path(__file__).resolve().parent.parent
        return cls(
            home=Path(given.get("HOME") or folder / ".churnlake").resolve(),
            jars=Path(given.get("JARS") or checkout / ".jars").resolve(),
            cores=_positive_int("CHURNLAKE_CORES", given.get("CORES"), default=2),
            driver_memory=given.get("DRIVER_MEMORY") or "2g",
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


def _positive_int(name: str, text: str | None, default: int) -> int:
    if not text:
        return default
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"{name} must be a whole number of at least 1; got {text!r}", next_step=f"export {name}={default}")
    return int(text)
