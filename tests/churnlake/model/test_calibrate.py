"""The sigmoid over out-of-fold log-odds."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from churnlake.errors import ModelRefusedError
from churnlake.model.calibrate import calibrate, clustered_standard_error, fit_intercept, fit_sigmoid, row_losses
from churnlake.model.split import Fold

ROWS = 20_000


def _outcomes(slope: float, shift: float) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Scores whose true log-odds are slope * score + shift; four rows a customer."""
    generator = np.random.default_rng(5)
    scores = generator.normal(0, 1.5, ROWS)
    labels = (generator.random(ROWS) < 1 / (1 + np.exp(-(slope * scores + shift)))).astype(np.int64)
    return scores, labels, np.arange(ROWS) // 4


def _folds(customers: NDArray[np.int64]) -> list[Fold]:
    return [(np.flatnonzero(customers % 5 != fold), np.flatnonzero(customers % 5 == fold)) for fold in range(5)]


def test_a_planted_miscalibration_is_found_and_undone() -> None:
    """Scores that are too extreme and shifted come back to the truth."""
    scores, labels, customers = _outcomes(slope=0.6, shift=-0.4)

    found = calibrate(scores, labels, customers, _folds(customers))

    assert found.applied
    assert found.slope == pytest.approx(0.6, abs=0.03)
    assert found.intercept == pytest.approx(-0.4, abs=0.05)
    assert found.gain > 5 * found.standard_error


def test_calibrated_scores_are_left_alone() -> None:
    """Where nothing is gained, the model stays as it was fitted."""
    scores, labels, customers = _outcomes(slope=1.0, shift=0.0)

    found = calibrate(scores, labels, customers, _folds(customers))

    assert (found.applied, found.slope, found.intercept) == (False, 1.0, 0.0)
    assert found.gain <= found.standard_error


def test_the_slope_is_held_within_its_limits_and_the_level_still_fits() -> None:
    """Scores three times too small are stretched by 2 at most, with the intercept that suits that slope."""
    scores, labels, customers = _outcomes(slope=3.0, shift=0.8)

    found = calibrate(scores, labels, customers, _folds(customers))

    assert found.slope == 2.0
    assert (1 / (1 + np.exp(-(2.0 * scores + found.intercept)))).mean() == pytest.approx(labels.mean(), abs=1e-9)


def test_the_sigmoid_equals_an_unpenalised_logistic_regression() -> None:
    """Newton's steps end where scikit-learn's solver does."""
    scores, labels, _ = _outcomes(slope=1.3, shift=0.2)
    oracle = LogisticRegression(C=1e12, tol=1e-10).fit(scores[:, None], labels)

    slope, intercept = fit_sigmoid(scores, labels)

    assert slope == pytest.approx(oracle.coef_[0, 0], abs=1e-5)
    assert intercept == pytest.approx(oracle.intercept_[0], abs=1e-5)


def test_the_intercept_makes_the_mean_probability_the_observed_rate() -> None:
    """Half of four equal scores churned: their log-odds must become 0."""
    assert fit_intercept(np.full(4, 0.7), np.array([0, 1, 1, 0])) == pytest.approx(-0.7)


def test_scores_that_separate_the_outcomes_are_refused() -> None:
    """No sigmoid fits them, and no honest model makes them."""
    with pytest.raises(ModelRefusedError, match="separate the outcomes perfectly"):
        fit_sigmoid(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))


def test_scores_that_almost_separate_the_outcomes_still_fit() -> None:
    """One exception among two hundred, far from where full Newton steps converge."""
    generator = np.random.default_rng(9)
    labels = np.arange(200) % 2
    scores = np.where(labels == 1, 1.0, -1.0) * generator.uniform(3, 9, 200)
    scores[0] = 4.0
    oracle = LogisticRegression(C=1e12, tol=1e-12, max_iter=100_000).fit(scores[:, None], labels)

    slope, _ = fit_sigmoid(scores, labels)

    assert slope == pytest.approx(oracle.coef_[0, 0], rel=0.01)


def test_rows_of_one_customer_count_once_in_the_standard_error() -> None:
    """Four equal copies of a row carry the information of one."""
    values, customers = np.random.default_rng(1).normal(size=300), np.arange(300)

    copied = clustered_standard_error(np.repeat(values, 4), np.repeat(customers, 4))

    assert copied == pytest.approx(clustered_standard_error(values, customers))
    assert copied == pytest.approx(values.std() / np.sqrt(300))


def test_row_losses_are_the_negative_log_of_the_probability_of_what_happened() -> None:
    """Also far out, where a probability would round to 1."""
    np.testing.assert_allclose(row_losses(np.array([0.0, 800.0, 800.0]), np.array([1, 1, 0])), [np.log(2), 0.0, 800.0])
