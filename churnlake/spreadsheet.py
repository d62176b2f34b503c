"""Files for spreadsheets: no cell can start a formula, what was escaped comes back exactly, files are whole.

A spreadsheet runs a cell that begins with one of `STARTS`. Such a text gets an apostrophe in front; so does one that
begins with an apostrophe, so that taking one apostrophe away always gives the text back.
"""

import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from churnlake.errors import UnavailableError, UsageError

STARTS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
"""= + - @, tab and line ends; and the wide forms of the first four, which some spreadsheets take for them."""

_ESCAPE = "'"


def escaped(text: str) -> str:
    """The text as a cell that is only ever read as text."""
    return _ESCAPE + text if text[:1] and text[0] in STARTS + _ESCAPE else text


def restored(cell: str) -> str:
    """The text that `escaped` was given. A cell that a person typed plainly (`-3`) is what was typed."""
    return cell[1:] if cell.startswith(_ESCAPE) else cell


def write_csv(file: IO[bytes], header: Sequence[str], rows: Iterable[Sequence[object]], *, mark: bool = False) -> None:
    """Lines of UTF-8. Texts are escaped and quoted; numbers stay numbers; null is an empty cell.

    `mark` puts a byte mark in front, without which some spreadsheets take UTF-8 for their own encoding.
    """
    if mark:
        file.write(b"\xef\xbb\xbf")
    for row in (header, *rows):
        file.write((",".join(map(_cell, row)) + "\n").encode())


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    return '"' + escaped(str(value)).replace('"', '""') + '"'


def read_csv(path: Path) -> list[list[str]]:
    """Every line as cells, as they stand in the file: nothing is restored yet.

    A spreadsheet may have saved it with `;` or tabs instead of commas.

    Raises:
        UsageError: It cannot be read, or is no UTF-8 text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as problem:
        raise UsageError(f"{path} cannot be read: {problem.strerror}", next_step="name an existing file") from problem
    except UnicodeDecodeError as problem:
        raise UsageError(f"{path} is not UTF-8 text: {problem.reason}", next_step="save it as CSV UTF-8") from problem
    csv.field_size_limit(1 << 28)
    first = text.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    # newline="": the reader itself knows all three line ends, and keeps those inside quotes.
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]


def write_whole(path: Path, write: Callable[[IO[bytes]], None], *, force: bool = False) -> None:
    """Makes a file by `write`, whole or not at all. An existing one is replaced only with `force`.

    Raises:
        UsageError: It is there already, or is a folder, or its folder is missing.
        UnavailableError: The disk is full or read-only.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        told = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        raise UsageError(f"{path} {told}", next_step="name a file in an existing folder")
    if path.exists() and not force:
        raise UsageError(f"{path} is there already", next_step="name another file, or add --force to replace it")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as problem:
        raise UnavailableError(
            f"{path} cannot be written: {problem.strerror}", next_step="free space or name another folder"
        ) from problem
    finally:
        unfinished.unlink(missing_ok=True)
