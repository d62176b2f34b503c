"""From labelled rows to a calibrated model: split, choose, calibrate, fit once, evaluate out of time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from churnlake.errors import ModelRefusedError
from churnlake.features import Feature
from churnlake.model.calibrate import Calibration, calibrate
from churnlake.model.evaluate import Evaluation, evaluate
from churnlake.model.pipeline import (
    Candidate,
    build_candidates,
    build_classifier,
    build_preparation,
    compile_plan,
    fit_or_fail,
    recalibrate,
)
from churnlake.model.plan import ScoringPlan
from churnlake.model.search import CandidateScore, Search, search_by_customer
from churnlake.model.split import Protocol, Sample, Split, split_rows


@dataclass(frozen=True)
class FittedModel:
    """A calibrated model and its results on the test cutoffs, not yet judged.

    `pipeline` takes a frame of `candidate.features` and its `predict_proba` is calibrated already; `plan` is the same
    model compiled. `test_predictions` has business_date, customer_id, is_churned, churn_probability (the plan's).
    """

    pipeline: Pipeline
    plan: ScoringPlan
    candidate: Candidate
    search_table: tuple[CandidateScore, ...]
    calibration: Calibration
    evaluation: Evaluation
    test_predictions: pd.DataFrame
    protocol: Protocol
    split: Split
    catalogue: tuple[Feature, ...]

    def pipeline_probability(self) -> NDArray[np.float64]:
        """The pipeline's probabilities of the test rows, float64[n]: what the plan's are held against."""
        features = list(self.candidate.features)
        frame = pd.DataFrame(self.split.test.columns(features), columns=features)
        return np.asarray(self.pipeline.predict_proba(frame)[:, 1])

    def plan_probability(self) -> NDArray[np.float64]:
        """The plan's probabilities of the test rows, float64[n]."""
        return self.test_predictions["churn_probability"].to_numpy(dtype=np.float64)


def fit(rows: pd.DataFrame, catalogue: Sequence[Feature], protocol: Protocol) -> FittedModel:
    """The part of `train` before the gate; same arguments, same errors."""
    split = split_rows(rows, [feature.name for feature in catalogue], protocol)
    _require_outcomes(split.train, protocol.minimum_outcomes)
    found = search_by_customer(split.train, build_candidates(catalogue), protocol.maturity_days)
    calibration = calibrate(found.out_of_fold, split.train.labels, split.train.customers, found.folds)
    pipeline = fit_pipeline(split.train, found, calibration)
    features = found.chosen.features
    families = {feature.name: feature.family.value for feature in catalogue}
    plan = compile_plan(pipeline, features, families, split.train.columns(features))
    test = split.test
    probability = plan.score(test.columns(features)).probability
    return FittedModel(
        pipeline=pipeline,
        plan=plan,
        candidate=found.chosen,
        search_table=found.table,
        calibration=calibration,
        evaluation=evaluate(probability, test.labels, test.customers, test.cutoffs, protocol.seed),
        test_predictions=_predictions(test, probability),
        protocol=protocol,
        split=split,
        catalogue=tuple(catalogue),
    )


def fit_pipeline(sample: Sample, found: Search, calibration: Calibration) -> Pipeline:
    """The chosen candidate fitted once on all training rows, its calibration folded in."""
    pipeline = Pipeline([*build_preparation().steps, ("classify", build_classifier(found.chosen.c))])
    frame = pd.DataFrame(sample.columns(found.chosen.features), columns=list(found.chosen.features))
    fit_or_fail(pipeline, frame, sample.labels)
    recalibrate(pipeline, calibration.slope, calibration.intercept)
    return pipeline


def _require_outcomes(sample: Sample, minimum: int) -> None:
    if sample.rarer_outcome_customers() < minimum:
        raise ModelRefusedError(
            f"too little to train on, {sample.describe_outcomes(minimum)}; allowed: at least {minimum} customers with "
            "the rarer outcome",
            next_step="load more history, or wait for more cutoffs to mature",
        )


def _predictions(test: Sample, probability: NDArray[np.float64]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "business_date": pd.Series(test.cutoffs.astype(object), dtype=object),
            "customer_id": test.customer_ids,
            "is_churned": test.labels,
            "churn_probability": probability,
        }
    )
