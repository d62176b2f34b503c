"""Active days: the first and the last day of a customer with net activity, among days as they were known by a date."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql.types import DateType, StructField

from churnlake.calendar import DayRange, Seen, day_number
from churnlake.features.days import Numbers, Rows, active_days
from jobs.day_files import Customers, DayFiles
from jobs.ranges import Tell, told_in_ranges

# Spark's Python workers import this module for every job: what only the driver needs stays out of their start.
if TYPE_CHECKING:
    from churnlake.contract.schema import Contract
    from jobs.content import Tiles

_FIRST_AND_LAST = ("first", "last")


def with_active_days(rows: DataFrame, tiles: "Tiles", contract: "Contract", seen: Mapping[date, Seen]) -> DataFrame:
    """`rows` of business_date, customer_id and more, with `first` and `last`: null where no day was active.

    A day is active where the activity of one source's rows comes to more than nothing. `seen` says for each business
    date which days are looked at, and by when their rows must have been known.
    """
    reach = DayRange(min(one.days.first for one in seen.values()), max(one.days.last for one in seen.values()))
    known_by = max(one.known_by for one in seen.values())
    sources = [name for name, one in contract.sources.items() if one.role == "events"]
    files = [tiles.files("daily_activity", name, reach, known_by) for name in sources]
    told = [StructField(name, DateType()) for name in _FIRST_AND_LAST]
    return told_in_ranges(rows, tiles, files, _teller(files, seen), told)


def _teller(files: Sequence[DayFiles], seen: Mapping[date, Seen]) -> Tell:
    def tell(rows: pa.Table, customers: Customers) -> pa.Table:
        place = pc.index_in(rows["customer_id"], customers.ids).to_numpy()
        dates = rows["business_date"].cast(pa.int32()).to_numpy()
        told = np.full((2, len(rows)), np.nan)
        held = [_rows(each, customers) for each in files]
        for day, one in seen.items():
            here = dates == day_number(day)
            told[:, here] = _first_and_last(held, one, len(customers.ids))[:, place[here]]
        for name, days in zip(_FIRST_AND_LAST, told, strict=True):
            rows = rows.append_column(name, pa.array(days, pa.int32(), from_pandas=True).cast(pa.date32()))
        return rows

    return tell


def _rows(files: DayFiles, customers: Customers) -> Rows:
    read = files.read(customers, ["activity"])
    return Rows.in_order(read.place, read.event_day, read.known_day, read.sums)


def _first_and_last(held: Sequence[Rows], seen: Seen, customers: int) -> Numbers:
    """Two rows, first and last day since 1970, with a column for each customer; NaN where no source has one."""
    last, known_by = day_number(seen.days.last), day_number(seen.known_by)
    span = last - day_number(seen.days.first) + 1
    found = [active_days(rows, last, span, known_by, customers) for rows in held]
    firsts, lasts = zip(*found, strict=True)
    return np.stack([np.fmin.reduce(firsts), np.fmax.reduce(lasts)])
