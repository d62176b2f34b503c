"""The gate on a batch: Great Expectations judges a suite over a frame; an exception inside it counts as a "no"."""

import os
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame

from churnlake.errors import DataRefusedError
from churnlake.ledger import CheckResult
from churnlake.suites import Severity, Suite


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


def judge(frame: DataFrame, suite: Suite) -> list[Verdict]:
    """Every expectation of the suite over the frame, in the suite's order.

    Raises:
        DataRefusedError: Great Expectations judged fewer expectations than the suite holds, so something was dropped.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "False"
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    # GX's own caching makes a batch 3 to 5 times slower; the caller has cached what is dear.
    batches = context.data_sources.add_spark(name=suite.name, persist=False)
    batch = batches.add_dataframe_asset(name=suite.name).add_batch_definition_whole_dataframe("whole")
    given = list(suite.expectations)
    held = context.suites.add(gx.ExpectationSuite(name=suite.name, expectations=given))
    if len(held.expectations) != len(given):
        raise DataRefusedError(
            f"suite {suite.name}: Great Expectations kept {len(held.expectations)} of {len(given)} expectations"
        )
    validation = gx.ValidationDefinition(name=suite.name, data=batch, suite=held)
    context.validation_definitions.add(validation)
    # Counts without sample queries: the samples are in quarantine.
    result_format = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
    results = validation.run(batch_parameters={"dataframe": frame}, result_format=result_format).results
    return _in_order(suite.name, [str(one.id) for one in held.expectations], results)


def _in_order(suite: str, ids: list[str], results: list[Any]) -> list[Verdict]:
    """GX answers grouped by column: results are matched by the ids it gave when it took the suite in."""
    by_id = {result.expectation_config.id: result for result in results}
    if set(by_id) != set(ids):
        raise DataRefusedError(f"suite {suite}: {len(by_id)} of {len(ids)} expectations were judged")
    return _named_apart([_verdict(suite, by_id[one]) for one in ids])


def _named_apart(verdicts: list[Verdict]) -> list[Verdict]:
    """Two expectations of one type on one column get names of their own: a record keeps one result under each name."""
    met: Counter[str] = Counter()
    apart = []
    for verdict in verdicts:
        met[verdict.name] += 1
        apart.append(
            verdict if met[verdict.name] == 1 else replace(verdict, name=f"{verdict.name}.{met[verdict.name]}")
        )
    return apart


def _verdict(suite: str, result: Any) -> Verdict:
    config = result.expectation_config
    kwargs = {key: value for key, value in config.kwargs.items() if key not in ("column", "batch_id", "mostly")}
    column = config.kwargs.get("column", "table")
    short = config.type.removeprefix("expect_column_values_to_").removeprefix("expect_")
    failed = _exception_text(result.exception_info)
    expected = f"{short.replace('_', ' ')} {kwargs or ''}".strip() + (
        f" for {config.kwargs['mostly']:.2%} of rows" if "mostly" in config.kwargs else ""
    )
    observed = f"the check itself failed: {failed}" if failed else _observed(result.result)
    # A check that could not be made is no pass at any level: it stops the night.
    severity = Severity.CRITICAL if failed else Severity(str(getattr(config.severity, "value", config.severity)))
    return Verdict(f"{suite}.{column}.{short}", severity, bool(result.success) and not failed, observed, expected)


def _exception_text(info: Any) -> str | None:
    """GX reports exceptions either at the top or keyed by metric."""
    if not info:
        return None
    parts = [info] if "raised_exception" in info else list(info.values())
    raised = [part for part in parts if isinstance(part, dict) and part.get("raised_exception")]
    return str(raised[0].get("exception_message", "unknown"))[:300] if raised else None


def _observed(result: dict[str, Any]) -> str:
    if "unexpected_count" in result:
        return f"{result['unexpected_count']} of {result.get('element_count', 0)} rows do not"
    return str(result.get("observed_value"))


def refuse_critical(verdicts: list[Verdict]) -> None:
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
            next_step="repair the delivery and run again; last night's scores stay",
        )
