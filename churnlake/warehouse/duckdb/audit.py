"""The audit of a load: everything that must hold before it may be published, counted from the files on the disk."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from churnlake import calendar
from churnlake.errors import DataRefusedError
from churnlake.warehouse.duckdb.connection import exact_paths, set_variables
from churnlake.warehouse.records import Load


@dataclass(frozen=True)
class Audit:
    """What was counted, and every fault as one phrase; a load with a fault is never published."""

    customers_scored: int
    customers_not_scored: int
    faults: tuple[str, ...]


def audit(connection: duckdb.DuckDBPyConnection, run_id: str, scores: Path, not_scored: Path) -> Audit:
    """Judge the written files against the inputs, the views `scored` and `population` of the connection.

    Raises:
        DataRefusedError: The audit could not be carried out, which counts as failed.
    """
    files = {"audited_scores": exact_paths([scores]), "audited_not_scored": exact_paths([not_scored])}
    set_variables(connection, {**files, "run_id": run_id})
    for name in files:
        connection.execute(
            f"CREATE TEMP VIEW {name} AS SELECT * FROM read_parquet(getvariable('{name}'), hive_partitioning = false)"  # noqa: S608
        )
    counts = _row(connection, _SCORES_SQL) | _row(connection, _POPULATION_SQL) | _row(connection, _COVERAGE_SQL)
    faults = [phrase.format(**counts) for phrase, fault in _RULES if counts[fault]]
    return Audit(counts["rows"], counts["not_scored"], tuple(faults))


def audit_outcomes(connection: duckdb.DuckDBPyConnection, cohort: Load, outcomes: Path, scores: Path) -> list[str]:
    """Judge the written outcomes of a cohort against the scores it was published with; every fault as one phrase.

    Raises:
        DataRefusedError: The audit could not be carried out, which counts as failed.
    """
    last_day = calendar.label_window(cohort.business_date, cohort.gap_days, cohort.horizon_days).last
    files = {"audited_outcomes": exact_paths([outcomes]), "cohort_scores": exact_paths([scores])}
    set_variables(connection, {**files, "cohort": cohort.business_date, "last_day": last_day})
    counts = _row(connection, _OUTCOMES_SQL)
    told = [phrase.format(**counts) for phrase, fault in _OUTCOME_RULES if counts[fault]]
    return [f"outcomes of {cohort.business_date}: {fault}" for fault in told]


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or ()]
    row = cursor.fetchone()
    # A check without an answer must not pass as one without a fault.
    if row is None or any(value is None for value in row):
        raise DataRefusedError(f"the audit got no answer: {dict(zip(names, row or (), strict=False))}")
    return dict(zip(names, (int(value) for value in row), strict=True))


_RULES = (
    ("{rows} rows written of {given} given", "lost"),
    ("{without_id} rows without a customer_id", "without_id"),
    ("{twice} customer ids more than once among the scores", "twice"),
    ("{bad_probability} probabilities that are null or outside 0 to 1", "bad_probability"),
    ("{bad_date} rows of another business_date", "bad_date"),
    ("{bad_run} rows of another run", "bad_run"),
    ("risk_rank does not run from 1 to {rows}", "bad_rank"),
    ("{bad_share} rows whose percentile, decile or band is out of range", "bad_share"),
    ("{bad_reason} rows whose reasons are incomplete, out of order, of an unknown direction or feature", "bad_reason"),
    ("{known_twice} customer ids more than once in the population", "known_twice"),
    ("{bad_population} population rows without an id, without eligible or of another business_date", "bad_population"),
    ("{unexplained} excluded customers without a reason", "unexplained"),
    ("{not_eligible} scored customers who are not eligible", "not_eligible"),
    ("{missing} eligible customers neither scored nor held with a reason", "missing"),
    ("{both} customers both scored and held", "both"),
    ("known {known} is not scored {rows} + not scored {not_scored}", "unbalanced"),
)

_OUTCOME_RULES = (
    ("{twice} customer ids more than once", "twice"),
    ("{incomplete} rows without a customer, an outcome or the day it was known", "incomplete"),
    ("{bad_date} rows of another business_date", "bad_date"),
    ("{too_early} rows known before the last day they are about", "too_early"),
    ("{bad_end} rows with a day of churn that fits no churn of theirs", "bad_end"),
    ("{not_scored} customers who had no score that date", "not_scored"),
)

_SCORES_SQL = """
SELECT count(*) AS rows, (SELECT count(*) FROM scored) AS given, count(*) <> (SELECT count(*) FROM scored) AS lost,
  count(*) FILTER (customer_id IS NULL OR customer_id = '') AS without_id,
  count(*) - count(DISTINCT customer_id) AS twice,
  count(*) FILTER ((churn_probability BETWEEN 0 AND 1) IS NOT TRUE) AS bad_probability,
  count(*) FILTER (business_date IS DISTINCT FROM getvariable('business_date')) AS bad_date,
  count(*) FILTER (run_id IS DISTINCT FROM getvariable('run_id')) AS bad_run,
  count(DISTINCT risk_rank) <> count(*) OR coalesce(min(risk_rank), 1) <> 1
    OR coalesce(max(risk_rank), 0) <> count(*) AS bad_rank,
  count(*) FILTER ((risk_percentile BETWEEN 1 AND 100 AND risk_decile BETWEEN 1 AND 10
    AND list_contains(list_append(getvariable('band_names'), 'low'), risk_band)) IS NOT TRUE) AS bad_share,
  count(*) FILTER (
    (reason_1_feature IS NULL AND reason_2_feature IS NOT NULL)
    OR (reason_2_feature IS NULL AND reason_3_feature IS NOT NULL)
    OR (reason_1_feature IS NOT NULL) <> coalesce(reason_1_direction IN ('raises', 'lowers'), false)
    OR (reason_2_feature IS NOT NULL) <> coalesce(reason_2_direction IN ('raises', 'lowers'), false)
    OR (reason_3_feature IS NOT NULL) <> coalesce(reason_3_direction IN ('raises', 'lowers'), false)
    OR (reason_1_feature IS NOT NULL AND reason_1_feature NOT IN (SELECT feature FROM wording))
    OR (reason_2_feature IS NOT NULL AND reason_2_feature NOT IN (SELECT feature FROM wording))
    OR (reason_3_feature IS NOT NULL AND reason_3_feature NOT IN (SELECT feature FROM wording))
    OR (reason_1_feature IS NULL) <> (reason_1_text IS NULL) OR (reason_2_feature IS NULL) <> (reason_2_text IS NULL)
    OR (reason_3_feature IS NULL) <> (reason_3_text IS NULL)) AS bad_reason
FROM audited_scores
"""

_POPULATION_SQL = """
SELECT count(*) AS known, count(*) - count(DISTINCT customer_id) AS known_twice,
  count(*) FILTER (customer_id IS NULL OR eligible IS NULL
    OR business_date::DATE IS DISTINCT FROM getvariable('business_date')) AS bad_population,
  count(*) FILTER (NOT eligible::BOOLEAN AND coalesce(reason, '') = '') AS unexplained,
  (SELECT count(*) FROM audited_not_scored) AS not_scored,
  count(*) <> (SELECT count(*) FROM audited_scores) + (SELECT count(*) FROM audited_not_scored) AS unbalanced
FROM population
"""

_COVERAGE_SQL = """
SELECT count(*) FILTER (scores.customer_id IS NOT NULL AND people.eligible::BOOLEAN IS NOT TRUE) AS not_eligible,
  count(*) FILTER (scores.customer_id IS NULL AND people.eligible::BOOLEAN AND coalesce(people.reason, '') = '')
    AS missing,
  count(*) FILTER (scores.customer_id IS NOT NULL AND people.eligible::BOOLEAN AND people.reason IS NOT NULL) AS both
FROM audited_scores AS scores FULL JOIN population AS people ON people.customer_id = scores.customer_id
"""

_OUTCOMES_SQL = """
WITH outcomes AS (SELECT * FROM read_parquet(getvariable('audited_outcomes'), hive_partitioning = false)),
scores AS (SELECT customer_id FROM read_parquet(getvariable('cohort_scores'), hive_partitioning = false))
SELECT count(*) - count(DISTINCT customer_id) AS twice,
  count(*) FILTER (customer_id IS NULL OR churned IS NULL OR matured_on IS NULL) AS incomplete,
  count(*) FILTER (business_date IS DISTINCT FROM getvariable('cohort')) AS bad_date,
  count(*) FILTER (matured_on < getvariable('last_day')) AS too_early,
  count(*) FILTER (churned_on IS NOT NULL AND (churned AND churned_on <= getvariable('last_day')) IS NOT TRUE)
    AS bad_end,
  count(*) FILTER (customer_id NOT IN (SELECT customer_id FROM scores)) AS not_scored
FROM outcomes
"""
