"""The candidate models as scikit-learn pipelines, and their translation into a scoring plan."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from churnlake.features import Feature
from churnlake.model.levels import OTHER, Category
from churnlake.model.plan import CLIP, CategoryTerm, ScoringPlan, Term, signed_log

# Inverse strengths of the L2 penalty. A wider search fits noise: cross-validated and out-of-time ranks of such
# candidates are hardly related.
PENALTIES = (0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True)
class Candidate:
    """One model that may be chosen: a logistic regression on `features`, numbers first, with inverse penalty `c`."""

    name: str
    features: tuple[str, ...]
    c: float


def build_candidates(catalogue: Sequence[Feature]) -> tuple[Candidate, ...]:
    """The candidates, simplest first: the catalogue's few `lite` features, then all of them with weakening penalty."""
    ordered = [feature for kind in ("number", "category") for feature in catalogue if feature.kind == kind]
    few = tuple(feature.name for feature in ordered if feature.lite)
    every = tuple(feature.name for feature in ordered)
    lite = (Candidate("lite", few, max(PENALTIES)),) if few else ()
    return lite + tuple(Candidate(f"all, C={c:g}", every, c) for c in PENALTIES)


def clip_outliers(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised values held within +-5."""
    return np.clip(matrix, -CLIP, CLIP)


def absent_as_nan(texts: pd.DataFrame) -> NDArray[np.object_]:
    """The texts object[n, g], NaN wherever pandas sees a missing value: scikit-learn takes None for a level."""
    return texts.astype(object).where(texts.notna(), np.nan).to_numpy(dtype=object)


def build_encoding(numbers: Sequence[str], categories: Sequence[Category]) -> ColumnTransformer:
    """From a frame of numbers and texts to the matrix float64[n, f + g] of numbers and codes that the plan scores."""
    codes = OrdinalEncoder(
        categories=[np.array([*category.levels, np.nan], dtype=object) for category in categories],
        handle_unknown="use_encoded_value",
        unknown_value=OTHER,
        encoded_missing_value=np.nan,
    )
    texts = Pipeline([("absent", FunctionTransformer(absent_as_nan)), ("code", codes)])
    return _by_kind("passthrough", list(numbers), texts, [category.name for category in categories])


def build_preparation(numbers: int, categories: Sequence[Category] = ()) -> Pipeline:
    """From the matrix of numbers, then codes, to what the classifier takes.

    Numbers: signed log, median with a flag where absent. Categories: one indicator a level and one for absent; a row
    with none of them is "other", so a level never seen counts as the average of the levels. All are standardised, then
    clipped: of a level that few have, that holds the indicator where the penalty still shrinks its weight.
    """
    values = Pipeline(
        [
            ("shape", FunctionTransformer(signed_log)),
            # A column without any value in training is kept, as zeros: the model's columns stay the catalogue's.
            ("fill", SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)),
        ]
    )
    indicators = OneHotEncoder(
        categories=[np.array([*range(len(category.levels)), np.nan]) for category in categories],
        handle_unknown="ignore",
        sparse_output=False,
    )
    places = list(range(numbers + len(categories)))
    return Pipeline(
        [
            ("terms", _by_kind(values, places[:numbers], indicators, places[numbers:])),
            ("standardise", StandardScaler()),
            ("clip", FunctionTransformer(clip_outliers)),
        ]
    )


def _by_kind(numbers: object, number_columns: list[Any], categories: object, category_columns: list[Any]) -> Any:
    parts = [("numbers", numbers, number_columns), ("categories", categories, category_columns)]
    return ColumnTransformer([part for part in parts if part[2]])


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
    pipeline: Pipeline,
    numbers: Sequence[str],
    categories: Sequence[Category],
    families: Mapping[str, str],
    matrix: NDArray[np.float64],
) -> ScoringPlan:
    """The plan whose scores equal the fitted pipeline's.

    Args:
        pipeline: `build_preparation` followed by a fitted step `classify`, whatever stands before them.
        numbers: names of the number columns.
        categories: those of the columns after them.
        families: family of each feature.
        matrix: float64[n, f + g], the training rows: their mean contribution is what reasons are measured against.
    """
    weights = _Weights.of(pipeline)
    terms = tuple(weights.term(column, name, families[name]) for column, name in enumerate(numbers))
    told = tuple(weights.category_terms(categories, families))
    plan = ScoringPlan(float(pipeline.named_steps["classify"].intercept_[0]), terms, told)
    usual = [float(mean) for mean in plan.shares(np.ascontiguousarray(matrix)).mean(axis=0)]
    return replace(
        plan,
        terms=tuple(replace(term, usual=mean) for term, mean in zip(terms, usual[: len(terms)], strict=True)),
        categories=tuple(replace(term, usual=mean) for term, mean in zip(told, usual[len(terms) :], strict=True)),
    )


@dataclass(frozen=True)
class _Weights:
    """What the fitted pipeline learned, by column of the classifier's matrix: numbers, flags of absence, indicators."""

    fill: NDArray[np.float64]
    flagged: list[int]
    center: NDArray[np.float64]
    spread: NDArray[np.float64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, pipeline: Pipeline) -> "_Weights":
        parts, scaler = pipeline.named_steps["terms"].named_transformers_, pipeline.named_steps["standardise"]
        fill, flagged = np.empty(0), []
        if "numbers" in parts:
            imputer = parts["numbers"].named_steps["fill"]
            fill, flagged = np.nan_to_num(imputer.statistics_, nan=0.0), list(imputer.indicator_.features_)
        return cls(fill, flagged, scaler.mean_, scaler.scale_, pipeline.named_steps["classify"].coef_[0])

    def term(self, column: int, name: str, family: str) -> Term:
        flag = len(self.fill) + self.flagged.index(column) if column in self.flagged else None
        return Term(
            name=name,
            family=family,
            fill=float(self.fill[column]),
            center=float(self.center[column]),
            spread=float(self.spread[column]),
            weight=float(self.weight[column]),
            absent_center=0.0 if flag is None else float(self.center[flag]),
            absent_spread=1.0 if flag is None else float(self.spread[flag]),
            absent_weight=0.0 if flag is None else float(self.weight[flag]),
            usual=0.0,
        )

    def category_terms(self, categories: Sequence[Category], families: Mapping[str, str]) -> Iterator[CategoryTerm]:
        start = len(self.fill) + len(self.flagged)
        for category in categories:
            states = len(category.levels) + 1
            *shares, absent, other = self._state_shares(slice(start, start + states))
            yield CategoryTerm(
                category.name, families[category.name], category.levels, tuple(shares), other, absent, 0.0
            )
            start += states

    def _state_shares(self, columns: slice) -> list[float]:
        """The share of each state: one indicator lit, at last none."""
        lit = np.vstack([np.eye(columns.stop - columns.start), np.zeros(columns.stop - columns.start)])
        standard = clip_outliers((lit - self.center[columns]) / self.spread[columns])
        return [float(share) for share in standard @ self.weight[columns]]
