"""The score stage: one pass over the feature snapshot gives probability and reasons."""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.errors import ChurnlakeError
from churnlake.model.levels import Category
from churnlake.model.plan import Scored, ScoringPlan

# Spark's Python workers import this module for every job: what only the driver needs stays out of their start.
if TYPE_CHECKING:
    from churnlake.ledger import Run
    from jobs.application import Application, OpenStage

REASONS = 3
_REASON_COLUMNS = ", ".join(
    f"reason_{place}_feature STRING, reason_{place}_value DOUBLE, reason_{place}_direction STRING, "
    f"reason_{place}_level STRING"
    for place in range(1, REASONS + 1)
)
SCORES = f"customer_id STRING, churn_probability DOUBLE, {_REASON_COLUMNS}"


def score_features(features: DataFrame, plan: ScoringPlan) -> DataFrame:
    """One row per row of `features`: customer_id, churn_probability (0 to 1), three reasons by feature family."""
    columns = [F.col(name) for name in plan.features]
    return features.select("customer_id", *columns).mapInArrow(_scorer(plan.to_json()), SCORES)


def _scorer(plan_json: str) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    def score(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        plan = ScoringPlan.from_json(plan_json)
        for batch in batches:
            yield _scored_batch(plan, batch)

    return score


def _scored_batch(plan: ScoringPlan, batch: pa.RecordBatch) -> pa.RecordBatch:
    # An absent value is null in Arrow and NaN in the plan's matrix.
    numbers = [batch.column(term.name).to_numpy(zero_copy_only=False) for term in plan.terms]
    codes = [_codes(term.category, batch.column(term.name)) for term in plan.categories]
    scored = plan.score(np.column_stack([*numbers, *codes]).astype(np.float64, copy=False))
    return pa.RecordBatch.from_pydict(
        {"customer_id": batch.column("customer_id"), "churn_probability": pa.array(scored.probability)}
        | _reason_arrays(plan, scored, batch)
    )


def _codes(category: Category, texts: pa.Array) -> NDArray[np.float64]:
    """The plan's codes of a column: each different text is looked up once."""
    found = texts.dictionary_encode()
    codes = category.encode([*found.dictionary.to_pylist(), None])
    places: NDArray[np.int32] = found.indices.fill_null(len(codes) - 1).to_numpy(zero_copy_only=False)
    return codes[places]


def _reason_arrays(plan: ScoringPlan, scored: Scored, batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """In the order of the columns: Spark goes by place, not by name."""
    names = pa.array(plan.features, pa.string())
    arrays: dict[str, pa.Array] = {}
    for place in range(REASONS):
        feature = scored.reason_feature[:, place]
        absent = feature < 0
        arrays[f"reason_{place + 1}_feature"] = names.take(pa.array(feature.astype(np.int32), mask=absent))
        value = scored.reason_value[:, place]
        arrays[f"reason_{place + 1}_value"] = pa.array(value, mask=absent | np.isnan(value))
        direction = np.where(scored.reason_direction[:, place] > 0, "raises", "lowers").astype(object)
        arrays[f"reason_{place + 1}_direction"] = pa.array(direction, pa.string(), mask=absent)
        arrays[f"reason_{place + 1}_level"] = _told_texts(plan, feature, batch)
    return arrays


def _told_texts(plan: ScoringPlan, feature: NDArray[np.int16], batch: pa.RecordBatch) -> pa.Array:
    """The text of the category that is told in each row; a number has its value instead."""
    texts = pa.nulls(batch.num_rows, pa.string())
    for column, term in enumerate(plan.categories, start=len(plan.terms)):
        told = feature == column
        if told.any():
            texts = pc.if_else(pa.array(told), batch.column(term.name), texts)
    return texts


def score(app: "Application", run: "Run", stage: "OpenStage", plan: ScoringPlan, snapshot: Mapping[str, Any]) -> None:
    """Writes the scores of the run, one for every eligible customer of its snapshot.

    `snapshot` holds the counts of the features stage.

    Raises:
        ChurnlakeError: Rows scored differ from customers eligible.
    """
    from churnlake.ledger import CheckResult
    from jobs.quality import audit

    lake, day, eligible = app.lake, run.business_date, snapshot["eligible"]
    features = lake.read("features", snapshot["versions"]["features"]).filter(F.col("business_date") == day)
    stage.say(f"scoring {eligible:,} customers")
    scored = score_features(features, plan).select(
        F.lit(day).alias("business_date"), F.lit(run.run_id).alias("run_id"), "*"
    )
    commit = lake.replace("scores", scored, {"business_date": day, "run_id": run.run_id}, run.run_id)
    check = CheckResult(
        "reconciliation", "scores", "scored", "critical", commit.rows == eligible, str(commit.rows), str(eligible)
    )
    app.ledger.record_checks(run.run_id, [check])
    if not check.passed:
        raise ChurnlakeError(f"score: {commit.rows} rows for {eligible} eligible customers")
    mine = (F.col("business_date") == day) & (F.col("run_id") == run.run_id)
    audit(app, run.run_id, "scores", lake.read("scores", commit.version).filter(mine))
    stage.counts.update(eligible=eligible, scored=commit.rows, held=0, versions={"scores": commit.version})
    app.reach("score.written")
