"""Features of events at cutoffs: rows of customers go in and come out with what their tiles tell."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, StringType, StructField

from churnlake import calendar
from churnlake.calendar import DayRange
from churnlake.features.days import Asked, Rows, Told, Values, features_of_days, features_of_values
from jobs.day_files import Customers, DayFiles
from jobs.ranges import Tell, told_in_ranges

# Spark's Python workers import this module for every job: what only the driver needs stays out of their start.
if TYPE_CHECKING:
    from churnlake.contract.schema import Contract
    from churnlake.features import Feature
    from jobs.content import Tiles

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
    files = [file for one in sources for file in (one.days, one.values) if file]
    told = [StructField(one.name, _SPARK_TYPES[one.kind]) for source in sources for one in source.asked.told]
    return told_in_ranges(rows, tiles, files, _teller(sources), told)


def _source(
    name: str, features: "Sequence[Feature]", tiles: "Tiles", contract: "Contract", cutoffs: Sequence[date]
) -> _Source:
    named = {by.column: by.values for by in contract.features.by}
    asked = Asked(features, contract.features.span_days, named)

    def files(table: str, days: int) -> DayFiles:
        reach = DayRange(calendar.observation_window(min(cutoffs), days).first, max(cutoffs))
        return tiles.files(table, name, reach, max(cutoffs))

    values = files("daily_values", asked.longest_of_values) if asked.of_values else None
    return _Source(asked, files("daily_activity", asked.span_days), values)


def _teller(sources: Sequence[_Source]) -> Tell:
    def tell(rows: pa.Table, customers: Customers) -> pa.Table:
        for source in sources:
            rows = _with_source(rows, source, customers)
        return rows

    return tell


def _with_source(rows: pa.Table, source: _Source, customers: Customers) -> pa.Table:
    """The rows with the features of one source."""
    place = pc.index_in(rows["customer_id"], customers.ids).to_numpy()
    cutoff = rows["business_date"].cast(pa.int32()).to_numpy()
    told = source.asked.told
    columns = {one.name: np.empty(len(rows), object if one.kind == "category" else np.float64) for one in told}
    days, values = _day_rows(source, customers), _value_rows(source, customers)
    for day in np.unique(cutoff):
        here = cutoff == day
        found = dict(_features(source.asked, days, values, int(day), len(customers.ids)))
        for one in told:
            columns[one.name][here] = found[one.name][place[here]]
    for one in told:
        rows = rows.append_column(one.name, pa.array(columns[one.name], _ARROW_TYPES[one.kind], from_pandas=True))
    return rows


def _features(asked: Asked, days: Rows, values: Iterable[Values], cutoff: int, customers: int) -> Told:
    yield from features_of_days(asked, days, cutoff, customers)
    for each in values:
        yield from features_of_values(asked, each, cutoff, customers)


def _day_rows(source: _Source, customers: Customers) -> Rows:
    read = source.days.read(customers, source.asked.sums)
    return Rows.in_order(read.place, read.event_day, read.known_day, read.sums)


def _value_rows(source: _Source, customers: Customers) -> list[Values]:
    """The rows of each column that is counted, also where nobody had a value of it."""
    if source.values is None:
        return []
    read = source.values.read(customers, ["events"], ["column", "value"])
    columns, column = read.texts["column"]
    values, value = read.texts["value"]
    number = max(len(values), 1)
    told = []
    for name in sorted({one.operand for one in source.asked.of_values}):
        of = np.flatnonzero(column == (columns.index(name) if name in columns else -1))
        days, sums = (read.event_day[of], read.known_day[of]), {"events": read.sums["events"][of]}
        told.append(Values(name, number, Rows.in_order(read.place[of] * number + value[of], *days, sums)))
    return told
