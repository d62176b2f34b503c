"""Rows of tiles, read from their files without Spark: those of some customers and days, and little else with them."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow.parquet import FileMetaData, ParquetFile, read_metadata

from churnlake.calendar import DayRange, day_number
from churnlake.features.days import Integers

_DAYS = ("event_date", "known_date")


@dataclass(frozen=True)
class Customers:
    """Whose rows are asked for: different ids, and the least and the most of their hashes."""

    ids: pa.Array
    hashes: tuple[int, int]


@dataclass(frozen=True)
class DayRows:
    """Rows of a tile: where each one's customer stands among those asked for, its days since 1970, and what else was.

    Texts are codes of the values beside them.
    """

    place: Integers
    event_day: Integers
    known_day: Integers
    sums: dict[str, Integers]
    texts: dict[str, tuple[list[str], Integers]]


@dataclass(frozen=True)
class DayFiles:
    """The files of a table that may hold what a source told of some days, as known by a date.

    `rows` is how many rows they hold, `only_source` whether no other source's are among them.
    """

    source: str
    days: DayRange
    known_by: date
    paths: tuple[str, ...]
    rows: int
    only_source: bool

    def read(self, customers: Customers, sums: Sequence[str], texts: Sequence[str] = ()) -> DayRows:
        """What was told of these customers and days by then.

        Files are in the order of hashes, so that few of their parts are read; where they are not, more is read and the
        same is found.
        """
        parts = list(self._parts(customers.hashes))
        named = ["customer_id", *texts, *([] if self.only_source else ["source"])]
        if not parts:
            none = np.empty(0, np.int64)
            return DayRows(none, none, none, dict.fromkeys(sums, none), {name: ([], none) for name in texts})
        read = pa.concat_tables([one.read(named) for one in parts])
        place = _places(read["customer_id"], customers.ids)
        if not self.only_source:
            place[_places(read["source"], pa.array([self.source])) < 0] = -1
        codes = {name: _coded(read[name]) for name in texts}
        asked = self._asked(parts, {"customer_id": place, **{name: code for name, (_, code) in codes.items()}}, sums)
        return DayRows(
            asked["customer_id"],
            asked["event_date"],
            asked["known_date"],
            {name: asked[name] for name in sums},
            {name: (values, asked[name]) for name, (values, _) in codes.items()},
        )

    def _asked(self, parts: "Sequence[_Parts]", coded: dict[str, Integers], sums: Sequence[str]) -> dict[str, Integers]:
        """What was read of the rows asked for, and their days and sums.

        Of each file the rows are chosen at once, while they are near the processor: all of them are far away later.
        """
        numbers = [*_DAYS, *sums]
        number = sum(one.rows for one in parts)
        asked: dict[str, Integers] = {name: np.empty(number, np.int64) for name in (*coded, *sums)}
        asked |= {name: np.empty(number, np.int32) for name in _DAYS}
        first, last, known_by = map(day_number, (self.days.first, self.days.last, self.known_by))
        read = found = 0
        for part in parts:
            table = part.read(numbers)
            held = {name: each[read : read + part.rows] for name, each in coded.items()}
            held |= {name: _whole(table[name]) for name in numbers}
            is_asked = (held["customer_id"] >= 0) & (held["event_date"] >= first) & (held["event_date"] <= last)
            chosen = np.flatnonzero(is_asked & (held["known_date"] <= known_by))
            for name, each in held.items():
                asked[name][found : found + len(chosen)] = each[chosen]
            read, found = read + part.rows, found + len(chosen)
        return {name: each[:found] for name, each in asked.items()}

    def _parts(self, hashes: tuple[int, int]) -> Iterator["_Parts"]:
        """The parts of the files that may hold rows of customers from the lowest to the highest of these hashes."""
        for path in self.paths:
            file = _Bounds.of(path)
            found = [
                part
                for part, (held, days) in enumerate(zip(file.hashes, file.days, strict=True))
                if may_hold(held, *hashes) and may_hold(days, self.days.first, self.days.last)
            ]
            if found:
                yield _Parts(path, file.metadata, found)


@dataclass(frozen=True)
class _Parts:
    """Some parts of a file."""

    path: str
    metadata: FileMetaData
    parts: list[int]

    @property
    def rows(self) -> int:
        return sum(self.metadata.row_group(part).num_rows for part in self.parts)

    def read(self, columns: list[str]) -> pa.Table:
        """Some columns; texts are coded."""
        # Reading ahead is for storage that answers late; on a disk it costs half as much again.
        file = ParquetFile(self.path, metadata=self.metadata, read_dictionary=columns, pre_buffer=False)
        return file.read_row_groups(self.parts, columns, use_threads=False)


@dataclass(frozen=True)
class _Bounds:
    """Least and most hash and day of each part of a file; None where the file does not say."""

    metadata: FileMetaData
    hashes: list[tuple[int, int] | None]
    days: list[tuple[date, date] | None]

    @classmethod
    @functools.lru_cache(maxsize=4096)
    def of(cls, path: str) -> "_Bounds":
        """A later task of the process finds what an earlier one read."""
        metadata = read_metadata(path)
        place = {metadata.schema.column(column).path: column for column in range(metadata.num_columns)}
        parts = [metadata.row_group(part) for part in range(metadata.num_row_groups)]
        named = ("customer_hash", "event_date")
        hashes, days = ([_bounds(part, place.get(name)) for part in parts] for name in named)
        return cls(metadata, hashes, days)


def _bounds(part: Any, column: int | None) -> tuple[Any, Any] | None:
    told = None if column is None else part.column(column).statistics
    return (told.min, told.max) if told is not None and told.has_min_max else None


def may_hold(bounds: tuple[Any, Any] | None, least: Any, most: Any) -> bool:
    """Whether a value from `least` to `most` may lie within the bounds; without bounds any may."""
    return bounds is None or bool(bounds[0] <= most and bounds[1] >= least)


def _places(column: pa.ChunkedArray, wanted: pa.Array) -> Integers:
    """Where each text stands among the wanted; -1 where it does not. Each text of a chunk is looked up once."""
    found = _whole(pc.index_in(_texts(column), wanted).fill_null(-1))
    ends = np.cumsum([len(chunk.dictionary) for chunk in column.chunks])
    places = [
        found[end - len(one.dictionary) : end][_whole(one.indices)]
        for one, end in zip(column.chunks, ends, strict=True)
    ]
    return np.concatenate(places)


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Integers]:
    """The different texts of a column, and for each row the place of its own."""
    different = pc.unique(_texts(column))
    return different.to_pylist(), _places(column, different)


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """What the rows of each chunk are codes of."""
    return pa.chunked_array([chunk.dictionary for chunk in column.chunks], pa.string())


def _whole(column: pa.ChunkedArray | pa.Array) -> Integers:
    """Whole numbers; of a date the days since 1970."""
    if column.null_count:
        raise AssertionError("a tile holds a null, which no sum and no day is")
    numbers = column.cast(pa.int32()) if pa.types.is_date32(column.type) else column
    whole: Integers = numbers.to_numpy(zero_copy_only=False)
    return whole
