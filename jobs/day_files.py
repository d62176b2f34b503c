"""Rows of tiles, read from their files without Spark: those of some customers and days, and no other part of a file."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pyarrow.dataset import Dataset

_TEXT, _DATE = pa.string(), pa.date32()
_KEYS = {"source": _TEXT, "customer_id": _TEXT, "event_date": _DATE, "known_date": _DATE}


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

    def read(self, customers: pa.Array, columns: Mapping[str, pa.DataType]) -> pa.Table:
        """What was told of these customers by the last day: place, event_date, known_date and the columns.

        `customers` are ids in rising order; `place` is where each stands in them. Files are in the order of ids, so
        that few of their parts are opened; where they are not, more is read and the same is found.
        """
        asked = (
            (pc.field("customer_id") >= customers[0])
            & (pc.field("customer_id") <= customers[-1])
            & (pc.field("event_date") >= self.first)
            & (pc.field("event_date") <= self.last)
            & (pc.field("known_date") <= self.last)
        )
        if not self.only_source:
            asked &= pc.field("source") == self.source
        wanted = ["customer_id", "event_date", "known_date", *columns]
        found = _opened(self.paths, pa.schema({**_KEYS, **columns})).to_table(wanted, filter=asked, use_threads=False)
        rows = found.set_column(0, "place", pc.index_in(found["customer_id"], customers))
        return rows.filter(pc.field("place").is_valid()) if rows["place"].null_count else rows


@functools.lru_cache(maxsize=8)
def _opened(paths: tuple[str, ...], schema: pa.Schema) -> "Dataset":
    """The files as one; a task finds what an earlier one of its process learnt of their parts."""
    # Brings pandas, a second of start that only tasks need to pay.
    from pyarrow.dataset import InMemoryDataset, ParquetFileFormat, dataset

    if not paths:
        return InMemoryDataset(schema.empty_table())
    coded = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    # Reading ahead is for storage that answers late; on a disk it costs half as much again.
    return dataset(list(paths), schema=schema, format=ParquetFileFormat(dictionary_columns=coded, pre_buffer=False))
