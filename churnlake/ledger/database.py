"""The ledger's database: opening, migrating, and transactions that several processes can use at once."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import NullPool

from churnlake.errors import UnavailableError, UsageError
from churnlake.ledger.schema import REVISION

BUSY_MILLISECONDS = 30_000
"""A writer waits this long for another one. Transactions here take milliseconds."""

MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """Short transactions on the ledger's sqlite file. One connection each: safe in threads and forks."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """Bring the database to the newest schema, creating it when there is none.

        Raises:
            UsageError: The url is not sqlite's, or a newer Churnlake wrote the ledger.
            UnavailableError: The file cannot be written.
        """
        path = _database_path(url)
        engine = _engine(url)
        with _plain_errors():
            if _revision(engine, path) != REVISION:
                _migrate(engine, path)
        return cls(engine)

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        """One consistent view of the ledger."""
        with _plain_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """One transaction that holds sqlite's write lock from its first statement, so that it never fails half way."""
        with _plain_errors(), self._engine.execution_options(immediate=True).begin() as connection:
            yield connection


def _database_path(url: str) -> Path:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise UsageError(
            f"the ledger is a sqlite file; got {parsed.render_as_string(hide_password=True)!r}",
            next_step="use sqlite:///<path>/ledger.sqlite",
        )
    return Path(parsed.database)


def _engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_MILLISECONDS / 1000})
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own implicit BEGIN would come too late; see _begin
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later fails at once, without waiting, when another wrote in between.
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _revision(engine: sa.Engine, path: Path) -> str | None:
    if not path.exists():
        return None
    with engine.begin() as connection:
        known = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").first()
        query = "SELECT version_num FROM alembic_version"
        return None if known is None else str(connection.exec_driver_sql(query).scalar_one())


def _migrate(engine: sa.Engine, path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with _migration_lock(path), engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")  # journal_mode cannot change inside the transaction of _begin
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        # A migration that rebuilds a table drops its first form, which others still point to.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise UsageError(
                f"{path} was written by a newer Churnlake: {error}",
                next_step="update Churnlake, or point CHURNLAKE_HOME elsewhere",
            ) from error
        connection.commit()


@contextmanager
def _migration_lock(path: Path) -> Iterator[None]:
    """Two processes that open a new ledger at once migrate one after the other; the second finds nothing to do."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(f".{path.name}.migrating").open("w")
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path.parent}: {error.strerror}", next_step="make the folder writable"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Names a locked, full or read-only database as what it is; every other error passes unchanged."""
    try:
        yield
    except sa.exc.OperationalError as error:
        raise UnavailableError(
            f"the ledger cannot be used: {error.orig}",
            next_step="check free space and rights of its folder, then run again",
        ) from error
