"""Starting a Spark application as a process, following it through the ledger, and ending it whatever happens.

The ledger's stage rows are the only channel: the runner polls them, and the exit code ends the story.
"""

import os
import resource
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal, Self

from churnlake.errors import (
    ChurnlakeError,
    ConflictError,
    DataRefusedError,
    ModelRefusedError,
    UnavailableError,
    UsageError,
)
from churnlake.ledger import Ledger, Run, Stage
from churnlake.settings import Settings

CHECKOUT = Path(__file__).resolve().parent.parent
POLL_SECONDS = 0.3

RESUME_PAUSES = (2.0, 10.0)
"""Seconds before a job that met a fault that can pass (exit 6) is started again: at most twice."""

Kind = Literal["history", "training", "night", "backfill", "release", "promotion", "explain", "trial"]
STAGES: dict[Kind, tuple[str, ...]] = {
    "history": ("ingest",),
    "training": ("rows", "fit", "gate", "register"),
    "night": ("ingest", "features", "score", "publish"),
    "backfill": ("ingest", "features", "score"),
    "release": ("release",),
    "promotion": (),
}
"""The stages of one business date by kind of application, in order. Both ways of running follow this list.

What only looks has no stages: `flows/asking.py`."""

Command = Sequence[str]
NIGHT: Command = (sys.executable, "-m", "jobs.night")
TRAINING: Command = (sys.executable, "-m", "jobs.training")
RELEASE: Command = (sys.executable, "-m", "jobs.release")
PROMOTION: Command = (sys.executable, "-m", "jobs.promotion")
EXPLAIN: Command = (sys.executable, "-m", "jobs.explain")
TRIAL: Command = (sys.executable, "-m", "jobs.trial")
COMMANDS: dict[Kind, Command] = {
    "history": NIGHT,
    "training": TRAINING,
    "night": NIGHT,
    "backfill": NIGHT,
    "release": RELEASE,
    "promotion": PROMOTION,
    "explain": EXPLAIN,
    "trial": TRIAL,
}

_ERRORS: dict[int, type[ChurnlakeError]] = {
    error.exit_code: error
    for error in (UsageError, DataRefusedError, ModelRefusedError, ConflictError, UnavailableError)
}


@dataclass(frozen=True)
class Application:
    """One job process to be started: which work, on which contract, for which business dates, oldest first.

    `is_due` says that nobody named the dates: then the job works them out again by itself and may wait for a file.
    A release, a promotion, and what only looks, has no dates of its own but `options` that say what it is about.
    """

    kind: Kind
    contract: str
    contract_path: Path
    dates: tuple[date, ...]
    name: str
    is_due: bool = False
    restate: bool = False
    reason: str | None = None
    options: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        """What the job's command is followed by."""
        head = ["--contract", str(self.contract_path), "--application", self.name]
        if self.kind == "night":
            dates = [] if self.is_due else [part for day in self.dates for part in ("--date", f"{day}")]
            return head + dates + (["--restate", "--reason", self.reason or ""] if self.restate else [])
        if self.kind in ("release", "promotion", "explain", "trial"):
            return [*head, *self.options]
        option = {"history": "--history-through", "training": "--as-of", "backfill": "--backfill-to"}[self.kind]
        return [*head, option, f"{self.dates[-1]}"]


def application_name(now: datetime) -> str:
    """A new name: it starts with the moment, so that folders sort by time."""
    return f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


class Job:
    """A started application. Use as a context: leaving it by any error ends the job's whole process group."""

    def __init__(
        self, application: Application, command: Command, settings: Settings, pauses: Sequence[float] = RESUME_PAUSES
    ) -> None:
        self.application = application
        self.folder = settings.home / "runs" / "applications" / application.name
        self._command = [*command, *application.arguments]
        self._environment = job_environment(settings)
        self._pauses = list(pauses)
        self._resume_at: float | None = None
        self._process = self._start()

    @property
    def pid(self) -> int:
        """Its process, which also leads its process group."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), None while it runs or waits to be resumed."""
        code = self._process.poll()
        if code != UnavailableError.exit_code or not self._pauses:
            return code
        if self._resume_at is None:
            self._resume_at = time.monotonic() + self._pauses[0]
        if time.monotonic() >= self._resume_at:
            self._pauses.pop(0)
            self._resume_at = None
            self._close()
            self._process = self._start()
        return None

    def end(self) -> None:
        """Kills the group and waits until the job is gone. Nothing to do when it has ended."""
        self._pauses.clear()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._close()

    def said(self) -> str:
        """What the job printed for people."""
        return (self.folder / "stdout.txt").read_text(encoding="utf-8", errors="replace").strip()

    def error(self) -> ChurnlakeError:
        """Why the job ended with something else than 0, as the error it meant."""
        code = self._process.returncode
        stderr = self.folder / "stderr.txt"
        if code < 0:
            used = f"out of memory? its largest process used {largest_child() / 2**30:.1f} GB"
            fix = f"lower CHURNLAKE_DRIVER_MEMORY or end other programs, then run again: it resumes; see {stderr}"
            return ChurnlakeError(f"the job was ended by {signal.Signals(-code).name}; {used}", next_step=fix)
        message, next_step = read_error(stderr.read_text(encoding="utf-8", errors="replace"))
        kind = _ERRORS.get(code, ChurnlakeError)
        return kind(message or f"the job ended with exit code {code}", next_step=next_step or f"see {stderr}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _start(self) -> subprocess.Popen[bytes]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stdout.txt").open("ab") as stdout, (self.folder / "stderr.txt").open("ab") as stderr:
            return subprocess.Popen(
                self._command,
                cwd=CHECKOUT,
                env=self._environment,
                # Never written to: its end tells the job that whoever started it is gone.
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def largest_child() -> int:
    """Bytes of memory that the largest of the processes ended so far has held at once."""
    told = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return told if sys.platform == "darwin" else told * 1024  # Linux counts in kilobytes


def job_environment(settings: Settings) -> dict[str, str]:
    """The variables of a job: those of this process, the settings made explicit, since it runs in another folder."""
    given = {
        "HOME": str(settings.home),
        "JARS": str(settings.jars),
        "CORES": str(settings.cores),
        "DRIVER_MEMORY": settings.driver_memory or "",
        "FAILPOINT": settings.failpoint or "",
        "NOW": settings.now or "",
    }
    return {**os.environ, **{f"CHURNLAKE_{name}": value for name, value in given.items()}, "PYTHONUNBUFFERED": "1"}


def read_error(text: str) -> tuple[str, str | None]:
    """Message and next step of the last `error: ...` a job printed; without one, its last line."""
    lines = text.rstrip().splitlines()
    start = next((place for place in range(len(lines) - 1, -1, -1) if lines[place].startswith("error: ")), None)
    if start is None:
        return (lines[-1] if lines else "", None)
    message, _, step = "\n".join(lines[start:]).removeprefix("error: ").partition("\n  next: ")
    # The step is one line: libraries may print more while the interpreter ends.
    return message, step.partition("\n")[0] or None


@contextmanager
def killed_by_terminate() -> Iterator[None]:
    """Makes SIGTERM end this process as Ctrl-C does, so that a job is never left behind."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Progress:
    """What the ledger tells of a running job: its runs as they appear, and their stages as they change."""

    def __init__(self, ledger: Ledger, job: Job) -> None:
        self.job = job
        self._ledger = ledger

    def runs(self) -> Iterator[Run]:
        """Each run of the application as it appears. Ends with the job.

        Raises:
            ChurnlakeError: The job ended with an error.
        """
        seen: set[str] = set()
        for code in self._codes():
            for run in self._ledger.runs_of_application(self.job.application.name):
                if run.run_id not in seen:
                    seen.add(run.run_id)
                    yield run
            if code not in (None, 0):
                raise self.job.error()

    def stage(self, run: Run, name: str) -> Iterator[Stage]:
        """Each change of one stage, up to its being done.

        Raises:
            ChurnlakeError: The job ended before the stage was done.
        """
        last: Stage | None = None
        for code in self._codes():
            stage = next((one for one in self._ledger.stages(run.run_id) if one.stage == name), None)
            if stage is not None and stage != last:
                yield stage
                last = stage
            if stage is not None and stage.state == "done":
                return
            if code is not None:
                raise self._failure(run, name)

    def finished(self, run: Run) -> Run:
        """The run once the job is through with it.

        Raises:
            ChurnlakeError: The job ended before it finished the run.
        """
        for code in self._codes():
            now = self._ledger.run(run.run_id)
            if now.state in ("published", "done"):
                return now
            if code is not None:
                break
        raise self._failure(run, "the run")

    def _failure(self, run: Run, what: str) -> ChurnlakeError:
        if self.job.poll() != 0:
            return self.job.error()
        return ChurnlakeError(f"the job ended well but {what} of {run.run_id} is not done", next_step="run again")

    def _codes(self) -> Iterator[int | None]:
        """The exit code before each look at the ledger: what is read after the job ended is complete."""
        while (code := self.job.poll()) is None:
            yield code
            time.sleep(POLL_SECONDS)
        yield code
