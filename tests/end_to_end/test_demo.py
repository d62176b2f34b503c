"""The demo against the files themselves: every number is counted again, without the project's code."""

import os
import re
import signal
import subprocess
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from churnlake.ledger import Ledger, processes
from churnlake.ledger.lane import holder
from churnlake.warehouse.duckdb import query
from churnlake.warehouse.publications import Publications
from flows.runners import CHECKOUT

FILES = CHECKOUT / "examples" / "online_retail" / "data" / "by_day" / "*.csv.gz"
CONTRACT = str(CHECKOUT / "examples" / "online_retail" / "contract.toml")
HISTORY = date(2011, 11, 27)
NIGHTS = (date(2011, 11, 28), date(2011, 11, 29), date(2011, 11, 30))
NEXT = date(2011, 12, 1)

# step: lines, accepted, anonymous, duplicate, quarantined, known, eligible; known and eligible at its end
EXPECTED = {
    HISTORY: (505_287, 376_608, 123_839, 4_800, 40, 4_301, 2_808),
    NIGHTS[0]: (3_330, 2_734, 541, 55, 0, 4_314, 2_827),
    NIGHTS[1]: (4_313, 2_661, 1_577, 75, 0, 4_326, 2_839),
    NIGHTS[2]: (3_454, 2_179, 1_259, 16, 0, 4_331, 2_840),
}


@pytest.fixture(scope="module")
def recount() -> duckdb.DuckDBPyConnection:
    """All 305 files as text in one table, and the rows with a customer without exact repetitions within a file."""
    connection = duckdb.connect()
    connection.execute(
        f"""CREATE TABLE line AS SELECT * EXCLUDE (filename),
            regexp_extract(filename, '(\\d{{4}}-\\d{{2}}-\\d{{2}})\\.csv', 1)::DATE AS slot
        FROM read_csv('{FILES}', all_varchar = true, filename = true, header = true, delim = ',', quote = '"')"""
    )
    connection.execute(
        """CREATE TABLE kept AS SELECT DISTINCT *, UnitPrice::DECIMAL(12, 4) AS price
        FROM line WHERE CustomerID IS NOT NULL"""
    )
    return connection


def counted(recount: duckdb.DuckDBPyConnection, first: date, last: date) -> tuple[int, ...]:
    """Lines, accepted, anonymous, duplicate, quarantined of the files of some days; known, eligible at their end."""
    (lines, named) = recount.execute(
        "SELECT count(*), count(CustomerID) FROM line WHERE slot BETWEEN ? AND ?", [first, last]
    ).fetchone()
    (kept, accepted) = recount.execute(
        "SELECT count(*), count(*) FILTER (price > 0) FROM kept WHERE slot BETWEEN ? AND ?", [first, last]
    ).fetchone()
    (known, eligible) = recount.execute(
        """SELECT count(DISTINCT CustomerID), count(DISTINCT CustomerID) FILTER (price > 0 AND InvoiceNo NOT LIKE 'C%'
            AND round(Quantity::INT * price, 2) > 0 AND InvoiceDate::TIMESTAMP::DATE > $last::DATE - 90)
        FROM kept WHERE slot <= $last""",
        {"last": last},
    ).fetchone()
    return lines, accepted, lines - named, named - kept, kept - accepted, known, eligible


def told(ledger: Ledger, run_id: str) -> tuple[int | None, ...]:
    """The same numbers as the ledger holds them for a run."""
    counts = {stage.stage: stage.counts for stage in ledger.stages(run_id)}
    ingest, features = counts["ingest"], counts.get("features", {})
    return (
        ingest["raw"], ingest["accepted"], ingest["ignored"].get("anonymous", 0), ingest["duplicate"],
        sum(ingest["quarantined"].values()), features.get("known"), features.get("eligible"),
    )  # fmt: skip


def test_p4_no_row_vanishes_history_and_nights_equal_the_recount(demo: Any, recount: duckdb.DuckDBPyConnection) -> None:
    """Lines, buckets, known and eligible customers of every step, counted from the files by DuckDB alone."""
    ledger = Ledger.open(demo.home.settings.ledger_url)
    runs = {run.business_date: run for run in ledger.runs("online_retail") if run.kind in ("history", "night")}
    assert set(runs) == set(EXPECTED)
    for day, expected in EXPECTED.items():
        assert counted(recount, date(2010, 12, 1) if day == HISTORY else day, day) == expected
        shown = 5 if day == HISTORY else 7
        assert told(ledger, runs[day].run_id)[:shown] == expected[:shown]


def test_all_305_files_hold_what_the_readme_of_the_data_says(recount: duckdb.DuckDBPyConnection) -> None:
    """The recount itself is held to the known totals of the data set."""
    found = counted(recount, date(2010, 12, 1), date(2011, 12, 9))
    assert found[:6] == (541_909, 401_564, 135_080, 5_225, 40, 4_372)


def test_p3_no_customer_is_missing_or_twice(demo: Any) -> None:
    """Each published night: eligible = scored, known = scored + not scored, ranks 1 to n."""
    root = demo.home.settings.warehouse
    answer = query(
        root,
        """SELECT business_date, count(*), count(DISTINCT customer_id), min(risk_rank), max(risk_rank)
        FROM churn.scores_history GROUP BY ALL ORDER BY ALL""",
    )
    assert answer.rows == [(day, EXPECTED[day][6], EXPECTED[day][6], 1, EXPECTED[day][6]) for day in NIGHTS]
    others = query(
        root, "SELECT business_date, count(DISTINCT customer_id) FROM churn.not_scored GROUP BY 1 ORDER BY 1"
    )
    known = {day: EXPECTED[day][5] - EXPECTED[day][6] for day in NIGHTS}
    assert dict(others.rows) in (known, {NIGHTS[-1]: known[NIGHTS[-1]]})


def test_the_champion_ranks_out_of_time_as_well_as_it_says(demo: Any) -> None:
    """AUC again from the logged test predictions, by ranks: within the promised range, equal to the ledger's."""
    (file,) = demo.home.settings.mlflow_artifacts.rglob("test_predictions.parquet")
    (auc, rows) = duckdb.execute(
        """WITH ranked AS (
            SELECT is_churned, rank() OVER (ORDER BY churn_probability)
                + (count(*) OVER (PARTITION BY churn_probability) - 1) / 2.0 AS place FROM read_parquet(?))
        SELECT (sum(place) FILTER (is_churned = 1) - sum(is_churned) * (sum(is_churned) + 1) / 2.0)
            / (sum(is_churned) * (count(*) - sum(is_churned))), count(*) FROM ranked""",
        [str(file)],
    ).fetchone()
    champion = Ledger.open(demo.home.settings.ledger_url).champion("online_retail")
    assert champion is not None
    assert auc == pytest.approx(champion.metrics["auc"], abs=1e-9)
    assert rows == champion.metrics["rows"]
    assert 0.72 <= auc < 0.85


def test_the_demo_prints_reconciliation_model_customers_page_and_what_to_type_next(demo: Any) -> None:
    """What a user would show a colleague; the numbers printed are the numbers counted."""
    text = demo.printed
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


def test_a_second_demo_says_that_it_is_complete_and_changes_nothing(demo: Any) -> None:
    """It shows the results again without starting a job."""
    folder = demo.home.settings.home / "runs" / "applications"
    before = sorted(folder.iterdir())
    again = demo.home.churnlake("demo", "--direct")
    assert again.returncode == 0
    assert "the demo is complete" in again.stdout
    assert sorted(folder.iterdir()) == before


def test_p7_a_published_date_again_says_so_and_a_second_owner_is_named(demo: Any) -> None:
    """The same fingerprint is exit 0 and no new row; while another process holds the lane it is exit 5."""
    from churnlake.ledger import Lane

    publications = Publications.open(demo.home.settings.warehouse)
    before = publications.published("online_retail")
    again = demo.home.churnlake("run", CONTRACT, "--direct", "--date", str(NIGHTS[-1]))
    assert (again.returncode, "already published" in again.stdout) == (0, True)
    with Lane.take(demo.home.settings.lake("online_retail")):
        refused = demo.home.churnlake("run", CONTRACT, "--direct", "--date", str(NEXT))
    assert refused.returncode == 5
    assert f"process {os.getpid()}" in refused.stderr
    assert publications.published("online_retail") == before


def test_p1_a_killed_flow_leaves_the_last_scores_and_the_next_run_finishes_its_night(demo: Any) -> None:
    """Kill -9 in the middle of a stage, through Prefect; the next run, through Prefect, takes up the same run."""
    settings = demo.home.settings
    ledger = Ledger.open(settings.ledger_url)
    command = demo.home.command("run", CONTRACT, "--date", str(NEXT))
    flow = subprocess.Popen(command, cwd=CHECKOUT, env=demo.home.environment, stdout=subprocess.DEVNULL)
    killed = wait_for_stage(ledger, flow, "features")
    group = holder(settings.lake("online_retail"))
    flow.send_signal(signal.SIGKILL)
    flow.wait()
    newest = "SELECT max(business_date) FROM churn.scores_latest"
    assert query(settings.warehouse, newest).rows == [(NIGHTS[-1],)]
    deadline = time.monotonic() + 10
    while processes.in_group(group.pgid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes.in_group(group.pgid) == []
    finished = demo.home.churnlake("run", CONTRACT, "--date", str(NEXT))
    assert finished.returncode == 0, finished.stderr
    run = ledger.run(killed)
    assert (run.state, run.attempt) == ("published", 2)
    assert query(settings.warehouse, newest).rows == [(NEXT,)]


def wait_for_stage(ledger: Ledger, flow: "subprocess.Popen[bytes]", name: str) -> str:
    """The run id of the newest date once the stage of that name runs."""
    started = datetime.now(UTC)
    while (datetime.now(UTC) - started).total_seconds() < 180:
        assert flow.poll() is None
        for run in ledger.running("online_retail"):
            if any(stage.stage == name and stage.state == "running" for stage in ledger.stages(run.run_id)):
                return run.run_id
        time.sleep(0.1)
    raise AssertionError(f"stage {name} never ran")
