"""The rows of a sample table as text, column by column, and how its files are written. Reads a bounded amount."""

import codecs
import csv
import gzip
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any, TextIO

from churnlake.contract.values import COLUMN, RESERVED_IN_FILES, landed_column
from churnlake.errors import DataRefusedError
from churnlake.starter.dates import read_form
from churnlake.starter.samples import Found, SampleFile, SampleTable

MOST_ROWS = 1_000_000
"""Rows of one table that are read; enough for the rhythm of a year, little enough for a minute and any laptop."""
MOST_BYTES = 1 << 26
"""Bytes of one table that are read, once unpacked."""
_MOST_FILES = 400
_REPAIR = "repair or remove these files, then run init again"
_LINES = 200
_SEPARATORS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"\s*[+-]?[\d.,]*\d[\d.,]*\s*")
_NAMES_OF_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}

Values = list[str | None]


@dataclass(frozen=True)
class Dialect:
    """How a text is written. `separator` is empty for text parted by blanks; `quote` is empty where none is used."""

    encoding: str = "utf-8"
    separator: str = ","
    quote: str = '"'

    @property
    def told(self) -> str:
        separator = _NAMES_OF_SEPARATORS.get(self.separator, "blanks")
        return f"{self.encoding}, parted by {separator}"


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


class _Budget:
    """What may still be read of one file."""

    def __init__(self, rows: int, characters: int) -> None:
        self.rows, self.characters = rows, characters
        self.is_cut = False

    def lines(self, file: TextIO) -> Iterator[str]:
        for line in file:
            if self.characters <= 0:
                self.is_cut = True
                return
            self.characters -= len(line)
            yield line


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
        raise DataRefusedError("\n".join(refused or left_out), next_step=_REPAIR)
    return read, tuple(left_out)


def read_rows(table: SampleTable, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES) -> Rows:
    """The rows of a table's files, spread over all of them where they are too many.

    Raises:
        DataRefusedError: A file has no header, no rows, or cannot be read as what it is; all are named.
    """
    files = _spread(table.files)
    dialect = None if table.format in ("parquet", "json") else _dialect(files[0])
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
        budget = _Budget(max(int(left * share), 1), max(int(bytes_left * share), 1))
        before, characters = rows.count, budget.characters
        try:
            _add(rows, file, budget, seen)
        except (_RefusedFileError, csv.Error, UnicodeDecodeError, ValueError, EOFError, OSError) as problem:
            refused.append(f"{file.relative}: {problem}")
        rows.whole = rows.whole and not budget.is_cut
        left -= rows.count - before
        bytes_left -= characters - budget.characters
    if not refused and rows.count == 0:
        refused = [f"{files[0].relative}: has a header and no rows: give files with rows"]
    if refused:
        raise DataRefusedError("\n".join(refused), next_step=_REPAIR)
    return rows


class _RefusedFileError(Exception):
    """A sentence about a file that cannot be used."""


def _spread(files: Sequence[SampleFile]) -> list[SampleFile]:
    """All files, or as many as may be opened, evenly spread, the first and the last among them."""
    if len(files) <= _MOST_FILES:
        return list(files)
    step = (len(files) - 1) / (_MOST_FILES - 1)
    return [files[round(place * step)] for place in range(_MOST_FILES)]


def _as_text(file: SampleFile) -> SampleFile:
    return SampleFile(file.path, file.relative, "text", file.head, file.day, file.day_text)


def _dialect(file: SampleFile) -> Dialect:
    encoding = _encoding(file)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(file.head.removeprefix(codecs.BOM_UTF8))
    lines = [line for line in text.splitlines() if line.strip()]
    # The last line of the head may end in its middle.
    lines = lines[:_LINES] if len(lines) > _LINES else lines[:-1] if len(lines) > 2 else lines
    widths = {(separator, quote): _width(lines, separator, quote) for separator in _SEPARATORS for quote in ('"', "'")}
    (separator, quote), width = max(widths.items(), key=lambda one: one[1])
    if width > 1:
        return Dialect(encoding, separator, quote)
    unquoted = {separator: _width(lines, separator, "") for separator in _SEPARATORS}
    separator = max(unquoted, key=lambda one: unquoted[one])
    if unquoted[separator] > 1:
        return Dialect(encoding, separator, "")
    words = {len(line.split()) for line in lines}
    if len(words) == 1 and words != {1}:
        if file.path.name.removesuffix(".gz").endswith((".csv", ".tsv")):
            message = "is parted by blanks and named .csv: name it .txt, then it is read with a pattern"
            raise DataRefusedError(f"{file.relative}: {message}", next_step=_REPAIR)
        return Dialect(encoding, "", "")
    told = "is no table: its lines are not parted alike by comma, semicolon, tab, bar or blanks"
    raise DataRefusedError(f"{file.relative}: {told}", next_step=_REPAIR)


def _encoding(file: SampleFile) -> str:
    """utf-16 by its mark; utf-8 where all that may be read fits it; else the encoding of Windows in western Europe."""
    if file.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    left = MOST_BYTES
    unused = {0x81, 0x8D, 0x8F, 0x90, 0x9D}  # bytes that cp1252 gives no character
    with _opened(file.path) as stream:
        while left > 0 and (chunk := stream.read(1 << 20)):
            left -= len(chunk)
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return "latin-1" if unused & set(chunk) else "cp1252"
    return "utf-8"


def _opened(path: Path) -> Any:
    return gzip.open(path) if path.name.endswith(".gz") else path.open("rb")


def _width(lines: Sequence[str], separator: str, quote: str) -> int:
    """Columns that (nearly) all lines have; 1 where they differ or the quotes do not fit."""
    if quote == "'" and sum(line.count("'") for line in lines) < 2 * len(lines):
        return 1
    try:
        parsed = list(csv.reader(lines, **_quoting(separator, quote)))
    except csv.Error:
        return 1
    widths = [len(one) for one in parsed]
    width = widths[0] if widths else 1
    fits = sum(one == width for one in widths)
    return width if fits >= 0.95 * len(widths) and len(parsed) >= 0.5 * len(lines) else 1


def _quoting(separator: str, quote: str) -> dict[str, Any]:
    return {"delimiter": separator} | ({"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE})


def _add(rows: Rows, file: SampleFile, budget: _Budget, seen: dict[str, dict[str | None, str | None]]) -> None:
    place = rows.table.files.index(file)
    records = _records(rows, file, budget)
    header = next(records, None)
    if header is None:
        raise _RefusedFileError("is empty: deliver it with its header and rows")
    names = [str(name) for name in header]
    _check_names(names)
    _note_names(rows, names, file)
    columns = [(rows.columns.get(name), seen.setdefault(name, {})) for name in names]
    others = [values for name, values in rows.columns.items() if name not in names]
    for record in records:
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
            budget.is_cut = budget.is_cut or next(records, None) is not None
            return


def _check_names(names: Sequence[str]) -> None:
    advice = "column names are never guessed: put them in a first line"
    unlike = [name for name in names if _NUMBER.fullmatch(name) or read_form({name: 1}, "day_first")]
    if unlike:
        raise _RefusedFileError(f"has no header (its first line holds the value {unlike[0]!r}); {advice}")
    empty = [number for number, name in enumerate(names, start=1) if not name.strip()]
    if empty:
        raise _RefusedFileError(f"has no name for column {empty[0]}: name it or leave it out (an index of its writer?)")
    known = [landed_column(name.strip()).lower() for name in names]
    twice = [name for name, one in zip(names, known, strict=True) if known.count(one) > 1]
    if twice:
        raise _RefusedFileError(
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


def _records(rows: Rows, file: SampleFile, budget: _Budget) -> Iterator[Sequence[str | None]]:
    """The header, then the rows of a file."""
    if file.format == "parquet":
        yield from _of_parquet(rows, file, budget)
    elif file.format == "json":
        yield from _of_json(rows, file, budget)
    else:
        assert rows.dialect is not None  # noqa: S101 - texts have one
        with _opened(file.path) as stream:
            encoding = "utf-8-sig" if rows.dialect.encoding == "utf-8" else rows.dialect.encoding
            lines = budget.lines(io.TextIOWrapper(stream, encoding, newline=""))
            yield from _of_text(lines, rows.dialect)


def _of_text(lines: Iterator[str], dialect: Dialect) -> Iterator[Sequence[str | None]]:
    if dialect.separator:
        parsed: Iterator[list[str]] = csv.reader(lines, **_quoting(dialect.separator, dialect.quote))
    else:
        parsed = (line.split() for line in lines)
    told = (record for record in parsed if record)
    first = list(itertools.islice(told, _LINES))
    if len(first) > 2 and _is_row(first[0], first[1:]):
        raise _RefusedFileError(
            f"has no header (its first line, {first[0][:3]}, looks like its rows); column names are never guessed: put "
            "them in a first line"
        )
    yield from first
    yield from told


def _is_row(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether most values of a line stand again in their own columns: then it is a row and no header."""
    below = [{record[place] for record in others if place < len(record)} for place in range(len(first))]
    return sum(value in values for value, values in zip(first, below, strict=True)) > len(first) / 2


def _of_json(rows: Rows, file: SampleFile, budget: _Budget) -> Iterator[Sequence[str | None]]:
    with _opened(file.path) as stream:
        lines = io.TextIOWrapper(stream, "utf-8-sig", newline="\n")
        objects = [_flat(one) for one in itertools.islice(_objects(budget.lines(lines)), budget.rows + 1)]
    if not objects:
        raise _RefusedFileError("has no line that is a JSON object: write one object per line, no array around them")
    kinds: dict[str, set[str]] = {}
    for one in objects:
        for name, value in one.items():
            kinds.setdefault(name, set()).add(_json_kind(value))
    lists = tuple(name for name, told in kinds.items() if "list" in told)
    names = [name for name in kinds if name not in lists]
    rows.kinds |= {name: "text" if "text" in kinds[name] else min(kinds[name] - {"null"} or {"text"}) for name in names}
    yield names
    rows.unnameable = tuple(dict.fromkeys((*rows.unnameable, *lists)))
    for one in objects:
        yield [_json_text(one.get(name)) for name in names]


def _objects(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            told = json.loads(line, parse_float=Decimal)
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict):
            yield told


def _flat(record: Mapping[str, Any], before: str = "", depth: int = 1) -> dict[str, Any]:
    """Fields of records by dotted names, five deep at most."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict) and depth < 5:
            flat |= _flat(value, f"{before}{name}.", depth + 1)
        else:
            flat[f"{before}{name}"] = value
    return flat


def _json_kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, list | dict):
        return "list"
    return "number" if isinstance(value, int | Decimal) else "text"


def _json_text(value: object) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def _of_parquet(rows: Rows, file: SampleFile, budget: _Budget) -> Iterator[Sequence[str | None]]:
    # Here, because it is large and only one format needs it.
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        parquet = ParquetFile(file.path)
    except (pa.ArrowException, OSError) as problem:
        raise _RefusedFileError(f"is no whole parquet file ({str(problem).splitlines()[0]})") from None
    with parquet:
        kinds = {one.name: _arrow_kind(one.type) for one in parquet.schema_arrow}
        names = [name for name, kind in kinds.items() if kind != "list"]
        rows.kinds |= {name: kinds[name] for name in names}
        yield names
        rows.unnameable = tuple(dict.fromkeys((*rows.unnameable, *(name for name in kinds if name not in names))))
        for name, highest in _highest(parquet.metadata):
            rows.highest[name] = max(rows.highest.get(name, highest), highest, key=_rank)
        for batch in parquet.iter_batches(batch_size=1 << 14, columns=names):
            if budget.characters <= 0:
                budget.is_cut = True
                return
            budget.characters -= batch.nbytes
            columns = [[None if one is None else str(one) for one in column.to_pylist()] for column in batch.columns]
            yield from zip(*columns, strict=True)


def _highest(footer: Any) -> Iterator[tuple[str, str]]:
    """The highest value of each column in the footer's statistics: whole numbers and times."""
    for group in range(footer.num_row_groups):
        for place in range(footer.num_columns):
            column = footer.row_group(group).column(place)
            told = column.statistics.max if column.statistics is not None and column.statistics.has_min_max else None
            if isinstance(told, int | date):
                yield column.path_in_schema, str(told)


def _rank(value: str) -> tuple[int, str]:
    """Whole numbers by size, dates by their text."""
    return (int(value), "") if re.fullmatch(r"[+-]?\d+", value) else (0, value)


def _arrow_kind(told: Any) -> str:  # noqa: PLR0911 - one line for each
    import pyarrow.types as t

    if t.is_dictionary(told):
        return _arrow_kind(told.value_type)
    if t.is_boolean(told):
        return "boolean"
    if t.is_integer(told):
        return "bigint" if told.bit_width > 32 or t.is_uint32(told) else "int"
    if t.is_floating(told):
        return "double"
    if t.is_decimal(told):
        return f"decimal({told.precision},{max(told.scale, 0)})"
    if t.is_date(told):
        return "date"
    if t.is_timestamp(told):
        return "timestamp"
    return "list" if t.is_nested(told) or t.is_binary(told) or t.is_time(told) or t.is_duration(told) else "text"
