import json
import math
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from churnlake.errors import DataRefusedError
from churnlake.suites import RowRule, Severity, Suite, read_suite
from jobs.quality import Verdict, built_in_suite, judge, judge_in_one_pass, refuse_critical, suite_problems

TYPES = {
    "name": "string", "full name": "string", "pieces": "int", "sold": "bigint", "price": "decimal(12,4)",
    "weight": "double", "day": "date", "at": "timestamp_ntz", "paid": "boolean",
}  # fmt: skip
COLUMNS = ", ".join(f"`{name}` {kind}" for name, kind in TYPES.items())
NAN, INFINITY = math.nan, math.inf
moment = datetime.fromisoformat
DAY = date(2026, 3, 2)
ROWS = [
    ("ann", "Ann B", 1, 2, Decimal("0.1000"), 0.5, date(2026, 3, 1), moment("2026-03-01 23:59"), True),
    ("", " ", 0, 0, Decimal("0.0000"), 0.0, date(2026, 2, 28), moment("2026-02-28"), False),
    (" bob", "it's", -3, -3, Decimal("-0.1000"), -INFINITY, date(2026, 3, 2), moment("2026-03-02"), None),
    ("C12", "\u00e4\n\u200b", 7, 2**62, Decimal("0.3000"), NAN, date(1969, 12, 31), moment("9999-12-31"), True),
    ("C12", None, None, 5, None, INFINITY, None, None, None),
    (None, None, None, None, None, None, None, None, None),
]
VALUES, LENGTHS, PAIR = (
    "column_values_to_",
    "column_value_lengths_to_be_between",
    "column_pair_values_a_to_be_greater_than_b",
)
SOME = {"condition_parser": "spark"}
STRICT = {"strict_min": True, "strict_max": True}
# Every type of row rule, each with a limit that some row stands exactly on, and how many of the rows break it.
ROW_RULES: list[tuple[str, dict[str, Any], int]] = [
    (f"{VALUES}not_be_null", {"column": "name"}, 1),
    (f"{VALUES}not_be_null", {"column": "weight"}, 1),
    (f"{VALUES}not_be_null", {"column": "paid"}, 3),
    (f"{VALUES}be_between", {"column": "pieces", "min_value": 0, "max_value": 1}, 2),
    (f"{VALUES}be_between", {"column": "pieces", "min_value": 0, "max_value": 7, **STRICT}, 3),
    (f"{VALUES}be_between", {"column": "sold", "max_value": 2**53}, 1),
    (f"{VALUES}be_between", {"column": "price", "min_value": 0.1}, 2),
    (f"{VALUES}be_between", {"column": "price", "max_value": 0.3, "strict_max": True}, 1),
    (f"{VALUES}be_between", {"column": "weight", "min_value": 0}, 1),
    (f"{VALUES}be_between", {"column": "weight", "max_value": 1e308}, 2),
    (f"{VALUES}be_between", {"column": "day", "min_value": "1990-01-01", "max_value": "2026-03-01"}, 2),
    (f"{VALUES}be_between", {"column": "at", "max_value": "2026-03-02"}, 1),
    (f"{VALUES}be_between", {"column": "at", "max_value": "2026-03-02", "strict_max": True}, 2),
    (f"{VALUES}be_in_set", {"column": "name", "value_set": ["ann", "C12", "it's"]}, 2),
    (f"{VALUES}be_in_set", {"column": "full name", "value_set": ["it's"]}, 3),
    (f"{VALUES}be_in_set", {"column": "pieces", "value_set": [1, 7.0]}, 2),
    (f"{VALUES}be_in_set", {"column": "price", "value_set": [0.1, 0.3, 0]}, 1),
    (f"{VALUES}be_in_set", {"column": "paid", "value_set": [True]}, 1),
    (f"{VALUES}be_in_set", {"column": "day", "value_set": ["2026-03-01"]}, 3),
    (f"{VALUES}not_be_in_set", {"column": "name", "value_set": ["ann", ""]}, 2),
    (f"{VALUES}not_be_in_set", {"column": "pieces", "value_set": [-3]}, 1),
    (f"{VALUES}match_regex", {"column": "name", "regex": r"^\S(.{0,126}\S)?$"}, 2),
    (f"{VALUES}match_regex", {"column": "full name", "regex": r"^[\p{Print}]*$"}, 1),
    (f"{VALUES}not_match_regex", {"column": "name", "regex": r"^C\d+"}, 2),
    (LENGTHS, {"column": "name", "min_value": 1}, 1),
    (LENGTHS, {"column": "full name", "min_value": 1, "max_value": 4, **STRICT}, 3),
    (PAIR, {"column_A": "sold", "column_B": "pieces"}, 2),
    (PAIR, {"column_A": "sold", "column_B": "pieces", "or_equal": True, "ignore_row_if": "neither"}, 0),
    (PAIR, {"column_A": "weight", "column_B": "price", "ignore_row_if": "either_value_is_missing"}, 2),
    (PAIR, {"column_A": "at", "column_B": "day", "or_equal": True}, 0),
    # The condition is true for some rows, false for others and null for the rest.
    (f"{VALUES}not_be_null", {"column": "full name", "row_condition": "pieces IS NULL OR sold > 0", **SOME}, 2),
    (f"{VALUES}be_between", {"column": "price", "min_value": 0.1, "row_condition": "paid", **SOME}, 0),
    (f"{VALUES}be_between", {"column": "price", "min_value": 1, "row_condition": "NOT paid OR sold > 0", **SOME}, 3),
    (f"{VALUES}match_regex", {"column": "name", "regex": "^C", "row_condition": "1 / pieces < 1 ", **SOME}, 1),
    (f"{VALUES}be_in_set", {"column": "name", "value_set": ["x"], "row_condition": r"`full name` = '\''", **SOME}, 0),
    (LENGTHS, {"column": "name", "max_value": 2, "row_condition": "weight <> 0.5", **SOME}, 3),
    (PAIR, {"column_A": "sold", "column_B": "pieces", "row_condition": "name = ''", **SOME}, 1),
    (
        f"{VALUES}not_match_regex",
        {"column": "name", "regex": "n", "row_condition": {
            "type": "comparison", "column": {"name": "full name"}, "operator": "IN", "parameter": ["Ann B", "x"],
        }},
        1,
    ),
]  # fmt: skip


def suite_of(path: Path, *expectations: dict[str, Any]) -> Suite:
    """The suite of these expectations, read as a contract's own is."""
    path.write_text(json.dumps({"name": "orders", "expectations": list(expectations)}))
    return read_suite(path, TYPES)


def expectation(kind: str, severity: str = "critical", **kwargs: Any) -> dict[str, Any]:
    """One expectation as it stands in a suite's file."""
    return {"type": f"expect_{kind}", "kwargs": kwargs, "severity": severity}


@pytest.fixture(scope="module")
def batch(spark: SparkSession) -> DataFrame:
    """Six rows, two of them all null."""
    return spark.createDataFrame(ROWS, COLUMNS)


def test_great_expectations_counts_what_the_compiled_rules_count(batch: DataFrame, tmp_path: Path) -> None:
    """Both ways of judging find the same breaking rows for every type of row rule, whatever the values and conditions.

    `judge` itself holds the two counts against each other: here they are held against the numbers above.
    """
    rules = [expectation(kind, "warning", **kwargs) for kind, kwargs, _ in ROW_RULES]
    verdicts = judge(batch, suite_of(tmp_path / "orders.json", *rules))
    found = [f"{one.name}: {one.observed.removesuffix(' rows do not').partition(' of ')[0]}" for one in verdicts]
    assert found == [f"{one.name}: {count}" for one, (_, _, count) in zip(verdicts, ROW_RULES, strict=True)]
    assert [verdict.passed for verdict in verdicts] == [count == 0 for _, _, count in ROW_RULES]


@pytest.mark.parametrize("rows", [[], [ROWS[-1]] * 2], ids=["no rows", "nulls alone"])
def test_of_a_batch_that_holds_nothing_few_rules_can_fail(spark: SparkSession, tmp_path: Path, rows: list[Any]) -> None:
    """Without values every row rule but the one about null passes; the row count tells that nothing came."""
    rules = [expectation(kind, **kwargs) for kind, kwargs, _ in ROW_RULES]
    suite = suite_of(tmp_path / "orders.json", *rules, expectation("table_row_count_to_be_between", min_value=1))
    failed = {verdict.name for verdict in judge(spark.createDataFrame(rows, COLUMNS), suite) if not verdict.passed}
    if rows:
        assert failed == {name for name in suite.names if "not_be_null" in name}
    else:
        assert failed == {"orders.table.table_row_count_to_be_between"}


TEXTS = (
    st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=6) | st.sampled_from("aC ")
)
NUMBERS = st.none() | st.integers(-3, 3) | st.integers(-(2**31), 2**31 - 1)
RECORDS = st.tuples(
    TEXTS, TEXTS, NUMBERS, st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.decimals(-9_999_999, 9_999_999, places=4), st.none() | st.floats(),
    st.none() | st.dates(date(1900, 1, 1), date(2199, 12, 31)),
    st.none() | st.datetimes(moment("1900-01-01"), moment("2199-12-31")), st.none() | st.booleans(),
)  # fmt: skip


PLAIN = [one for one in ROW_RULES if "row_condition" not in one[1]]


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(RECORDS, min_size=1, max_size=30), low=st.floats(-5, 5), high=st.integers(6, 2**53))
def test_any_rows_are_counted_alike(
    spark: SparkSession, tmp_path: Path, records: list[Any], low: float, high: int
) -> None:
    """Values nobody thought of: the two ways of judging still agree about each rule."""
    drawn = [
        expectation(f"{VALUES}be_between", "info", column=column, min_value=low, max_value=high)
        for column in ("pieces", "sold", "price", "weight")
    ]
    rules = [expectation(kind, "info", **kwargs) for kind, kwargs, _ in [*PLAIN, ROW_RULES[-1]]]
    verdicts = judge(spark.createDataFrame(records, COLUMNS), suite_of(tmp_path / "orders.json", *drawn, *rules))
    assert [f"{one.name}: {one.observed}" for one in verdicts if not one.observed.endswith(" rows do not")] == []


WHOLE: list[tuple[str, dict[str, Any], str, bool]] = [
    (f"{VALUES}be_unique", {"column": "name"}, "2 of 6 rows do not", False),
    (f"{VALUES}be_unique", {"column": "day", "mostly": 0.9}, "0 of 6 rows do not", True),
    ("compound_columns_to_be_unique", {"column_list": ["name", "full name"]}, "0 of 6 rows do not", True),
    (
        "compound_columns_to_be_unique",
        {"column_list": ["name", "paid"], "mostly": 0.5, "ignore_row_if": "any_value_is_missing"},
        "0 of 6 rows do not",
        True,
    ),
    ("table_row_count_to_be_between", {"min_value": 6, "max_value": 6}, "6", True),
    ("table_row_count_to_equal", {"value": 5}, "6", False),
    ("table_row_count_to_equal", {"value": 2, "row_condition": "paid", **SOME}, "2", True),
    ("column_mean_to_be_between", {"column": "pieces", "min_value": 1.25, "max_value": 1.25}, "1.25", True),
    ("column_mean_to_be_between", {"column": "pieces", "max_value": 3, "row_condition": "paid", **SOME}, "4.0", False),
    ("column_median_to_be_between", {"column": "pieces", "min_value": 0, "max_value": 1}, "0.5", True),
    ("column_stdev_to_be_between", {"column": "price", "max_value": 0.2}, "0.17078251276599332", True),
    ("column_sum_to_be_between", {"column": "price", "min_value": 0.3, "max_value": 0.3}, "0.3", True),
    ("column_sum_to_be_between", {"column": "weight", "min_value": 0}, "None", False),
    ("column_min_to_be_between", {"column": "day", "min_value": "1970-01-01"}, "1969-12-31", False),
    ("column_max_to_be_between", {"column": "day", "min_value": "2026-03-02"}, "2026-03-02", True),
    ("column_max_to_be_between", {"column": "sold", "max_value": 7, "row_condition": "sold < 9", **SOME}, "5", True),
    (
        "column_quantile_values_to_be_between",
        {"column": "pieces", "quantile_ranges": {"quantiles": [0, 1], "value_ranges": [[-3, 0], [None, 6]]}},
        "{'quantiles': [0.0, 1.0], 'values': [-3.0, 7.0]}",
        False,
    ),
    ("column_unique_value_count_to_be_between", {"column": "name", "min_value": 4, "max_value": 4}, "4", True),
    ("column_proportion_of_unique_values_to_be_between", {"column": "name", "max_value": 0.8}, "0.8", True),
    ("column_proportion_of_non_null_values_to_be_between", {"column": "paid", "min_value": 0.6}, "0.5", False),
    ("column_distinct_values_to_be_in_set", {"column": "name", "value_set": ["ann", ""]}, "2 unexpected values", False),
    ("column_distinct_values_to_contain_set", {"column": "pieces", "value_set": [1, 7]}, "0 missing values", True),
    (
        "column_distinct_values_to_equal_set",
        {"column": "paid", "value_set": [True, False]},
        "0 unexpected values, 0 missing values",
        True,
    ),
    ("column_distinct_values_to_contain_set", {"column": "day", "value_set": ["2026-03-01"]}, "0 missing values", True),
    ("column_most_common_value_to_be_in_set", {"column": "name", "value_set": ["C12"]}, "['C12']", True),
    (
        "column_kl_divergence_to_be_less_than",
        {"column": "name", "partition_object": {"values": ["C12", "ann"], "weights": [0.7, 0.3]}, "threshold": 0.1},
        "None",
        False,
    ),
    (
        "column_kl_divergence_to_be_less_than",
        {"column": "pieces", "partition_object": {"bins": [-3, 0, 7], "weights": [0.25, 0.75]}, "threshold": 0.1},
        "0.0",
        True,
    ),
]  # fmt: skip


def test_every_rule_about_the_whole_is_judged_on_spark(batch: DataFrame, tmp_path: Path) -> None:
    """What it observes and whether that passes, for every type that only gates, with conditions and without."""
    rules = [expectation(kind, "warning", **kwargs) for kind, kwargs, _, _ in WHOLE]
    verdicts = judge(batch, suite_of(tmp_path / "orders.json", *rules))
    found = [(one["type"], verdict.observed, verdict.passed) for one, verdict in zip(rules, verdicts, strict=True)]
    assert found == [(f"expect_{kind}", observed, passed) for kind, _, observed, passed in WHOLE]
    assert {one.severity for one in verdicts} == {Severity.WARNING}


# Of each table the night makes: rows of which the last ones break each rule of its suite once.
DERIVED: dict[str, tuple[str, list[Any]]] = {
    "daily_activity": (
        "customer_id STRING, event_date DATE, known_date DATE, delivery_id STRING, events BIGINT",
        [("1", DAY, DAY, "d", 1), (None, None, None, None, None)],
    ),
    "known_customers": (
        "customer_id STRING, first_known_date DATE",
        [("1", DAY), ("", None), (None, DAY)],
    ),
    "population": (
        "customer_id STRING, eligible BOOLEAN, reason STRING",
        [("1", True, None), ("2", False, "left"), ("1", False, None), (None, None, None)],
    ),
    "features": (
        "customer_id STRING, history_days INT",
        [("1", 1), ("1", 0), (None, None)],
    ),
    "scores": (
        "customer_id STRING, churn_probability DOUBLE, reason_1_direction STRING",
        [("1", 0.0, "raises"), ("2", 1.0, None), ("1", NAN, "lifts"), (None, None, "lowers")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("table", DERIVED)
def test_tables_of_the_night_are_judged_alike_in_one_pass(spark: SparkSession, table: str) -> None:
    """Without Great Expectations, but with its verdicts and counts: over bad rows, over good ones and over none."""
    columns, bad = DERIVED[table]
    suite = built_in_suite(table, [name.split()[0] for name in columns.split(", ")])
    for rows in (bad, bad[:1], []):
        frame = spark.createDataFrame(rows, columns)
        one_pass, judged = judge_in_one_pass(frame, suite), judge(frame, suite)
        assert [told(one) for one in one_pass] == [told(one) for one in judged]
    assert not any(one.passed for one in judge_in_one_pass(spark.createDataFrame(bad, columns), suite)
                   if "row_count" not in one.name)  # fmt: skip


def told(verdict: Verdict) -> tuple[Any, ...]:
    """A verdict; of repeated values Great Expectations tells the share of different ones, the pass their number."""
    is_share = verdict.name.endswith("one_row_each")
    return verdict.name, verdict.severity, verdict.passed, verdict.expected, is_share or verdict.observed


def test_what_cannot_be_judged_in_one_pass_is_refused(batch: DataFrame, tmp_path: Path) -> None:
    """A rule that the one pass does not know is an error, never left out."""
    suite = suite_of(tmp_path / "orders.json", expectation("column_mean_to_be_between", column="pieces", min_value=0))
    with pytest.raises(DataRefusedError, match="column_mean_to_be_between: cannot be judged in one pass"):
        judge_in_one_pass(batch, suite)


def test_two_ways_of_judging_that_disagree_are_a_no(batch: DataFrame) -> None:
    """A rule that sets aside other rows than Great Expectations counts stops the night, whatever its severity."""
    fine = expectation("column_values_to_not_be_null", "info", column="name", mostly=0.5)
    rule = RowRule("orders.name.not_be_null", Severity.INFO, "COALESCE(`name` = '', FALSE) OR `name` IS NULL")
    (verdict,) = judge(batch, Suite("orders", (fine,), (rule,)))
    assert (verdict.passed, verdict.severity) == (False, Severity.CRITICAL)
    assert verdict.observed == ("the two ways of judging disagree: Great Expectations counts 1, the compiled rule 2")


def test_whatever_great_expectations_raises_is_a_no(batch: DataFrame) -> None:
    """A suite that it cannot even take in refuses the batch; nothing is published on half a verdict."""
    broken = expectation("column_values_to_be_between", column="pieces", min_value=[])
    with pytest.raises(DataRefusedError, match="suite orders: Great Expectations broke off"):
        judge(batch, Suite("orders", (broken,), ()))


def test_what_only_spark_can_tell_is_told_before_a_row_is_read(spark: SparkSession, tmp_path: Path) -> None:
    """Patterns and conditions are given to Spark itself, on no rows; each one it cannot take is named."""
    condition = {"column": "name", "row_condition": "pieces + 1", **SOME}
    rules = [
        expectation(f"{VALUES}match_regex", column="name", regex=r"\d{2,}+$"),
        expectation(f"{VALUES}not_match_regex", column="name", regex="(?P<a>x)"),
        expectation(f"{VALUES}match_regex", column="name", regex="[a"),
        expectation(f"{VALUES}not_be_null", **condition),
        expectation(f"{VALUES}not_be_null", column="pieces", row_condition="pieces > 1", condition_parser="spark"),
    ]
    problems = suite_problems(spark, suite_of(tmp_path / "orders.json", *rules), TYPES)
    assert [problem.split(": ")[:2] for problem in problems] == [
        ["orders.name.not_match_regex", "regex '(?P<a>x)' is none that Java can read"],
        ["orders.name.match_regex.2", "regex '[a' is none that Java can read"],
        ["orders.name.not_be_null", "row_condition 'TRY_ADD(pieces, 1)'"],
    ]


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


def _verdict(name: str, severity: Severity) -> Verdict:
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
        ("orders.name.not_be_null", "warning", False, "1 of 6 rows do not"),
        ("orders.table.table_row_count_to_be_between", "critical", True, "6"),
        ("orders.pieces.be_between", "critical", True, "0 of 6 rows do not"),
    ]
    assert {(check.kind, check.source) for check in checks} == {("expectation", "orders")}
