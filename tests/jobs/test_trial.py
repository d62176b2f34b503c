"""A trial of a contract on its files tells what a first run would do with them, and writes nothing."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from churnlake.contract import Contract
from jobs import trial
from jobs.trial import choose_files, try_files

MakeContract = Callable[..., Contract]
FIRST = date(2026, 1, 1)
HEAD = "order_no,customer,at,price,pieces,item,kind"


def deliver(contract: Contract, days: int, *extra: str) -> None:
    """A file a day: `a` buys daily, `b` in the first 20 days, `c` in the first 40; `extra` rows come on the first."""
    folder = contract.folder / "orders"
    folder.mkdir(exist_ok=True)
    for after in range(days):
        day = FIRST + timedelta(after)
        names = ["a", *(["b"] if after < 20 else []), *(["c"] if after < 40 else [])]
        rows = [f"{name}{after},{name},{day} 10:00:00,9.99,1,tea,purchase" for name in names]
        (folder / f"{day}.csv").write_text("\n".join([HEAD, *rows, *(extra if after == 0 else ())]) + "\n")


def tried(spark: SparkSession, contract: Contract, through: date) -> dict[str, Any]:
    """What a trial tells, as its document."""
    with tempfile.TemporaryDirectory() as scratch:
        return asdict(try_files(spark, contract, choose_files(contract), through, Path(scratch)))


def test_rows_that_would_be_set_aside_are_named_by_file_and_record(
    spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """Every row is in one bucket, and of each reason one row is shown; a null customer is nobody, not an error."""
    contract = make_contract(tmp_path)
    bad = "x1,a,2026-01-01 10:00:00,much,1,tea,purchase"
    deliver(contract, 3, bad, "x2,,2026-01-01 10:00:00,1.00,1,tea,purchase", "x3,a,2026-01-01 10:00:00,1.00,1")
    (told,) = tried(spark, contract, FIRST + timedelta(2))["sources"]
    assert (told["files_read"], told["raw"], told["accepted"], told["ignored"]) == (3, 12, 9, {"anonymous": 1})
    assert told["quarantined"] == {"bad_shape": 1, "bad_type.price": 1}
    shown = {one["reasons"][0]: (one["file"], one["record"], one["text"]) for one in told["examples"]}
    assert shown["bad_type.price"] == ("orders/2026-01-01.csv", 4, {"price": "much"})
    assert shown["bad_shape"][:2] == ("orders/2026-01-01.csv", 6)
    assert not list(tmp_path.glob("lake*"))


def test_a_rule_of_activity_that_selects_nothing_is_told_with_the_values_there_are(
    spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """Nobody would ever be eligible; the nearest value is what was meant."""
    contract = make_contract(
        tmp_path, ("activity = \"event_type = 'purchase'", "activity = \"event_type = 'purchases'")
    )
    deliver(contract, 2)
    (problem,) = tried(spark, contract, FIRST)["contract"]
    assert problem == (
        "orders: churn.activity (event_type = 'purchases' AND amount > 0) selects no row; there is "
        "amount: 9.9900 .. 9.9900; event_type: 'purchase' 6, did you mean 'purchase'?"
    )


def test_a_column_that_is_null_in_every_row_is_a_warning(
    spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """An expression may be right and read the wrong column."""
    contract = make_contract(
        tmp_path, ('product = "item"', "product = \"regexp_extract(nullif(item, 'tea'), 'x', 0)\"")
    )
    deliver(contract, 2)
    assert tried(spark, contract, FIRST)["warnings"] == [
        "orders: product = \"regexp_extract(nullif(item, 'tea'), 'x', 0)\" is null in every row"
    ]


def test_an_expression_that_spark_refuses_is_a_problem_of_the_contract(
    spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """It is named by source and key, and nothing is counted."""
    contract = make_contract(tmp_path, ('event_ts = "at"', 'event_ts = "pieces"'))
    deliver(contract, 2)
    told = tried(spark, contract, FIRST)
    assert told["contract"] == [
        "sources.orders.columns.event_ts: is int; it must be date or timestamp_ntz or timestamp"
    ]
    assert (told["outcomes"], told["not_counted"]) == ([], "there are problems above")


def test_outcomes_are_counted_for_this_horizon_and_the_usual_ones(
    spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """With 7 days: at the cutoffs of days 33, 41 .. 73 b and c leave, a stays, and c stays at the first of them.

    With 90 days no cutoff of these 90 days is mature.
    """
    contract = make_contract(tmp_path)
    deliver(contract, 90)
    found = {one["horizon_days"]: one for one in tried(spark, contract, FIRST + timedelta(89))["outcomes"]}
    assert list(found) == [7, 30, 60, 90]
    assert (found[7]["cutoffs"], found[7]["churned"], found[7]["stayed"]) == (6, 2, 2)
    assert (found[90]["cutoffs"], found[90]["churned"], found[90]["stayed"]) == (0, 0, 0)


def test_a_newer_snapshot_takes_back_what_the_one_before_told(
    spark: SparkSession, tmp_path: Path, make_members: MakeContract
) -> None:
    """Of three who stay in the first table one ends in the second; were the first to hold still, nobody would leave."""
    contract = make_members(tmp_path)
    (tmp_path / "plans").mkdir()
    for day, until in ((FIRST, ""), (date(2026, 2, 1), "2026-02-10")):
        lines = ["id,since,until", f"ann,2025-01-01,{until}", "bob,2025-01-01,", "cleo,2025-01-01,"]
        (tmp_path / "plans" / f"{day}.csv").write_text("\n".join(lines) + "\n")
    told = tried(spark, contract, date(2026, 4, 15))
    (plans,) = told["sources"]
    assert (plans["raw"], plans["accepted"], plans["unchanged"]) == (6, 4, 2)
    assert {(one["churned"], one["stayed"]) for one in told["outcomes"] if one["cutoffs"]} == {(1, 2)}


def test_of_many_rows_the_first_and_the_newest_files_are_read(
    tmp_path: Path, make_contract: MakeContract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They tell of types and rules; what they cannot tell is not guessed."""
    contract = make_contract(tmp_path)
    deliver(contract, 5)
    monkeypatch.setattr(trial, "SMALL_ROWS", 1)
    choice = choose_files(contract)
    names = [Path(one.path).stem for one in choice.files["orders"]]
    assert (choice.is_whole, names) == (False, ["2026-01-01", "2026-01-04", "2026-01-05"])
