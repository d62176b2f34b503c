"""Delimited text: its header, or the number of its fields, held against the contract's columns."""

import csv

from churnlake.contract.source import Source
from churnlake.deliveries.content import Text
from churnlake.deliveries.layout import Match, layout_by_types, match_columns

_LINES_TRIED = 100


def match_header(text: Text, source: Source) -> Match:
    """The columns of a csv file, whose text was found to be of its encoding."""
    line = text.lines[0]
    if not line.strip():
        return _refused("begins with a blank line where its header must stand: deliver it again")
    try:
        header = _fields(line, source)
    except csv.Error as problem:
        return _refused(f"has a header that cannot be read ({problem})")
    match = match_columns([(name,) for name in header], source)
    if not text.has_rows:
        rowless = "has a header and no rows: deliver it with its rows, or declare the day closed"
        return Match(match.layout, (*match.problems, rowless), match.drift)
    return match


def match_places(text: Text, source: Source) -> Match:
    """The columns of a csv file without a header, by their places.

    A line with another number of fields is a row in a bad shape; a file whose first lines all have is refused.
    """
    if not text.has_rows:
        return _refused("has no rows: deliver it with its rows, or declare the day closed")
    names = list(source.types)
    rows = [_places(line, source) for line in text.rows[:_LINES_TRIED]]
    if rows and [name.strip().casefold() for name in rows[0]] == [name.casefold() for name in names]:
        return _refused("begins with the columns' names: set header = true, or deliver it without them")
    if not any(len(row) == len(names) for row in rows):
        found = f"{len(rows[0])} fields in its first line" if rows else "no whole row in its first 64 KB"
        return _refused(f"has {found}; the contract's types are {len(names)}: {', '.join(names)}")
    return Match(layout_by_types(source), (), ())


def _places(line: str, source: Source) -> list[str]:
    try:
        return _fields(line, source)
    except csv.Error:
        return []


def _fields(line: str, source: Source) -> list[str]:
    """The fields of one line, as Spark reads it: a line break inside a quoted text ends the line there."""
    if source.quote:
        return next(csv.reader([line], delimiter=source.separator, quotechar=source.quote), [])
    return line.split(source.separator)


def _refused(problem: str) -> Match:
    return Match((), (problem,), ())
