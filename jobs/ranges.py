"""Ranges of customers: each task takes one, and reads those parts of the daily tiles' files that hold its customers.

No row of a tile moves from task to task.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from jobs.day_files import Customers, DayFiles
from jobs.tiles import HASHES, customer_hash

# Spark's Python workers import this module for every job: what only the driver needs stays out of their start.
if TYPE_CHECKING:
    from jobs.content import Tiles

# Rows of tiles that a task holds at once, in half a gigabyte or so. With more a row costs more, for memory is far away;
# with fewer, tasks read the same parts of files again.
ROWS_AT_ONCE = 4_500_000
# Rows that come out of a task at once, with a column for each thing told.
TOLD_AT_ONCE = 400_000
_BATCH = 10_000

Tell = Callable[[pa.Table, Customers], pa.Table]
"""Adds columns to rows of business_date, customer_id and more, all of a range of customers."""


def told_in_ranges(
    rows: DataFrame, tiles: "Tiles", files: Iterable[DayFiles], tell: Tell, told: Sequence[StructField]
) -> DataFrame:
    """`rows` of business_date, customer_id and more, with the columns `told` that `tell` adds from the files."""
    tasks = max(1, math.ceil(sum(one.rows for one in files) * tiles.share / ROWS_AT_ONCE))
    place = F.floor(F.col("customer_hash") * tasks / (HASHES * tiles.share)).cast("int")
    by_range = rows.withColumn("customer_hash", customer_hash()).repartitionById(tasks, place)
    in_order = by_range.sortWithinPartitions("customer_hash")
    return in_order.mapInArrow(_teller(tell, TOLD_AT_ONCE), StructType([*rows.schema.fields, *told]))


def _teller(tell: Tell, at_once: int) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def told(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for rows in _tables(batches, at_once):
            hashes = pc.min_max(rows["customer_hash"]).as_py()
            customers = Customers(pc.unique(rows["customer_id"]), (hashes["min"], hashes["max"]))
            yield from tell(rows.drop_columns("customer_hash"), customers).to_batches(max_chunksize=_BATCH)

    return told


def _tables(batches: Iterable[pa.RecordBatch], at_once: int) -> Iterator[pa.Table]:
    """The batches in tables of about so many rows; what comes in the order of hashes stays so."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= at_once:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)
