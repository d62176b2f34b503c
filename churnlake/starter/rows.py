"""The rows of a sample table as text, column by column, and how its files are written. Reads a bounded amount."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from churnlake.contract.values import COLUMN, RESERVED_IN_FILES, landed_column
from churnlake.errors import DataRefusedError
from churnlake.starter.dates import read_form
from churnlake.starter.dialect import MOST_BYTES, Dialect, find_dialect
from churnlake.starter.records import NAME_THEM, Budget, RefusedFileError, rank, read_records
from churnlake.starter.samples import REPAIR, Found, SampleFile, SampleTable

MOST_ROWS = 1_000_000
"""Rows of one table that are read; enough for the rhythm of a year, little enough for a minute and any laptop."""
_MOST_FILES = 400
_NUMBER = re.compile(r"\s*[+-]?[\d.,]*\d[\d.,]*\s*")

Values = list[str | None]


@dataclass
class Rows:
    """What was read of a table. `kinds` tells the type of each column where the format does; null is an empty value.

    `unnameable` are columns that a contract cannot name; `whole` is false where the files hold more than was read; then
    `highest` tells the highest value of a column, where the format knows it.
    """

    table: SampleTable
    dialect: Dialect | None
    columns: dict[str, Values] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    file_of_row: list[int] = field(default_factory=list)
    unnameable: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    whole: bool = True
    highest: dict[str, str] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.file_of_row)

    @cached_property
    def copies(self) -> int:
        """Rows that are the same as another one of their file in every column."""
        return self.count - len({hash(row) for row in zip(self.file_of_row, *self.columns.values(), strict=True)})


def read_tables(found: Found) -> tuple[list[Rows], tuple[str, ...]]:
    """The rows of all tables, and why each other file is left out.

    A text that is no table is left out where others are: it may be a note about them.

    Raises:
        DataRefusedError: Files cannot be read as what they are; all are named with what to do.
    """
    read: list[Rows] = []
    left_out, refused = list(found.left_out), list[str]()
    for table in found.tables:
        try:
            read.append(read_rows(table))
        except DataRefusedError as error:
            (left_out if table.may_be_notes else refused).append(error.message)
    if refused or not read:
        raise DataRefusedError("\n".join(refused or left_out), next_step=REPAIR)
    return read, tuple(left_out)


def read_rows(table: SampleTable, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> Rows:
    """The rows of a table's files, spread over all of them where they are too many.

    Raises:
        DataRefusedError: A file has no header, no rows, or cannot be read as what it is; all are named.
    """
    files = _spread(table.files)
    dialect = None if table.format in ("parquet", "json") else find_dialect(files)
    if dialect is not None and not dialect.separator:
        table = SampleTable(table.name, tuple(_as_text(file) for file in table.files))
        files = _spread(table.files)
    rows = Rows(table, dialect, whole=len(files) == len(table.files))
    refused: list[str] = []
    seen: dict[str, dict[str | None, str | None]] = {}
    left, bytes_left, sizes = most_rows, most_bytes, [file.path.stat().st_size for file in files]
    for place, file in enumerate(files):
        # Each file gets its share of what is left, by its size.
        share = sizes[place] / sum(sizes[place:])
        budget = Budget(max(int(left * share), 1), max(int(bytes_left * share), 1))
        before, characters = rows.count, budget.characters
        try:
            _add(rows, file, budget, seen)
        except (RefusedFileError, csv.Error, UnicodeDecodeError, ValueError, EOFError, OSError) as problem:
            refused.append(f"{file.relative}: {problem}")
        rows.whole = rows.whole and not budget.is_cut
        left -= rows.count - before
        bytes_left -= characters - budget.characters
    if not refused and rows.count == 0:
        refused = [f"{files[0].relative}: has a header and no rows: give files with rows"]
    if refused:
        raise DataRefusedError("\n".join(refused), next_step=REPAIR)
    return rows


def _spread(files: Sequence[SampleFile]) -> list[SampleFile]:
    """All files, or as many as may be opened, evenly spread, the first and the last among them."""
    if len(files) <= _MOST_FILES:
        return list(files)
    step = (len(files) - 1) / (_MOST_FILES - 1)
    return [files[round(place * step)] for place in range(_MOST_FILES)]


def _as_text(file: SampleFile) -> SampleFile:
    return SampleFile(file.path, file.relative, "text", file.head, file.day, file.day_text)


def _add(rows: Rows, file: SampleFile, budget: Budget, seen: dict[str, dict[str | None, str | None]]) -> None:
    place = rows.table.files.index(file)
    records = read_records(file, rows.dialect, budget)
    names = records.names
    _check_names(names)
    _note_names(rows, names, file)
    rows.kinds |= records.kinds
    rows.unnameable = tuple(dict.fromkeys((*rows.unnameable, *records.lists)))
    for name, highest in records.highest.items():
        rows.highest[name] = max(rows.highest.get(name, highest), highest, key=rank)
    columns = [(rows.columns.get(name), seen.setdefault(name, {})) for name in names]
    others = [values for name, values in rows.columns.items() if name not in names]
    for record in records.rows:
        if len(record) != len(names):
            continue  # a bad_shape for the night, and nothing to learn from
        rows.file_of_row.append(place)
        for (values, same), value in zip(columns, record, strict=True):
            if values is not None:
                values.append(same.setdefault(value, value) if value else None)
        for values in others:
            values.append(None)
        budget.rows -= 1
        if budget.rows <= 0:
            budget.is_cut = budget.is_cut or next(records.rows, None) is not None
            return


def _check_names(names: Sequence[str]) -> None:
    advice = f"column names are never guessed: {NAME_THEM}"
    unlike = [name for name in names if _NUMBER.fullmatch(name) or read_form({name: 1}, "day_first")]
    if unlike:
        raise RefusedFileError(f"has no header (its first line holds the value {unlike[0]!r}); {advice}")
    empty = [number for number, name in enumerate(names, start=1) if not name.strip()]
    if empty:
        raise RefusedFileError(f"has no name for column {empty[0]}: name it or leave it out (an index of its writer?)")
    known = [landed_column(name.strip()).lower() for name in names]
    twice = [name for name, one in zip(names, known, strict=True) if known.count(one) > 1]
    if twice:
        raise RefusedFileError(
            f"has two columns that a contract cannot tell apart: {', '.join(map(repr, twice))}; rename one"
        )


def _note_names(rows: Rows, names: Sequence[str], file: SampleFile) -> None:
    fitting = [
        name for name in names if re.fullmatch(COLUMN, name) and landed_column(name).lower() not in RESERVED_IN_FILES
    ]
    if not rows.columns:
        rows.columns = {name: [None] * rows.count for name in fitting}
        rows.unnameable = tuple(name for name in names if name not in fitting)
    elif set(fitting) != set(rows.columns) and file.relative not in rows.differing:
        rows.differing = (*rows.differing, file.relative)
