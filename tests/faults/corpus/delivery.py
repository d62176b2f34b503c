"""What the corpus is made of: a real day, recipes that spoil its delivery, and what must come of each."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

BY_DAY = Path(__file__).resolve().parents[3] / "examples" / "online_retail" / "data" / "by_day"
DAY, YESTERDAY, WEEK_BEFORE = date(2011, 2, 22), date(2011, 2, 21), date(2011, 2, 15)
HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
SOME = 7  # rows that most recipes spoil: few enough that no gate minds them


@dataclass(frozen=True)
class Day:
    """A day of the shop as a table of text, header apart. Changing it makes a new one."""

    date: date
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @classmethod
    def read(cls, day: date) -> "Day":
        """The real file of a day."""
        text = gzip.decompress((BY_DAY / f"{day}.csv.gz").read_bytes()).decode()
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        return cls(day, tuple(header), tuple(map(tuple, rows)))

    def text(self, line_end: str = "\n", separator: str = ",") -> str:
        """As a csv file."""
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator=line_end, delimiter=separator)
        writer.writerows([self.header, *self.rows])
        return out.getvalue()

    def lines(self) -> list[str]:
        """The csv lines of the rows, without the header."""
        return self.text().split("\n")[1:-1]

    def csv(self) -> bytes:
        """As a csv file, packed."""
        return packed(self.text())

    def records(self) -> list[dict[str, Any]]:
        """As nested objects, numbers as numbers: the customer is an object with an id."""
        return [_record(dict(zip(self.header, row, strict=True))) for row in self.rows]

    def parquet(self) -> bytes:
        """As a parquet file with typed columns."""
        return parquet(self.table())

    def table(self) -> pa.Table:
        """As an arrow table with typed columns."""
        columns = dict(zip(self.header, zip(*self.rows, strict=True), strict=True))
        return pa.table(
            {
                **{name: pa.array([text or None for text in columns[name]]) for name in HEADER},
                "Quantity": pa.array([int(text) for text in columns["Quantity"]], pa.int32()),
                "UnitPrice": pa.array([float(text) for text in columns["UnitPrice"]]),
                "InvoiceDate": pa.array(map(datetime.fromisoformat, columns["InvoiceDate"]), pa.timestamp("us")),
            }
        )

    def sound(self) -> list[int]:
        """Places of rows that are taken in as they are: with a customer, a price and no equal beside them."""
        copies = Counter(self.rows)
        return [
            place
            for place, row in enumerate(self.rows)
            if row[6] and float(row[5]) > 0 and copies[row] == 1 and row[2].isascii() and "," not in "".join(row)
        ]

    def on(self, day: date) -> "Day":
        """The same rows, moved to another day."""
        moved = (tuple(text.replace(str(self.date), str(day)) for text in row) for row in self.rows)
        return Day(day, self.header, tuple(moved))

    def changed(self, places: Iterable[int], change: Callable[[dict[str, str]], dict[str, str]]) -> "Day":
        """With the rows at these places changed; a changed row may hold values under names of the header only."""
        rows = list(self.rows)
        for place in places:
            changed = change(dict(zip(self.header, rows[place], strict=True)))
            rows[place] = tuple(changed[name] for name in self.header)
        return replace(self, rows=tuple(rows))

    def everywhere(self, change: Callable[[dict[str, str]], dict[str, str]]) -> "Day":
        """With every row changed."""
        return self.changed(range(len(self.rows)), change)


def _record(row: dict[str, str]) -> dict[str, Any]:
    number = row.pop("CustomerID")
    told = {name: text or None for name, text in row.items()}
    return told | {
        "Quantity": int(row["Quantity"]),
        "UnitPrice": float(row["UnitPrice"]),
        "customer": {"id": number or None, "country": told.pop("Country")},
    }


def packed(text: str | bytes) -> bytes:
    """Gzip with a fixed time inside, so that equal text has equal bytes."""
    return gzip.compress(text.encode() if isinstance(text, str) else text, mtime=0)


def json_lines(records: Iterable[dict[str, Any]]) -> bytes:
    """One object per line, packed."""
    return packed("".join(json.dumps(record) + "\n" for record in records))


def parquet(table: pa.Table) -> bytes:
    """A parquet file of a table."""
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return out.getvalue().to_pybytes()


class Format(StrEnum):
    """The kind of file a recipe starts from; all are made from the rows of the same real day."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class Moment(StrEnum):
    """When the file comes, and what else is true then. The weeks before the day are in the lake."""

    ON_TIME = "on its day"
    COPIED = "under another day's name"
    AGAIN = "for a day that is in"
    ABSENT = "never"
    CLOSED = "for a closed day"
    TOO_LATE = "36 days late"
    GROWING = "while it is being written"
    NO_MARKER = "without its marker"
    READING = "and changes while it is read"


@dataclass(frozen=True)
class Quarantines:
    """`rows` rows are set aside, `reason` (or a rule below it) first among their reasons; the night goes on.

    `records` is how many good rows were spoiled, where that is another number.
    """

    rows: int
    reason: str
    records: int | None = None

    def __str__(self) -> str:
        return f"quarantines {self.rows} ({self.reason})"


@dataclass(frozen=True)
class Ignores:
    """`rows` rows are left out by a rule of the contract, counted under its reason."""

    rows: int
    reason: str

    def __str__(self) -> str:
        return f"ignores {self.rows} ({self.reason})"


@dataclass(frozen=True)
class Duplicates:
    """`rows` rows are dropped as copies; no fact counts twice, and the night shows a warning when `warns` is set."""

    rows: int
    warns: str | None = None

    def __str__(self) -> str:
        return f"drops {self.rows} duplicates" + (f", warns ({self.warns})" if self.warns else "")


@dataclass(frozen=True)
class Corrects:
    """Facts of the version before are withdrawn, others added, known from tonight; all the rest is unchanged."""

    withdrawn: int
    added: int

    def __str__(self) -> str:
        return f"corrects: -{self.withdrawn} +{self.added}"


@dataclass(frozen=True)
class Unchanged:
    """No new delivery: the same bytes again."""

    def __str__(self) -> str:
        return "nothing new"


@dataclass(frozen=True)
class Accepts:
    """Every row ends where the row of the clean file does."""

    def __str__(self) -> str:
        return "accepts"


@dataclass(frozen=True)
class Warns:
    """The night goes on and shows a failed check whose name or observation holds this text."""

    check: str

    def __str__(self) -> str:
        return f"warns ({self.check})"


@dataclass(frozen=True)
class Stops:
    """Exit code 3; the message holds the file's name and all these words, in any case. Last night's scores stay."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return "stops: " + ", ".join(f"`{word}`" for word in self.words)


Outcome = Quarantines | Ignores | Duplicates | Corrects | Unchanged | Accepts | Warns | Stops


@dataclass(frozen=True)
class Recipe:
    """One way a delivery goes wrong. `spoil` makes the bytes that come for the day; None: no file comes.

    `why` is said where the outcome is a matter of judgement.
    """

    name: str
    outcome: Outcome
    spoil: Callable[[Day], bytes | None]
    format: Format = Format.CSV
    moment: Moment = Moment.ON_TIME
    why: str = ""


def stops(*words: str) -> Stops:
    """The night stops with these words in its message."""
    return Stops(words)
