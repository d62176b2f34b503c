"""The table registry: complete, and the same as the real warehouse."""

import re
from pathlib import Path

import duckdb
import pytest

from churnlake.tables import LAKE, WAREHOUSE, Table, data_dictionary
from churnlake.warehouse.duckdb import materialise
from churnlake.warehouse.publications import Publications

TABLES = [*LAKE.values(), *WAREHOUSE.values()]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_says_what_it_is_who_owns_it_and_how_long_it_is_kept(table: Table) -> None:
    """No table and no column stands without its words, and no column stands twice."""
    assert all((table.description, table.owner, table.retention, table.columns))
    assert all(column.description and column.type for column in table.columns)
    assert len(set(table.column_names)) == len(table.columns)
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in (table.name, *table.column_names))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_keys_and_partitions_are_columns(table: Table) -> None:
    """A key or a partition names a column of its own table."""
    assert {*table.keys, *table.partition} <= set(table.column_names)


def test_the_registry_is_the_real_warehouse(tmp_path: Path) -> None:
    """Names, order, types and comments of every warehouse column are the registry's, in each schema."""
    generation = materialise(Publications.open(tmp_path / "warehouse"))
    query = """SELECT table_name, column_name, data_type, comment FROM duckdb_columns()
        WHERE schema_name = 'churn' ORDER BY table_name, column_index"""
    with duckdb.connect(generation, read_only=True) as connection:
        real = connection.execute(query).fetchall()
        types = {column.type for table in WAREHOUSE.values() for column in table.columns}
        named = {type_: connection.execute(f"SELECT typeof(NULL::{type_})").fetchall()[0][0] for type_ in sorted(types)}
    expected = [
        (table.name, column.name, named[column.type], column.description)
        for table in sorted(WAREHOUSE.values(), key=lambda table: table.name)
        for column in table.columns
    ]
    assert real == expected


def test_the_dictionary_has_a_row_for_every_column() -> None:
    """The rows are those of the registry, numbered from 1 in each table, in the dictionary's own shape."""
    rows = data_dictionary(TABLES)
    assert len(rows) == sum(len(table.columns) for table in TABLES)
    assert {tuple(row) for row in rows} == {WAREHOUSE["data_dictionary"].column_names}
    assert [row["position"] for row in rows if row["table_name"] == "not_scored"] == [1, 2, 3, 4, 5, 6]
