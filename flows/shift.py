"""A shift: what one command or one tick works with, what it finds to do, and how it carries that out."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Self

from churnlake.contract import Contract, load_contract
from churnlake.due import first_training_as_of, newest_date, what_is_due
from churnlake.errors import ChurnlakeError, DataRefusedError, UsageError
from churnlake.ledger import Ledger, Run, Stage
from churnlake.settings import Settings
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.reconcile import reconcile
from flows.runners import COMMANDS, RESUME_PAUSES, STAGES, Application, Command, Job, Kind, Progress, application_name

Listener = Callable[[Run, Stage], None]


def read_clock(settings: Settings) -> datetime:
    """The instant all dates of a command come from: the setting's, else the machine's. Read once, at the edge.

    Raises:
        UsageError: CHURNLAKE_NOW is no moment with a time zone.
    """
    if settings.now is None:
        return datetime.now(UTC)
    try:
        now = datetime.fromisoformat(settings.now)
    except ValueError:
        now = None
    if now is None or now.tzinfo is None:
        fix = "export CHURNLAKE_NOW=2011-12-01T06:00:00+00:00, or unset it"
        raise UsageError(f"CHURNLAKE_NOW must be a moment with a time zone; got {settings.now!r}", next_step=fix)
    return now


@dataclass(frozen=True)
class Request:
    """What was asked for: a contract and, unless whatever is due is meant, one business date."""

    contract_path: Path
    business_date: date | None = None
    restate: bool = False
    reason: str | None = None


@dataclass
class Shift:
    """One contract, the places its work is recorded, and the applications to run, in order."""

    settings: Settings
    contract: Contract
    ledger: Ledger
    publications: Publications
    now: datetime
    commands: Mapping[Kind, Command] = field(default_factory=lambda: COMMANDS)
    pauses: tuple[float, ...] = RESUME_PAUSES
    listener: Listener = lambda _run, _stage: None
    agenda: tuple[Application, ...] = ()
    runs: list[Run] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    running: Progress | None = None
    failure: ChurnlakeError | None = None
    refused: list[Run] = field(default_factory=list)
    _ahead: Job | None = None

    @classmethod
    def open(cls, contract_path: Path, settings: Settings, now: datetime) -> Self:
        """Reads the contract, opens ledger and warehouse, and settles what a killed run left behind.

        Raises:
            ContractError: The contract is wrong.
            UnavailableError: The home cannot be written.
        """
        contract = load_contract(contract_path)
        ledger = Ledger.open(settings.ledger_url)
        ledger.remember_contract(name=contract.name, path=str(contract.path), digest=contract.digest, now=now)
        shift = cls(settings, contract, ledger, Publications.open(settings.warehouse), now)
        shift.settle()
        return shift

    def settle(self) -> None:
        """Closes runs whose process is gone, and shows readers what is published."""
        lake = self.settings.lake(self.contract.name)
        reconcile(self.ledger, self.publications, lake, self.contract.name, now=datetime.now(UTC))

    def plan_nights(self, request: Request) -> None:
        """Puts what is due on the agenda; with no model yet, history and training of the day before come first."""
        dates = self._dates(request)
        if not dates:
            return
        if self.ledger.champion(self.contract.name) is None:
            self.plan_training(first_training_as_of(self.contract, dates[0]))
        asked = request.business_date is not None
        self._add("night", dates, is_due=not asked, restate=request.restate, reason=request.reason)

    def plan_training(self, as_of: date) -> None:
        """Puts training on the agenda, after whatever history it lacks."""
        self._add("history", (as_of,))
        self._add("training", (as_of,))

    def plan_backfill(self, to: date) -> None:
        """Puts the lake through a date, and features and scores of that date, on the agenda; a model comes first."""
        if self.ledger.champion(self.contract.name) is None:
            self.plan_training(first_training_as_of(self.contract, to))
        self._add("backfill", (to,))

    def plan_release(self, options: tuple[str, ...]) -> None:
        """Puts a release of rows from quarantine on the agenda; `options` say which rows."""
        self._add("release", ())
        self.agenda = (*self.agenda[:-1], replace(self.agenda[-1], options=options))

    def plan_promotion(self, version: int, reason: str) -> None:
        """Puts a model version's becoming champion on the agenda.

        Raises:
            UsageError: No reason is given.
        """
        if not reason.strip():
            raise UsageError("a promotion needs a reason; it is kept with it", next_step="--reason TEXT")
        self._add("promotion", ())
        # Joined by =: a reason that begins with a dash is no option of its own.
        self.agenda = (*self.agenda[:-1], replace(self.agenda[-1], options=(f"--to={version}", f"--reason={reason}")))

    def start_ahead(self) -> None:
        """Starts the first application now, so that Spark comes up while something else does."""
        if self.agenda:
            self._ahead = self._start(self.agenda[0])

    @contextmanager
    def job(self, application: Application) -> Iterator[Progress]:
        """The application's job, running; leaving the block in any way ends it, and settles what it left."""
        job = self._ahead if self._ahead is not None and self._ahead.application is application else None
        job = job or self._start(application)
        self._ahead = None
        try:
            with job:
                self.running = Progress(self.ledger, job)
                yield self.running
        finally:
            self.running = None
            if job.poll() != 0:
                self.settle()
                self._explain(application)
        self.said += job.said().splitlines()

    @contextmanager
    def on_duty(self) -> Iterator[Self]:
        """Makes this the shift that flows started inside the block take up, and ends its job with the block."""
        token = _ON_DUTY.set(self)
        try:
            yield self
        finally:
            _ON_DUTY.reset(token)
            if self._ahead is not None:
                self._ahead.end()
                self.settle()

    def tell(self, run: Run, stage: Stage) -> None:
        """Passes a change on to whoever watches."""
        self.listener(run, stage)

    def newest_date(self) -> date:
        """The newest business date that has ended.

        Raises:
            DataRefusedError: There is no file yet.
        """
        newest = newest_date(self.contract, self.now)
        if newest is None:
            raise DataRefusedError(
                f"{self.contract.name} has no file yet", next_step=f"`churnlake check {self.contract.path}`"
            )
        return newest

    def finish(self, run: Run) -> None:
        """Keeps a finished run, and writes the page of a published night."""
        self.runs.append(run)
        if run.state != "published":
            return
        from churnlake.report import write_page

        try:
            write_page(self.settings, run.contract, run.business_date)
        except Exception as problem:  # noqa: BLE001 - whatever becomes of its page, the night is published
            self.said.append(f"{run.business_date} has no page: {problem}; {self._again(run)}")

    def _explain(self, application: Application) -> None:
        """Writes the data page of what the application did not finish, for whoever is woken by it."""
        failed = [run for run in self.ledger.runs_of_application(application.name) if run.state == "failed"]
        for run in failed:
            if run.kind == "training" or self.publications.current(run.contract, run.business_date) is not None:
                continue
            self.refused.append(run)
            try:
                from churnlake.report import write_data_page

                write_data_page(self.settings, run.contract, run.business_date)
            except Exception as problem:  # noqa: BLE001 - the error that stopped the run must come through, not this one
                self.said.append(f"{run.business_date} has no data page: {problem}; {self._again(run)}")

    def _again(self, run: Run) -> str:
        return f"try `churnlake report {self.contract.path} --date {run.business_date}`"

    def published(self) -> list[Run]:
        """The nights this shift published."""
        return [run for run in self.runs if run.kind == "night" and run.state == "published"]

    def _dates(self, request: Request) -> tuple[date, ...]:
        if request.restate and request.business_date is None:
            raise UsageError("--restate needs the date to publish again", next_step="add --date YYYY-MM-DD")
        if request.restate and not (request.reason or "").strip():
            raise UsageError("--restate needs a reason; it is kept with the publication", next_step="add --reason TEXT")
        sealed = self.publications.newest(self.contract.name)
        asked = request.business_date
        if asked is not None and (request.restate or (sealed is not None and asked <= sealed)):
            return (asked,)
        if asked is not None and asked < self.contract.calendar.starts_on:
            fix = "name a later date, or correct [calendar] starts_on"
            raise UsageError(
                f"{asked} is before the contract starts ({self.contract.calendar.starts_on})", next_step=fix
            )
        return what_is_due(self.contract, sealed, self.now, asked).dates

    def _add(
        self,
        kind: Kind,
        dates: tuple[date, ...],
        *,
        is_due: bool = False,
        restate: bool = False,
        reason: str | None = None,
    ) -> None:
        name = application_name(datetime.now(UTC))
        added = Application(kind, self.contract.name, self.contract.path, dates, name, is_due, restate, reason)
        self.agenda += (added,)

    def _start(self, application: Application) -> Job:
        return Job(application, self.commands[application.kind], self.settings, self.pauses)


_ON_DUTY: ContextVar[Shift | None] = ContextVar("shift", default=None)


@contextmanager
def taken_up(contract_path: Path, plan: Callable[[Shift], None]) -> Iterator[Shift]:
    """The shift on duty in this process, else a new one with its own plan: what a flow works with."""
    on_duty = _ON_DUTY.get()
    if on_duty is not None:
        yield on_duty
        return
    settings = Settings.from_environment()
    shift = Shift.open(contract_path, settings, read_clock(settings))
    plan(shift)
    with shift.on_duty():
        yield shift


def at_hand() -> Shift:
    """The shift on duty, for a task inside a flow.

    Raises:
        LookupError: No flow took one up.
    """
    shift = _ON_DUTY.get()
    if shift is None:
        raise LookupError("no shift is on duty in this process")
    return shift


def carry_out(shift: Shift) -> None:
    """The whole agenda without Prefect: the same applications and the same stages in the same order.

    Raises:
        ChurnlakeError: An application ended with an error; what came before it stays.
    """
    for application in shift.agenda:
        with shift.job(application) as progress:
            for run in progress.runs():
                for stage in STAGES[application.kind]:
                    for change in progress.stage(run, stage):
                        shift.tell(run, change)
                shift.finish(progress.finished(run))
