"""Lines of JSON as text: what Spark's own reader would change or let pass is kept or set aside here.

Spark's Python workers import this module for every file: it needs nothing but the standard library and Arrow.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

import pyarrow as pa

BatchParser = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class _Number(str):
    """A number as it is written: 1.10 stays 1.10, and no digit of a long id is lost."""

    __slots__ = ()


class _MisshapenError(ValueError):
    """The line is no object, or holds a value where a record was looked for."""


def json_parser(paths: Mapping[str, Sequence[str]], corrupt: str) -> BatchParser:
    """Turns batches of (file, value) into batches of file, one text column per key of `paths`, and `corrupt`.

    `paths` gives for each column the paths, dots between, at which it may stand; the first that holds a value counts.
    A line that is no JSON object keeps its text in `corrupt`, its columns null. Blank lines are no rows.
    """

    def parse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            files, lines = batch.column("file").to_pylist(), batch.column("value").to_pylist()
            texts = [
                (file, line.removeprefix("\ufeff").strip(" \t\r")) for file, line in zip(files, lines, strict=True)
            ]
            rows = [(file, *_row(text, paths)) for file, text in texts if text]
            columns = list(zip(*rows, strict=True)) or [()] * (len(paths) + 2)
            names = ["file", *paths, corrupt]
            yield pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], names)

    return parse


def _row(line: str, paths: Mapping[str, Sequence[str]]) -> tuple[str | None, ...]:
    try:
        record = json.loads(line, parse_float=_Number, parse_int=_Number, parse_constant=_no_constant)
        if not isinstance(record, dict):
            raise _MisshapenError
        return (*(_first(record, places) for places in paths.values()), None)
    except (ValueError, RecursionError):
        return (*(None for _ in paths), line)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _first(record: Mapping[str, Any], places: Sequence[str]) -> str | None:
    return next((text for place in places if (text := as_text(_value_at(record, place))) is not None), None)


def _value_at(record: Mapping[str, Any], path: str) -> Any:
    value: Any = record
    for name in path.split("."):
        if not isinstance(value, dict):
            raise _MisshapenError
        value = value.get(name)
        if value is None:
            return None
    return value


def as_text(value: Any) -> str | None:
    """A value of JSON as a column's text: a text as it is, anything else as it is written in JSON; null is null."""
    return value if value is None or isinstance(value, str) else _written(value)


def _written(value: Any) -> str:
    match value:
        case _Number():
            return str(value)
        case dict():
            pairs = (f"{json.dumps(key, ensure_ascii=False)}:{_written(one)}" for key, one in value.items())
            return "{" + ",".join(pairs) + "}"
        case list():
            return "[" + ",".join(map(_written, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)
