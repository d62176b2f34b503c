"""What readers open: a generation file of views and small tables, made from the publications and swapped by a symlink.

The file in place is never replaced: a reader who opened it for writing leaves a log beside it that would not fit the
new one. Each generation has a name of its own and is read-only.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from churnlake.errors import UnavailableError
from churnlake.tables import WAREHOUSE, Table, data_dictionary
from churnlake.warehouse.duckdb.connection import building, exact_paths, quoted, sync
from churnlake.warehouse.duckdb.loads import NOT_SCORED, SCORES
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.records import Load, as_json, as_load

LINK = "warehouse.duckdb"
GENERATIONS = "generations"

VIEWS_OF_FILES = ("scores_latest", "scores_history", "not_scored", "outcomes")

STORAGE_VERSION = "v1.2.0"
"""Older DuckDB clients can open the file too."""

LAYOUT = hashlib.sha256(f"1 {WAREHOUSE!r}".encode()).hexdigest()
"""Changes with the tables: a generation of an older Churnlake is made anew. Raise the number with the SQL here."""


@dataclass(frozen=True)
class State:
    """All that a generation shows, as one transaction saw it. `newest` and `loads` are of current publications.

    `outcomes` are pairs: a load, and the cohort of which it tells. Only what both are current of is shown: a cohort
    that was published anew or withdrawn has no outcomes until a later night tells them. `documents` are rows as JSON
    lists by table, several for one: they are many, and DuckDB reads them faster.
    """

    contracts: tuple[str, ...]
    loads: tuple[Load, ...]
    outcomes: tuple[tuple[Load, Load], ...]
    documents: Mapping[str, Sequence[str]]

    def files(self, root: Path, view: str, contract: str | None) -> list[Path]:
        """The files behind a view, for all contracts or one."""
        if view == "outcomes":
            told = [(load, cohort) for load, cohort in self.outcomes if contract in (None, load.contract)]
            return [root / load.outcomes_of(cohort.business_date) for load, cohort in told]
        loads = self.newest() if view == "scores_latest" else self.loads
        wanted = [load for load in loads if contract in (None, load.contract)]
        return [root / load.folder / (NOT_SCORED if view == "not_scored" else SCORES) for load in wanted]

    def newest(self) -> tuple[Load, ...]:
        """The load of each contract's newest published date."""
        return tuple({load.contract: load for load in self.loads}.values())


def materialise(publications: Publications) -> Path:
    """Bring what readers see to what is published; quick when it is so already. Any verb may call it at any time.

    Returns: the generation file that readers open now.

    Raises:
        UnavailableError: The disk cannot be written, or a published file is missing; readers keep what they had.
    """
    with publications.reading() as connection:
        generation = _generation(connection)
    if _fits(publications.root, generation) and _is_shown(publications.root, generation["number"]):
        return _file(publications.root, generation["number"])
    with publications.writing() as connection:
        number = _number(connection, publications.root)
        if not _is_shown(publications.root, number):
            _build(publications.root, number, _state(connection))
            _show(publications.root, number)
        return _file(publications.root, number)


def _generation(connection: sqlite3.Connection) -> sqlite3.Row:
    row: sqlite3.Row = connection.execute("SELECT * FROM generation").fetchone()
    return row


def _fits(root: Path, generation: Mapping[str, Any] | sqlite3.Row) -> bool:
    # Views name their files absolutely, so a moved warehouse needs new ones.
    return bool(generation["root"] == str(root) and generation["layout"] == LAYOUT)


def _number(connection: sqlite3.Connection, root: Path) -> int:
    generation = _generation(connection)
    if _fits(root, generation):
        return int(generation["number"])
    number = int(generation["number"]) + 1
    connection.execute("UPDATE generation SET number = ?, root = ?, layout = ?", (number, str(root), LAYOUT))
    return number


def _file(root: Path, number: int) -> Path:
    return root / GENERATIONS / f"{number:09d}.duckdb"


def _is_shown(root: Path, number: int) -> bool:
    link = root / LINK
    return _file(root, number).exists() and link.is_symlink() and link.readlink() == _link_target(number)


def _link_target(number: int) -> Path:
    return Path(GENERATIONS, f"{number:09d}.duckdb")


def _state(connection: sqlite3.Connection) -> State:
    query = """SELECT load.* FROM current JOIN load USING (load_id) WHERE current.state = 'published'
        ORDER BY load.contract, load.business_date"""
    loads = tuple(as_load(row) for row in connection.execute(query))
    # The lake keeps what a withdrawn night took in, so its deliveries stay accounted for.
    taken = tuple(as_load(row) for row in connection.execute(_TAKEN_IN_SQL))
    known = connection.execute("SELECT DISTINCT contract FROM current ORDER BY contract")
    state = State(tuple(row["contract"] for row in known), loads, _outcomes(connection, loads), {})
    features = map(json.loads, _documents(connection, "data_dictionary", state.newest()))
    documents: dict[str, Sequence[str]] = {
        "publications": [as_json([dict(row) for row in connection.execute(_PUBLICATIONS_SQL)])],
        "run_quality": _documents(connection, "run_quality", loads),
        "deliveries": _documents(connection, "deliveries", taken),
        "quarantine_reasons": _documents(connection, "quarantine_reasons", taken),
        "definition": _documents(connection, "definition", state.newest()),
        "models": _documents(connection, "models", state.newest()),
        "data_dictionary": [
            as_json(data_dictionary(WAREHOUSE.values())),
            # Columns are described by this code alone; a load may have been made by an older one.
            *(as_json([row for row in rows if row["contract"] is not None]) for rows in features),
        ],
    }
    return replace(state, documents=documents)


def _outcomes(connection: sqlite3.Connection, loads: Sequence[Load]) -> tuple[tuple[Load, Load], ...]:
    current = {load.load_id: load for load in loads}
    told = connection.execute("SELECT load_id, cohort_load_id FROM outcome ORDER BY cohort_load_id, load_id")
    pairs = [(row["load_id"], row["cohort_load_id"]) for row in told]
    return tuple((current[load], current[cohort]) for load, cohort in pairs if {load, cohort} <= current.keys())


def _documents(connection: sqlite3.Connection, table: str, loads: Sequence[Load]) -> list[str]:
    """The loads' documents. A load of an older Churnlake has none of a table that came later."""
    query = "SELECT rows FROM document WHERE load_id = ? AND table_name = ?"
    found = (connection.execute(query, (load.load_id, table)).fetchone() for load in loads)
    return [document["rows"] for document in found if document is not None]


def _build(root: Path, number: int, state: State) -> None:
    _require_files(root, state)
    target = _file(root, number)
    target.parent.mkdir(exist_ok=True)
    unfinished = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    unfinished.unlink(missing_ok=True)
    with building("512MB", root / "spill.tmp") as connection:
        connection.execute(
            f"ATTACH {quoted(str(unfinished))} AS generation (STORAGE_VERSION {quoted(STORAGE_VERSION)})"
        )
        connection.execute("USE generation")
        connection.execute("BEGIN")
        _fill(connection, root, state)
        connection.execute("COMMIT")
        connection.execute("USE memory")
        connection.execute("DETACH generation")
    sync(unfinished)
    unfinished.chmod(0o444)
    unfinished.replace(target)
    sync(target.parent)


def _require_files(root: Path, state: State) -> None:
    files = {file for view in VIEWS_OF_FILES for file in state.files(root, view, None)}
    missing = sorted(str(file) for file in files if not file.is_file())
    if missing:
        raise UnavailableError(
            f"{len(missing)} published files are missing, the first is {missing[0]}",
            next_step="restore them from a backup; readers keep the last generation until then",
        )


def _show(root: Path, number: int) -> None:
    link = root / f"{LINK}.{os.getpid()}.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(_link_target(number))
    link.replace(root / LINK)
    sync(root)


def _fill(connection: duckdb.DuckDBPyConnection, root: Path, state: State) -> None:
    connection.execute("CREATE SCHEMA churn")
    for name, documents in state.documents.items():
        _create_table(connection, WAREHOUSE[name], documents)
    for view in VIEWS_OF_FILES:
        _create_file_view(connection, "churn", view, state.files(root, view, None))
    for contract in state.contracts:
        _fill_contract(connection, root, state, contract)
    for schema in ("churn", *(f"churn_{contract}" for contract in state.contracts)):
        for statement in _comments(schema):
            connection.execute(statement)
    _note_files(connection, root, state)


def _fill_contract(connection: duckdb.DuckDBPyConnection, root: Path, state: State, contract: str) -> None:
    schema = f"churn_{contract}"
    connection.execute(f"CREATE SCHEMA {schema}")
    for view in VIEWS_OF_FILES:
        _create_file_view(connection, schema, view, state.files(root, view, contract))
    for name in state.documents:
        shared = " OR contract IS NULL" if name == "data_dictionary" else ""
        connection.execute(
            f"CREATE VIEW {schema}.{name} AS SELECT * FROM churn.{name} WHERE contract = {quoted(contract)}{shared}"  # noqa: S608 - quoted
        )


def _create_table(connection: duckdb.DuckDBPyConnection, table: Table, documents: Sequence[str]) -> None:
    columns = ", ".join(f"{column.name} {column.type}" for column in table.columns)
    connection.execute(f"CREATE TABLE churn.{table.name} ({columns})")
    shape = json.dumps([{column.name: column.type for column in table.columns}])
    insert = f"""INSERT INTO churn.{table.name} SELECT unnest(from_json(document, ?), recursive := true)
        FROM (SELECT unnest(?::VARCHAR[]) AS document)"""  # noqa: S608 - the registry's own name
    connection.execute(insert, [shape, list(documents)])


def _create_file_view(connection: duckdb.DuckDBPyConnection, schema: str, view: str, files: Sequence[Path]) -> None:
    table = WAREHOUSE[view]
    if files:
        paths = ", ".join(quoted(path) for path in exact_paths(list(files)))
        source = f"SELECT {', '.join(table.column_names)} FROM read_parquet([{paths}], hive_partitioning = false)"  # noqa: S608 - quoted
    else:
        empty = ", ".join(f"NULL::{column.type} AS {column.name}" for column in table.columns)
        source = f"SELECT {empty} WHERE false"
    connection.execute(f"CREATE VIEW {schema}.{view} AS {source}")


def _comments(schema: str) -> Iterator[str]:
    for table in WAREHOUSE.values():
        is_view = schema != "churn" or table.name in VIEWS_OF_FILES
        kind = "VIEW" if is_view else "TABLE"
        yield f"COMMENT ON {kind} {schema}.{table.name} IS {quoted(table.description)}"
        for column in table.columns:
            yield f"COMMENT ON COLUMN {schema}.{table.name}.{column.name} IS {quoted(column.description)}"


def _note_files(connection: duckdb.DuckDBPyConnection, root: Path, state: State) -> None:
    """Notes which files the views read: `query` lets a reader open these and nothing else."""
    files = sorted({str(file) for view in VIEWS_OF_FILES for file in state.files(root, view, None)})
    connection.execute("CREATE SCHEMA churn_files")
    connection.execute("CREATE TABLE churn_files.published (path VARCHAR)")
    connection.execute("INSERT INTO churn_files.published SELECT unnest(?::VARCHAR[])", [files])
    connection.execute("COMMENT ON TABLE churn_files.published IS 'The files that the views read'")
    connection.execute("COMMENT ON COLUMN churn_files.published.path IS 'Absolute path of a published file'")


_TAKEN_IN_SQL = """
SELECT load.* FROM current JOIN load ON load.load_id = coalesce(current.load_id, (
  SELECT publication.load_id FROM publication
  WHERE publication.contract = current.contract AND publication.business_date = current.business_date
  ORDER BY publication.restatement DESC LIMIT 1))
ORDER BY load.contract, load.business_date
"""

_PUBLICATIONS_SQL = """
SELECT publication.contract, publication.business_date, publication.restatement,
  CASE WHEN current.load_id = publication.load_id THEN 'current'
    WHEN current.state = 'withdrawn' AND publication.restatement = (
      SELECT max(newer.restatement) FROM publication AS newer
      WHERE newer.contract = publication.contract AND newer.business_date = publication.business_date) THEN 'withdrawn'
    ELSE 'replaced' END AS state,
  publication.run_id, publication.load_id, publication.previous_load_id, publication.fingerprint, load.data_through,
  load.contract_version, load.model_version, load.customers_scored, load.customers_not_scored,
  CASE load.is_retrospective WHEN 1 THEN 'true' ELSE 'false' END AS is_retrospective, publication.reason,
  publication.actor, publication.published_at
FROM publication JOIN load USING (load_id)
JOIN current ON current.contract = publication.contract AND current.business_date = publication.business_date
ORDER BY publication.contract, publication.business_date, publication.restatement
"""
