"""A sigmoid over out-of-fold log-odds, applied only where it demonstrably helps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from churnlake.errors import ModelRefusedError
from churnlake.model.plan import logistic
from churnlake.model.split import Fold

# A slope outside these limits says the model is wrong, not merely over- or underconfident; stretching would hide it.
SLOPE_LIMITS = (0.5, 2.0)

NEWTON_STEPS = 100
NEWTON_TOLERANCE = 1e-9
HALVINGS = 30

# Beyond this the curvature is flat: weights grow without end because the scores separate the outcomes.
WORST_CONDITION = 1e13


@dataclass(frozen=True)
class Calibration:
    """log-odds -> slope * log-odds + intercept, and what it gained: mean log loss a row, cross-fitted.

    Where the gain is not above one standard error, `applied` is False and slope and intercept are 1 and 0.
    """

    slope: float
    intercept: float
    gain: float
    standard_error: float
    applied: bool


def calibrate(
    log_odds: NDArray[np.float64], labels: NDArray[np.int64], customers: NDArray[np.int64], folds: Sequence[Fold]
) -> Calibration:
    """Platt's sigmoid (Platt 1999, without target smoothing) on out-of-fold log-odds.

    The gain is measured on rows the sigmoid was not fitted to: fitted on four folds, judged on the fifth.
    """
    gains = row_losses(log_odds, labels) - row_losses(cross_fitted(log_odds, labels, folds), labels)
    gain, error = float(gains.mean()), clustered_standard_error(gains, customers)
    if not gain > error:
        return Calibration(1.0, 0.0, gain, error, applied=False)
    slope, intercept = _limited_sigmoid(log_odds, labels)
    return Calibration(slope, intercept, gain, error, applied=True)


def cross_fitted(
    log_odds: NDArray[np.float64], labels: NDArray[np.int64], folds: Sequence[Fold]
) -> NDArray[np.float64]:
    """Log-odds float64[n], each corrected by a sigmoid that was fitted on the other folds."""
    corrected = np.empty_like(log_odds)
    for fitted_on, judged_on in folds:
        slope, intercept = _limited_sigmoid(log_odds[fitted_on], labels[fitted_on])
        corrected[judged_on] = slope * log_odds[judged_on] + intercept
    return corrected


def row_losses(log_odds: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log loss of each row, in nats."""
    return np.asarray(np.logaddexp(0.0, log_odds) - labels * log_odds)


def clustered_standard_error(values: NDArray[np.float64], customers: NDArray[np.int64]) -> float:
    """Standard error of the mean of `values` when a customer's rows move together (Liang and Zeger 1986)."""
    by_customer = np.bincount(customers, weights=values - values.mean())
    return float(np.sqrt(np.square(by_customer).sum()) / len(values))


def fit_sigmoid(log_odds: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    """Slope and intercept of the unpenalised logistic regression of the labels on the log-odds."""
    slope, intercept = _newton(np.column_stack([log_odds, np.ones_like(log_odds)]), labels, np.zeros_like(log_odds))
    return float(slope), float(intercept)


def fit_intercept(log_odds: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The shift of the log-odds that makes their mean probability the observed rate."""
    return float(_newton(np.ones((len(log_odds), 1)), labels, log_odds)[0])


def _limited_sigmoid(log_odds: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, float]:
    slope, intercept = fit_sigmoid(log_odds, labels)
    limited = float(np.clip(slope, *SLOPE_LIMITS))
    return limited, intercept if limited == slope else fit_intercept(limited * log_odds, labels)


def _newton(design: NDArray[np.float64], labels: NDArray[np.int64], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the logistic regression of the labels on the design, beside a fixed offset of the log-odds."""
    weights = np.zeros(design.shape[1])
    for _ in range(NEWTON_STEPS):
        probability = logistic(design @ weights + offset)
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design
        gradient = design.T @ (labels - probability)
        if np.linalg.cond(curvature) > WORST_CONDITION:
            break
        full: NDArray[np.float64] = np.asarray(np.linalg.solve(curvature, gradient), dtype=np.float64)
        step = _shortened(full, weights, design, labels, offset)
        weights = weights + step
        if np.abs(step).max() < NEWTON_TOLERANCE * (1 + np.abs(weights).max()):
            return weights
    raise ModelRefusedError(
        "the calibration does not converge: the scores separate the outcomes perfectly",
        next_step="look for a feature that knows the outcome",
    )


def _shortened(
    step: NDArray[np.float64],
    weights: NDArray[np.float64],
    design: NDArray[np.float64],
    labels: NDArray[np.int64],
    offset: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The step, halved until it does not raise the loss: from far away a full Newton step overshoots."""
    loss = row_losses(design @ weights + offset, labels).sum()
    for _ in range(HALVINGS):
        # A last step moves the loss by less than its own rounding.
        if row_losses(design @ (weights + step) + offset, labels).sum() <= loss * (1 + 1e-14):
            return step
        step = step / 2
    return step
