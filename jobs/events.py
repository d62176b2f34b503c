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
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from churnlake import calendar
from churnlake.features.days import Asked, Rows, Told, Values, features_of_days, features_of_values
from jobs.day_files import DayFiles

# Spark's Python workers import this module for every job: what only the driver needs stays out of their start.
if TYPE_CHECKING:
    from churnlake.contract.schema import Contract
    from churnlake.features import Feature
    from jobs.content import Tiles

# Rows of tiles that a task holds at once, in half a gigabyte or so. With more a row costs more, for memory is far away;
# with fewer, tasks read the same parts of files again.
ROWS_AT_ONCE = 4_500_000
# Rows that come out of a task at once, with a column for each feature.
TOLD_AT_ONCE = 400_000
_BATCH = 10_000
_SPARK_TYPES = {"number": DoubleType(), "category": StringType()}
_ARROW_TYPES = {"number": pa.float64(), "category": pa.string()}


@dataclass(frozen=True)
class _Source:
    """What is asked of a source, and the files of its tiles that hold days any cutoff may see."""

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
    in_order = by_range.sortWithinPartitions("customer_id")
    return in_order.mapInArrow(_teller(sources, TOLD_AT_ONCE), StructType([*rows.schema.fields, *told]))


def _source(
    name: str, features: "Sequence[Feature]", tiles: "Tiles", contract: "Contract", cutoffs: Sequence[date]
) -> _Source:
    named = {by.column: by.values for by in contract.features.by}
    asked = Asked(features, contract.features.span_days, named)

    def files(table: str, days: int) -> DayFiles:
        return tiles.stored[table].files(name, calendar.observation_window(min(cutoffs), days).first, max(cutoffs))

    values = files("daily_values", asked.longest_of_values) if asked.of_values else None
    return _Source(asked, files("daily_activity", asked.span_days), values)


def _teller(sources: Sequence[_Source], at_once: int) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def tell(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in _tables(batches, at_once):
            told = rows
            for source in sources:
                told = _with_source(told, source)
            yield from told.to_batches(max_chunksize=_BATCH)

    return tell


def _tables(batches: Iterable[pa.RecordBatch], at_once: int) -> Iterator[pa.Table]:
    """The batches in tables of about so many rows; what comes in the order of ids stays so."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= at_once:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _with_source(rows: pa.Table, source: _Source) -> pa.Table:
    """The rows with the features of one source."""
    customers = pc.unique(rows["customer_id"])
    customers = customers.take(pc.sort_indices(customers))
    place = pc.index_in(rows["customer_id"], customers).to_numpy()
    cutoff = rows["business_date"].cast(pa.int32()).to_numpy()
    told = source.asked.told
    columns = {one.name: np.empty(len(rows), object if one.kind == "category" else np.float64) for one in told}
    days, values = _day_rows(source, customers), _value_rows(source, customers)
    for day in np.unique(cutoff):
        here = cutoff == day
        found = dict(_features(source.asked, days, values, int(day), len(customers)))
        for one in told:
            columns[one.name][here] = found[one.name][place[here]]
    for one in told:
        rows = rows.append_column(one.name, pa.array(columns[one.name], _ARROW_TYPES[one.kind], from_pandas=True))
    return rows


def _features(asked: Asked, days: Rows, values: Iterable[Values], cutoff: int, customers: int) -> Told:
    yield from features_of_days(asked, days, cutoff, customers)
    for each in values:
        yield from features_of_values(asked, each, cutoff, customers)


def _day_rows(source: _Source, customers: pa.Array) -> Rows:
    read = source.days.read(customers, source.asked.sums)
    return Rows.in_order(read.place, read.event_day, read.known_day, read.sums)


def _value_rows(source: _Source, customers: pa.Array) -> list[Values]:
    """The rows of each column that is counted, also where nobody had a value of it."""
    if source.values is None:
        return []
    read = source.values.read(customers, ["events"], ["column", "value"])
    columns, column = read.texts["column"]
    values, value = read.texts["value"]
    number = max(len(values), 1)
    told = []
    for name in sorted({one.operand for one in source.asked.of_values}):
        is_of = (column == columns.index(name)) if name in columns else np.zeros(len(column), np.bool_)
        place = np.where(is_of & (read.place >= 0), read.place * number + value, -1)
        told.append(Values(name, number, Rows.in_order(place, read.event_day, read.known_day, read.sums)))
    return told
