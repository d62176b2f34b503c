"""Parquet files: the footer names the columns and their types; every page is read once, to know that it can be."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from churnlake.contract.source import Source
from churnlake.deliveries import layout
from churnlake.deliveries.kinds import Kind, match_kinds
from churnlake.deliveries.layout import Match

_ROWS = 1 << 16


def match_footer(path: Path, source: Source) -> Match:
    """The fields of a parquet file."""
    # Here, because it is large and the command line is quick without it.
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    broken = (pa.ArrowException, OSError, ValueError)
    try:
        file = ParquetFile(path, page_checksum_verification=True)
    except broken as problem:
        return _refused(f"is no whole parquet file, its footer cannot be read ({_first_line(problem)})")
    with file:
        match = _match_fields(list(_fields(file.schema_arrow)), source)
        if file.metadata.num_rows == 0:
            return _refused("has columns and no rows: deliver it with its rows, or declare the day closed", match)
        try:
            if not match.problems:
                _read_pages(file, match)
        except broken as problem:
            return _refused(f"is a parquet file with broken pages ({_first_line(problem)}): deliver it again", match)
    return match


def _match_fields(fields: list[tuple[layout.Path, Kind]], source: Source) -> Match:
    match = match_kinds({path: {kind} for path, kind in fields}, source)
    twice = [
        f"column {layout.shown(path)} stands {count} times"
        for path, count in Counter(path for path, _ in fields).items()
        if count > 1
    ]
    return Match(match.layout, (*match.problems, *twice), match.drift)


def _fields(parent: Any, at: layout.Path = ()) -> Iterator[tuple[layout.Path, Kind]]:
    """Path and kind of every field of a schema or a record, records before what they hold."""
    for field in parent:
        kind = _kind(field.type)
        yield (*at, field.name), kind
        if kind == "record":
            yield from _fields(field.type.fields, (*at, field.name))


def _kind(told: Any) -> Kind:  # noqa: PLR0911 - one line for each
    import pyarrow.types as t

    if t.is_dictionary(told):
        return _kind(told.value_type)
    if t.is_struct(told):
        return "record"
    if t.is_string(told) or t.is_large_string(told) or t.is_string_view(told):
        return "text"
    if t.is_boolean(told):
        return "boolean"
    if t.is_integer(told) or t.is_floating(told) or t.is_decimal(told):
        return "number"
    if t.is_date(told) or t.is_timestamp(told):
        return "time"
    if t.is_null(told):
        return "null"
    if t.is_time(told):
        return "time of day"
    if t.is_duration(told) or t.is_interval(told):
        return "duration"
    return "list" if t.is_nested(told) else "bytes"


def _read_pages(file: Any, match: Match) -> None:
    """Unpacks every page of the contract's columns; a text that is not UTF-8 is an error too."""
    columns = [field.name for field in match.layout if field.column is not None]
    for batch in file.iter_batches(batch_size=_ROWS, columns=columns):
        batch.validate(full=True)


def _refused(problem: str, match: Match | None = None) -> Match:
    return Match((), (problem,), ()) if match is None else Match(match.layout, (*match.problems, problem), match.drift)


def _first_line(problem: BaseException) -> str:
    return str(problem).splitlines()[0].rstrip(".") if str(problem) else type(problem).__name__
