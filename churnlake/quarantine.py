"""The quarantine as its reader sees it: which rows are held, why, and what became of the others. Needs no Spark.

Each change of a row's status is a row of its own. A row that is held n times and was let back in, withdrawn or expired
m times is open n - m times: equal rows of one delivery cannot be told apart, so the first ones count as gone.
"""

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from operator import and_
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from churnlake.errors import UsageError
from churnlake.ledger import Delivery
from churnlake.tables import LAKE

Status = Literal["held", "released", "withdrawn", "expired"]
STATUSES: tuple[Status, ...] = get_args(Status)

CORRUPT = "corrupt_record"
"""The whole line, where its number of fields was wrong: a key of `Row.text` beside the source's columns."""

_KEYS = ("source", "delivery_id", "row_hash")


@dataclass(frozen=True)
class Wanted:
    """Which rows: each part narrows. `reasons` fit a row that breaks any of them, the other tuples one of theirs."""

    source: str | None = None
    slot: date | None = None
    files: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    deliveries: tuple[str, ...] = ()
    row_hashes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Rows of one file that were set aside for the same first reason. `since` is the date they became known."""

    source: str
    slot: date
    file: str
    reason: str
    rows: int
    since: date


@dataclass(frozen=True)
class Row:
    """One row and what is known of it.

    `text` maps the lake's column names to the text that was delivered (null where the file had none); it is None once
    the row expired. `copy` counts equal rows of one delivery from 1.
    """

    source: str
    delivery_id: str
    slot: date
    file: str
    record_number: int | None
    row_hash: str
    copy: int
    reasons: tuple[str, ...]
    status: str
    changed_by: str
    run_id: str
    known_date: date
    text: Mapping[str, str | None] | None

    @property
    def key(self) -> tuple[str, str]:
        """What names the row within its source; equal rows of one delivery share it."""
        return self.delivery_id, self.row_hash


class Quarantine:
    """The table of one contract at one version. Rows of deliveries that are not in yet are not seen."""

    def __init__(self, table: DeltaTable | None, unfinished: Iterable[tuple[str, str]]) -> None:
        self._table = table
        self._unfinished = sorted(unfinished)

    @classmethod
    def open(cls, lake: Path, deliveries: Iterable[Delivery]) -> "Quarantine":
        """The newest version below a contract's lake folder, empty where nothing was set aside yet.

        `deliveries` are the ledger's: what a dead attempt wrote of one that is not in does not count.

        Raises:
            UsageError: The table was made by a version without these columns.
        """
        try:
            table = DeltaTable(str(lake / "quarantine"))
        except TableNotFoundError:
            return cls(None, ())
        held = {field.name for field in table.schema().fields}
        missing = [name for name in LAKE["quarantine"].column_names if name not in held]
        if missing:
            raise UsageError(
                f"the quarantine in {lake} has no column {', '.join(missing)}: an earlier version made it",
                next_step="load the lake anew: move its folder away, then `churnlake run CONTRACT`",
            )
        return cls(table, ((one.source, one.delivery_id) for one in deliveries if one.state == "frozen"))

    def groups(self, wanted: Wanted, status: Status = "held") -> list[Group]:
        """Rows by source, file and first reason, those since longest first. Of `held` only what is still open."""
        narrow = self._narrow(wanted, status, "slot", "file", "reason", "known_date")
        counted = narrow.table.group_by(["source", "slot", "file", "reason"])
        rows = counted.aggregate([([], "count_all"), ("known_date", "min")]).to_pylist()
        groups = [
            Group(row["source"], row["slot"], row["file"], row["reason"], row["count_all"], row["known_date_min"])
            for row in rows
        ]
        return sorted(groups, key=lambda one: (one.since, one.source, one.file, -one.rows, one.reason))

    def rows(self, wanted: Wanted, status: Status = "held", limit: int | None = None) -> list[Row]:
        """Rows in the order of their files, at most `limit`. Of `held` only what is still open."""
        narrow = self._narrow(wanted, status, "slot", "file", "record_number", "known_date")
        order = narrow.table.append_column("copy", pa.array(narrow.copies))
        by = [(name, "ascending") for name in ("source", "slot", "file", "record_number", "row_hash", "copy")]
        chosen = order.sort_by(by).slice(0, limit).to_pylist()
        texts = self._wide(wanted, status, chosen)
        return [_row(texts[_key_of(one)][one["copy"] - 1], one["copy"], status) for one in chosen]

    def count(self, wanted: Wanted, status: Status = "held") -> int:
        """How many rows `rows` gives."""
        return len(self._narrow(wanted, status).copies)

    def seen(self, wanted: Wanted) -> set[tuple[str, str]]:
        """The keys of all rows that were ever set aside, whatever became of them."""
        found = self._scan(wanted, ("held",), _KEYS)
        return set(zip(found["delivery_id"].to_pylist(), found["row_hash"].to_pylist(), strict=True))

    def kept_before(self, source: str, day: date) -> list[str]:
        """Who wrote the rows that became known before a date and whose text is still kept."""
        old = (pc.field("known_date") < day) & (pc.field("known_month") <= f"{day:%Y-%m}")
        kept = [pc.field("source") == source, old, pc.field("raw_row").is_valid()]
        return sorted(self._read({"changed_by": pc.field("changed_by")}, kept)["changed_by"].unique().to_pylist())

    def expired_by(self, source: str, writer: str, day: date) -> int:
        """How many rows the expiry of a date ended."""
        its = [pc.field("source") == source, pc.field("status") == "expired", pc.field("changed_by") == writer]
        month = pc.field("known_month") == f"{day:%Y-%m}"
        return len(self._read({"changed_by": pc.field("changed_by")}, [*its, month])["changed_by"])

    def _narrow(self, wanted: Wanted, status: Status, *columns: str) -> "_Numbered":
        """The rows that fit, without what is wide; of `held` those whose copy nothing has closed."""
        found = self._scan(wanted, (status,), [*_KEYS, *(name for name in columns if name not in _KEYS)])
        copies = _copies(found)
        if status == "held" and self._closed.num_rows:
            place = pc.index_in(_key(found), value_set=_key(self._closed)).fill_null(-1).to_numpy()
            # The last number stands for rows that nothing closed.
            closed = np.append(self._closed["count_all"].to_numpy(), 0)[place]
            found, copies = found.filter(pa.array(copies > closed)), copies[copies > closed]
        return _Numbered(found, copies)

    @cached_property
    def _closed(self) -> pa.Table:
        """How many copies of each row were let back in, withdrawn or expired, as `count_all`."""
        gone = self._scan(Wanted(), ("released", "withdrawn", "expired"), _KEYS)
        return gone.group_by(list(_KEYS)).aggregate([([], "count_all")])

    def _wide(
        self, wanted: Wanted, status: Status, chosen: Sequence[dict[str, Any]]
    ) -> dict[tuple[str, ...], list[dict[str, Any]]]:
        """Everything about the chosen rows and their equals, by key, in the order their copies are counted."""
        if not chosen:
            return {}
        hashes = tuple({one["row_hash"] for one in chosen})
        columns = [*_KEYS, "slot", "file", "record_number", "raw_row", "reasons", "changed_by", "run_id", "known_date"]
        months = {f"{one['known_date']:%Y-%m}" for one in chosen}
        found = self._scan(replace(wanted, row_hashes=hashes), (status,), columns, months)
        equals: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for row in found.take(_by_copy(found)).to_pylist():
            equals.setdefault(_key_of(row), []).append(row)
        return equals

    def _scan(
        self, wanted: Wanted, statuses: Sequence[Status], columns: Sequence[str], months: Iterable[str] = ()
    ) -> pa.Table:
        """Columns of the rows that fit; no other column and no month that cannot hold one is read."""
        filters = [_fits(wanted), pc.field("status").isin(list(statuses))]
        filters += [pc.field("known_month").isin(sorted(months))] if months else []
        filters += [pc.field("known_month") >= f"{wanted.slot:%Y-%m}"] if wanted.slot else []
        read = {name: _FIRST if name == "reason" else pc.field(name) for name in columns}
        found = self._read(read | {"reasons": pc.field("reasons")} if wanted.reasons else read, filters)
        return (_breaking(found, wanted.reasons) if wanted.reasons else found).select(list(columns))

    def _read(self, columns: Mapping[str, pc.Expression], filters: Sequence[pc.Expression]) -> pa.Table:
        if self._table is None:
            return _EMPTY.select(list(columns))
        seen = [
            ~((pc.field("source") == source) & (pc.field("changed_by") == delivery))
            for source, delivery in self._unfinished
        ]
        return self._table.to_pyarrow_dataset().to_table(
            dict(columns), filter=functools.reduce(and_, [*filters, *seen])
        )


@dataclass(frozen=True)
class _Numbered:
    """Rows, and for each the number of its copy."""

    table: pa.Table
    copies: "np.ndarray[Any, np.dtype[np.int64]]"


_FIRST = pc.binary_join(pc.list_slice(pc.field("reasons"), 0, 1), "")
_ARROW = {"text": pa.string(), "date": pa.date32(), "bigint": pa.int64(), "text[]": pa.list_(pa.string())}
_COLUMNS = {column.name: _ARROW[column.type] for column in LAKE["quarantine"].columns}
_EMPTY = pa.schema({**_COLUMNS, "reason": pa.string()}).empty_table()
_UNCOUNTED = np.iinfo(np.int64).max


def _fits(wanted: Wanted) -> pc.Expression:
    """Values are handed over as values: nothing anybody types becomes a part of a query."""
    named = {"file": wanted.files, "delivery_id": wanted.deliveries, "row_hash": wanted.row_hashes}
    fits = [pc.field(name).isin(list(values)) for name, values in named.items() if values]
    fits += [pc.field("source") == wanted.source] if wanted.source is not None else []
    fits += [pc.field("slot") == wanted.slot] if wanted.slot is not None else []
    return functools.reduce(and_, fits, pc.scalar(True))


def _breaking(found: pa.Table, reasons: Sequence[str]) -> pa.Table:
    """The rows that break one of the rules."""
    lists = found["reasons"].combine_chunks()
    hits = pc.is_in(pc.list_flatten(lists), value_set=pa.array(reasons, pa.string()))
    return found.take(pc.unique(pc.list_parent_indices(lists).filter(hits)))


def _key(rows: pa.Table) -> pa.Array:
    joined = pc.binary_join_element_wise(*(rows[name] for name in _KEYS), "\x1f")
    return joined.combine_chunks()


def _key_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(row[name] for name in _KEYS)


def _by_copy(rows: pa.Table) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Places of the rows so that equal ones stand together, in the order of their records."""
    codes = pc.dictionary_encode(_key(rows)).indices.to_numpy()
    if "record_number" not in rows.column_names:
        return np.argsort(codes, kind="stable")
    return np.lexsort((rows["record_number"].fill_null(_UNCOUNTED).to_numpy(), codes))


def _copies(rows: pa.Table) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """For each row which of its equals it is, from 1."""
    codes = pc.dictionary_encode(_key(rows)).indices.to_numpy()
    order = _by_copy(rows)
    counted = np.ones(len(codes), dtype=np.int64)
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    counted[order] += np.arange(len(codes)) - np.repeat(starts, np.diff(starts, append=len(codes)))
    return counted


def _row(found: dict[str, Any], copy: int, status: str) -> Row:
    given = found | {"reasons": tuple(found["reasons"] or ()), "copy": copy, "status": status}
    raw_row = given.pop("raw_row")
    return Row(**given, text=None if raw_row is None else json.loads(raw_row))
