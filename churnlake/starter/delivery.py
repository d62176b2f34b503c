"""How a table is delivered: a file for each day, or past files taken in once; which days are closed; its path."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from churnlake.contract.roles import HAPPENINGS, STATES
from churnlake.contract.values import WEEKDAYS
from churnlake.errors import DataRefusedError
from churnlake.starter.dated_files import are_whole_tables, day_of, days_of_rows, share_of_file_day
from churnlake.starter.roles import Part
from churnlake.starter.samples import SampleFile

_SHARE_OF_ITS_DAY = 0.8
# A weekday that never came in so many weeks is closed; in fewer it may be chance.
_FEWEST_WEEKS = 3
_MOST_MISSING = 0.3
_EARLIEST = date(1990, 1, 1)
_NUMBERS = re.compile(r"\d+(?:[A-Za-z](?![A-Za-z]))?")


@dataclass(frozen=True)
class Delivery:
    """How a source's files come. `path` starts at the folder of the samples, or at `daily` where files are renamed.

    `first` and `last` are the days its rows speak of, None where they name none.
    """

    kind: str
    path: str
    why: str
    first: date | None
    last: date | None
    is_last_certain: bool = True
    weekdays: tuple[str, ...] = ()
    missing: tuple[date, ...] = ()
    waits: bool = True
    early_days: int = 0
    renamed: dict[str, str] = field(default_factory=dict)


def decide_delivery(part: Part, today: date) -> Delivery:
    """The delivery of a source, from the names of its files and the days in its rows. Dates after `today` are plans."""
    files = part.table.rows.table.files
    slots = [file.day for file in files if file.day is not None]
    happens = part.role in HAPPENINGS
    one_a_date = len(set(slots)) == len(files)
    if happens and one_a_date and (share := _share_of_its_day(part)) is not None:
        if share >= _SHARE_OF_ITS_DAY:
            told = f"{len(files):,} files, each named after the day it holds"
            return _of_each_date("daily", told, part, files, sorted(slots))
        return _history(
            part, _newest(files), today, f"each file reaches far back ({share:.0%} of rows are of its own days)"
        )
    if slots and one_a_date and part.role in STATES and len(files) > 1:
        return _states(part, files, sorted(slots))
    if slots and one_a_date and not happens:
        return _history(part, _newest(files), today, "a whole table per date: the newest file counts")
    return _history(
        part, files, today, "no date in the names of its files" if not slots else "several files for one date"
    )


def _states(part: Part, files: Sequence[SampleFile], slots: list[date]) -> Delivery:
    if part.customer is not None and are_whole_tables(part.table, part.customer, part.time):
        return _of_each_date("snapshot", f"{len(files):,} files, each the whole table of its date", part, files, slots)
    return _of_each_date("daily", f"{len(files):,} files, each with what is new on its date", part, files, slots)


def _newest(files: Sequence[SampleFile]) -> list[SampleFile]:
    return [max(files, key=lambda file: (file.day or date.min, file.relative))]


def visits(part: Part) -> list[tuple[str, date]]:
    """Customer and day of each row of an events source; returns and rows without a customer or a day are none."""
    if part.time is None or part.customer is None:
        return []
    signs = part.sign.values if part.sign is not None else [None] * len(part.time.values)
    rows = zip(part.customer.values, days_of_rows(part.time), signs, strict=True)
    return [
        (customer, day)
        for customer, day, sign in rows
        if customer is not None and day is not None and not (sign or "").startswith("-")
    ]


def _days_of_part(part: Part, today: date) -> list[date]:
    if part.time is None:
        return []
    columns = [part.time, *([part.end] if part.end is not None else [])]
    days = {day for column in columns for day in days_of_rows(column) if day is not None}
    return sorted(day for day in days if _EARLIEST <= day < today)


def _share_of_its_day(part: Part) -> float | None:
    return share_of_file_day(part.table, part.time) if part.time is not None else None


def _of_each_date(kind: str, why: str, part: Part, files: Sequence[SampleFile], slots: list[date]) -> Delivery:
    first, last = slots[0], slots[-1]
    span = [first + timedelta(days=place) for place in range((last - first).days + 1)]
    came, possible = Counter(day.weekday() for day in slots), Counter(day.weekday() for day in span)
    weekdays = tuple(WEEKDAYS[day] for day in range(7) if not came[day] and possible[day] >= _FEWEST_WEEKS)
    missing = tuple(day for day in span if day not in set(slots) and WEEKDAYS[day.weekday()] not in weekdays)
    waits = len(missing) <= _MOST_MISSING * len(span)
    path, renamed = _dated_path(part.name, files)
    return Delivery(
        kind, path, why, first, last, True, weekdays,
        missing if waits else (), waits, _days_ahead(part) if kind == "daily" else 0, renamed,
    )  # fmt: skip


def _days_ahead(part: Part) -> int:
    """How far rows are dated after their file's day; a few wild dates do not count."""
    if part.time is None:
        return 0
    files, places = part.table.rows.table.files, part.table.rows.file_of_row
    ahead = sorted(
        (day - slot).days
        for place, day in zip(places, days_of_rows(part.time), strict=True)
        if day is not None and (slot := files[place].day) is not None
    )
    return max(ahead[int(0.999 * (len(ahead) - 1))], 0) if ahead else 0


def _dated_path(name: str, files: Sequence[SampleFile]) -> tuple[str, dict[str, str]]:
    """A path with the date in it; new names for files whose date is not written as 2026-01-31."""
    iso = all(file.day is not None and file.day_text == file.day.isoformat() for file in files)
    templates = {_template(file) for file in files}
    if iso and len(templates) > 1:
        templates = {_starred(template) for template in templates}
    if iso and len(templates) == 1:
        return templates.pop(), {}
    ending = "".join(re.findall(r"[.][A-Za-z]+", files[0].relative.rpartition("/")[2])[-2:])
    ending = ending if ending.endswith(".gz") else f".{ending.rpartition('.')[2]}"
    return f"{name}/{{business_date}}{ending}", {file.relative: f"{name}/{file.day}{ending}" for file in files}


def _template(file: SampleFile) -> str:
    """The path with the last of its dates taken out."""
    before, _, after = file.relative.rpartition(str(file.day_text))
    return f"{before}{{business_date}}{after}"


def _starred(template: str) -> str:
    return re.sub(
        r"\*+", "*", "{business_date}".join(_NUMBERS.sub("*", part) for part in template.split("{business_date}"))
    )


def _history(part: Part, files: Sequence[SampleFile], today: date, why: str) -> Delivery:
    days = _days_of_part(part, today)
    told = f"{why}: past files, taken in once"
    rows = part.table.rows
    first, last = (days[0], days[-1]) if days else (None, None)
    highest = rows.highest.get(part.time.name) if part.time is not None else None
    newest = day_of(part.time, highest) if part.time is not None and highest is not None else None
    if newest is not None and last is not None and newest < today:
        last = max(last, newest)
    return Delivery("history", _path_of_all(files), told, first, last, rows.whole or newest == last)


def _path_of_all(files: Sequence[SampleFile]) -> str:
    """One path for all files: numbers become *."""
    if len(files) == 1:
        return files[0].relative
    starred = {re.sub(r"\*+", "*", _NUMBERS.sub("*", file.relative)) for file in files}
    if len(starred) > 1:
        raise DataRefusedError(
            f"the files {', '.join(sorted(file.relative for file in files)[:3])} ... fit no one path of a contract",
            next_step="put the files of one table into a folder of their own, with the same ending",
        )
    return starred.pop()
