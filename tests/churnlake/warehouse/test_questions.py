"""Asking: what is answered, and that nothing but published rows can be reached."""

import threading
from pathlib import Path
from typing import Any

import pytest

from churnlake.errors import UsageError
from churnlake.warehouse.duckdb import query


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, open_shop: Any) -> Any:
    """One published night, and one load that was never published; nothing here may change it."""
    shop = open_shop(tmp_path_factory.mktemp("asked") / "it's a [shop] *")
    shop.publish({"a": 0.5}, excluded={"b": "none"})
    shop.load({"z": 0.9}, epoch=shop.publications.claim("shop"), run_id="unpublished")
    return shop


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT customer_id FROM churn.scores_latest", [("a",)]),
        ("WITH x AS (SELECT 1 AS n) SELECT n FROM x", [(1,)]),
        ("FROM churn.not_scored SELECT reason;", [("none",)]),
        ("SHOW TABLES", []),
        ("-- a remark\nSELECT 2", [(2,)]),
    ],
)
def test_one_question_is_answered(asked: Any, sql: str, rows: list[tuple[Any, ...]]) -> None:
    """SELECT, WITH, FROM and SHOW are answered, with a remark or a last semicolon too."""
    assert asked.rows(sql) == rows


def test_an_answer_names_its_columns_and_types(asked: Any) -> None:
    """DESCRIBE works, and an answer says what its columns are called and hold."""
    assert [row[0] for row in asked.rows("DESCRIBE churn_shop.not_scored")][:2] == ["contract", "customer_id"]
    answer = asked.ask("SELECT customer_id, churn_probability AS p FROM churn.scores_latest")
    assert (answer.columns, answer.types, answer.rows) == (("customer_id", "p"), ("VARCHAR", "DOUBLE"), [("a", 0.5)])


@pytest.mark.parametrize(
    "sql",
    [
        "COPY churn.scores_latest TO '{out}'",
        "ATTACH '{out}' AS other",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('{unpublished}')",
        "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
        "SELECT 1; SELECT 2",
        "SELECT 1; COPY churn.scores_latest TO '{out}'",
        "",
        "-- nothing",
        "INSERT INTO churn.publications SELECT * FROM churn.publications",
        "DELETE FROM churn.publications",
        "CREATE TABLE mine AS SELECT 1",
        "DROP VIEW churn.scores_latest",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "INSTALL httpfs",
        "LOAD httpfs",
        "EXPORT DATABASE '{out}'",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT * FROM secret_of_this_process",
        "SELEC 1",
        "SELECT nothing FROM churn.scores_latest",
    ],
)
def test_p16_whatever_reaches_outside_or_changes_something_is_refused(asked: Any, sql: str) -> None:
    """Files, databases, changes, settings, several statements, Python's own variables: exit code 2, one message."""
    secret_of_this_process = __import__("pyarrow").table({"secret": [1]})
    assert secret_of_this_process.num_rows == 1
    out = asked.folder / "out"
    file = asked.publications.root / asked.publications.load(2).folder / "scores.parquet"
    with pytest.raises(UsageError, match=r"the warehouse (refused|answers exactly one SELECT)") as caught:
        asked.ask(sql.format(out=str(out).replace("'", "''"), unpublished=str(file).replace("'", "''")))
    assert (caught.value.exit_code, "ask one SELECT" in str(caught.value)) == (2, True)
    assert not out.exists()
    assert asked.rows("SELECT count(*) FROM churn.publications") == [(1,)]


def test_before_the_first_night_there_is_nothing_to_ask(tmp_path: Path) -> None:
    """A missing warehouse is named with the command that makes one, and no folder is made by asking."""
    with pytest.raises(UsageError, match="there is no warehouse") as caught:
        query(tmp_path / "warehouse", "SELECT 1")
    assert "churnlake run" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_many_may_ask_at_once(asked: Any) -> None:
    """Threads of one process share the file and its lock-down without refusing each other."""
    answers: list[Any] = []

    def ask() -> None:
        answers.extend(asked.rows("SELECT churn_probability FROM churn.scores_latest") for _ in range(10))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[(0.5,)]] * 40
