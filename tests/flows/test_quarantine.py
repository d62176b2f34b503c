"""`churnlake quarantine list|show|release`, in this process, on a quarantine written without Spark."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from typer.testing import CliRunner

from churnlake.errors import ConflictError
from churnlake.quarantine import Wanted
from churnlake.repairs import read_repairs, repair_columns
from churnlake.settings import Settings
from flows import quarantine as verbs
from flows.cli import app
from flows.shift import Shift

NOW = datetime(2011, 12, 10, 7, 0, tzinfo=UTC)
DAY = date(2011, 12, 1)
FILE = "data/by_day/2011-12-01.csv.gz"
# A terminal would be cleared by the first, turned around by the second, painted by the third.
NASTY = "\x1b[2J evil \u202eelif [red]:bomb:\x9b"
Call = Callable[..., tuple[int, str, str]]


def row(number: int, reason: str, **text: str | None) -> dict[str, Any]:
    """A held row of the example's only source."""
    return {
        "source": "invoices", "delivery_id": "2011-12-01-aa", "slot": DAY, "file": FILE, "record_number": number,
        "row_hash": f"h{number}", "raw_row": json.dumps({k: v for k, v in text.items() if v is not None}),
        "reasons": [reason], "rule_digest": "r", "status": "held", "changed_by": "2011-12-01-aa", "run_id": "run",
        "known_date": DAY, "known_month": "2011-12",
    }  # fmt: skip


@pytest.fixture
def churnlake(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Calls the command line on a home where three rows are held: exit code, output, errors."""
    monkeypatch.setenv("CHURNLAKE_HOME", str(settings.home))
    monkeypatch.setenv("CHURNLAKE_NOW", NOW.isoformat())
    rows = [
        row(1, "bad_type.Quantity", Quantity="-3x", Description=NASTY, InvoiceNo="=1+1"),
        row(2, "bad_type.Quantity", Quantity="1;5", InvoiceNo="0012"),
        row(3, "bad_shape", corrupt_record="a,b\r\n"),
    ]
    folder = settings.lake("online_retail") / "quarantine"
    folder.mkdir(parents=True)
    write_deltalake(str(folder), pa.Table.from_pylist(rows), partition_by=["known_month"])

    def called(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["quarantine", *arguments])
        return result.exit_code, result.stdout, result.stderr

    return called


def test_list_counts_by_file_and_reason_and_says_what_to_type(churnlake: Call, contract_path: Path) -> None:
    """For people a table and three commands; for programs one document with the same numbers."""
    code, out, _ = churnlake("list", str(contract_path))
    assert code == 0
    assert "online_retail: 3 rows held" in out
    assert f"invoices  {FILE}  bad_type.Quantity     2  2011-12-01" in out
    assert "quarantine show" in out
    assert "--reason bad_type.Quantity --to rows.csv" in out
    code, out, _ = churnlake("list", str(contract_path), "--json", "--date", "2011-12-01", "--source", "invoices")
    document = json.loads(out)
    assert (code, document["rows"], [one["rows"] for one in document["groups"]]) == (0, 3, [2, 1])
    assert churnlake("list", str(contract_path), "--status", "released")[1].strip() == "online_retail: 0 rows released"


def test_show_shows_text_that_cannot_steer_a_terminal(churnlake: Call, contract_path: Path) -> None:
    """Escapes, marks that turn text around and markup are characters like others; in JSON they are escaped."""
    code, out, _ = churnlake("show", str(contract_path), "--row-hash", "h1")
    assert code == 0
    assert r"Description = \x1b[2J evil \u202eelif [red]:bomb:\x9b" in out
    assert f"{FILE} record 1" in out
    assert "(1 row held)" in out
    code, out, _ = churnlake("show", str(contract_path), "--row-hash", "h1", "--json")
    assert not [one for one in out if not one.isprintable() and one != "\n"]
    assert json.loads(out)["shown"][0]["text"]["Description"] == NASTY


def test_show_is_limited_and_says_so(churnlake: Call, contract_path: Path) -> None:
    """Twenty rows fill a screen; a misshapen row is shown as its whole line."""
    out = churnlake("show", str(contract_path), "--limit", "1", "--reason", "bad_type.Quantity")[1]
    assert "(2 rows held, 1 shown; --limit N or --to FILE.csv gives more)" in out
    out = churnlake("show", str(contract_path), "--reason", "bad_shape")[1]
    assert r"corrupt_record = a,b\r\n" in out
    assert "Quantity" not in out


def test_show_to_a_file_writes_what_release_reads(
    churnlake: Call, contract_path: Path, open_shift: Callable[..., Shift], tmp_path: Path
) -> None:
    """No cell starts a formula, every text comes back, and a file that is there stays without --force."""
    file = tmp_path / "rows.csv"
    code, out, _ = churnlake("show", str(contract_path), "--to", str(file))
    assert code == 0
    assert f"3 rows held of invoices written to {file}" in out
    assert '"\'=1+1"' in file.read_text()
    shift = open_shift()
    repairs = read_repairs(file, repair_columns(shift.contract.sources["invoices"]))
    held = verbs.open_quarantine(shift).rows(Wanted())
    assert {key: len(lines) for key, lines in repairs.items()} == {one.key: 1 for one in held}
    code, _, err = churnlake("show", str(contract_path), "--to", str(file))
    assert (code, "is there already" in err) == (2, True)
    assert churnlake("show", str(contract_path), "--to", str(file), "--force")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("list", "{contract}", "--source", "invoises"), "no source 'invoises', did you mean 'invoices'?"),
        (("list", "{contract}", "--status", "gone"), "--status must be one of held, released, withdrawn, expired"),
        (("show", "{contract}", "--to", "x.csv", "--status", "expired"), "only held rows can be repaired"),
        (("release", "{contract}", "--why", "x"), "a release is about one source"),
        (("release", "{contract}", "--source", "invoices"), "a release needs a reason"),
        (("release", "{contract}", "--source", "invoices", "--why", "x", "--repaired", "no.csv"), "no file no.csv"),
    ],
)
def test_a_wrong_question_exits_2_and_names_what_is_allowed(
    churnlake: Call, contract_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """Before anything is started."""
    code, _, err = churnlake(*(one.replace("{contract}", str(contract_path)) for one in arguments))
    assert code == 2
    assert told in err
    assert "next: " in err


COUNTS = {
    "release": "release-1", "source": "invoices", "dry_run": False, "known_date": "2011-12-02", "raw": 2,
    "accepted": 1, "duplicate": 0, "ignored": {}, "quarantined": {"bad_type.Quantity": 1}, "held": [],
}  # fmt: skip


def test_release_runs_as_a_job_of_its_own_and_tells_what_became_of_the_rows(
    churnlake: Call, contract_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The job is given the rows' description; its numbers are the document."""
    started: list[list[str]] = []

    def carry_out(shift: Shift) -> None:
        (application,) = shift.agenda
        started.append(application.arguments)
        run = shift.ledger.start_run(
            contract="online_retail", kind="release", business_date=DAY, application=application.name,
            contract_digest="c", code_revision="r", actor="tester", reason="x", pid=1, lane_epoch=1, now=NOW,
        )  # fmt: skip
        shift.ledger.start_stage(run.run_id, "release", 1, now=NOW)
        shift.ledger.finish_stage(run.run_id, "release", 1, counts=COUNTS, now=NOW)
        shift.runs.append(run)
        shift.said.append("2 rows of invoices: 1 become facts")

    monkeypatch.setattr(verbs, "carry_out", carry_out)
    (tmp_path / "r.csv").touch()
    monkeypatch.chdir(tmp_path)
    asked = ("release", str(contract_path), "--source", "invoices", "--reason", "-x", "--why", "--so", "--date")
    code, out, _ = churnlake(*asked, "2011-12-01", "--repaired", "r.csv", "--json")

    assert (code, json.loads(out)["accepted"], json.loads(out)["release"]) == (0, 1, "release-1")
    assert started[0][4:] == [
        "--source=invoices", "--why=--so", "--slot=2011-12-01", "--reason=-x", f"--repaired={tmp_path / 'r.csv'}",
    ]  # fmt: skip
    out = churnlake(*asked, "2011-12-01")[1]
    assert "2 rows of invoices: 1 become facts" in out
    assert "Next: " in out


def test_release_of_a_busy_lake_exits_5(churnlake: Call, contract_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stops the job is the command's own error."""

    def carry_out(_shift: Shift) -> None:
        raise ConflictError("process 7 holds the lane", next_step="wait until it ends")

    monkeypatch.setattr(verbs, "carry_out", carry_out)
    code, _, err = churnlake("release", str(contract_path), "--source", "invoices", "--why", "x")
    assert (code, "holds the lane" in err) == (5, True)
