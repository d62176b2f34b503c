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

from churnlake.features.days import Integers

_DAYS = ("event_date", "known_date")


@dataclass(frozen=True)
class DayRows:
    """Rows of a tile: the place of each one's customer, its days since 1970, and what else was asked for.

    A place below zero is of a row that nobody asked for. Texts are codes of the values beside them.
    """

    place: Integers
    event_day: Integers
    known_day: Integers
    sums: dict[str, Integers]
    texts: dict[str, tuple[list[str], Integers]]


@dataclass(frozen=True)
class DayFiles:
    """The files of a table that may hold what a source told of the days from `first` to `last`.

    `rows` is how many rows they hold, `only_source` whether no other source's are among them.
    """

    source: str
    first: date
    last: date
    paths: tuple[str, ...]
    rows: int
    only_source: bool

    def read(self, customers: pa.Array, sums: Sequence[str], texts: Sequence[str] = ()) -> DayRows:
        """What was told of these customers by the last day.

        `customers` are ids in rising order; a row's place is where its own stands in them. Files are in the order of
        ids, so that few of their parts are read; where they are not, more is read and the same is found.
        """
        coded = ["customer_id", *texts, *([] if self.only_source else ["source"])]
        parts = list(self._parts(customers[0].as_py(), customers[-1].as_py(), coded, [*_DAYS, *sums]))
        if not parts:
            none = np.empty(0, np.int64)
            return DayRows(none, none, none, dict.fromkeys(sums, none), {name: ([], none) for name in texts})
        read = pa.concat_tables(parts).unify_dictionaries()
        event_day, known_day = (_whole(read[name]) for name in _DAYS)
        place = _places(read["customer_id"], customers)
        first, last = (int(np.datetime64(day, "D").astype(np.int64)) for day in (self.first, self.last))
        is_asked = (event_day >= first) & (event_day <= last) & (known_day <= last)
        if not self.only_source:
            is_asked &= _places(read["source"], pa.array([self.source])) == 0
        return DayRows(
            np.where(is_asked, place, -1),
            event_day,
            known_day,
            {name: _whole(read[name]) for name in sums},
            {name: _coded(read[name]) for name in texts},
        )

    def _parts(self, lowest: str, highest: str, coded: list[str], others: list[str]) -> Iterator[pa.Table]:
        """The parts of the files that may hold rows of the customers from the lowest to the highest id."""
        for path in self.paths:
            file = _Bounds.of(path)
            found = [
                part
                for part, (ids, days) in enumerate(zip(file.ids, file.days, strict=True))
                if may_hold(ids, lowest, highest) and may_hold(days, self.first, self.last)
            ]
            if found:
                # Reading ahead is for storage that answers late; on a disk it costs half as much again.
                opened = ParquetFile(path, metadata=file.metadata, read_dictionary=coded, pre_buffer=False)
                yield opened.read_row_groups(found, [*coded, *others], use_threads=False)


@dataclass(frozen=True)
class _Bounds:
    """Least and most id and day of each part of a file; None where the file does not say."""

    metadata: FileMetaData
    ids: list[tuple[str, str] | None]
    days: list[tuple[date, date] | None]

    @classmethod
    @functools.lru_cache(maxsize=4096)
    def of(cls, path: str) -> "_Bounds":
        """A later task of the process finds what an earlier one read."""
        metadata = read_metadata(path)
        place = {metadata.schema.column(column).path: column for column in range(metadata.num_columns)}
        parts = [metadata.row_group(part) for part in range(metadata.num_row_groups)]
        ids, days = ([_bounds(part, place[name]) for part in parts] for name in ("customer_id", "event_date"))
        return cls(metadata, ids, days)


def _bounds(part: Any, column: int) -> tuple[Any, Any] | None:
    told = part.column(column).statistics
    return (told.min, told.max) if told is not None and told.has_min_max else None


def may_hold(bounds: tuple[Any, Any] | None, least: Any, most: Any) -> bool:
    """Whether a value from `least` to `most` may lie within the bounds; without bounds any may."""
    return bounds is None or bool(bounds[0] <= most and bounds[1] >= least)


def _places(column: pa.ChunkedArray, wanted: pa.Array) -> Integers:
    """Where each text stands among the wanted; -1 where it does not. Each different text is looked up once."""
    texts = column.combine_chunks()
    found = _whole(pc.index_in(texts.dictionary, wanted).fill_null(-1))
    return found[_whole(texts.indices)]


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Integers]:
    """The different texts of a column, and for each row the place of its own."""
    texts = column.combine_chunks()
    return texts.dictionary.to_pylist(), _whole(texts.indices)


def _whole(column: pa.ChunkedArray | pa.Array) -> Integers:
    """Whole numbers; of a date the days since 1970."""
    if column.null_count:
        raise AssertionError("a tile holds a null, which no sum and no day is")
    numbers = column.cast(pa.int32()) if pa.types.is_date32(column.type) else column
    whole: Integers = numbers.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return whole
