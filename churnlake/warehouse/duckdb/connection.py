"""DuckDB connections for building, and the few things SQL text cannot be handed as a parameter."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from churnlake.errors import UnavailableError


@contextmanager
def building(memory_limit: str, spill: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of its own, with no file behind it; what does not fit in memory goes to `spill`.

    Raises:
        UnavailableError: The disk is full or cannot be read or written.
    """
    settings: dict[str, Any] = {
        "memory_limit": memory_limit,
        "temp_directory": str(spill),
        "python_enable_replacements": False,
        "autoinstall_known_extensions": False,
        "TimeZone": "UTC",
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        yield connection
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise UnavailableError(
            f"the warehouse could not be written: {error}", next_step="check free disk space and memory, then run again"
        ) from error
    finally:
        connection.close()


def set_variables(connection: duckdb.DuckDBPyConnection, variables: Mapping[str, object]) -> None:
    """Hands values to SQL by `getvariable`: nothing that comes from data or a contract is ever pasted into SQL text."""
    for name, value in variables.items():
        connection.execute(f"SET VARIABLE {name} = ?", [value])


def quoted(text: str) -> str:
    """A SQL text literal, for the statements that take no parameter (views and comments)."""
    return "'" + text.replace("'", "''") + "'"


def exact_paths(files: list[Path]) -> list[str]:
    """Paths that DuckDB takes as they are: `*`, `?` and `[` in a folder's name are no patterns."""
    marks = str.maketrans({"[": "[[]", "*": "[*]", "?": "[?]"})
    return [str(file).translate(marks) for file in files]


def sync(path: Path) -> None:
    """Bring a file or a folder's entries to the disk: a rename survives a power cut only after that."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
