"""The header and the rows of one file, whatever its format, as far as a budget goes."""

import csv
import io
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, TextIO

from churnlake.starter.dialect import Dialect, quoting
from churnlake.starter.samples import SampleFile, opened

NAME_THEM = "put them in a first line, or write the contract by hand with header = false"
"""What to do about a text without a header."""
Record = Sequence[str | None]
_LINES = 200
"""Lines that a first line is held against, to tell a header from a row."""


class RefusedFileError(Exception):
    """A sentence about a file that cannot be used."""


class Budget:
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


@dataclass(frozen=True)
class Records:
    """Names and rows of one file. `kinds` are types where the format tells them, `lists` columns of no single values,
    `highest` the highest value of columns in the whole file, where the format tells it.
    """

    names: Sequence[str]
    rows: Iterator[Record]
    kinds: Mapping[str, str] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    highest: Mapping[str, str] = field(default_factory=dict)


def read_records(file: SampleFile, dialect: Dialect | None, budget: Budget) -> Records:
    """The columns of a file and its rows.

    Raises:
        RefusedFileError: It has no header, or is not what it seems.
    """
    if dialect is None:
        return _of_parquet(file, budget) if file.format == "parquet" else _of_json(file, budget)
    rows = _of_text(file, dialect, budget)
    header = next(rows, None)
    if header is None:
        raise RefusedFileError("is empty: deliver it with its header and rows")
    return Records([str(name) for name in header], rows)


def _of_text(file: SampleFile, dialect: Dialect, budget: Budget) -> Iterator[Record]:
    """The header and the rows."""
    encoding = "utf-8-sig" if dialect.encoding == "utf-8" else dialect.encoding
    with opened(file.path) as stream:
        lines = budget.lines(io.TextIOWrapper(stream, encoding, newline=""))
        yield from _with_header(lines, dialect)


def _with_header(lines: Iterator[str], dialect: Dialect) -> Iterator[Record]:
    if dialect.separator:
        parsed: Iterator[list[str]] = csv.reader(lines, **quoting(dialect.separator, dialect.quote))
    else:
        parsed = (line.split() for line in lines)
    told = (record for record in parsed if record)
    first = list(itertools.islice(told, _LINES))
    if len(first) > 2 and _is_row(first[0], first[1:]):
        raise RefusedFileError(
            f"has no header (its first line, {first[0][:3]}, looks like its rows); column names are never guessed: "
            f"{NAME_THEM}"
        )
    yield from first
    yield from told


def _is_row(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether most values of a line stand again in their own columns: then it is a row and no header."""
    below = [{record[place] for record in others if place < len(record)} for place in range(len(first))]
    return sum(value in values for value, values in zip(first, below, strict=True)) > len(first) / 2


def _of_json(file: SampleFile, budget: Budget) -> Records:
    with opened(file.path) as stream:
        lines = io.TextIOWrapper(stream, "utf-8-sig", newline="\n")
        objects = [_flat(one) for one in itertools.islice(_objects(budget.lines(lines)), budget.rows + 1)]
    if not objects:
        raise RefusedFileError("has no line that is a JSON object: write one object per line, no array around them")
    kinds: dict[str, set[str]] = {}
    for one in objects:
        for name, value in one.items():
            kinds.setdefault(name, set()).add(_json_kind(value))
    lists = tuple(name for name, told in kinds.items() if "list" in told)
    names = [name for name in kinds if name not in lists]
    told = {name: "text" if "text" in kinds[name] else min(kinds[name] - {"null"} or {"text"}) for name in names}
    return Records(names, ([_json_text(one.get(name)) for name in names] for one in objects), told, lists)


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


def _of_parquet(file: SampleFile, budget: Budget) -> Records:
    # Here, because it is large and only one format needs it.
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        parquet = ParquetFile(file.path)
    except (pa.ArrowException, OSError) as problem:
        raise RefusedFileError(f"is no whole parquet file ({str(problem).splitlines()[0]})") from None
    kinds = {one.name: _arrow_kind(one.type) for one in parquet.schema_arrow}
    names = [name for name, kind in kinds.items() if kind != "list"]
    lists = tuple(name for name in kinds if name not in names)
    highest: dict[str, str] = {}
    for name, value in _highest(parquet.metadata):
        highest[name] = max(highest.get(name, value), value, key=rank)
    return Records(names, _batches(parquet, names, budget), {name: kinds[name] for name in names}, lists, highest)


def _batches(parquet: Any, names: Sequence[str], budget: Budget) -> Iterator[Record]:
    with parquet:
        for batch in parquet.iter_batches(batch_size=1 << 14, columns=list(names)):
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


def rank(value: str) -> tuple[int, str]:
    """The order of highest values: whole numbers by size, dates by their text."""
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
