"""The truth about what is published: `publications.sqlite` in the warehouse folder.

A publish is one sqlite transaction that compares two things first: the fence (nobody claimed the contract since) and
the pointer (nobody published the date since). What readers see is derived from these tables by `materialise`.
"""

import fcntl
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Self

from churnlake.errors import ConflictError, UnavailableError, UsageError
from churnlake.warehouse.records import (
    SCHEMA,
    Load,
    LoadFacts,
    Publication,
    Row,
    as_json,
    as_load,
    as_publication,
    as_text,
)

BUSY_SECONDS = 30.0
"""A writer waits this long for another one. Building a generation holds the lock for well under a second."""

CONTRACT_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
"""A contract's name becomes a folder and a schema. Nothing else that is handed in becomes either."""


class Publications:
    """The publish protocol's state. A connection lives for one transaction: safe in threads and forks."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def open(cls, root: Path) -> Self:
        """Open a warehouse folder, creating it when there is none.

        Raises:
            UnavailableError: It cannot be written.
        """
        root = root.resolve()
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnavailableError(
                f"cannot make {root}: {error.strerror}", next_step="make its parent folder writable"
            ) from error
        publications = cls(root)
        if not publications._is_ready():
            publications._create()
        return publications

    def claim(self, contract: str) -> int:
        """Take the next epoch of a contract: from here on nobody with an earlier one can publish it."""
        _require_name(contract)
        with self.writing() as connection:
            raise_fence = """INSERT INTO fence VALUES (?, 1)
                ON CONFLICT (contract) DO UPDATE SET epoch = fence.epoch + 1 RETURNING epoch"""
            return int(connection.execute(raise_fence, (contract,)).fetchone()["epoch"])

    def seen(self, contract: str, business_date: date) -> int | None:
        """The newest restatement of a date, to be remembered before the load is built; None when never published."""
        with self.reading() as connection:
            return _restatement(connection, contract, business_date)

    def newest(self, contract: str) -> date | None:
        """The seal: the newest date that is published or was withdrawn. None when nothing ever was."""
        with self.reading() as connection:
            query = "SELECT max(business_date) AS newest FROM current WHERE contract = ?"
            newest = connection.execute(query, (contract,)).fetchone()["newest"]
            return None if newest is None else date.fromisoformat(newest)

    def newest_before(self, contract: str, business_date: date) -> date | None:
        """The newest date before the given one that is published or was withdrawn; None when there is none."""
        with self.reading() as connection:
            query = "SELECT max(business_date) AS newest FROM current WHERE contract = ? AND business_date < ?"
            newest = connection.execute(query, (contract, business_date.isoformat())).fetchone()["newest"]
            return None if newest is None else date.fromisoformat(newest)

    def current(self, contract: str, business_date: date) -> Publication | None:
        """What readers see of a date; None when it was never published or is withdrawn."""
        query = """SELECT publication.* FROM current JOIN publication USING (load_id)
            WHERE current.contract = ? AND current.business_date = ?"""
        with self.reading() as connection:
            row = connection.execute(query, (contract, business_date.isoformat())).fetchone()
            return None if row is None else as_publication(row)

    def is_withdrawn(self, contract: str, business_date: date) -> bool:
        """Whether a date was published and then taken back: not due again by itself."""
        query = "SELECT 1 FROM current WHERE contract = ? AND business_date = ? AND state = 'withdrawn'"
        with self.reading() as connection:
            return connection.execute(query, (contract, business_date.isoformat())).fetchone() is not None

    def published(self, contract: str) -> list[Publication]:
        """The current publication of each date of a contract, oldest first."""
        query = """SELECT publication.* FROM current JOIN publication USING (load_id) WHERE current.contract = ?
            ORDER BY publication.business_date"""
        with self.reading() as connection:
            return [as_publication(row) for row in connection.execute(query, (contract,))]

    def of_run(self, run_id: str) -> list[Publication]:
        """Every publication a run made, also those replaced since."""
        with self.reading() as connection:
            rows = connection.execute("SELECT * FROM publication WHERE run_id = ? ORDER BY load_id", (run_id,))
            return [as_publication(row) for row in rows]

    def load(self, load_id: int) -> Load:
        """One load.

        Raises:
            UsageError: There is no such load.
        """
        with self.reading() as connection:
            return _load(connection, load_id)

    def begin_load(
        self,
        facts: LoadFacts,
        documents: Mapping[str, Sequence[Row]],
        *,
        epoch: int,
        now: datetime,
        cohorts: Sequence[int] = (),
    ) -> Load:
        """Record a new load, still empty. Its previous load is the one now current for the last date before.

        `cohorts` are the earlier loads whose outcomes it tells.

        Raises:
            ConflictError: Somebody claimed the contract since `epoch`.
        """
        _require_name(facts.contract)
        with self.writing() as connection:
            _require_fence(connection, facts.contract, epoch)
            values = {
                "contract": facts.contract,
                "business_date": facts.business_date.isoformat(),
                "run_id": facts.run_id,
                "attempt": facts.attempt,
                "epoch": epoch,
                "state": "loading",
                "previous_load_id": _previous_load_id(connection, facts),
                "data_through": facts.data_through.isoformat(),
                "horizon_days": facts.horizon_days,
                "gap_days": facts.gap_days,
                "contract_version": facts.contract_version,
                "model_version": facts.model_version,
                "is_retrospective": int(facts.is_retrospective),
                "started_at": as_text(now),
            }
            load_id = _insert(connection, "load", values)
            for table, rows in documents.items():
                _insert(connection, "document", {"load_id": load_id, "table_name": table, "rows": as_json(rows)})
            for cohort in cohorts:
                _insert(connection, "outcome", {"load_id": load_id, "cohort_load_id": cohort})
            return _load(connection, load_id)

    def mark_audited(self, load_id: int, *, customers_scored: int, customers_not_scored: int) -> Load:
        """Record that a load is complete and passed its audit: it may be published.

        Raises:
            ConflictError: The load is no longer open.
        """
        counts = {"customers_scored": customers_scored, "customers_not_scored": customers_not_scored}
        return self._close_load(load_id, {"state": "audited", **counts})

    def mark_failed(self, load_id: int, message: str) -> Load:
        """Record that a load must never be published.

        Raises:
            ConflictError: The load is no longer open.
        """
        return self._close_load(load_id, {"state": "failed", "message": message})

    def publish(  # noqa: PLR0913 - by name
        self,
        load_id: int,
        *,
        epoch: int,
        seen: int | None,
        fingerprint: str,
        actor: str,
        now: datetime,
        reason: str | None = None,
    ) -> Publication:
        """Make an audited load what its date shows, if epoch and pointer are as they were when its run began.

        Raises:
            ConflictError: Somebody claimed the contract or published the date meanwhile; nothing was changed.
        """
        with self.writing() as connection:
            load = _load(connection, load_id)
            _require_fence(connection, load.contract, epoch)
            _require_publishable(connection, load, epoch, seen)
            key = {"contract": load.contract, "business_date": load.business_date.isoformat()}
            publication = {
                **key,
                "restatement": 0 if seen is None else seen + 1,
                "load_id": load_id,
                "run_id": load.run_id,
                "epoch": epoch,
                "fingerprint": fingerprint,
                "previous_load_id": load.previous_load_id,
                "reason": reason,
                "actor": actor,
                "published_at": as_text(now),
            }
            _insert(connection, "publication", publication)
            pointer = {
                "load_id": load_id,
                "state": "published",
                "changed_at": as_text(now),
                "changed_by": actor,
                "reason": reason,
            }
            _move_pointer(connection, key | pointer)
            return as_publication(publication)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its first statement; any error rolls it back."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._plain_errors():
            connection = self._connect()
            try:
                connection.execute(begin)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            finally:
                connection.close()

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        """Names a locked, full or read-only database as what it is; every other error passes unchanged."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UnavailableError(
                f"the warehouse {self.root} cannot be used: {error}",
                next_step="check free space and rights of the folder, then run again",
            ) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.root / "publications.sqlite", timeout=BUSY_SECONDS, isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")  # what readers were shown must survive a power cut
        return connection

    def _is_ready(self) -> bool:
        if not (self.root / "publications.sqlite").exists():
            return False
        with self.reading() as connection:
            # The newest of the tables: a warehouse of an older Churnlake gets what it lacks.
            return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'outcome'").fetchone() is not None

    def _create(self) -> None:
        # Two processes may meet an empty folder at once, and the change to WAL does not wait for a lock.
        with self._plain_errors(), (self.root / ".creating").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = self._connect()
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
            finally:
                connection.close()

    def _close_load(self, load_id: int, values: Row) -> Load:
        with self.writing() as connection:
            assignments = ", ".join(f"{name} = :{name}" for name in values)
            query = f"UPDATE load SET {assignments} WHERE load_id = :load_id AND state = 'loading'"  # noqa: S608 - own names
            if connection.execute(query, {**values, "load_id": load_id}).rowcount != 1:
                state = _load(connection, load_id).state
                raise ConflictError(f"load {load_id} is {state} already", next_step="run the date again")
            return _load(connection, load_id)


def _require_name(contract: str) -> None:
    if not CONTRACT_NAME.fullmatch(contract):
        raise UsageError(
            f"a contract's name is lowercase letters, digits and underscores, at most 40; got {contract!r}",
            next_step="correct [contract] name",
        )


def _require_fence(connection: sqlite3.Connection, contract: str, epoch: int) -> None:
    row = connection.execute("SELECT epoch FROM fence WHERE contract = ?", (contract,)).fetchone()
    now = 0 if row is None else int(row["epoch"])
    if now != epoch:
        raise ConflictError(
            f"this run claimed {contract} with epoch {epoch}, but another one claimed it since (epoch {now})",
            next_step=f"nothing was changed; `churnlake status` shows the other run of {contract}",
        )


def _require_publishable(connection: sqlite3.Connection, load: Load, epoch: int, seen: int | None) -> None:
    if load.state != "audited" or load.epoch != epoch:
        raise ConflictError(
            f"load {load.load_id} is {load.state} and of epoch {load.epoch}; it must be audited and of {epoch}",
            next_step="run the date again",
        )
    now = _restatement(connection, load.contract, load.business_date)
    if now != seen:
        raise ConflictError(
            f"{load.contract} {load.business_date} was published meanwhile: restatement was {seen}, is {now}",
            next_step="nothing was changed; to replace it, run the date with --restate --reason TEXT",
        )


def _restatement(connection: sqlite3.Connection, contract: str, business_date: date) -> int | None:
    query = "SELECT max(restatement) AS newest FROM publication WHERE contract = ? AND business_date = ?"
    newest = connection.execute(query, (contract, business_date.isoformat())).fetchone()["newest"]
    return None if newest is None else int(newest)


def _previous_load_id(connection: sqlite3.Connection, facts: LoadFacts) -> int | None:
    query = """SELECT load_id FROM current WHERE contract = ? AND business_date < ? AND state = 'published'
        ORDER BY business_date DESC LIMIT 1"""
    row = connection.execute(query, (facts.contract, facts.business_date.isoformat())).fetchone()
    return None if row is None else int(row["load_id"])


def _move_pointer(connection: sqlite3.Connection, pointer: Row) -> None:
    connection.execute("DELETE FROM current WHERE contract = :contract AND business_date = :business_date", pointer)
    _insert(connection, "current", pointer)
    _insert(connection, "pointer_log", pointer)
    connection.execute("UPDATE generation SET number = number + 1")


def _insert(connection: sqlite3.Connection, table: str, values: Row) -> int:
    names = ", ".join(values)
    marks = ", ".join(f":{name}" for name in values)
    cursor = connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", dict(values))  # noqa: S608 - own names
    return int(cursor.lastrowid or 0)


def _load(connection: sqlite3.Connection, load_id: int) -> Load:
    row = connection.execute("SELECT * FROM load WHERE load_id = ?", (load_id,)).fetchone()
    if row is None:
        raise UsageError(f"the warehouse has no load {load_id}", next_step="look at churn.publications")
    return as_load(row)
