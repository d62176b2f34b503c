"""Choose a candidate by customer-grouped cross-validation; never by the test rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from churnlake.model.calibrate import row_losses
from churnlake.model.pipeline import Candidate, build_classifier, build_preparation, fit_or_fail
from churnlake.model.split import Fold, Sample, grouped_folds, rolling_origins


@dataclass(frozen=True)
class CandidateScore:
    """What one candidate earned, as mean log loss a row in nats. `log_loss` decides: the mean of the parts there are.

    `standard_error` is that of the fold means of `cross_validated`; `rolling` is None with too few cutoffs.
    """

    name: str
    features: int
    c: float
    log_loss: float
    cross_validated: float
    standard_error: float
    rolling: float | None
    chosen: bool


@dataclass(frozen=True)
class Search:
    """The chosen candidate, the table that led to it, and its held-out log-odds float64[n] with their folds."""

    chosen: Candidate
    table: tuple[CandidateScore, ...]
    out_of_fold: NDArray[np.float64]
    folds: tuple[Fold, ...]


def search(sample: Sample, candidates: Sequence[Candidate], folds: Sequence[Fold], origins: Sequence[Fold]) -> Search:
    """The simplest candidate whose loss is within one standard error of the best (Breiman et al. 1984).

    Args:
        sample: the training rows.
        candidates: simplest first; those with equal features stand together, by weakening penalty.
        folds: customer-grouped; every row is held out once.
        origins: rolling origins, or none.
    """
    held_out = _held_out_log_odds(sample, candidates, folds)
    rolled = _held_out_log_odds(sample, candidates, origins)
    parts = [_losses(sample, held_out[position], folds) for position in range(len(candidates))]
    recent = [_losses(sample, rolled[position], origins) for position in range(len(candidates))]
    losses = [
        float(np.mean([part.mean(), late.mean()]) if origins else part.mean())
        for part, late in zip(parts, recent, strict=True)
    ]
    errors = [float(part.std(ddof=1) / np.sqrt(len(part))) for part in parts]
    best = int(np.argmin(losses))
    chosen = next(position for position, loss in enumerate(losses) if loss <= losses[best] + errors[best])
    table = tuple(
        CandidateScore(
            name=candidate.name,
            features=len(candidate.features),
            c=candidate.c,
            log_loss=losses[position],
            cross_validated=float(parts[position].mean()),
            standard_error=errors[position],
            rolling=float(recent[position].mean()) if origins else None,
            chosen=position == chosen,
        )
        for position, candidate in enumerate(candidates)
    )
    return Search(candidates[chosen], table, held_out[chosen], tuple(folds))


def search_by_customer(sample: Sample, candidates: Sequence[Candidate], maturity_days: int) -> Search:
    """The whole choice as training makes it: customer-grouped folds, and rolling origins given cutoffs enough."""
    return search(sample, candidates, grouped_folds(sample), rolling_origins(sample, maturity_days))


def _losses(sample: Sample, log_odds: NDArray[np.float64], folds: Sequence[Fold]) -> NDArray[np.float64]:
    return np.array([row_losses(log_odds[held_out], sample.labels[held_out]).mean() for _, held_out in folds])


def _held_out_log_odds(
    sample: Sample, candidates: Sequence[Candidate], folds: Sequence[Fold]
) -> list[NDArray[np.float64]]:
    """Log-odds float64[n] of each candidate, at the rows some fold holds out; NaN elsewhere."""
    scores = [np.full(len(sample.labels), np.nan) for _ in candidates]
    for features, group in groupby(enumerate(candidates), key=lambda entry: entry[1].features):
        members = list(group)
        matrix = sample.columns(features)
        preparation = build_preparation(len(sample.numbers_of(features)), sample.categories_of(features))
        for fold in folds:
            penalties = [candidate.c for _, candidate in members]
            fitted = _fit_path(preparation, matrix, sample.labels, fold, penalties)
            for (position, _), log_odds in zip(members, fitted, strict=True):
                scores[position][fold[1]] = log_odds
    return scores


def _fit_path(
    preparation: Pipeline,
    matrix: NDArray[np.float64],
    labels: NDArray[np.int64],
    fold: Fold,
    penalties: Sequence[float],
) -> list[NDArray[np.float64]]:
    """Held-out log-odds along a path of weakening penalties, each fit starting where the one before it ended."""
    fitted_on, held_out = fold
    prepared = preparation.fit_transform(matrix[fitted_on])
    judged = preparation.transform(matrix[held_out])
    classifier: LogisticRegression = build_classifier(penalties[0])
    log_odds = []
    for c in penalties:
        classifier.set_params(C=c)
        fit_or_fail(classifier, prepared, labels[fitted_on])
        log_odds.append(np.asarray(classifier.decision_function(judged)))
    return log_odds
