"""How a file is laid out: which of its columns stands for which of the contract's."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """A column of a file by its name there; a nested field by its path, dots between.

    `column` is the name in the contract's `types` that it stands for, None for a column that is left out.
    """

    name: str
    column: str | None


Layout = tuple[Field, ...]
"""A csv file's columns from left to right; a json or parquet file's fields by path."""
