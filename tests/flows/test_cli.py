"""The command line: exit codes, one clear message, a document for programs."""

import json
import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from churnlake.settings import Settings
from flows.cli import app
from flows.console import in_words, verb
from flows.runners import CHECKOUT
from flows.shift import Shift, carry_out

OpenShift = Callable[..., Shift]


@pytest.fixture
def churnlake(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Calls the command line on the test's home: exit code, output, errors."""
    monkeypatch.setenv("CHURNLAKE_HOME", str(settings.home))
    monkeypatch.setenv("CHURNLAKE_NOW", "2011-12-10T07:00:00+00:00")

    def called(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.stdout, result.stderr

    return called


Call = Callable[..., tuple[int, str, str]]


def verbs() -> dict[str, Any]:
    """The verbs that are shown, as typer built them; `quarantine list` and its like are verbs of two words."""

    def inside(group: Any, before: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, command in vars(group)["commands"].items():
            below = inside(command, f"{before}{name} ") if "commands" in vars(command) else {f"{before}{name}": command}
            found |= {} if command.hidden else below
        return found

    return inside(typer.main.get_command(app))


def test_every_verb_is_there_takes_json_and_says_what_it_does() -> None:
    """The list is the design's; a verb without --json cannot be scripted."""
    assert {
        "run",
        "backfill",
        "train",
        "models",
        "promote",
        "check",
        "status",
        "sql",
        "export",
        "report",
        "doctor",
        "up",
    } <= set(verbs())
    assert {"quarantine list", "quarantine show", "quarantine release"} <= set(verbs())
    for name, command in verbs().items():
        options = {option for parameter in command.params for option in parameter.opts}
        assert "--json" in options, name
        assert command.help, name


def test_help_comes_at_once() -> None:
    """Nothing heavy is imported before a verb needs it (seconds of the processor: a busy machine does not decide)."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "flows.cli", "--help"]
        subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.7


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("check", "nowhere.toml"), "no contract at nowhere.toml"),
        (("sql", "select 1"), "no warehouse"),
        (("run", "{contract}", "--restate"), "--restate needs the date"),
        (("run", "{contract}", "--date", "2001-01-01"), "before the contract starts"),
        (("status", "{contract}", "--by", "dawn"), "--by must be a time"),
        (("run", "{contract}", "--date", "tomorrow"), "does not match"),
    ],
)
def test_a_wrong_command_exits_2_with_one_message_and_a_next_step(
    churnlake: Call, contract_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    """Never a traceback; the message says what was given, the next line what to do."""
    code, out, err = churnlake(*(one.replace("{contract}", str(contract_path)) for one in arguments))
    assert code == 2
    assert told in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in out + err
    assert "next:" in err or "Usage:" in err


def test_with_json_an_error_is_a_document_too(churnlake: Call) -> None:
    """Programs read stdout, people read stderr; the exit code is the same."""
    code, out, err = churnlake("check", "nowhere.toml", "--json")
    assert json.loads(out) == {
        "error": "no contract at nowhere.toml",
        "next": "give the path of a contract.toml",
        "exit_code": 2,
    }
    assert (code, err.splitlines()[0]) == (2, "error: no contract at nowhere.toml")


def test_an_unknown_setting_is_refused_by_name(churnlake: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting must not be ignored."""
    monkeypatch.setenv("CHURNLAKE_HOM", "x")
    code, _, err = churnlake("doctor")
    assert (code, "CHURNLAKE_HOM" in err) == (2, True)


def test_an_unforeseen_error_is_one_line_and_its_traceback_a_file(
    settings: Settings, churnlake: Call, contract_path: Path
) -> None:
    """Here the ledger's path is taken by a folder of that name inside it."""
    settings.home.mkdir(parents=True)
    (settings.home / "ledger.sqlite").write_bytes(b"no database at all, but long enough to be read as one" * 40)
    code, _, err = churnlake("status", str(contract_path))
    assert code == 1
    assert err.startswith("error: unexpected DatabaseError: ")
    (file,) = (settings.home / "errors").iterdir()
    assert str(file) in err
    assert "Traceback" in file.read_text()


def test_status_shows_what_is_published_and_due_and_its_check_exits_7(
    churnlake: Call, planned: OpenShift, contract_path: Path
) -> None:
    """A dead-man check needs nothing but the exit code."""
    carry_out(planned())
    code, out, _ = churnlake("status", str(contract_path), "--json")
    document = json.loads(out)
    states = {one["business_date"]: one["state"] for one in document["dates"]}
    assert (code, states["2011-11-28"], states["2011-11-29"], states["2011-12-09"]) == (0, "published", "due", "due")
    assert (document["published_through"], document["late"]) == ("2011-11-28", "2011-12-09")
    assert churnlake("status", str(contract_path), "--check")[0] == 7


def test_sql_answers_as_table_csv_and_document(churnlake: Call, planned: OpenShift) -> None:
    """The same rows, for eyes and for programs."""
    carry_out(planned())
    question = "SELECT customer_id, churn_probability FROM churn.scores_latest ORDER BY risk_rank LIMIT 2"
    assert churnlake("sql", "--csv", question)[1] == "customer_id,churn_probability\nc3,0.3\nc2,0.2\n"
    assert json.loads(churnlake("sql", "--json", question)[1])["rows"] == [
        {"customer_id": "c3", "churn_probability": 0.3},
        {"customer_id": "c2", "churn_probability": 0.2},
    ]
    assert churnlake("sql", question)[1].splitlines()[1].split() == ["c3", "0.300"]
    assert churnlake("sql", "COPY (SELECT 1) TO '/tmp/never.csv'")[0] == 2


def test_check_names_every_file_and_suite_that_cannot_be_used(
    churnlake: Call, contract_path: Path, tmp_path: Path
) -> None:
    """All problems at once, exit 3, and no document that says ready."""
    shop = tmp_path / "shop"
    (shop / "data" / "by_day").mkdir(parents=True)
    (shop / "expectations").mkdir()
    (shop / "contract.toml").write_bytes(contract_path.read_bytes())
    (shop / "data" / "by_day" / "2010-12-01.csv.gz").write_bytes(b"")
    (shop / "data" / "by_day" / "2010-12-02.csv.gz").write_bytes(b"PAR1")
    (shop / "expectations" / "invoices.json").write_text(
        '{"name": "invoices", "expectations": [{"type": "expect_magic", "kwargs": {}}]}'
    )
    code, _, err = churnlake("check", str(shop / "contract.toml"))
    assert code == 3
    assert "3 problems" in err
    assert "unknown type 'expect_magic'" in err
    assert "2010-12-01.csv.gz: is empty" in err


def test_up_names_the_holder_of_a_busy_port_and_the_flag_for_another(churnlake: Call) -> None:
    """Nothing is started when one port is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, err = churnlake("up", "--prefect-port", str(port))
    assert code == 2
    assert f"port {port}: wanted for Prefect, busy: pid {os.getpid()}" in err
    assert "--prefect-port" in err


def test_models_lists_versions_with_quality_and_gate(
    churnlake: Call, open_shift: OpenShift, contract_path: Path
) -> None:
    """After training there is one champion; before, the next step is to train."""
    assert "no model yet" in churnlake("models", str(contract_path))[1]
    shift = open_shift()
    shift.plan_training(date(2011, 11, 27))
    carry_out(shift)
    code, out, _ = churnlake("models", str(contract_path))
    assert code == 0
    assert out.splitlines()[1].split()[:4] == ["1", "champion", "2011-11-27", "0.770"]
    assert "by tester on " in out
    assert ": the test says so" in out


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, ""), (True, "yes"), (12345, "12,345"), (0.12345, "0.123"), (date(2011, 1, 2), "2011-01-02")],
)
def test_cells_are_written_for_eyes(value: object, expected: str) -> None:
    """Nothing for null, thousands apart, three decimals."""
    assert in_words(value) == expected


def test_a_published_night_has_its_page_and_report_writes_it_again(
    churnlake: Call, planned: OpenShift, settings: Settings, contract_path: Path
) -> None:
    """The page is a file of its own; losing it loses nothing."""
    assert churnlake("report", str(contract_path))[0] == 2
    carry_out(planned())
    page = settings.reports / "online_retail" / "2011-11-28.html"
    page.unlink()
    code, out, _ = churnlake("report", str(contract_path))
    assert (code, out.strip()) == (0, str(page))
    assert "2011-11-28" in page.read_text()
    assert churnlake("report", str(contract_path), "--date", "2011-11-27")[0] == 2


def test_a_page_that_cannot_be_written_does_not_unpublish_its_night(planned: OpenShift, settings: Settings) -> None:
    """It is told, with the command that writes it later."""
    settings.home.mkdir(parents=True)
    settings.reports.write_text("a file where the folder should be")
    shift = planned()
    carry_out(shift)
    assert [run.state for run in shift.published()] == ["published"]
    assert any("has no page" in line and "churnlake report" in line for line in shift.said)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_cancelled_verb_exits_130_and_says_that_it_resumes(
    *, as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is no fault and no success."""
    with pytest.raises(typer.Exit) as ended, verb(as_json=as_json):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert "it resumes" in capsys.readouterr().err
