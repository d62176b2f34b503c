"""Features of events at cutoffs: rows of customers go in and come out with what their tiles tell.

Each task takes the customers of a range of ids and reads those parts of the tiles' files that hold them, so no row of a
tile moves from task to task.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from churnlake import calendar
from churnlake.features.days import Asked, Integers, Rows, Told, Values, features_of_days, features_of_values
from jobs.day_files import DayFiles

# Spark's Python workers import this module for every job: what only the driver needs stays out of their start.
if TYPE_CHECKING:
    from churnlake.contract.schema import Contract
    from churnlake.features import Feature
    from jobs.content import Tiles

# Rows of tiles that a task holds at once: the system hands out arrays of more than four million numbers anew each time,
# and clearing them costs more than what is done with them.
ROWS_AT_ONCE = 4_500_000
_BATCH = 10_000
_CODED = pa.dictionary(pa.int32(), pa.string())
_SPARK_TYPES = {"number": DoubleType(), "category": StringType()}
_ARROW_TYPES = {"number": pa.float64(), "category": pa.string()}


@dataclass(frozen=True)
class _Source:
    """A source, what is asked of it, and the files of its tiles that hold days any cutoff may see."""

    name: str
    asked: Asked
    days: DayFiles
    values: DayFiles | None


def with_events(
    rows: DataFrame, tiles: "Tiles", contract: "Contract", catalogue: "Sequence[Feature]", cutoffs: Sequence[date]
) -> DataFrame:
    """`rows` of business_date, customer_id and more, with the features that sources of events tell of them.

    Counts are zero for who has no row, all else is null then. Ratios and paces are not among them: they are made of
    these. The business dates are `cutoffs`, or some of them.
    """
    sources = [
        _source(name, [one for one in catalogue if one.source == name], tiles, contract, cutoffs)
        for name, source in contract.sources.items()
        if source.role == "events"
    ]
    read = sum(one.days.rows + (one.values.rows if one.values else 0) for one in sources)
    tasks = -(-read // ROWS_AT_ONCE)
    by_range = rows.repartitionByRange(tasks, "customer_id") if tasks > 1 else rows.repartition(1)
    told = [StructField(one.name, _SPARK_TYPES[one.kind]) for source in sources for one in source.asked.told]
    return by_range.mapInArrow(_teller(sources), StructType([*rows.schema.fields, *told]))


def _source(
    name: str, features: "Sequence[Feature]", tiles: "Tiles", contract: "Contract", cutoffs: Sequence[date]
) -> _Source:
    named = {by.column: by.values for by in contract.features.by}
    asked = Asked(features, contract.features.span_days, named)

    def files(table: str, days: int) -> DayFiles:
        return tiles.stored[table].files(name, calendar.observation_window(min(cutoffs), days).first, max(cutoffs))

    values = files("daily_values", asked.longest_of_values) if asked.of_values else None
    return _Source(name, asked, files("daily_activity", asked.span_days), values)


def _teller(sources: Sequence[_Source]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def tell(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        held = list(batches)
        if held:
            rows = pa.Table.from_batches(held)
            for source in sources:
                rows = _with_source(rows, source)
            yield from rows.to_batches(max_chunksize=_BATCH)

    return tell


def _with_source(rows: pa.Table, source: _Source) -> pa.Table:
    """The rows with the features of one source."""
    customers = pc.unique(rows["customer_id"])
    customers = customers.take(pc.sort_indices(customers))
    place, cutoff = _whole(pc.index_in(rows["customer_id"], customers)), _whole(rows["business_date"])
    told = source.asked.told
    columns = {one.name: np.empty(len(rows), object if one.kind == "category" else np.float64) for one in told}
    days, values = _day_rows(source, customers), _value_rows(source, customers)
    for day in np.unique(cutoff):
        here = cutoff == day
        for name, each in _features(source.asked, days, values, int(day), len(customers)):
            columns[name][here] = each[place[here]]
    for one in told:
        rows = rows.append_column(one.name, pa.array(columns[one.name], _ARROW_TYPES[one.kind], from_pandas=True))
    return rows


def _features(asked: Asked, days: Rows, values: Iterable[Values], cutoff: int, customers: int) -> Told:
    yield from features_of_days(asked, days, cutoff, customers)
    for each in values:
        yield from features_of_values(asked, each, cutoff, customers)


def _day_rows(source: _Source, customers: pa.Array) -> Rows:
    sums = source.asked.sums
    read = source.days.read(customers, dict.fromkeys(sums, pa.int64()))
    return _in_order(_whole(read["place"]), read, sums)


def _value_rows(source: _Source, customers: pa.Array) -> list[Values]:
    if source.values is None:
        return []
    read = source.values.read(customers, {"column": _CODED, "value": _CODED, "events": pa.int64()})
    columns, column = _coded(read["column"])
    values, value = _coded(read["value"])
    place = _whole(read["place"]) * max(len(values), 1) + value
    told = []
    for name in sorted({one.operand for one in source.asked.of_values}):
        is_of = column == (columns.index(name) if name in columns else -1)
        rows = _in_order(place[is_of], read.filter(pa.array(is_of)), ["events"])
        told.append(Values(name, max(len(values), 1), rows))
    return told


def _coded(column: pa.ChunkedArray) -> tuple[list[str], Integers]:
    """The different texts of a column, and for each row the place of its own."""
    texts = column.unify_dictionaries().combine_chunks()
    return texts.dictionary.to_pylist(), _whole(texts.indices)


def _in_order(place: Integers, read: pa.Table, sums: Sequence[str]) -> Rows:
    told = {name: _whole(read[name]) for name in sums}
    return Rows.in_order(place, _whole(read["event_date"]), _whole(read["known_date"]), told)


def _whole(column: pa.ChunkedArray | pa.Array) -> Integers:
    """Whole numbers; of a date the days since 1970."""
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    whole: NDArray[np.int64] = column.to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return whole
