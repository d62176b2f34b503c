"""Whole days that are too small, too large, old, late, early or changed."""

import gzip
from collections.abc import Callable
from dataclasses import replace

from tests.faults.corpus.delivery import (
    DAY,
    WEEK_BEFORE,
    YESTERDAY,
    Accepts,
    Corrects,
    Day,
    Duplicates,
    Moment,
    Recipe,
    Unchanged,
    Warns,
    stops,
)

Row = dict[str, str]


def _every(change: Callable[[Row], Row]) -> Callable[[Day], bytes]:
    return lambda day: day.everywhere(change).csv()


def _share(one_in: int) -> Callable[[Day], bytes]:
    return lambda day: replace(day, rows=day.rows[::one_in]).csv()


def _start(share: float) -> Callable[[Day], bytes]:
    return lambda day: replace(day, rows=day.rows[: int(len(day.rows) * share)]).csv()


def _tenfold(day: Day) -> bytes:
    rows = [(f"{row[0]}{copy}", *row[1:]) for copy in range(10) for row in day.rows]
    return replace(day, rows=tuple(rows)).csv()


def _of(other: Day) -> Callable[[Day], bytes]:
    return lambda _: other.csv()


def _packed_anew(day: Day) -> bytes:
    return gzip.compress(day.text().encode(), compresslevel=1, mtime=1)


def _dated_tomorrow(row: Row) -> Row:
    return row | {"InvoiceDate": row["InvoiceDate"].replace(str(DAY), "2011-02-23")}


def _third_of_yesterday(day: Day) -> bytes:
    def change(row: Row) -> Row:
        return row | {"InvoiceDate": row["InvoiceDate"].replace(str(DAY), str(YESTERDAY))}

    return day.changed(range(0, len(day.rows), 3), change).csv()


def _renamed_country(row: Row) -> Row:
    return row | {"Country": "UK"} if row["Country"] == "United Kingdom" else row


def _not_after_ten(row: Row) -> Row:
    return row | {"InvoiceDate": min(row["InvoiceDate"], f"{DAY} 10:00:00")}


def _corrected(day: Day) -> bytes:
    return day.changed(day.sound()[:2], lambda row: row | {"UnitPrice": "99.5"}).csv()


def _withdrawn(day: Day) -> bytes:
    place = day.sound()[0]
    return replace(day, rows=day.rows[:place] + day.rows[place + 1 :]).csv()


def _added(day: Day) -> bytes:
    row = day.rows[day.sound()[0]]
    return replace(day, rows=(*day.rows, ("999999", *row[1:]))).csv()


def _spoilt_later(day: Day) -> bytes:
    return day.changed(day.sound()[:2], lambda row: row | {"UnitPrice": "cheap"}).csv()


def _backwards(day: Day) -> bytes:
    return replace(day, rows=day.rows[::-1]).csv()


VOLUME = (
    Recipe("the first twentieth of the day", stops("rows is"), _start(0.05)),
    Recipe(
        "the day cut off at its middle",
        Accepts(),
        _start(0.5),
        why="796 rows up to 15:24: Sundays of this shop end earlier with fewer; a gate that minds it cries wolf",
    ),
    Recipe(
        "every other row lost",
        Accepts(),
        _share(2),
        why="796 rows are an ordinary day of this shop: 279 to 5,331 in a year",
    ),
    Recipe("ten times the rows", stops("rows is"), _tenfold),
    Recipe(
        "every line twice",
        stops("doubled"),
        lambda day: replace(day, rows=(*day.rows, *day.rows)).csv(),
        why="without the copies the facts would be right; but who sends a day twice may send it twice and changed",
    ),
    Recipe(
        "every fifth line twice",
        Duplicates(232, warns="doubled"),
        lambda day: replace(day, rows=(*day.rows, *day.rows[::5])).csv(),
    ),
)

VALUES = (
    Recipe(
        "the header in another order, the values where they were",
        stops("UnitPrice"),
        lambda day: replace(day, header=(*day.header[:5], day.header[6], day.header[5], day.header[7])).csv(),
        why="prices read as ids and ids as prices: no name is wrong, so what the values are must stop it",
    ),
    Recipe(
        "prices in pence",
        stops("UnitPrice"),
        _every(lambda row: row | {"UnitPrice": str(float(row["UnitPrice"]) * 100)}),
    ),
    Recipe("no price in any row", stops("UnitPrice"), _every(lambda row: row | {"UnitPrice": ""})),
    Recipe(
        "no customer in any row",
        stops("customers is 0"),
        _every(lambda row: row | {"CustomerID": ""}),
        why="rows without a customer are ignored; a day of nothing else would make all customers look gone",
    ),
    Recipe("a clock that stands still from ten o'clock on", Warns("staleness"), _every(_not_after_ten)),
    Recipe("no time in any row", stops("null.InvoiceDate", "own_day"), _every(lambda row: row | {"InvoiceDate": ""})),
    Recipe(
        "one country replaced by another",
        stops("Country"),
        _every(_renamed_country),
        why="what names the old value would pass it over in silence; a day declared unusual lets it in",
    ),
    Recipe(
        "every sale a cancellation",
        stops("event_type"),
        _every(lambda row: row | {"InvoiceNo": "C" + row["InvoiceNo"].lstrip("C")}),
    ),
    Recipe(
        "all customers new",
        stops("known is"),
        _every(lambda row: row | {"CustomerID": row["CustomerID"] and "N" + row["CustomerID"]}),
    ),
    Recipe("one customer in every row", stops("customer"), _every(lambda row: row | {"CustomerID": "17850.0"})),
    Recipe(
        "product and customer swapped",
        stops("customer"),
        _every(lambda row: row | {"StockCode": row["CustomerID"], "CustomerID": row["StockCode"]}),
    ),
)

DATES = (
    Recipe(
        "yesterday's file again, byte for byte",
        stops("same bytes as", str(YESTERDAY)),
        _of(Day.read(YESTERDAY)),
        moment=Moment.COPIED,
    ),
    Recipe("yesterday's file again, packed anew", stops("own_day"), lambda _: _packed_anew(Day.read(YESTERDAY))),
    Recipe("last week's file under today's name", stops("own_day"), lambda _: _packed_anew(Day.read(WEEK_BEFORE))),
    Recipe(
        "tomorrow's file under today's name",
        stops("own_day", "set_aside"),
        _every(_dated_tomorrow),
        why="every row is set aside; a day of which nothing is left must not publish",
    ),
    Recipe(
        "all times one month back",
        stops("own_day"),
        _every(lambda row: row | {"InvoiceDate": row["InvoiceDate"].replace("-02-", "-01-")}),
    ),
    Recipe("a third of the rows from yesterday", Warns("own_day"), _third_of_yesterday),
    Recipe("no file on an open day", stops("waits for 1 missing file"), lambda _: None, moment=Moment.ABSENT),
    Recipe("a file on a closed day", Warns("closed_day"), lambda day: day.csv(), moment=Moment.CLOSED),
    Recipe("a file later than max_late_days", Warns("too_late"), lambda day: day.csv(), moment=Moment.TOO_LATE),
    Recipe("a file that still grows", stops("still being written"), lambda day: day.csv(), moment=Moment.GROWING),
    Recipe("a file without its marker", stops("no marker"), lambda day: day.csv(), moment=Moment.NO_MARKER),
    Recipe("a file that changes while it is read", stops("sha256"), _corrected, moment=Moment.READING),
)

VERSIONS = (
    Recipe("the same bytes again", Unchanged(), lambda day: day.csv(), moment=Moment.AGAIN),
    Recipe("the same rows, packed anew", Corrects(0, 0), _packed_anew, moment=Moment.AGAIN),
    Recipe("the same rows in another order", Corrects(0, 0), _backwards, moment=Moment.AGAIN),
    Recipe("two prices corrected", Corrects(2, 2), _corrected, moment=Moment.AGAIN),
    Recipe("a row withdrawn", Corrects(1, 0), _withdrawn, moment=Moment.AGAIN),
    Recipe("a row added", Corrects(0, 1), _added, moment=Moment.AGAIN),
    Recipe(
        "two rows spoilt in the second version",
        Corrects(2, 0),
        _spoilt_later,
        moment=Moment.AGAIN,
        why="their facts are withdrawn, and the new rows wait in quarantine",
    ),
    Recipe(
        "a second version with a fiftieth of the rows",
        Warns("earlier.volume"),
        _start(0.02),
        moment=Moment.AGAIN,
        why="a correction changes a day that was scored before: shown, not stopped",
    ),
    Recipe("a second version that is empty", stops("is empty"), lambda _: b"", moment=Moment.AGAIN),
    Recipe("a clean day", Accepts(), lambda day: day.csv(), why="the control: no gate may mind it"),
)

RECIPES = (*VOLUME, *VALUES, *DATES, *VERSIONS)
