"""From labelled rows to a calibrated model: split, choose, calibrate, fit once, evaluate on rows it did not see."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from churnlake.errors import ModelRefusedError
from churnlake.features import Feature
from churnlake.model.calibrate import Calibration, calibrate, cross_fitted
from churnlake.model.evaluate import Evaluation, evaluate
from churnlake.model.pipeline import (
    Candidate,
    build_candidates,
    build_classifier,
    build_encoding,
    build_preparation,
    compile_plan,
    fit_or_fail,
    recalibrate,
)
from churnlake.model.plan import ScoringPlan, logistic
from churnlake.model.search import CandidateScore, Search, search_by_customer
from churnlake.model.split import Protocol, Sample, Split, split_rows


@dataclass(frozen=True)
class FittedModel:
    """A calibrated model and its results on the test rows, not yet judged.

    `pipeline` takes a frame of `candidate.features` and its `predict_proba` is calibrated already; `plan` is the same
    model compiled. `test_predictions` has business_date, customer_id, is_churned, churn_probability: the plan's at the
    test cutoffs, or without dates those of models fitted and calibrated on the other four folds.
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

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """Those the model was chosen from: of the catalogue without what the split left out."""
        return _candidates(self.catalogue, self.split)

    @property
    def test_probability(self) -> NDArray[np.float64]:
        """The probabilities that are evaluated, float64[n]."""
        return self.test_predictions["churn_probability"].to_numpy(dtype=np.float64)

    def pipeline_probability(self) -> NDArray[np.float64]:
        """The pipeline's probabilities of the test rows, float64[n]: what the plan's are held against."""
        return np.asarray(self.pipeline.predict_proba(self.split.test.frame(self.candidate.features))[:, 1])

    def plan_probability(self) -> NDArray[np.float64]:
        """The plan's probabilities of the test rows, float64[n]."""
        return self.plan.score(self.split.test.columns(self.candidate.features)).probability


def fit(rows: pd.DataFrame, catalogue: Sequence[Feature], protocol: Protocol) -> FittedModel:
    """The part of `train` before the gate; same arguments, same errors."""
    numbers, categories = ([one.name for one in catalogue if one.kind == kind] for kind in ("number", "category"))
    split = split_rows(rows, numbers, protocol, categories)
    _require_outcomes(split.train, protocol)
    found = search_by_customer(split.train, _candidates(catalogue, split), protocol.maturity_days)
    calibration = calibrate(found.out_of_fold, split.train.labels, split.train.customers, found.folds)
    pipeline = fit_pipeline(split.train, found, calibration)
    plan = _compiled(pipeline, split.train, found.chosen.features, catalogue)
    test = split.test
    if protocol.is_dated:
        probability = plan.score(test.columns(found.chosen.features)).probability
    else:
        probability = _held_out_probability(test, found, calibration)
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
    features = found.chosen.features
    numbers, categories = sample.numbers_of(features), sample.categories_of(features)
    steps = build_preparation(len(numbers), categories).steps
    classify = ("classify", build_classifier(found.chosen.c))
    pipeline = Pipeline([("encode", build_encoding(numbers, categories)), *steps, classify])
    fit_or_fail(pipeline, sample.frame(features), sample.labels)
    recalibrate(pipeline, calibration.slope, calibration.intercept)
    return pipeline


def _candidates(catalogue: Sequence[Feature], split: Split) -> tuple[Candidate, ...]:
    return build_candidates([feature for feature in catalogue if feature.name not in split.left_out])


def _compiled(pipeline: Pipeline, train: Sample, features: Sequence[str], catalogue: Sequence[Feature]) -> ScoringPlan:
    families = {feature.name: feature.family.value for feature in catalogue}
    numbers, categories = train.numbers_of(features), train.categories_of(features)
    return compile_plan(pipeline, numbers, categories, families, train.columns(features))


def _held_out_probability(sample: Sample, found: Search, calibration: Calibration) -> NDArray[np.float64]:
    """Each row's, by a model and a sigmoid fitted on the other folds.

    The choice among the few candidates saw these rows' loss; that flatters them by far less than a standard error.
    """
    log_odds = found.out_of_fold
    if calibration.applied:
        log_odds = cross_fitted(log_odds, sample.labels, found.folds)
    return logistic(log_odds)


def _require_outcomes(sample: Sample, protocol: Protocol) -> None:
    minimum, count = protocol.minimum_outcomes, sample.rarer_outcome_customers()
    if count < minimum:
        told = sample.describe_outcomes(minimum) if protocol.is_dated else f"{count} customers"
        raise ModelRefusedError(
            f"too little to train on, {told}; allowed: at least {minimum} customers with the rarer outcome",
            next_step="load more history, or wait for more cutoffs to mature"
            if protocol.is_dated
            else "bring the outcomes of more customers",
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
