"""JSON lines: every line is parsed, so that all keys and the kinds of their values are known."""

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from churnlake.contract.source import Source
from churnlake.deliveries import kinds, layout
from churnlake.deliveries.content import open_text
from churnlake.deliveries.kinds import Kind, match_kinds
from churnlake.deliveries.layout import Match, contract_paths, loose, shown

LONGEST_LINE = 1 << 26
"""Characters that one line may have: far beyond any honest record, and no danger to memory."""
MOST_NAMES = 5_000
"""Different keys that a file may have: more are values in the place of names."""
_MOST_SHAPES = 10_000

_KINDS: dict[type, Kind] = {
    str: "text", bool: "boolean", int: "number", float: "number", type(None): "null", list: "list", dict: "record",
}  # fmt: skip
# A number or a truth value may be written as text: exact decimals often are.
_READS_AS: Mapping[Kind, re.Pattern[str]] = {
    "number": re.compile(r"\s*[+-]?(\d+[.]?\d*|[.]\d+)([eE][+-]?\d+)?\s*"),
    "boolean": re.compile(r"\s*(true|false|t|f|yes|no|y|n|0|1)\s*", re.IGNORECASE),
    "time": re.compile(r".*", re.DOTALL),
}


class _TooMuchError(Exception):
    """A line or the set of names passes its bound."""


class _Seen:
    """What the lines of a file hold: types by path and key, keys that stand twice in one object."""

    def __init__(self) -> None:
        self.types: dict[layout.Path, set[tuple[str, type]]] = {}
        self.repeated: set[str] = set()
        self.objects = 0
        self.names = 0
        # Most lines are alike: the keys that hold records, by path, keys and types of an object.
        self._alike: dict[tuple[object, ...], tuple[str, ...]] = {}

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        """An object as the parser met it."""
        record = dict(pairs)
        if len(record) < len(pairs):
            names = [name for name, _ in pairs]
            self.repeated.update(name for name in record if names.count(name) > 1)
        return record

    def add(self, record: dict[str, Any], at: layout.Path = ()) -> None:
        shape = (at, *record, *map(type, record.values()))
        nested = self._alike.get(shape)
        if nested is None:
            if len(self._alike) >= _MOST_SHAPES:
                self._alike.clear()
            nested = self._alike[shape] = self._learn(record, at)
        for name in nested:
            self.add(record[name], (*at, name))

    def _learn(self, record: dict[str, Any], at: layout.Path) -> tuple[str, ...]:
        here = self.types.setdefault(at, set())
        before = len(here)
        here.update((name, type(value)) for name, value in record.items())
        self.names += len(here) - before
        if self.names > MOST_NAMES:
            raise _TooMuchError(f"has more than {MOST_NAMES:,} different keys: values seem to stand in place of names")
        return tuple(name for name, value in record.items() if type(value) is dict)

    def kinds(self) -> dict[layout.Path, set[Kind]]:
        """Kinds of values by path, in order of path: whatever the order of keys, the same fields are one layout."""
        told: dict[layout.Path, set[Kind]] = {}
        for at, here in self.types.items():
            for name, kind in here:
                told.setdefault((*at, name), set()).add(_KINDS[kind])
        return dict(sorted(told.items()))


def match_records(path: Path, source: Source) -> Match:
    """The fields of a file of JSON lines, whose text was found to be UTF-8.

    A line that is no object is a row in a bad shape, and no reason to refuse the file while others are.
    """
    seen = _Seen()
    try:
        for record in _objects(path, seen):
            seen.objects += 1
            seen.add(record)
    except _TooMuchError as problem:
        return Match((), (str(problem),), ())
    if seen.objects == 0:
        return Match((), ("has no line that is a JSON object: deliver one object per line, no array around them",), ())
    told = seen.kinds()
    for place, wanted in _written_as_text(told, source).items():
        if any(_READS_AS[wanted].fullmatch(value) for value in _texts(path, place)):
            told[place].add(wanted)
    match = match_kinds(told, source)
    twice = tuple(f"key {shown((name,))} stands 2 times in one object" for name in sorted(seen.repeated))
    return Match(match.layout, (*match.problems, *twice), match.drift)


def _objects(path: Path, seen: _Seen) -> Iterator[dict[str, Any]]:
    # Numbers need no exact value here, and a whole one of thousands of digits would be an error of Python's.
    parser = json.JSONDecoder(object_pairs_hook=seen.pairs, parse_int=float)
    with open_text(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="\n") as lines:
        while line := lines.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise _TooMuchError(f"has a line of more than {LONGEST_LINE:,} characters: deliver one object per line")
            try:
                record = parser.decode(line)
            except (ValueError, RecursionError):
                continue
            if type(record) is dict:
                yield record


def _written_as_text(told: Mapping[layout.Path, set[Kind]], source: Source) -> dict[layout.Path, Kind]:
    """Paths of columns that shall be numbers, truth values or times and hold texts: what they may read as."""
    wanted = {loose(path): kinds.family(source.types[column]) for path, column in contract_paths(source).items()}
    return {
        path: wanted[loose(path)]
        for path, here in told.items()
        if "text" in here and wanted.get(loose(path), "text") not in ("text", *here)
    }


def _texts(path: Path, place: layout.Path) -> Iterator[str]:
    for record in _objects(path, _Seen()):
        value: Any = record
        for name in place:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, str):
            yield value
