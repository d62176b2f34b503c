"""`churnlake check`: what needs no Spark is told at once, then what a trial on real rows found."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from churnlake.settings import Settings
from flows.cli import app
from flows.runners import COMMANDS

Check = Callable[..., tuple[int, str, str]]
ROWS = {
    "source": "invoices", "files_read": 305, "raw": 541_909, "accepted": 400_000, "unchanged": 0, "duplicate": 5_268,
    "ignored": {"anonymous": 136_629}, "quarantined": {"bad_type.Quantity": 12},
    "examples": [
        {"file": "data/by_day/2011-01-04.csv.gz", "record": 17, "reasons": ["bad_type.Quantity"],
         "text": {"Quantity": "\x1b[2Jmany"}}
    ],
}  # fmt: skip
COUNTED = {"horizon_days": 30, "cutoffs": 14, "spacing_days": 15, "churned": 3_977, "stayed": 2_400}
FOUND: dict[str, Any] = {
    "sources": [ROWS], "contract": [], "data": [], "warnings": [], "outcomes": [COUNTED], "not_counted": None,
}  # fmt: skip


@pytest.fixture
def check(settings: Settings, contract_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Checks the example, whose trial finds what is given: exit code, output, errors."""
    monkeypatch.setenv("CHURNLAKE_HOME", str(settings.home))
    monkeypatch.setenv("CHURNLAKE_NOW", "2011-12-10T07:00:00+00:00")

    def called(*arguments: str, **changes: Any) -> tuple[int, str, str]:
        script = f"print({json.dumps(FOUND | changes)!r})"
        monkeypatch.setitem(COMMANDS, "trial", (sys.executable, "-c", script))
        result = CliRunner().invoke(app, ["check", str(contract_path), *arguments])
        return result.exit_code, result.stdout, result.stderr

    return called


def test_check_says_what_a_run_would_find(check: Check) -> None:
    """Files, rows by bucket with an example, what is due, the cutoffs, the outcomes, and one last line."""
    code, out, _ = check()
    assert (code, out.splitlines()) == (
        0,
        [
            "invoices: 305 files, 2010-12-01 .. 2011-12-09",
            "reading the first files",
            (
                "invoices: 541,909 rows of 305 files = 400,000 accepted + 5,268 duplicate + "
                "136,629 ignored (anonymous) + 12 set aside (bad_type.Quantity)"
            ),
            "  data/by_day/2011-01-04.csv.gz record 17: bad_type.Quantity: Quantity = '\\x1b[2Jmany'",
            "due: 2011-12-09",
            "training: 14 training and 2 test cutoffs; 3,977 churned and 2,400 stayed (>= 100): enough",
            "online_retail: 305 files, 12 rows would be set aside: ready",
        ],
    )


def test_with_json_it_is_one_document(check: Check) -> None:
    """The numbers that need no Spark, and what was tried beside them."""
    document = json.loads(check("--json")[1])
    assert document["sources"] == [
        {"source": "invoices", "files": 305, "first": "2010-12-01", "last": "2011-12-09", "missing": []}
    ]
    assert (document["problems"], document["due"]) == ([], ["2011-12-09"])
    assert (len(document["training_cutoffs"]), len(document["test_cutoffs"])) == (14, 2)
    assert (document["trial"], document["exit_code"]) == (FOUND, 0)


def test_too_few_churned_is_a_warning_with_ways_out(check: Check) -> None:
    """A fresh team may begin with little: files can be taken in, and only training has to wait."""
    code, out, _ = check(outcomes=[COUNTED | {"churned": 31}, COUNTED | {"horizon_days": 60, "churned": 140}])
    assert code == 0
    assert (
        "31 churned, 100 needed (with a horizon of 60 days 140): about 16 more months of data, or horizon_days = 60"
        in out
    )
    assert out.splitlines()[-1].endswith("ready to take data in, but not to train (see above)")


def test_what_was_not_counted_says_why(check: Check) -> None:
    """No number is better than a guessed one."""
    out = check(outcomes=[], not_counted="more than 1,500,000 rows; training counts them")[1]
    assert "outcomes were not counted: more than 1,500,000 rows; training counts them" in out


@pytest.mark.parametrize(("kind", "code"), [("contract", 2), ("data", 3)])
def test_a_problem_of_the_trial_stops_with_the_code_of_its_kind(check: Check, kind: str, code: int) -> None:
    """An expression is the contract's fault, a row the data's; warnings stand beside and stop nothing."""
    found, out, err = check(**{kind: ["invoices: nothing fits"]}, warnings=["invoices: product is null in every row"])
    assert (found, "  - invoices: nothing fits" in err, "1 problem" in err) == (code, True, True)
    assert "warning: invoices: product is null in every row" in out
    assert "ready" not in out
