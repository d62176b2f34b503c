"""Answers of the warehouse as a table, lines of CSV or a document."""

import csv
import sys

from churnlake.settings import Settings
from churnlake.warehouse.duckdb import query
from flows.console import Terminal

ROWS_SHOWN = 200
"""A terminal shows this many; CSV and JSON hold all."""


def ask(terminal: Terminal, settings: Settings, question: str, *, as_csv: bool) -> None:
    """Prints the answer to one SELECT.

    Raises:
        UsageError: There is no warehouse yet, or the question is not one SELECT over it.
    """
    answer = query(settings.warehouse, question)
    if as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.columns)
        writer.writerows(answer.rows)
        return
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    terminal.document({"columns": answer.columns, "types": answer.types, "rows": rows, "exit_code": 0})
    terminal.table(answer.columns, answer.rows[:ROWS_SHOWN])
    hidden = len(answer.rows) - ROWS_SHOWN
    terminal.say(f"({len(answer.rows):,} rows{f', {ROWS_SHOWN} shown; --csv prints all' if hidden > 0 else ''})")
