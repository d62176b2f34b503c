"""`churnlake export`: a band's customers as a file, from what is published; one small warehouse for all tests here."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from churnlake.settings import Settings
from churnlake.spreadsheet import STARTS, restored
from churnlake.warehouse.duckdb import LoadRequest, build_load, materialise
from churnlake.warehouse.publications import Publications
from flows.cli import app
from flows.export import _as_csv

NOW = datetime(2011, 12, 10, 7, 0, tzinfo=UTC)
DAYS = (date(2011, 12, 1), date(2011, 12, 2))
# Ids as a file may hold them; most at risk first.
IDS = ["=cmd|'/c calc'!A0", "-3", "'quoted", 'a,"b"\n', "007"]
Call = Callable[..., tuple[int, str, str]]


def publish(home: Settings, day: date, folder: Path) -> None:
    """Publishes these customers for a date, the first two of them in the band high."""
    scores, population = folder / f"{day}-scores.parquet", folder / f"{day}-population.parquet"
    reasons = ", ".join(
        f"'recency' AS reason_{n}_feature, 40.0 AS reason_{n}_value, 'raises' AS reason_{n}_direction, "
        f"NULL::VARCHAR AS reason_{n}_level"
        for n in (1, 2, 3)
    )
    ids = "(SELECT unnest($ids) AS id, generate_subscripts($ids, 1) AS place)"
    connection = duckdb.connect()
    for file, columns in (
        (scores, f"'run' AS run_id, id AS customer_id, 1 - place / 10 AS churn_probability, {reasons}"),
        (population, "id AS customer_id, true AS eligible, NULL::VARCHAR AS reason"),
    ):
        made = f"CREATE OR REPLACE TABLE rows AS SELECT DATE '{day}' AS business_date, {columns} FROM {ids}"
        connection.execute(made, {"ids": IDS})
        connection.execute(f"COPY rows TO '{file}' (FORMAT parquet)")
    publications = Publications.open(home.warehouse)
    epoch = publications.claim("online_retail")
    request = LoadRequest(
        contract="online_retail", business_date=day, data_through=day, run_id="run", attempt=1, horizon_days=30,
        gap_days=0, contract_version=1, model_version=1, scored_at=NOW, is_retrospective=False,
        bands={"high": 0.4, "medium": 0.6}, wording={"recency": ("last order {value} days ago", 0)},
        score_files=[scores], population_files=[population],
        documents={"run_quality": [], "definition": [], "models": [], "data_dictionary": []},
    )  # fmt: skip
    load = build_load(publications, request, epoch=epoch, now=NOW)
    publications.publish(load.load_id, epoch=epoch, seen=None, fingerprint="f", actor="tester", now=NOW)
    materialise(publications)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with two published dates."""
    folder = tmp_path_factory.mktemp("export")
    made = Settings.from_environment({"CHURNLAKE_HOME": str(folder / "home")})
    for day in DAYS:
        publish(made, day, folder)
    return made


@pytest.fixture
def export(home: Settings, contract_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Calls `churnlake export` in an empty folder: exit code, output, errors."""
    monkeypatch.setenv("CHURNLAKE_HOME", str(home.home))
    monkeypatch.setenv("CHURNLAKE_NOW", NOW.isoformat())
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["export", str(contract_path), *arguments])
        return result.exit_code, result.stdout, result.stderr

    return called


def test_a_band_of_the_newest_date_is_written_by_rank(export: Call) -> None:
    """Numbers are numbers, texts cannot start a formula, and the command says how many rows went where."""
    code, out, _ = export("--band", "high", "--to", "list.csv")
    assert code == 0
    assert "2 customers of band high on 2011-12-02 written to list.csv" in out
    lines = list(csv.reader(io.StringIO(Path("list.csv").read_text(), newline="")))
    assert lines[0] == ["customer_id", "churn_probability", "risk_rank", "risk_band", "reason_1_text", "reason_2_text",
                        "reason_3_text", "business_date"]  # fmt: skip
    assert [line[:4] for line in lines[1:]] == [[f"'{IDS[0]}", "0.9", "1", "high"], ["'-3", "0.8", "2", "high"]]
    assert [cell.endswith("last order 40 days ago.") for cell in lines[1][4:7]] == [True] * 3
    assert lines[1][7] == "2011-12-02"
    assert [restored(line[0]) for line in lines[1:]] == IDS[:2]


def test_parquet_holds_the_texts_as_they_are_and_a_date_can_be_asked_for(export: Call) -> None:
    """No spreadsheet opens parquet, so nothing is escaped; the rest of the list is the band low."""
    code, out, _ = export("--band", "low", "--to", "list.parquet", "--date", "2011-12-01", "--json")
    assert code == 0
    assert json.loads(out)["rows"] == 2
    table = pq.read_table("list.parquet")
    assert table["customer_id"].to_pylist() == IDS[3:]
    assert set(table["business_date"].to_pylist()) == {DAYS[0]}
    assert str(table.schema.field("churn_probability").type) == "double"


def test_a_file_that_is_there_is_only_replaced_when_told(export: Call) -> None:
    """And it is whole either way."""
    Path("list.csv").write_text("mine")
    code, _, err = export("--band", "high", "--to", "list.csv")
    assert (code, "is there already" in err, Path("list.csv").read_text()) == (2, True, "mine")
    assert export("--band", "high", "--to", "list.csv", "--force")[0] == 0
    assert Path("list.csv").read_text().startswith('"customer_id"')
    assert [path.name for path in Path().iterdir()] == ["list.csv"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--band", "hihg", "--to", "x.csv"), "no band 'hihg', did you mean 'high'?"),
        (("--band", "high' OR '1'='1", "--to", "x.csv"), "has no band"),
        (("--band", "high", "--to", "x.xlsx"), "x.xlsx is neither .csv nor .parquet"),
        (("--band", "high", "--to", "x.csv", "--date", "2011-11-01"), "is not published; the newest published date is"),
        (("--band", "high", "--to", "nowhere/x.csv"), "does not exist"),
    ],
)
def test_a_wrong_wish_exits_2_and_writes_nothing(export: Call, arguments: tuple[str, ...], told: str) -> None:
    """A band is one of the contract's, so nothing else reaches the warehouse."""
    code, _, err = export(*arguments)
    assert code == 2
    assert told in err
    assert list(Path().iterdir()) == []


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ids=st.lists(
        st.builds(str.__add__, st.sampled_from([*STARTS, "'", ""]), st.text(st.characters(exclude_categories=["Cs"]))),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_p15_whatever_an_id_holds_no_cell_starts_a_formula(ids: list[str]) -> None:
    """Reading the file back and undoing the escape gives the ids."""
    file = io.BytesIO()
    _as_csv(file, [(one, 0.5, place, "high", one, None, None, DAYS[0]) for place, one in enumerate(ids)])
    lines = list(csv.reader(io.StringIO(file.getvalue().decode(), newline="")))[1:]
    assert [restored(line[0]) for line in lines] == ids
    assert not [cell for line in lines for cell in line if cell[:1] and cell[0] in STARTS]
