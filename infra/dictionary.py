"""Writes docs/warehouse.md from churnlake/tables/: `python -m infra.dictionary`."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from churnlake.tables import LAKE, WAREHOUSE, Table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "warehouse.md"
HEAD = """# Data dictionary

Written by `.venv/bin/python -m infra.dictionary` from `churnlake/tables/`; change that, not this page.
In the warehouse every view and column carries the same words as a comment; `data_dictionary` adds every feature.

## Warehouse

The schema `churn` holds all contracts; `churn_<contract>` holds the same views of one contract. All are read only.
"""
LAKE_HEAD = """## Lake

Delta tables in `lake/<contract>/` under `CHURNLAKE_HOME`. Only jobs write them. Types are SQL names.
"""


def page() -> str:
    """The whole page, ending with a line end."""
    parts = [HEAD, *_tables(WAREHOUSE.values()), LAKE_HEAD, *_tables(LAKE.values())]
    return "\n".join(parts)


def _tables(tables: Iterable[Table]) -> Iterator[str]:
    for table in tables:
        rows = [f"| `{column.name}` | {column.type} | {_cell(column.description)} |" for column in table.columns]
        yield "\n".join([*_about(table), "| column | type | meaning |", "|---|---|---|", *rows, ""])


def _about(table: Table) -> Iterator[str]:
    yield from (f"### {table.name}", "", f"{table.description}.", "")
    keys = ", ".join(table.keys)
    yield f"- One row per: {keys}." if keys else "- A line may stand twice; no key."
    if table.partition:
        yield f"- Partitioned by: {', '.join(table.partition)}."
    yield f"- Written by: {table.owner}. Kept: {table.retention}."
    if table.varying:
        yield f"- Further columns: {table.varying}."
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.name} written\n")
