"""The only Delta reads and writes. A write replaces one slice, is fenced by the lane's epoch and checked afterwards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from pyarrow.parquet import read_metadata
from pyspark.sql import DataFrame, SparkSession

from churnlake.calendar import DayRange
from churnlake.errors import ConflictError, UsageError
from churnlake.ledger.lane import Lane
from churnlake.tables import LAKE, Table
from jobs.day_files import DayFiles, may_hold

# A transaction version is the lane's epoch and a step below this; no application makes a million writes.
STEPS_PER_EPOCH = 1_000_000
# What slices and readers filter by. Delta keeps the bounds of these alone in each file: those of all columns cost a
# quarter of the write. A table keeps what it was made with.
_BOUNDED = ("source", "delivery_id", "changed_by", "slot", "event_date", "known_date", "business_date")


@dataclass(frozen=True)
class Commit:
    """What a write left: the table's version and the rows now in the slice."""

    version: int
    rows: int


Value = str | date | int
Slice = Mapping[str, Value | Sequence[Value]]


class ReadOnlyLake:
    """The Delta tables of one contract, for whoever only looks at them: it needs no lane."""

    def __init__(self, spark: SparkSession, root: Path) -> None:
        self._spark = spark
        self._root = root

    def path(self, table: str) -> Path:
        return self._root / table

    def version(self, table: str) -> int | None:
        """The newest version of a table, or nothing where it does not exist yet."""
        try:
            return DeltaTable(str(self.path(table))).version()
        except TableNotFoundError:
            return None

    def read(self, table: str, version: int | None = None) -> DataFrame:
        """A table at `version` (default: its newest, which for the lane's holder is its own)."""
        reader = self._spark.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(str(self.path(table)))

    def stored(self, table: str, version: int) -> "StoredTable":
        """Where a table lies at a version."""
        return StoredTable(self.path(table), version)


class Lake(ReadOnlyLake):
    """The Delta tables of one contract, written by the holder of its lane."""

    def __init__(self, spark: SparkSession, root: Path, contract: str, lane: Lane) -> None:
        super().__init__(spark, root)
        self._contract = contract
        self._lane = lane
        self._step = 0

    def replace(self, table: str, frame: DataFrame, within: Slice, run_id: str) -> Commit:
        """Replaces the slice `within` of `table` by `frame`, atomically; returns what it left.

        Raises:
            ConflictError: Another application took the lane; this write came before its first one, or was skipped.
            UsageError: The table has other columns: an older Churnlake or another form of the contract made it.
        """
        self._lane.assert_mine()
        self.assert_same_columns(table, frame)
        self._step += 1
        partition, order = _definition(table).partition, _definition(table).order
        in_order = frame.sortWithinPartitions(*partition, *order) if order else frame
        writer = (
            in_order.write.format("delta")
            .mode("overwrite")
            .option("replaceWhere", _predicate(within))
            .option("txnAppId", f"{self._contract}:{table}")
            .option("txnVersion", self._lane.epoch * STEPS_PER_EPOCH + self._step)
            .option("delta.dataSkippingStatsColumns", ",".join(_bounded(table)))
            .option("userMetadata", json.dumps({"run_id": run_id, "lane_epoch": self._lane.epoch, "step": self._step}))
        )
        writer.partitionBy(*partition).save(str(self.path(table)))
        return self._assert_written(table)

    def assert_same_columns(self, table: str, frame: DataFrame) -> None:
        """Refuses a frame that could not be written to a table, before work is put into it.

        Raises:
            UsageError: The table has other columns: an older Churnlake or another form of the contract made it.
        """
        try:
            held = {field.name for field in DeltaTable(str(self.path(table))).schema().fields}
        except TableNotFoundError:
            return
        if held != set(frame.columns):
            named = [f"{word} {', '.join(sorted(names))}" for word, names in (
                ("has no", set(frame.columns) - held), ("also has", held - set(frame.columns))
            ) if names]  # fmt: skip
            raise UsageError(
                f"the lake's table {table} {' and '.join(named)}: an older Churnlake or another form of the contract "
                f"made it; nothing was written to {self.path(table)}",
                next_step="put the contract's columns and features back, or start a new home (CHURNLAKE_HOME)",
            )

    def _assert_written(self, table: str) -> Commit:
        """Delta skips a write whose transaction version is not above the last one, silently: so look."""
        self._lane.assert_mine()
        log = DeltaTable(str(self.path(table)))
        commit = log.history(1)[0]
        newest = json.loads(commit.get("userMetadata") or "{}")
        if (newest.get("lane_epoch"), newest.get("step")) != (self._lane.epoch, self._step):
            raise ConflictError(
                f"{table}: the newest commit is of lane epoch {newest.get('lane_epoch')}, this application has "
                f"{self._lane.epoch}",
                next_step="look at `churnlake status`; the run that took over publishes",
            )
        # Delta leaves a number out when nothing was written; rows of other slices in the same files are copied.
        numbers = commit["operationMetrics"]
        return Commit(log.version(), int(numbers.get("numOutputRows", 0)) - int(numbers.get("numCopiedRows", 0)))


def partition_files(table: Path, version: int, within: Mapping[str, Value]) -> list[str]:
    """Absolute paths of the parquet files of a partition slice at a version, for readers without Spark."""
    filters = [(column, "=", str(value)) for column, value in within.items()]
    # A local path comes back percent-encoded, blanks and all; partition values here hold nothing that needs it.
    found = DeltaTable(str(table), version=version).file_uris(file_pruning_predicate=filters)
    return sorted(unquote(path) for path in found)


@dataclass(frozen=True)
class StoredTable:
    """A table at one version, for readers without Spark."""

    path: Path
    version: int

    def files(self, source: str, days: DayRange, known_by: date) -> DayFiles:
        """The files that may hold what a source told of these days by a date, by the bounds of each."""
        held = pa.table(DeltaTable(str(self.path), version=self.version).get_add_actions(flatten=True)).to_pylist()
        inside = [
            file
            for file in held
            if may_hold(_bounds(file, "source"), source, source)
            and may_hold(_bounds(file, "event_date"), days.first, days.last)
        ]
        rows = {str(self.path / unquote(file["path"])): file["num_records"] for file in inside}
        held_rows = sum(read_metadata(path).num_rows if told is None else told for path, told in rows.items())
        only_source = all(_bounds(file, "source") == (source, source) for file in inside)
        return DayFiles(source, days, known_by, tuple(sorted(rows)), held_rows, only_source)


def write_aside(frame: DataFrame, path: Path) -> StoredTable:
    """Writes a table that is nobody's lake, such as one that goes away with its folder."""
    frame.write.format("delta").save(str(path))
    return StoredTable(path, 0)


def _bounds(file: Mapping[str, Any], column: str) -> tuple[Any, Any] | None:
    low, high = file.get(f"min.{column}"), file.get(f"max.{column}")
    return None if low is None or high is None else (low, high)


def _definition(table: str) -> Table:
    return LAKE["raw" if table.startswith("raw_") else table]


def _bounded(table: str) -> list[str]:
    one = _definition(table)
    return [name for name in _BOUNDED if name in one.column_names and name not in one.partition]


def _predicate(within: Slice) -> str:
    """`column = value` or `column IN (...)` for each column; values are quoted as SQL literals."""
    return " AND ".join(
        f"{column} = {_literal(value)}"
        if isinstance(value, str | date | int)
        else f"{column} IN ({', '.join(map(_literal, value))})"
        for column, value in within.items()
    )


def _literal(value: Value) -> str:
    if isinstance(value, int):
        return str(value)
    if isinstance(value, date):
        return f"DATE '{value:%Y-%m-%d}'"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
