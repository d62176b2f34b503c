"""The gate on a batch: Great Expectations judges a suite over a frame; an exception inside it counts as a "no".

Row rules are judged twice, by Great Expectations and by the SQL that sets rows aside; where their counts differ the
answer is "no" as well.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.errors import DataRefusedError
from churnlake.ledger import CheckResult
from churnlake.suites import Severity, Suite, read_suite, type_problems
from churnlake.suites.suite import short_type

if TYPE_CHECKING:
    from jobs.application import Application

EXPECTATIONS = Path(__file__).resolve().parent.parent / "expectations"
_UNIQUE = "expect_column_proportion_of_unique_values_to_be_between"
_ROW_COUNT = "expect_table_row_count_to_be_between"
# What stands in a verdict's name or in its share already.
_TOLD_ELSEWHERE = ("column", "mostly", "condition_parser")


@dataclass(frozen=True)
class Verdict:
    """What one expectation said of a batch."""

    name: str
    severity: Severity
    passed: bool
    observed: str
    expected: str

    def as_check(self, source: str) -> CheckResult:
        return CheckResult(
            "expectation", source, self.name, self.severity.value, self.passed, self.observed, self.expected
        )


def suite_problems(spark: SparkSession, suite: Suite, types: Mapping[str, str]) -> list[str]:
    """What Spark itself cannot take of a suite over columns of these types, before a row is read; empty when all fits.

    `types` are Spark's names, as in `DataFrame.dtypes`.
    """
    problems = type_problems(suite, types)
    if problems:
        return problems
    patterns = {name: one["kwargs"]["regex"] for name, one in _expectations(suite) if "regex" in one["kwargs"]}
    row = spark.sql("SELECT 1")
    if patterns and _refusal(row, *patterns.values()):
        problems += [
            f"{name}: regex {pattern!r} is none that Java can read: {told}"
            for name, pattern in patterns.items()
            if (told := _refusal(row, pattern))
        ]
    empty = spark.createDataFrame([], ", ".join(f"`{column}` {kind}" for column, kind in types.items()))
    for name, one in _expectations(suite):
        condition = one["kwargs"].get("row_condition")
        if condition and (told := _filter_refusal(empty, condition)):
            problems.append(f"{name}: row_condition {condition!r}: {told}")
    return problems


def _expectations(suite: Suite) -> Iterator[tuple[str, dict[str, Any]]]:
    return zip(suite.names, suite.expectations, strict=True)


def _refusal(row: DataFrame, *patterns: str) -> str | None:
    """What Spark says of patterns it cannot compile; it compiles one when it first meets a text."""
    try:
        row.select(*(F.lit("").rlike(pattern) for pattern in patterns)).collect()
    except PySparkException as problem:
        return str(problem).splitlines()[0]
    return None


def _filter_refusal(empty: DataFrame, condition: str) -> str | None:
    try:
        empty.filter(condition)
    except PySparkException as problem:
        return str(problem).splitlines()[0]
    return None


def judge(frame: DataFrame, suite: Suite) -> list[Verdict]:
    """Every expectation of the suite over the frame, in the suite's order.

    Raises:
        DataRefusedError: Great Expectations broke off, or judged fewer expectations than the suite holds.
    """
    if not suite.expectations:
        return []
    try:
        ids, results = _great_expectations(frame, suite)
    except DataRefusedError:
        raise
    except Exception as problem:
        # Whatever it is, no verdict was given, and that is a "no".
        raise DataRefusedError(
            f"suite {suite.name}: Great Expectations broke off: {problem!r}"[:500],
            next_step="repair the expectation or the column it names; last night's scores stay",
        ) from problem
    by_id = {result.expectation_config.id: result for result in results}
    if set(by_id) != set(ids):
        raise DataRefusedError(f"suite {suite.name}: {len(by_id)} of {len(ids)} expectations were judged")
    counts = _breaking_rows(frame, suite)
    # GX answers grouped by column: results are matched by the ids it gave when it took the suite in.
    judged = zip(suite.names, suite.expectations, ids, strict=True)
    return [_verdict(name, one, by_id[identity], counts) for name, one, identity in judged]


def _great_expectations(frame: DataFrame, suite: Suite) -> tuple[list[str], Sequence[Any]]:
    """The ids of the suite's expectations in its order, and the results in Great Expectations' own."""
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    # GX's own caching makes a batch 3 to 5 times slower; the caller has cached what is dear.
    source = context.data_sources.add_spark(name=suite.name, persist=False)
    whole = source.add_dataframe_asset(name=suite.name).add_batch_definition_whole_dataframe("whole")
    given = list(suite.expectations)
    held = context.suites.add(gx.ExpectationSuite(name=suite.name, expectations=given))
    if len(held.expectations) != len(given):
        raise DataRefusedError(
            f"suite {suite.name}: Great Expectations kept {len(held.expectations)} of {len(given)} expectations"
        )
    # Counts without sample queries: the samples are in quarantine.
    result_format = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
    batch = whole.get_batch(batch_parameters={"dataframe": frame})
    return [str(one.id) for one in held.expectations], batch.validate(held, result_format=result_format).results


def _breaking_rows(frame: DataFrame, suite: Suite) -> dict[str, int | None]:
    """Rows that break each row rule, by the compiled SQL that sets rows aside; None for all where Spark cannot say."""
    rules = suite.row_rules
    if not rules:
        return {}
    try:
        counted = frame.agg(*(F.count_if(F.expr(rule.breaks)).alias(str(n)) for n, rule in enumerate(rules)))
        return dict(zip((rule.name for rule in rules), counted.collect()[0], strict=True))
    except PySparkException:
        return dict.fromkeys(rule.name for rule in rules)


def _verdict(name: str, expectation: Mapping[str, Any], result: Any, compiled: Mapping[str, int | None]) -> Verdict:
    config = result.expectation_config
    failed = _exception_text(result.exception_info)
    severity = Severity(str(getattr(config.severity, "value", config.severity)))
    observed = _observed(result.result)
    if failed:
        observed = f"the check itself failed: {failed}"
    elif name in compiled and compiled[name] != _unexpected(result.result):
        failed = f"Great Expectations counts {_unexpected(result.result)}, the compiled rule {compiled[name]}"
        observed = f"the two ways of judging disagree: {failed}"
    # A check that could not be made is no pass at any level: it stops the night.
    return Verdict(
        name,
        Severity.CRITICAL if failed else severity,
        bool(result.success) and not failed,
        observed,
        _expected(expectation),
    )


def _unexpected(result: Mapping[str, Any]) -> int | None:
    """The rows that break a rule; Great Expectations counts nothing at all where there are no rows."""
    counted: int | None = result.get("unexpected_count")
    return 0 if counted is None and result.get("element_count") == 0 else counted


def _expected(expectation: Mapping[str, Any]) -> str:
    kwargs = expectation["kwargs"]
    told = ", ".join(f"{key} {value!r}" for key, value in kwargs.items() if key not in _TOLD_ELSEWHERE)
    share = f" for {kwargs['mostly']:.2%} of rows" if "mostly" in kwargs else ""
    return f"{short_type(expectation['type']).replace('_', ' ')} {told}".strip() + share


def _exception_text(info: Any) -> str | None:
    """GX reports exceptions either at the top or keyed by metric."""
    if not info:
        return None
    parts = [info] if "raised_exception" in info else list(info.values())
    raised = [part for part in parts if isinstance(part, dict) and part.get("raised_exception")]
    return str(raised[0].get("exception_message", "unknown"))[:300] if raised else None


def _observed(result: Mapping[str, Any]) -> str:
    if "element_count" in result:
        return f"{_unexpected(result)} of {result['element_count']} rows do not"
    if "unexpected_count" in result or "missing_count" in result:
        told = {"unexpected": result.get("unexpected_count"), "missing": result.get("missing_count")}
        return ", ".join(f"{count} {word} values" for word, count in told.items() if count is not None)
    return str(result.get("observed_value"))


def audit(app: "Application", run_id: str, table: str, frame: DataFrame) -> None:
    """Judges rows of a table that the night made itself by the built-in suite of that name, and records the verdicts.

    Raises:
        DataRefusedError: A critical expectation failed.
    """
    suite = built_in_suite(table, frame.columns)
    verdicts = judge_in_one_pass(frame, suite)
    app.ledger.record_checks(run_id, [verdict.as_check(table) for verdict in verdicts])
    refuse_critical(verdicts, next_step="nothing was published; report this with the run's folder")


def built_in_suite(table: str, columns: Sequence[str]) -> Suite:
    """The checkout's own suite over a table of the lake.

    Raises:
        ContractError: It names a column that the table does not have.
    """
    return read_suite(EXPECTATIONS / f"{table}.json", columns)


def judge_in_one_pass(frame: DataFrame, suite: Suite) -> list[Verdict]:
    """The same verdicts as `judge`, without Great Expectations: one aggregate, for tables of the night's own making.

    Takes rules about rows that all rows must fit, row counts, and columns whose values must all differ.

    Raises:
        DataRefusedError: The suite holds anything else.
    """
    breaks = {rule.name: rule.breaks for rule in suite.row_rules}
    columns = [_tally(name, one, breaks).alias(str(place)) for place, (name, one) in enumerate(_expectations(suite))]
    tallies = frame.agg(*columns).collect()[0]
    return [
        _one_pass_verdict(name, one, *tally) for (name, one), tally in zip(_expectations(suite), tallies, strict=True)
    ]


def _tally(name: str, expectation: Mapping[str, Any], breaks: Mapping[str, str]) -> Column:
    """What an expectation is judged by: of how many rows or values, and how many of them break it."""
    kwargs = expectation["kwargs"]
    condition = kwargs.get("row_condition")
    if name in breaks and kwargs.get("mostly", 1) == 1:
        asked = F.count_if(F.expr(condition)) if condition else F.count("*")
        return F.struct(asked, F.count_if(F.expr(breaks[name])))
    if expectation["type"] == _UNIQUE and kwargs.get("min_value") == 1 and not condition:
        known = F.count(kwargs["column"])
        return F.struct(known, known - F.count_distinct(kwargs["column"]))
    if expectation["type"] == _ROW_COUNT and set(kwargs) <= {"min_value", "max_value"}:
        return F.struct(F.count("*"), F.lit(0))
    raise DataRefusedError(
        f"{name}: cannot be judged in one pass",
        next_step="rules over tables of the night: about every row, a row count, or values that all differ",
    )


def _one_pass_verdict(name: str, expectation: Mapping[str, Any], asked: int, breaking: int) -> Verdict:
    kind, kwargs = expectation["type"], expectation["kwargs"]
    passed, observed = breaking == 0, f"{breaking} of {asked} rows do not"
    if kind == _ROW_COUNT:
        passed, observed = kwargs.get("min_value", 0) <= asked <= kwargs.get("max_value", asked), str(asked)
    elif kind == _UNIQUE:
        # As Great Expectations has it: of no values none are different.
        passed, observed = breaking == 0 < asked, f"{breaking} of {asked} repeat another"
    severity = Severity(expectation.get("severity", "critical"))
    return Verdict(name, severity, passed, observed, _expected(expectation))


def refuse_critical(
    verdicts: Sequence[Verdict], next_step: str = "repair the delivery and run again; last night's scores stay"
) -> None:
    """Stops the night when a critical expectation failed, naming each.

    Raises:
        DataRefusedError: At least one critical verdict is a no.
    """
    broken = [
        f"{one.name}: expected {one.expected}; {one.observed}"
        for one in verdicts
        if not one.passed and one.severity is Severity.CRITICAL
    ]
    if broken:
        raise DataRefusedError(
            "critical checks failed:\n  - " + "\n  - ".join(broken),
            next_step=next_step,
        )
