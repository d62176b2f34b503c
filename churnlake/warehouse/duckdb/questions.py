"""Asking the warehouse: one SELECT, read only, and no way from it to any file that is not published."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from churnlake.errors import UsageError
from churnlake.warehouse.duckdb.connection import exact_paths
from churnlake.warehouse.duckdb.generations import LINK

NEXT_STEP = "ask one SELECT, for example: SELECT * FROM churn.scores_latest ORDER BY risk_rank LIMIT 10"

_OPENING = threading.Lock()
"""Connections of one process to one file share its settings, so one thread at a time opens and locks."""


@dataclass(frozen=True)
class Answer:
    """The answer to a question: column names, their SQL types, and rows in that order."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def query(root: Path, sql: str, values: Sequence[object] = ()) -> Answer:
    """Answer one SELECT, WITH, FROM, DESCRIBE or SHOW over the newest generation; it is read whole into memory.

    `values` stand for the question marks in it: what comes from data or people is never pasted into SQL.

    Raises:
        UsageError: There is no warehouse yet, or the text is not one such statement, is wrong, or reaches outside.
    """
    # The resolved name differs by generation: DuckDB shares one instance per name within a process.
    generation = (root / LINK).resolve()
    if not generation.is_file():
        raise UsageError(
            f"there is no warehouse in {root} yet", next_step="publish a first night: churnlake run CONTRACT"
        )
    try:
        with _open(generation) as connection:
            return _answer(connection, _one_select(connection, sql), values)
    except duckdb.Error as error:
        raise UsageError(f"the warehouse refused the question: {error}", next_step=NEXT_STEP) from error


def _open(generation: Path) -> duckdb.DuckDBPyConnection:
    settings: dict[str, Any] = {
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "TimeZone": "UTC",
    }
    with _OPENING:
        connection = duckdb.connect(generation, read_only=True, config=settings)
        if connection.execute("SELECT current_setting('lock_configuration')").fetchone() != (True,):
            _lock(connection)
        return connection


def _lock(connection: duckdb.DuckDBPyConnection) -> None:
    files = [Path(path) for (path,) in connection.execute("SELECT path FROM churn_files.published").fetchall()]
    # DuckDB asks for leave twice: for the path as the view writes it, and for the file it finds there.
    connection.execute("SET allowed_paths = ?", [[*exact_paths(files), *map(str, files)]])
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    statements = connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        given = " and ".join(statement.type.name for statement in statements) or "no statement"
        raise UsageError(f"the warehouse answers exactly one SELECT; got {given}", next_step=NEXT_STEP)
    return statements[0]


def _answer(connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, values: Sequence[object]) -> Answer:
    result = connection.execute(statement, list(values))
    described = result.description or []
    return Answer(
        columns=tuple(column[0] for column in described),
        types=tuple(str(column[1]) for column in described),
        rows=result.fetchall(),
    )
