"""Nights around what is delivered: single bad values, a published date, no model. Bad files are in test_corpus.py."""

import gzip
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from churnlake.settings import Settings
from churnlake.warehouse.duckdb import query
from churnlake.warehouse.publications import Publications
from jobs.application import exit_code_of
from jobs.night import Request, run

pytestmark = pytest.mark.faults

NIGHT = date(2011, 12, 1)
FILE = Path("data/by_day/2011-12-01.csv.gz")


def test_values_that_do_not_fit_are_set_aside_and_the_rest_is_scored(
    after_demo: Settings, shop: Path, spark: SparkSession
) -> None:
    """A price that is no number and a line a field too short are quarantined with their reasons; the night goes on."""

    def spoil(text: str) -> str:
        lines = text.splitlines()
        lines[1] = lines[1].replace(lines[1].split(",")[-3], "cheap")
        lines[2] = lines[2].rsplit(",", 1)[0]
        return "\n".join(lines) + "\n"

    file = shop.parent / FILE
    file.write_bytes(gzip.compress(spoil(gzip.decompress(file.read_bytes()).decode()).encode()))

    assert exit_code_of(lambda: run(Request(shop, "spoilt", (NIGHT,)), after_demo)) == 0

    wanted = (
        "SELECT name, observed FROM churn.run_quality WHERE business_date = '2011-12-01' AND name LIKE 'quarantined%'"
    )
    found = {name: observed for name, observed in query(after_demo.warehouse, wanted).rows if "." in name}
    assert found == {"quarantined.bad_type.UnitPrice": "1", "quarantined.bad_shape": "1"}


def test_a_second_run_of_a_published_date_says_so_and_changes_nothing(
    after_demo: Settings, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same files, contract, model and code: exit 0, the run that published it is named, no new publication."""
    contract = Path(__file__).resolve().parents[2] / "examples" / "online_retail" / "contract.toml"
    publications = Publications.open(after_demo.warehouse)
    before = publications.published("online_retail")

    code = exit_code_of(lambda: run(Request(contract, "again", (date(2011, 11, 30),)), after_demo))

    assert code == 0
    assert f"already published as {before[-1].run_id}" in capsys.readouterr().out
    assert publications.published("online_retail") == before


def test_a_published_date_with_another_contract_is_a_conflict_that_names_the_difference(
    after_demo: Settings, shop: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 5 and the part that differs; to replace a publication someone has to say so."""
    shop.write_text(shop.read_text().replace("high = 0.10", "high = 0.20"))

    code = exit_code_of(lambda: run(Request(shop, "changed", (date(2011, 11, 30),)), after_demo))

    error = capsys.readouterr().err
    assert code == 5
    assert "from other contract" in error
    assert "--restate --reason" in error


def test_without_a_model_nothing_is_scored(settings: Settings, shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 4, and how to get a model."""
    code = exit_code_of(lambda: run(Request(shop, "no-model", (NIGHT,)), settings))

    error = capsys.readouterr().err
    assert code == 4
    assert "online_retail has no champion model" in error
    assert "churnlake train" in error
