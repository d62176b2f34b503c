from churnlake.tables import LAKE, WAREHOUSE
from infra.dictionary import PAGE, page


def test_the_data_dictionary_is_current() -> None:
    """The committed page is the one that `python -m infra.dictionary` writes from the table registry."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_table_and_column_stands_on_the_page() -> None:
    """Each table has its heading once and each of its columns a line."""
    lines = page().splitlines()
    for table in (*WAREHOUSE.values(), *LAKE.values()):
        assert lines.count(f"### {table.name}") == 1
        for column in table.columns:
            assert any(line.startswith(f"| `{column.name}` | {column.type} | ") for line in lines), column
