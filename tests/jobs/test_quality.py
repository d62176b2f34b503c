import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.errors import DataRefusedError
from churnlake.suites import Severity, Suite, read_suite
from jobs.quality import judge, refuse_critical

COLUMNS = "name STRING, pieces INT, price DECIMAL(12,4), weight DOUBLE, day DATE"
ROWS = [
    ("ann", 1, Decimal("0.1000"), 0.5, date(2026, 3, 1)),
    ("", 0, Decimal("0.0000"), 0.0, date(2026, 2, 28)),
    (" bob", -3, Decimal("-0.1000"), -0.5, date(2026, 3, 2)),
    ("C12", 7, Decimal("0.3000"), 0.3, date(2026, 3, 3)),
    (None, None, None, None, None),
    (None, None, None, None, None),
]
# Every type of row rule, each with a limit that some row stands exactly on.
ROW_RULES: list[tuple[str, dict[str, Any]]] = [
    ("not_be_null", {"column": "name"}),
    ("not_be_null", {"column": "price"}),
    ("be_between", {"column": "pieces", "min_value": 0, "max_value": 1}),
    ("be_between", {"column": "pieces", "min_value": 0, "max_value": 7, "strict_min": True, "strict_max": True}),
    ("be_between", {"column": "price", "min_value": 0.1}),
    ("be_between", {"column": "price", "max_value": 0.3, "strict_max": True}),
    ("be_between", {"column": "weight", "min_value": -0.5, "max_value": 0.3}),
    ("be_in_set", {"column": "name", "value_set": ["ann", "C12", "it's"]}),
    ("be_in_set", {"column": "pieces", "value_set": [1, 7]}),
    ("not_be_in_set", {"column": "name", "value_set": ["ann", ""]}),
    ("not_be_in_set", {"column": "pieces", "value_set": [-3]}),
    ("match_regex", {"column": "name", "regex": r"^\S(.{0,126}\S)?$"}),
    ("not_match_regex", {"column": "name", "regex": r"^C\d+"}),
]


def suite_of(path: Path, *expectations: dict[str, Any]) -> Suite:
    """The suite of these expectations, read as a contract's own is."""
    path.write_text(json.dumps({"name": "orders", "expectations": list(expectations)}))
    return read_suite(path, ["name", "pieces", "price", "weight", "day"])


def expectation(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    """One expectation as it stands in a suite's file."""
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity}


@pytest.fixture(scope="module")
def batch(spark: SparkSession) -> DataFrame:
    """Six rows, two of them all null."""
    return spark.createDataFrame(ROWS, COLUMNS)


def test_great_expectations_counts_what_the_compiled_rules_count(batch: DataFrame, tmp_path: Path) -> None:
    """Both ways of judging find the same breaking rows for every type of row rule, nulls and limits included."""
    suite = suite_of(
        tmp_path / "orders.json", *(expectation(f"column_values_to_{kind}", **kwargs) for kind, kwargs in ROW_RULES)
    )
    counted = batch.agg(*(F.count_if(F.expr(rule.breaks)).alias(str(n)) for n, rule in enumerate(suite.row_rules)))
    ours = list(counted.collect()[0])
    verdicts = judge(batch, suite)
    assert [int(verdict.observed.split(" of ")[0]) for verdict in verdicts] == ours
    assert ours == [2, 2, 2, 3, 2, 1, 1, 2, 2, 2, 1, 2, 1]
    assert [verdict.passed for verdict in verdicts] == [count == 0 for count in ours]


def test_of_an_empty_batch_only_its_size_can_fail(batch: DataFrame, tmp_path: Path) -> None:
    """Without rows every row rule passes; the row count is what tells that nothing came."""
    rules = [expectation(f"column_values_to_{kind}", **kwargs) for kind, kwargs in ROW_RULES]
    suite = suite_of(tmp_path / "orders.json", *rules, expectation("table_row_count_to_be_between", min_value=1))
    verdicts = judge(batch.limit(0), suite)
    assert [verdict.name for verdict in verdicts if not verdict.passed] == [
        "orders.table.table_row_count_to_be_between"
    ]
    with pytest.raises(DataRefusedError, match=r"table_row_count_to_be_between: expected .*; 0"):
        refuse_critical(verdicts)


def test_mostly_is_the_share_that_must_fit(batch: DataFrame, tmp_path: Path) -> None:
    """3 of 4 known values fit: enough for 75 %, too few for 76 %; nulls count on neither side."""
    at_limit, above = (
        expectation("column_values_to_be_between", "warning", column="pieces", min_value=0, mostly=share)
        for share in (0.75, 0.76)
    )
    verdicts = judge(batch, suite_of(tmp_path / "orders.json", at_limit, above))
    assert [(one.passed, one.severity, one.observed) for one in verdicts] == [
        (True, Severity.WARNING, "1 of 6 rows do not"),
        (False, Severity.WARNING, "1 of 6 rows do not"),
    ]
    assert [one.expected for one in verdicts] == [
        "be between min_value 0 for 75.00% of rows",
        "be between min_value 0 for 76.00% of rows",
    ]


def test_two_rules_of_one_type_on_one_column_are_both_kept(batch: DataFrame, tmp_path: Path) -> None:
    """Each verdict has a name of its own, so that a passing rule never hides a failing one in the record."""
    low = expectation("column_values_to_be_between", "warning", column="pieces", min_value=0)
    high = expectation("column_values_to_be_between", "warning", column="pieces", max_value=7)
    verdicts = judge(batch, suite_of(tmp_path / "orders.json", low, high))
    assert [(one.name, one.passed) for one in verdicts] == [
        ("orders.pieces.be_between", False),
        ("orders.pieces.be_between.2", True),
    ]


def test_only_a_critical_no_stops_the_night() -> None:
    """A warning is shown and an info recorded; every critical one is named in the refusal."""
    shown = [_verdict("orders.price", Severity.WARNING), _verdict("orders.item", Severity.INFO)]
    refuse_critical(shown)
    with pytest.raises(DataRefusedError) as refused:
        refuse_critical([*shown, _verdict("orders.name", Severity.CRITICAL), _verdict("orders.day", Severity.CRITICAL)])
    assert refused.value.exit_code == 3
    assert "orders.name: expected" in str(refused.value)
    assert "orders.day: expected" in str(refused.value)
    assert "orders.price" not in str(refused.value)


def _verdict(name: str, severity: Severity) -> Any:
    from jobs.quality import Verdict

    return Verdict(name, severity, passed=False, observed="9 of 9 rows do not", expected="not be null")


def test_p12_an_error_inside_a_check_is_a_no(batch: DataFrame) -> None:
    """P12: a check that could not be made fails at the highest level, whatever its own is; the others still count."""
    unreadable = expectation("column_values_to_not_be_null", "info", column="gone")
    fine = expectation("column_values_to_not_be_null", "info", column="name", mostly=0.5)
    verdicts = judge(batch, Suite("orders", (unreadable, fine), ()))
    assert [(one.name.split(".")[1], one.passed, one.severity) for one in verdicts] == [
        ("gone", False, Severity.CRITICAL),
        ("name", True, Severity.INFO),
    ]
    assert verdicts[0].observed.startswith("the check itself failed: ")
    with pytest.raises(DataRefusedError, match="the check itself failed"):
        refuse_critical(verdicts)


def test_p12_an_expectation_that_great_expectations_drops_is_an_error(batch: DataFrame) -> None:
    """P12: Great Expectations leaves an unknown expectation out without a word; the batch is refused."""
    known = expectation("column_values_to_not_be_null", column="name")
    with pytest.raises(DataRefusedError, match="kept 1 of 2 expectations"):
        judge(batch, Suite("orders", (known, expectation("column_values_to_be_lucky", column="name")), ()))


def test_verdicts_stand_in_the_order_of_the_suite(batch: DataFrame, tmp_path: Path) -> None:
    """Great Expectations answers grouped by column; the record keeps the order people wrote, with what was seen."""
    suite = suite_of(
        tmp_path / "orders.json",
        expectation("column_max_to_be_between", column="pieces", max_value=7),
        expectation("column_values_to_not_be_null", "warning", column="name"),
        expectation("table_row_count_to_be_between", min_value=6, max_value=6),
        expectation("column_values_to_be_between", column="pieces", min_value=-3),
    )
    checks = [verdict.as_check("orders") for verdict in judge(batch, suite)]
    assert [(check.name, check.severity, check.passed, check.observed) for check in checks] == [
        ("orders.pieces.column_max_to_be_between", "critical", True, "7"),
        ("orders.name.not_be_null", "warning", False, "2 of 6 rows do not"),
        ("orders.table.table_row_count_to_be_between", "critical", True, "6"),
        ("orders.pieces.be_between", "critical", True, "0 of 6 rows do not"),
    ]
    assert {(check.kind, check.source) for check in checks} == {("expectation", "orders")}
