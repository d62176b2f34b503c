"""Files that are named after a date: whether their rows are of that date, or the whole table as it was then."""

import itertools
from datetime import date, timedelta

from churnlake.starter.columns import Column, Table
from churnlake.starter.mapping import DAY_ZERO

# A file of a day holds that day, and some rows that came late.
_LATE_DAYS = 7
ONE_ROW_EACH = 0.97
"""Of tables with one row per customer a few repeat: moved, twice enrolled."""
# Where more leave from one date's table to the next, or more rows are of their file's days, it is no table.
_STAY = 0.5
_MOST_NEW = 0.5


def days_of_rows(column: Column) -> list[date | None]:
    """The day of each row, None where it names none."""
    read: dict[str, date | None] = {}
    for value in column.values:
        if value is not None and value not in read:
            read[value] = day_of(column, value)
    return [None if value is None else read[value] for value in column.values]


def day_of(column: Column, value: str) -> date | None:
    """The day that a value of a column names."""
    if column.read_day is not None:
        return column.read_day(value)
    return date.fromisoformat(DAY_ZERO) + timedelta(days=int(value)) if column.nature == "day number" else None


def share_of_file_day(table: Table, time: Column) -> float | None:
    """The share of rows whose day is that of their file, or at most a week before it; None where neither has days."""
    files, places = table.rows.table.files, table.rows.file_of_row
    pairs = [(files[place].day, day) for place, day in zip(places, days_of_rows(time), strict=True)]
    known = [(slot, day) for slot, day in pairs if slot is not None and day is not None]
    if not known:
        return None
    return sum(-1 <= (slot - day).days <= _LATE_DAYS for slot, day in known) / len(known)


def are_whole_tables(table: Table, customer: Column, time: Column | None) -> bool:
    """Whether each file is the table of its date: nobody is in it twice, most are in the next one, few rows are new.

    `time` is when rows began or happened, where they tell.
    """
    files = table.rows.table.files
    if len(files) < 2 or any(file.day is None for file in files):
        return False
    if time is not None and (share_of_file_day(table, time) or 0) >= _MOST_NEW:
        return False
    by_file: dict[int, set[str]] = {}
    for place, value in zip(table.rows.file_of_row, customer.values, strict=True):
        if value is not None:
            by_file.setdefault(place, set()).add(value)
    in_order = [by_file[place] for place in sorted(by_file, key=lambda place: files[place].day or date.min)]
    stay = sum(len(before & after) for before, after in itertools.pairwise(in_order))
    each = sum(map(len, in_order))
    return each >= ONE_ROW_EACH * customer.filled and stay >= _STAY * sum(map(len, in_order[:-1]))
