"""Metrics against scikit-learn's and against sums done by hand."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from churnlake.errors import ModelRefusedError
from churnlake.model.evaluate import (
    BOOTSTRAPS,
    auc,
    auc_interval,
    average_precision,
    evaluate,
    expected_calibration_error,
    lift,
    measure,
    relative_gain,
    resamples,
)

GENERATOR = np.random.default_rng(11)
SCORES = np.round(GENERATOR.random(700), 2)  # two decimals: many ties
LABELS = (GENERATOR.random(700) < SCORES).astype(np.int64)
CUSTOMERS = GENERATOR.integers(0, 300, 700)


def test_metrics_equal_scikit_learns() -> None:
    """AUC, average precision, log loss and Brier score, with ties."""
    scores = np.clip(SCORES, 0.01, 0.99)

    found = measure(scores, LABELS, CUSTOMERS, seed=0)

    assert found.auc == pytest.approx(oracle.roc_auc_score(LABELS, scores), abs=1e-12)
    assert found.average_precision == pytest.approx(oracle.average_precision_score(LABELS, scores), abs=1e-12)
    assert found.log_loss == pytest.approx(oracle.log_loss(LABELS, scores), abs=1e-12)
    assert found.brier == pytest.approx(oracle.brier_score_loss(LABELS, scores), abs=1e-12)
    assert (found.rows, found.customers, found.churned) == (700, len(set(CUSTOMERS)), LABELS.sum())


def test_perfectly_ranked_and_reversed_scores_have_auc_one_and_zero_and_ties_half() -> None:
    """The three cases everybody knows."""
    labels = np.array([0, 0, 1, 1])

    assert auc(np.array([0.1, 0.2, 0.3, 0.4]), labels) == 1.0
    assert auc(np.array([0.4, 0.3, 0.2, 0.1]), labels) == 0.0
    assert auc(np.array([0.5, 0.5, 0.5, 0.5]), labels) == 0.5


def test_the_bootstrap_draws_whole_customers() -> None:
    """The quick interval equals one computed draw by draw, with every row of a drawn customer repeated."""
    codes = np.unique(CUSTOMERS, return_inverse=True)[1]
    draws = np.concatenate(list(resamples(codes.max() + 1, 700, seed=3)))
    slow = [oracle.roc_auc_score(LABELS, SCORES, sample_weight=draw[codes]) for draw in draws[:40]]
    low, high = auc_interval(SCORES, LABELS, CUSTOMERS, seed=3)

    assert draws.shape == (BOOTSTRAPS, codes.max() + 1)
    assert (draws.sum(axis=1) == codes.max() + 1).all()
    assert low < np.median(slow) < high
    assert low < auc(SCORES, LABELS) < high
    assert (low, high) == auc_interval(SCORES, LABELS, CUSTOMERS, seed=3)


def test_the_interval_is_wider_when_rows_belong_to_fewer_customers() -> None:
    """Ten copies of a customer are not ten customers."""
    scores, labels = np.repeat(SCORES[:70], 10), np.repeat(LABELS[:70], 10)
    grouped = auc_interval(scores, labels, np.repeat(np.arange(70), 10), seed=0)
    pretended = auc_interval(scores, labels, np.arange(700), seed=0)

    assert grouped[1] - grouped[0] > 2 * (pretended[1] - pretended[0])


def test_lift_is_the_rate_of_the_top_share_over_the_base_rate() -> None:
    """Ten rows, two churned, the highest score among them: 1 / 0.2."""
    scores, labels = np.arange(10) / 10, np.array([1, 0, 0, 0, 0, 0, 0, 0, 0, 1])

    assert lift(scores, labels, share=0.1) == pytest.approx(5.0)
    assert lift(np.full(10, 0.5), labels, share=0.1) == pytest.approx(1.0)


def test_calibration_error_is_the_mean_gap_of_ten_bins_of_equal_count() -> None:
    """Always saying .3 where .4 happens is off by .1, wherever the rows fall."""
    labels = np.tile([1, 1, 0, 0, 0], 20)

    assert expected_calibration_error(np.full(100, 0.3), labels) == pytest.approx(0.1)
    assert expected_calibration_error(np.full(100, 0.4), labels) == pytest.approx(0.0, abs=1e-12)


def test_calibration_slope_and_intercept_name_the_planted_error() -> None:
    """Log-odds doubled and raised by .5: they should be halved, and lowered on the whole."""
    generator = np.random.default_rng(2)
    truth = generator.normal(0, 1, 6_000)
    labels = (generator.random(6_000) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    doubled, raised = 1 / (1 + np.exp(-2 * truth)), 1 / (1 + np.exp(-(truth + 0.5)))

    assert measure(doubled, labels, np.arange(6_000), seed=0).calibration_slope == pytest.approx(0.5, abs=0.04)
    assert measure(raised, labels, np.arange(6_000), seed=0).calibration_intercept == pytest.approx(-0.5, abs=0.08)


def test_relative_gain_is_the_share_of_the_constants_loss_and_its_bound_lies_below() -> None:
    """Gaining .1 on half the rows and nothing on the others is .05 a row over a loss of .7."""
    gain, bound = relative_gain(np.tile([0.1, 0.0], 200), np.full(400, 0.7), np.arange(400), seed=0)

    assert gain == pytest.approx(0.05 / 0.7)
    assert 0.8 * gain < bound < gain


def test_every_cutoff_is_evaluated_by_itself() -> None:
    """Pooled numbers hide a cutoff that went wrong."""
    cutoffs = np.repeat(np.array(["2024-05-01", "2024-05-16"], dtype="datetime64[D]"), 350)

    found = evaluate(SCORES, LABELS, CUSTOMERS, cutoffs, seed=0)

    assert list(found.by_cutoff) == ["2024-05-01", "2024-05-16"]
    assert found.by_cutoff["2024-05-16"].auc == pytest.approx(oracle.roc_auc_score(LABELS[350:], SCORES[350:]))
    assert found.pooled.rows == 700


def test_a_single_outcome_cannot_be_evaluated() -> None:
    """No AUC is invented where there is nothing to rank."""
    with pytest.raises(ModelRefusedError, match=r"all with the outcome \[1\]"):
        auc(np.array([0.1, 0.2]), np.array([1, 1]))


def test_average_precision_of_a_constant_score_is_the_base_rate() -> None:
    """Equal scores enter together."""
    assert average_precision(np.full(10, 0.5), np.array([1] * 3 + [0] * 7)) == pytest.approx(0.3)
