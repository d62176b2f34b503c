"""Delimited text: its header held against the contract's columns."""

import csv

from churnlake.contract.source import Source
from churnlake.deliveries.content import Text
from churnlake.deliveries.layout import Match, match_columns


def match_header(text: Text, source: Source) -> Match:
    """The columns of a csv file, whose text was found to be UTF-8."""
    # The head may end inside a character; whether the text is UTF-8 was judged before.
    lines = text.head.decode("utf-8-sig", errors="ignore").replace("\r", "\n").split("\n")
    if not lines[0].strip():
        return _refused("begins with a blank line where its header must stand: deliver it again")
    try:
        # One line, as Spark reads it: a line break inside a quoted name would end the header there.
        header = next(csv.reader([lines[0]], delimiter=source.separator), [])
    except csv.Error as problem:
        return _refused(f"has a header that cannot be read ({problem})")
    match = match_columns([(name,) for name in header], source)
    if not text.has_rows:
        rowless = "has a header and no rows: deliver it with its rows, or declare the day closed"
        return Match(match.layout, (*match.problems, rowless), match.drift)
    return match


def _refused(problem: str) -> Match:
    return Match((), (problem,), ())
