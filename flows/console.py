"""Talking to people and programs: progress, tables, documents, errors. The one place that writes to the terminal."""

import json
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console as Rich
from rich.status import Status
from rich.table import Table
from rich.text import Text

from churnlake.errors import ChurnlakeError
from churnlake.settings import Settings

CANCELLED = 130
PLAIN_WIDTH = 200
"""Where output goes to a file or a pipe, lines are not cut to a terminal that is not there."""


class Terminal:
    """Prints for people, or one JSON document for programs; never both on one stream."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        is_terminal = sys.stdout.isatty()
        width = None if is_terminal else PLAIN_WIDTH
        self._rich = Rich(width=width, highlight=False, soft_wrap=True, markup=False, emoji=False)
        self._status: Status | None = None

    def say(self, text: str = "") -> None:
        """A line for people; nothing where a document is wanted."""
        if not self.as_json:
            self._rich.print(_plain(text))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
        """A small table for people. Numbers stand right."""
        if self.as_json:
            return
        drawn = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False, show_edge=False)
        for place, column in enumerate(drawn.columns):
            numeric = any(isinstance(row[place], int | float) for row in rows)
            column.justify = "right" if numeric else "left"
            column.overflow = "fold"
        for row in rows:
            drawn.add_row(*(Text(inert(in_words(cell))) for cell in row))
        self._rich.print(drawn)

    def document(self, document: Mapping[str, Any]) -> None:
        """The JSON of a verb; nothing where people read."""
        if self.as_json:
            text = json.dumps(document, default=as_text, ensure_ascii=False)
            # A character that steers a terminal stands only inside a text, where JSON has an escape for it.
            sys.stdout.write("".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text) + "\n")

    def working(self, text: str) -> None:
        """What is going on right now: a moving line on a terminal, a plain one elsewhere."""
        if self.as_json:
            return
        if not self._rich.is_terminal:
            self._rich.print(_plain(text))
        elif self._status is None:
            self._status = self._rich.status(_plain(text))
            self._status.start()
        else:
            self._status.update(_plain(text))

    def still(self) -> None:
        """Takes the moving line away."""
        if self._status is not None:
            self._status.stop()
            self._status = None


def inert(text: str) -> str:
    """Text of data as people may see it: what steers a terminal or turns the line around stands as its number."""
    return "".join(one if one.isprintable() else _numbered(one) for one in text)


def _numbered(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode()


def _plain(text: str) -> Text:
    """Our own words, of which only line ends may steer; never read as markup."""
    return Text("\n".join(map(inert, text.split("\n"))))


def in_words(value: object) -> str:
    """A cell of a table: thousands apart, three decimals at most, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def as_text(value: object) -> str:
    """Dates and the like in a document."""
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@contextmanager
def verb(*, as_json: bool) -> Iterator[tuple[Terminal, Settings]]:
    """Surrounds a verb: every error ends as one clear message and its exit code, never as a traceback."""
    terminal = Terminal(as_json=as_json)
    home = Path(".churnlake")
    try:
        settings = Settings.from_environment()
        home = settings.home
        yield terminal, settings
    except ChurnlakeError as error:
        _refuse(terminal, str(error), error.message, error.next_step, error.exit_code)
    except KeyboardInterrupt:
        fix = "run the same command again: it resumes"
        _refuse(terminal, f"cancelled\n  next: {fix}", "cancelled", fix, CANCELLED)
    except typer.Exit:
        raise
    except Exception as error:  # noqa: BLE001 - the edge: everything unforeseen ends here, with its traceback in a file
        _refuse_unforeseen(terminal, error, home)
    finally:
        terminal.still()


def _refuse_unforeseen(terminal: Terminal, error: Exception, home: Path) -> None:
    lines = str(error).strip().splitlines() or [""]
    told = f"unexpected {type(error).__name__}: {lines[0]}"
    trace = "".join(traceback.format_exception(error))
    try:
        folder = home / "errors"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.txt"
        file.write_text(trace)
    except OSError as problem:
        sys.stderr.write(trace)
        fix = f"the traceback is above ({home} cannot be written: {problem.strerror})"
    else:
        fix = f"the traceback is in {file}"
    _refuse(terminal, f"{told}\n  next: {fix}", told, fix, 1)


def _refuse(terminal: Terminal, text: str, message: str, next_step: str | None, code: int) -> None:
    terminal.still()
    sys.stderr.write(f"error: {_plain(text)}\n")
    terminal.document({"error": message, "next": next_step, "exit_code": code})
    raise typer.Exit(code) from None
