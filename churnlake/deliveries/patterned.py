"""Text by a pattern: whether its lines fit the contract's, whose named groups are the columns."""

import re

from churnlake.contract.source import Source
from churnlake.deliveries.content import Text
from churnlake.deliveries.layout import Match, layout_by_types, shown_text

_LINES_TRIED = 100


def match_pattern(text: Text, source: Source) -> Match:
    """The columns of a text file. A line that does not fit is a row in a bad shape; a file none of whose do is refused.

    Judged are its first 100 lines, as far as they lie in its first 64 KB.
    """
    if not text.has_rows:
        below = f" below its {source.header_lines} header_lines" if source.header_lines else ""
        return _refused(f"has no rows{below}: deliver it with its rows, or declare the day closed")
    tried = text.rows[:_LINES_TRIED]
    if not tried:
        return _refused("has no whole row in its first 64 KB: deliver one row per line, or set header_lines")
    pattern = re.compile(source.pattern or "")
    if not any(pattern.fullmatch(line) for line in tried):
        return _refused(
            f"none of the first {len(tried)} lines fits the pattern; the first is {shown_text(tried[0])}: "
            "correct pattern or header_lines, or deliver such lines"
        )
    return Match(layout_by_types(source), (), ())


def _refused(problem: str) -> Match:
    return Match((), (problem,), ())
