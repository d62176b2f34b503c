"""Lines of text: decoded where Spark's own reader would split or read them wrongly, and read by a contract's pattern.

Spark's Python workers import this module for every file: it needs nothing but the standard library and Arrow.
"""

import gzip
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TextIO

import pyarrow as pa

BatchReader = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]

_LINES_AT_ONCE = 10_000


def line_reader(encoding: str, above: int) -> BatchReader:
    """Turns batches of (file, path) into batches of (file, value): the lines of each file, read here from its start.

    Left out are the first `above` lines, blank lines and line ends: CR, LF or both. A name ending in .gz is unpacked.
    For encodings in which the byte of a line end may be half of a character, which Spark would split at.
    """

    def read(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for file, path in zip(batch["file"].to_pylist(), batch["path"].to_pylist(), strict=True):
                with _opened(path, encoding) as lines:
                    rows = (line.removesuffix("\n") for line in itertools.islice(lines, above, None) if line.strip())
                    while some := list(itertools.islice(rows, _LINES_AT_ONCE)):
                        yield _batch({"file": [file] * len(some), "value": some})

    return read


def _opened(path: str, encoding: str) -> TextIO:
    opening = gzip.open if path.endswith(".gz") else open
    return opening(path, "rt", encoding=encoding)


def line_decoder(encoding: str, above: int) -> BatchReader:
    """Turns batches of (file, is_top, value) into batches of (file, value): bytes of lines become text.

    Left out are the first `above` lines of those that are in the first piece of their file, `is_top`, and blank lines.
    """

    def decode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        seen: Counter[str] = Counter()
        for batch in batches:
            rows = []
            for file, is_top, value in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                seen[file] += is_top
                line = value.decode(encoding)
                if line.strip() and not (is_top and seen[file] <= above):
                    rows.append((file, line))
            yield _batch({"file": [file for file, _ in rows], "value": [line for _, line in rows]})

    return decode


def pattern_parser(pattern: str, columns: Sequence[str], corrupt: str) -> BatchReader:
    """Turns batches of (file, value) into batches of file, one text column per name in `columns`, and `corrupt`.

    Each column is the pattern's group of its name; a group that holds nothing is null. A line that does not fit as a
    whole keeps its text in `corrupt`, its columns null. Blank lines are no rows.
    """
    fits = re.compile(pattern).fullmatch

    def parse(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = [
                (file, *_values(fits(line), line, columns))
                for file, value in zip(batch["file"].to_pylist(), batch["value"].to_pylist(), strict=True)
                if (line := value.removeprefix("\ufeff")).strip()
            ]
            names = ("file", *columns, corrupt)
            yield _batch(dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True)))

    return parse


def _values(found: re.Match[str] | None, line: str, columns: Sequence[str]) -> tuple[str | None, ...]:
    if found is None:
        return (*(None for _ in columns), line)
    return (*(found[name] or None for name in columns), None)


def _batch(columns: dict[str, Sequence[str | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(values, pa.string()) for values in columns.values()], list(columns))
