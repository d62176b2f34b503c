"""One running application: its lane, ledger, clock and session, and the stages it records."""

import errno
import getpass
import hashlib
import importlib
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import SparkSession

from churnlake.contract.schema import Contract
from churnlake.errors import ChurnlakeError, UnavailableError
from churnlake.failpoints import hit
from churnlake.ledger import Lane, Ledger, Run
from churnlake.ledger.runs import RunKind, RunState
from churnlake.settings import Settings
from jobs.lake import Lake

if TYPE_CHECKING:
    from churnlake.model.registry import Champion

CHECKOUT = Path(__file__).resolve().parent.parent
# What Python's side of Spark says once its Java process is gone.
_JAVA_IS_GONE = ("Answer from Java side is empty", "while trying to connect to the Java server")
_NO_SPACE = (errno.ENOSPC, errno.EROFS, errno.EDQUOT)


def clock() -> datetime:
    """The instant, for records of when something ran. No business date is ever derived from it."""
    return datetime.now(UTC)


def code_revision() -> str:
    """Twelve hex digits over the code and the lock that make scores: equal on any machine with the same files."""
    digest = hashlib.sha256()
    sources = [
        path
        for room in ("churnlake", "jobs", "expectations")
        for path in (CHECKOUT / room).rglob("*")
        if path.suffix in (".py", ".json")
    ]
    for path in sorted([*sources, CHECKOUT / "requirements" / "runtime.txt"]):
        digest.update(path.relative_to(CHECKOUT).as_posix().encode() + b"\x00" + path.read_bytes())
    return digest.hexdigest()[:12]


@dataclass
class Application:
    """What every stage of one process shares. Spark starts with the first stage that needs it."""

    settings: Settings
    contract: Contract
    ledger: Ledger
    lane: Lane
    name: str

    @cached_property
    def revision(self) -> str:
        return code_revision()

    @property
    def actor(self) -> str:
        return getpass.getuser()

    def warm_up(self) -> None:
        """Starts Spark and heavy imports beside whatever comes first: start-up is a third of a small night."""
        self._starting  # noqa: B018 - the property starts it
        os.environ["GX_ANALYTICS_ENABLED"] = "False"  # read at import
        self._threads.submit(importlib.import_module, "great_expectations")

    @property
    def spark(self) -> SparkSession:
        return self._starting.result()

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=2, thread_name_prefix="warm-up")

    @cached_property
    def _starting(self) -> "Future[SparkSession]":
        return self._threads.submit(self._build_session)

    def _build_session(self) -> SparkSession:
        from jobs.extent import is_small
        from jobs.session import build_session

        name, scratch = self.contract.name, self.settings.home / "runs" / "applications" / self.name
        small = is_small(self.contract, self.ledger.deliveries(name), self.settings.lake(name))
        return build_session(f"churnlake {name}", self.settings, scratch, is_small=small)

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.spark, self.settings.lake(self.contract.name), self.contract.name, self.lane)

    @contextmanager
    def run(
        self,
        kind: RunKind,
        business_date: date,
        ends_as: RunState,
        *,
        reason: str | None = None,
        champion: "Champion | None" = None,
    ) -> Iterator[Run]:
        """Opens a run of the date, or takes the unfinished one up, and records how it ends."""
        run = self._opened(kind, business_date, reason, champion)
        try:
            yield run
        except BaseException as problem:
            code = as_shortage(problem) or problem
            exit_code = code.exit_code if isinstance(code, ChurnlakeError) else 1
            self.ledger.finish_run(
                run.run_id, run.attempt, "failed", exit_code=exit_code, now=clock(), message=first_line(problem)
            )
            raise
        self.ledger.finish_run(run.run_id, run.attempt, ends_as, exit_code=0, now=clock())

    def _opened(self, kind: RunKind, business_date: date, reason: str | None, champion: "Champion | None") -> Run:
        """Takes up what an earlier attempt left, but only when contract, code and model are the same."""
        # Training hands its results on in memory, a release writes the same rows again: both always start anew.
        takes_up = kind not in ("training", "release")
        unfinished = self.ledger.unfinished_run(self.contract.name, kind, business_date) if takes_up else None
        here: dict[str, Any] = {
            "application": self.name,
            "pid": os.getpid(),
            "lane_epoch": self.lane.epoch,
            "now": clock(),
        }
        if unfinished and self._is_same_intent(unfinished, champion):
            run = self.ledger.adopt_run(unfinished.run_id, **here)
        else:
            run = self.ledger.start_run(
                contract=self.contract.name,
                kind=kind,
                business_date=business_date,
                contract_digest=self.contract.digest,
                code_revision=self.revision,
                actor=self.actor,
                reason=reason,
                **here,
            )
        return (
            self.ledger.pin_run(run.run_id, model_version=champion.version, model_digest=champion.digest)
            if champion
            else run
        )

    def _is_same_intent(self, unfinished: Run, champion: "Champion | None") -> bool:
        is_same_model = champion is None or unfinished.model_digest in (None, champion.digest)
        return is_same_model and (unfinished.contract_digest, unfinished.code_revision) == (
            self.contract.digest,
            self.revision,
        )

    def reach(self, point: str) -> None:
        hit(point, self.settings.failpoint)

    @contextmanager
    def stage(self, run: Run, name: str) -> Iterator["OpenStage"]:
        """Opens a stage of the run and closes it, done or failed. Its row is what the flow and people watch."""
        self.ledger.start_stage(run.run_id, name, run.attempt, now=clock())
        opened = OpenStage(self.ledger, run, name)
        try:
            yield opened
        except BaseException as problem:
            self.ledger.fail_stage(run.run_id, name, run.attempt, message=first_line(problem), now=clock())
            raise
        self.ledger.finish_stage(
            run.run_id, name, run.attempt, counts=opened.counts, now=clock(), message=opened.message
        )

    def done_stages(self, run: Run) -> dict[str, dict[str, Any]]:
        """Counts of the stages of the run that are done, so that a new attempt passes over them."""
        return {stage.stage: stage.counts for stage in self.ledger.stages(run.run_id) if stage.state == "done"}


@dataclass
class OpenStage:
    """A stage at work: `counts` are kept when it ends, `say` tells people how far it is."""

    ledger: Ledger
    run: Run
    name: str
    counts: dict[str, Any] = field(default_factory=dict)
    message: str | None = None

    def say(self, progress: str) -> None:
        self.ledger.report_progress(self.run.run_id, self.name, self.run.attempt, progress, self.counts)


def first_line(problem: BaseException) -> str:
    """A problem for a ledger row: our own messages whole, foreign ones by kind and first line."""
    if isinstance(problem, ChurnlakeError):
        return str(problem)
    lines = str(problem).splitlines()
    return f"{type(problem).__name__}: {lines[0][:300]}" if lines else type(problem).__name__


def end_group_with_parent() -> None:
    """Ends this process group when standard input closes: the flow that holds its other end is gone."""

    def watch() -> None:
        # Not through sys.stdin: the interpreter cannot shut down while a thread holds that object's lock.
        while os.read(0, 1 << 10):
            pass
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def exit_code_of(work: Callable[[], int]) -> int:
    """Runs the work; a deliberate error becomes its message and exit code, any other a traceback and 1."""
    try:
        return work()
    except ChurnlakeError as problem:
        print(
            f"error: {problem}" if problem.exit_code else str(problem),
            file=sys.stderr if problem.exit_code else sys.stdout,
            flush=True,
        )
        return problem.exit_code
    except Exception as problem:  # noqa: BLE001 - the edge of the process: what nobody foresaw ends here, with its traceback
        traceback.print_exc()
        shortage = as_shortage(problem)
        print(f"error: {shortage or first_line(problem)}", file=sys.stderr, flush=True)
        return shortage.exit_code if shortage else 1


def as_shortage(problem: BaseException) -> UnavailableError | None:
    """The problem as a full or read-only disk or a lost Java, when it is that; Spark hides it inside its own text."""
    if any(text in str(problem) for text in _JAVA_IS_GONE):
        return UnavailableError(
            "Spark's Java process was ended from outside; out of memory?",
            next_step="lower CHURNLAKE_DRIVER_MEMORY or end other programs, then run again: it resumes",
        )
    is_own = isinstance(problem, OSError) and problem.errno in _NO_SPACE
    told = next((text for text in ("No space left on device", "Read-only file system") if text in str(problem)), None)
    if not is_own and told is None:
        return None
    return UnavailableError(
        told or str(problem),
        next_step="free space or make the folder writable (`churnlake doctor` names it, its owner, what is free and "
        "needed), then run again: it resumes",
    )
