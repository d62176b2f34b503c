"""What the demo leaves and prints, and what the README promises, on one home that ran it for real."""

import os
import re
import shlex
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from churnlake.ledger import Lane, Ledger
from churnlake.settings import Settings
from churnlake.warehouse.publications import Publications
from flows.runners import CHECKOUT

CONTRACT = str(CHECKOUT / "examples" / "online_retail" / "contract.toml")
Homes = Callable[[Settings], Any]
LAST, NEXT = date(2011, 11, 30), date(2011, 12, 1)


def test_the_champion_ranks_out_of_time_as_well_as_it_says(after_demo: Settings) -> None:
    """AUC again from the logged test predictions, by ranks: within the promised range, equal to the ledger's."""
    (file,) = after_demo.mlflow_artifacts.rglob("test_predictions.parquet")
    question = """WITH ranked AS (
            SELECT is_churned, rank() OVER (ORDER BY churn_probability)
                + (count(*) OVER (PARTITION BY churn_probability) - 1) / 2.0 AS place FROM read_parquet(?))
        SELECT (sum(place) FILTER (is_churned = 1) - sum(is_churned) * (sum(is_churned) + 1) / 2.0)
            / (sum(is_churned) * (count(*) - sum(is_churned))), count(*) FROM ranked"""
    with duckdb.connect() as engine:
        ((auc, rows),) = engine.execute(question, [str(file)]).fetchall()
    champion = Ledger.open(after_demo.ledger_url).champion("online_retail")
    assert champion is not None
    assert auc == pytest.approx(champion.metrics["auc"], abs=1e-9)
    assert rows == champion.metrics["rows"]
    assert 0.72 <= auc < 0.85


def test_the_demo_prints_reconciliation_model_customers_page_and_what_to_type_next(demo_home: Path) -> None:
    """What a user would show a colleague; the numbers printed are the numbers counted."""
    text = (demo_home / "demo.txt").read_text()
    assert "505,287 lines = 376,608 accepted + 123,839 anonymous + 4,800 duplicate + 40 quarantined" in text
    assert "4,314 known = 2,827 eligible + 1,487 inactive; 2,827 scored, 0 held; published" in text
    assert re.search(r"AUC 0\.\d{3} \(90 % interval 0\.\d{3} \.\. 0\.\d{3}\)", text)
    assert re.search(r"top decile +\d\.\d\d times the churn of all", text)
    ranks = re.findall(r"^ +(\d+) +\d{5} +0\.\d{3} +high", text, flags=re.MULTILINE)
    assert ranks == [str(rank) for rank in range(1, 11)]
    page = re.search(r"^Look: +(.+)$", text, flags=re.MULTILINE)
    assert page is not None
    assert Path(page[1]).is_file()
    assert "churnlake sql" in text


def test_the_readme_shows_the_demos_output_and_its_commands_work(
    demo_home: Path, after_demo: Settings, home_of: Homes
) -> None:
    """Each line of the output block was printed; each command is run as it stands there."""
    readme = (CHECKOUT / "README.md").read_text()
    _, shown = re.findall(r"```text\n(.*?)```", readme, flags=re.DOTALL)
    printed = {line.strip() for line in (demo_home / "demo.txt").read_text().splitlines()}
    assert [line for line in shown.splitlines() if line.strip() not in printed] == []
    blocks = re.findall(r"```sh\n(.*?)```", readme, flags=re.DOTALL)
    commands = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    targets = (CHECKOUT / "Makefile").read_text()
    for program, *arguments in commands:
        if program == "make":
            assert f"\n{arguments[0]}:" in targets
        else:
            assert program == ".venv/bin/churnlake"
            assert home_of(after_demo).churnlake(*arguments).returncode == 0


def test_a_second_demo_says_that_it_is_complete_and_changes_nothing(after_demo: Settings, home_of: Homes) -> None:
    """It shows the results again without starting a job."""
    folder = after_demo.home / "runs" / "applications"
    before = sorted(folder.iterdir())
    again = home_of(after_demo).churnlake("demo")
    assert again.returncode == 0
    assert "the demo is complete" in again.stdout
    assert sorted(folder.iterdir()) == before


def test_while_another_process_owns_the_lake_a_run_is_exit_5_and_names_it(after_demo: Settings, home_of: Homes) -> None:
    """It stops before Spark starts; what is published stays."""
    with Lane.take(after_demo.lake("online_retail")):
        refused = home_of(after_demo).churnlake("run", CONTRACT, "--direct", "--date", str(NEXT))
    assert refused.returncode == 5
    assert f"process {os.getpid()}" in refused.stderr
    assert Publications.open(after_demo.warehouse).newest("online_retail") == LAST
