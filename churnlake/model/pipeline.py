"""The candidate models as scikit-learn pipelines, and their translation into a scoring plan."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from churnlake.features import Feature
from churnlake.model.plan import CLIP, ScoringPlan, Term, signed_log

# Inverse strengths of the L2 penalty. A wider search fits noise: cross-validated and out-of-time ranks of such
# candidates are hardly related.
PENALTIES = (0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True)
class Candidate:
    """One model that may be chosen: a logistic regression on `features` with inverse penalty `c`."""

    name: str
    features: tuple[str, ...]
    c: float


def build_candidates(catalogue: Sequence[Feature]) -> tuple[Candidate, ...]:
    """The candidates, simplest first: the catalogue's few `lite` features, then all of them with weakening penalty."""
    few = tuple(feature.name for feature in catalogue if feature.lite)
    every = tuple(feature.name for feature in catalogue)
    lite = (Candidate("lite", few, max(PENALTIES)),) if few else ()
    return lite + tuple(Candidate(f"all, C={c:g}", every, c) for c in PENALTIES)


def clip_outliers(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised values held within +-5."""
    return np.clip(matrix, -CLIP, CLIP)


def build_preparation() -> Pipeline:
    """Signed log, median with a flag where absent, standardised, clipped."""
    return Pipeline(
        [
            ("shape", FunctionTransformer(signed_log)),
            # A column without any value in training is kept, as zeros: the model's columns stay the catalogue's.
            ("fill", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
            ("standardise", StandardScaler()),
            ("clip", FunctionTransformer(clip_outliers)),
        ]
    )


def build_classifier(c: float) -> LogisticRegression:
    """L2-penalised logistic regression; `warm_start` lets a search continue from the stronger penalty before it."""
    return LogisticRegression(C=c, solver="lbfgs", max_iter=2_000, warm_start=True)


def fit_or_fail(estimator: LogisticRegression | Pipeline, matrix: object, labels: NDArray[np.int64]) -> None:
    """Fit in place; a fit that does not converge is an error, never a weaker model."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        estimator.fit(matrix, labels)


def recalibrate(pipeline: Pipeline, slope: float, intercept: float) -> None:
    """Fold a sigmoid into the classifier, in place: `slope * (w.x + b) + intercept` is linear again."""
    classifier = pipeline.named_steps["classify"]
    classifier.coef_ = classifier.coef_ * slope
    classifier.intercept_ = classifier.intercept_ * slope + intercept


def compile_plan(
    pipeline: Pipeline, features: Sequence[str], families: Mapping[str, str], matrix: NDArray[np.float64]
) -> ScoringPlan:
    """The plan whose scores equal the fitted pipeline's.

    Args:
        pipeline: `build_preparation` followed by a fitted step `classify`.
        features: names of the pipeline's input columns.
        families: family of each feature.
        matrix: float64[n, f], the raw training rows: their mean contribution is what reasons are measured against.
    """
    terms = tuple(_term(pipeline, column, name, families[name]) for column, name in enumerate(features))
    plan = ScoringPlan(float(pipeline.named_steps["classify"].intercept_[0]), terms)
    usual = plan.shares(np.ascontiguousarray(matrix)).mean(axis=0)
    return replace(plan, terms=tuple(replace(term, usual=float(mean)) for term, mean in zip(terms, usual, strict=True)))


def _term(pipeline: Pipeline, column: int, name: str, family: str) -> Term:
    imputer, scaler = pipeline.named_steps["fill"], pipeline.named_steps["standardise"]
    weights = pipeline.named_steps["classify"].coef_[0]
    flagged = list(imputer.indicator_.features_)
    flag = len(imputer.statistics_) + flagged.index(column) if column in flagged else None
    return Term(
        name=name,
        family=family,
        fill=float(np.nan_to_num(imputer.statistics_[column], nan=0.0)),
        center=float(scaler.mean_[column]),
        spread=float(scaler.scale_[column]),
        weight=float(weights[column]),
        absent_center=0.0 if flag is None else float(scaler.mean_[flag]),
        absent_spread=1.0 if flag is None else float(scaler.scale_[flag]),
        absent_weight=0.0 if flag is None else float(weights[flag]),
        usual=0.0,
    )
