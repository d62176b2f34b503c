"""Runs, their attempts and their stages: what was meant, what was tried, how far it came."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from churnlake.errors import ConflictError, UsageError
from churnlake.ledger import schema
from churnlake.ledger.database import Database

RunKind = Literal["night", "history", "training", "release"]
RunState = Literal["running", "published", "done", "failed"]
StageState = Literal["running", "done", "failed"]

RUN = schema.run.c
ATTEMPT = schema.attempt.c
STAGE = schema.stage.c


@dataclass(frozen=True)
class Run:
    """One intent to bring a contract to a business date. `attempt` is the number of its newest attempt."""

    run_id: str
    contract: str
    kind: RunKind
    business_date: date
    state: RunState
    application: str
    contract_digest: str
    fingerprint: str | None
    model_version: int | None
    model_digest: str | None
    code_revision: str
    actor: str
    reason: str | None
    started_at: datetime
    finished_at: datetime | None
    exit_code: int | None
    message: str | None
    attempt: int


@dataclass(frozen=True)
class Attempt:
    """One application of a run, by one process under one lane epoch."""

    run_id: str
    attempt: int
    pid: int
    lane_epoch: int
    started_at: datetime
    finished_at: datetime | None = None
    exit_code: int | None = None


@dataclass(frozen=True)
class Stage:
    """How far a stage of a run came. `counts` are its own numbers, by name; `progress` is one line for people."""

    run_id: str
    stage: str
    attempt: int
    state: StageState
    started_at: datetime
    finished_at: datetime | None
    seconds: float | None
    progress: str | None
    counts: dict[str, Any]
    message: str | None


class Runs(Database):
    """The ledger's part about runs."""

    def start_run(  # noqa: PLR0913 - by name
        self,
        *,
        contract: str,
        kind: RunKind,
        business_date: date,
        application: str,
        contract_digest: str,
        code_revision: str,
        actor: str,
        pid: int,
        lane_epoch: int,
        now: datetime,
        reason: str | None = None,
    ) -> Run:
        """Record a new run and its first attempt; the run's name is made here."""
        run_id = f"{contract}-{kind}-{business_date:%Y%m%d}-{secrets.token_hex(4)}"
        values = {
            "run_id": run_id,
            "contract": contract,
            "kind": kind,
            "business_date": business_date,
            "state": "running",
            "application": application,
            "contract_digest": contract_digest,
            "code_revision": code_revision,
            "actor": actor,
            "reason": reason,
            "started_at": now,
        }
        with self._writing() as connection:
            connection.execute(sa.insert(schema.run).values(values))
            _add_attempt(connection, Attempt(run_id, 1, pid, lane_epoch, started_at=now))
            return _run(connection, run_id)

    def adopt_run(self, run_id: str, *, application: str, pid: int, lane_epoch: int, now: datetime) -> Run:
        """Take up an unfinished run with its next attempt: same run_id, finished stages stay finished.

        Raises:
            ConflictError: The run is finished.
        """
        with self._writing() as connection:
            run = _run(connection, run_id)
            if run.state not in ("running", "failed"):
                raise ConflictError(f"run {run_id} is {run.state} and cannot be taken up", next_step="start a new run")
            connection.execute(
                sa.update(schema.run)
                .where(RUN.run_id == run_id)
                .values(state="running", application=application, finished_at=None, exit_code=None, message=None)
            )
            _add_attempt(connection, Attempt(run_id, run.attempt + 1, pid, lane_epoch, started_at=now))
            return _run(connection, run_id)

    def pin_run(
        self,
        run_id: str,
        *,
        fingerprint: str | None = None,
        model_version: int | None = None,
        model_digest: str | None = None,
    ) -> Run:
        """Record what the run was resolved to. What is not given stays."""
        given = {"fingerprint": fingerprint, "model_version": model_version, "model_digest": model_digest}
        values = {name: value for name, value in given.items() if value is not None}
        with self._writing() as connection:
            if values:
                connection.execute(sa.update(schema.run).where(RUN.run_id == run_id).values(values))
            return _run(connection, run_id)

    def finish_run(  # noqa: PLR0913 - by name
        self, run_id: str, attempt: int, state: RunState, *, exit_code: int, now: datetime, message: str | None = None
    ) -> Run:
        """End a run and its attempt.

        Raises:
            ConflictError: Another attempt took the run up, or it is ended already.
        """
        with self._writing() as connection:
            _require_running(connection, run_id, attempt)
            ending = {"state": state, "message": message, "finished_at": now, "exit_code": exit_code}
            _end_run(connection, run_id, attempt, ending)
            return _run(connection, run_id)

    def settle_run(  # noqa: PLR0913 - by name
        self, run_id: str, attempt: int, state: RunState, *, exit_code: int, reason: str, now: datetime
    ) -> bool:
        """End a run whose process died, with its open stages. False when it was ended or taken up meanwhile."""
        with self._writing() as connection:
            run = _run(connection, run_id)
            if run.state != "running" or run.attempt != attempt:
                return False
            _close_open_stages(connection, run_id, "done" if state == "published" else "failed", reason, now)
            ending = {"state": state, "message": reason, "finished_at": now, "exit_code": exit_code}
            _end_run(connection, run_id, attempt, ending)
            return True

    def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            UsageError: The ledger knows no such run.
        """
        with self._reading() as connection:
            return _run(connection, run_id)

    def runs(self, contract: str) -> list[Run]:
        """All runs of a contract, oldest first."""
        return self._runs(RUN.contract == contract)

    def runs_of_application(self, application: str) -> list[Run]:
        """The runs one application worked on last, oldest first."""
        return self._runs(RUN.application == application)

    def running(self, contract: str) -> list[Run]:
        """Runs recorded as running, whether their process lives or not."""
        return self._runs(RUN.contract == contract, RUN.state == "running")

    def unfinished_run(self, contract: str, kind: RunKind, business_date: date) -> Run | None:
        """The newest run of a date, when it is one that can be taken up; None when it is finished or there is none."""
        runs = self._runs(RUN.contract == contract, RUN.kind == kind, RUN.business_date == business_date)
        return runs[-1] if runs and runs[-1].state in ("running", "failed") else None

    def attempts(self, run_id: str) -> list[Attempt]:
        """All attempts of a run, in order."""
        query = sa.select(schema.attempt).where(ATTEMPT.run_id == run_id).order_by(ATTEMPT.attempt)
        with self._reading() as connection:
            return [Attempt(**row) for row in connection.execute(query).mappings()]

    def start_stage(self, run_id: str, stage: str, attempt: int, *, now: datetime) -> None:
        """Open a stage. An unfinished one of an earlier attempt is written over.

        Raises:
            ConflictError: The stage is done, or another attempt took the run up.
        """
        fresh = {"attempt": attempt, "state": "running", "started_at": now, "counts": {}}
        empty = {"finished_at": None, "seconds": None, "progress": None, "message": None}
        with self._writing() as connection:
            _require_running(connection, run_id, attempt)
            row = insert(schema.stage).values(run_id=run_id, stage=stage, **fresh, **empty)
            reopen = row.on_conflict_do_update(
                index_elements=["run_id", "stage"], set_=fresh | empty, where=STAGE.state != "done"
            )
            if connection.execute(reopen).rowcount != 1:
                raise ConflictError(
                    f"stage {stage} of run {run_id} is done and is not opened again", next_step="skip it"
                )

    def report_progress(
        self, run_id: str, stage: str, attempt: int, progress: str, counts: Mapping[str, Any] | None = None
    ) -> None:
        """Say how far an open stage has come.

        Raises:
            ConflictError: The stage is not open under this attempt.
        """
        values: dict[str, Any] = {"progress": progress} | ({} if counts is None else {"counts": dict(counts)})
        with self._writing() as connection:
            _update_open_stage(connection, run_id, stage, attempt, values)

    def finish_stage(  # noqa: PLR0913 - by name
        self,
        run_id: str,
        stage: str,
        attempt: int,
        *,
        counts: Mapping[str, Any],
        now: datetime,
        message: str | None = None,
    ) -> None:
        """Close a stage as done, for good.

        Raises:
            ConflictError: The stage is not open under this attempt.
        """
        with self._writing() as connection:
            values = {"state": "done", "counts": dict(counts), "message": message} | _ended(
                connection, run_id, stage, now
            )
            _update_open_stage(connection, run_id, stage, attempt, values)

    def fail_stage(self, run_id: str, stage: str, attempt: int, *, message: str, now: datetime) -> None:
        """Close a stage as failed; a later attempt may open it again.

        Raises:
            ConflictError: The stage is not open under this attempt.
        """
        with self._writing() as connection:
            values = {"state": "failed", "message": message} | _ended(connection, run_id, stage, now)
            _update_open_stage(connection, run_id, stage, attempt, values)

    def stages(self, run_id: str) -> list[Stage]:
        """The stages of a run that were opened, in the order of their start."""
        query = (
            sa.select(schema.stage).where(STAGE.run_id == run_id).order_by(STAGE.started_at, sa.literal_column("rowid"))
        )
        with self._reading() as connection:
            return [Stage(**row) for row in connection.execute(query).mappings()]

    def _runs(self, *conditions: sa.ColumnElement[bool]) -> list[Run]:
        query = _select_runs().where(*conditions).order_by(RUN.started_at, sa.text("run.rowid"))
        with self._reading() as connection:
            return [Run(**row) for row in connection.execute(query).mappings()]


def _select_runs() -> sa.Select[Any]:
    newest = sa.select(sa.func.max(ATTEMPT.attempt)).where(ATTEMPT.run_id == RUN.run_id).scalar_subquery()
    return sa.select(schema.run, newest.label("attempt"))


def _run(connection: sa.Connection, run_id: str) -> Run:
    row = connection.execute(_select_runs().where(RUN.run_id == run_id)).mappings().one_or_none()
    if row is None:
        raise UsageError(f"the ledger knows no run {run_id!r}", next_step="`churnlake status` lists the runs")
    return Run(**row)


def _add_attempt(connection: sa.Connection, attempt: Attempt) -> None:
    connection.execute(sa.insert(schema.attempt).values(asdict(attempt)))


def _require_running(connection: sa.Connection, run_id: str, attempt: int) -> None:
    run = _run(connection, run_id)
    if run.state != "running" or run.attempt != attempt:
        raise ConflictError(
            f"attempt {attempt} of run {run_id} no longer runs: the run is {run.state} at attempt {run.attempt}",
            next_step="look at `churnlake status`",
        )


def _end_run(connection: sa.Connection, run_id: str, attempt: int, ending: Mapping[str, Any]) -> None:
    """`ending`: state, message, finished_at and exit_code; the last two are the attempt's too."""
    connection.execute(sa.update(schema.run).where(RUN.run_id == run_id).values(**ending))
    mine = (ATTEMPT.run_id == run_id) & (ATTEMPT.attempt == attempt)
    of_attempt = {name: ending[name] for name in ("finished_at", "exit_code")}
    connection.execute(sa.update(schema.attempt).where(mine).values(of_attempt))


def _close_open_stages(connection: sa.Connection, run_id: str, state: StageState, reason: str, now: datetime) -> None:
    still_open = (STAGE.run_id == run_id) & (STAGE.state == "running")
    connection.execute(sa.update(schema.stage).where(still_open).values(state=state, message=reason, finished_at=now))


def _ended(connection: sa.Connection, run_id: str, stage: str, now: datetime) -> dict[str, Any]:
    query = sa.select(STAGE.started_at).where(STAGE.run_id == run_id, STAGE.stage == stage)
    started_at = connection.execute(query).scalar()
    return {"finished_at": now, "seconds": None if started_at is None else (now - started_at).total_seconds()}


def _update_open_stage(
    connection: sa.Connection, run_id: str, stage: str, attempt: int, values: Mapping[str, Any]
) -> None:
    mine = (STAGE.run_id == run_id) & (STAGE.stage == stage) & (STAGE.attempt == attempt) & (STAGE.state == "running")
    if connection.execute(sa.update(schema.stage).where(mine).values(**values)).rowcount != 1:
        raise ConflictError(
            f"stage {stage} of run {run_id} is not open under attempt {attempt}", next_step="look at `churnlake status`"
        )
