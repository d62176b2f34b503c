"""Whatever is delivered: the night stops with one message and its exit code, and the last scores stay readable."""

import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from churnlake.settings import Settings
from churnlake.warehouse.duckdb import materialise, query
from churnlake.warehouse.publications import Publications
from jobs.application import exit_code_of
from jobs.night import Request, run

pytestmark = pytest.mark.faults

NIGHT = date(2011, 12, 1)
FILE = Path("data/by_day/2011-12-01.csv.gz")


def _rewritten(change: Callable[[str], str]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()).decode()).encode()))

    return apply


def _header(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def on_text(text: str) -> str:
        first, rest = text.split("\n", 1)
        return ",".join(change(first.strip().split(","))) + "\n" + rest

    return _rewritten(on_text)


def _without_column(text: str) -> str:
    return "\n".join(line.rsplit(",", 1)[0] for line in text.splitlines()) + "\n"


RECIPES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "a missing file on an open day": (Path.unlink, ("waits for 1 missing file", str(FILE))),
    "a renamed column": (
        _header(lambda names: ["UnitPrices" if name == "UnitPrice" else name for name in names]),
        ("column 'UnitPrice' is missing", "was it renamed to 'UnitPrices'?"),
    ),
    "reordered columns": (_header(lambda names: [names[1], names[0], *names[2:]]), ("columns are in another order",)),
    "an extra column": (_header(lambda names: [*names, "Coupon"]), ("column 'Coupon' is not in the contract",)),
    "a missing column": (_rewritten(_without_column), ("column 'Country' is missing",)),
    "a binary file": (lambda path: path.write_bytes(gzip.compress(b"\x00\x01\x02\x03" * 100)) and None, ("is binary",)),
    "a workbook": (lambda path: path.write_bytes(gzip.compress(b"PK\x03\x04" + b"x" * 100)) and None, ("Excel",)),
    "an empty file": (lambda path: path.write_bytes(b"") and None, ("is empty (0 bytes)",)),
    "a header without rows": (_rewritten(lambda text: text.splitlines()[0] + "\n"), ("has a header and no rows",)),
    "a broken gzip": (lambda path: path.write_bytes(path.read_bytes()[:-40]) and None, ("cannot be unpacked",)),
    "no gzip at all": (lambda path: path.write_bytes(b"InvoiceNo,StockCode\n1,2\n") and None, ("cannot be unpacked",)),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_bad_delivery_stops_the_night_by_name_and_the_last_scores_stay(
    recipe: str, after_demo: Settings, shop: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 3, one message that names the file and the fault, nothing published, last night's scores readable."""
    damage, told = RECIPES[recipe]
    damage(shop.parent / FILE)
    publications = Publications.open(after_demo.warehouse)
    materialise(publications)
    before = query(after_demo.warehouse, "SELECT * FROM churn.scores_latest ORDER BY customer_id").rows

    code = exit_code_of(lambda: run(Request(shop, "bad-input", (NIGHT,)), after_demo))

    error = capsys.readouterr().err
    assert code == 3, error
    assert error.count("error: ") == 1
    assert all(part in error for part in (*told, "next: ")), error
    assert publications.newest("online_retail") == date(2011, 11, 30)
    assert query(after_demo.warehouse, "SELECT * FROM churn.scores_latest ORDER BY customer_id").rows == before


def test_values_that_do_not_fit_are_set_aside_and_the_rest_is_scored(
    after_demo: Settings, shop: Path, spark: SparkSession
) -> None:
    """A price that is no number and a line a field too short are quarantined with their reasons; the night goes on."""

    def spoil(text: str) -> str:
        lines = text.splitlines()
        lines[1] = lines[1].replace(lines[1].split(",")[-3], "cheap")
        lines[2] = lines[2].rsplit(",", 1)[0]
        return "\n".join(lines) + "\n"

    _rewritten(spoil)(shop.parent / FILE)

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
