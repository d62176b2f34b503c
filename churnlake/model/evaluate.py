"""How good the model is on customers of a later time: discrimination, calibration, lift."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from churnlake.errors import ModelRefusedError
from churnlake.model.calibrate import fit_intercept, fit_sigmoid

BOOTSTRAPS = 1_000
ECE_BINS = 10

# Cells of one batch of resamples: bounds its memory at about 100 MB whatever the number of rows.
BATCH_CELLS = 4_000_000

# A probability of exactly 0 or 1 would make the log loss infinite on a single row; the same limit everywhere.
PROBABILITY_LIMITS = (1e-15, 1 - 1e-15)


@dataclass(frozen=True)
class Metrics:
    """One set of scored rows against what happened. Intervals are 5 % and 95 % of 1,000 customer bootstraps.

    `calibration_intercept` is the shift of the log-odds that would make the mean probability the observed rate (0 is
    right); `calibration_slope` the factor they should be stretched by (1 is right). `ece` is over ten bins of equal
    count. `lift_top_decile` is the outcome rate of the highest-scored tenth over the base rate.
    """

    rows: int
    customers: int
    churned: int
    base_rate: float
    mean_probability: float
    auc: float
    auc_low: float
    auc_high: float
    average_precision: float
    log_loss: float
    brier: float
    ece: float
    calibration_slope: float
    calibration_intercept: float
    lift_top_decile: float


@dataclass(frozen=True)
class Evaluation:
    """The test rows pooled, and by cutoff (ISO dates, oldest first)."""

    pooled: Metrics
    by_cutoff: dict[str, Metrics]


def evaluate(
    probability: NDArray[np.float64],
    labels: NDArray[np.int64],
    customers: NDArray[np.int64],
    cutoffs: NDArray[np.datetime64],
    seed: int,
) -> Evaluation:
    """Metrics of float64[n] probabilities of rows with these labels, customer codes and cutoffs."""
    by_cutoff = {}
    for cutoff in np.unique(cutoffs):
        at = cutoffs == cutoff
        by_cutoff[str(cutoff)] = measure(probability[at], labels[at], customers[at], seed)
    return Evaluation(measure(probability, labels, customers, seed), by_cutoff)


def measure(
    probability: NDArray[np.float64], labels: NDArray[np.int64], customers: NDArray[np.int64], seed: int
) -> Metrics:
    """All metrics of one set of rows.

    Raises:
        ModelRefusedError: Only one outcome is present.
    """
    low, high = auc_interval(probability, labels, customers, seed)
    log_odds = _log_odds(probability)
    return Metrics(
        rows=len(labels),
        customers=len(np.unique(customers)),
        churned=int(labels.sum()),
        base_rate=float(labels.mean()),
        mean_probability=float(probability.mean()),
        auc=auc(probability, labels),
        auc_low=low,
        auc_high=high,
        average_precision=average_precision(probability, labels),
        log_loss=float(log_losses(probability, labels).mean()),
        brier=float(np.square(probability - labels).mean()),
        ece=expected_calibration_error(probability, labels),
        calibration_slope=fit_sigmoid(log_odds, labels)[0],
        calibration_intercept=fit_intercept(log_odds, labels),
        lift_top_decile=lift(probability, labels, share=0.1),
    )


def log_losses(probability: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log loss of each row, in nats."""
    limited = np.clip(probability, *PROBABILITY_LIMITS)
    return np.asarray(-np.where(labels == 1, np.log(limited), np.log1p(-limited)))


def auc(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Chance that a churned row scores above one that stayed; ties count half (Mann and Whitney 1947)."""
    _require_both_outcomes(labels)
    return float(_weighted_auc(scores, labels, np.ones((1, len(labels))))[0])


def auc_interval(
    scores: NDArray[np.float64], labels: NDArray[np.int64], customers: NDArray[np.int64], seed: int
) -> tuple[float, float]:
    """5 % and 95 % of the AUC over customer bootstraps; resamples that drew a single outcome are left out."""
    _require_both_outcomes(labels)
    codes = np.unique(customers, return_inverse=True)[1]
    with np.errstate(invalid="ignore"):
        values = np.concatenate(
            [_weighted_auc(scores, labels, drawn[:, codes]) for drawn in resamples(codes.max() + 1, len(labels), seed)]
        )
    return float(np.nanquantile(values, 0.05)), float(np.nanquantile(values, 0.95))


def resamples(customers: int, rows: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """1,000 bootstrap draws in batches float64[b, customers]: how often each customer was drawn."""
    generator = np.random.default_rng(seed)
    size = max(1, min(BOOTSTRAPS, BATCH_CELLS // max(rows, customers)))
    for start in range(0, BOOTSTRAPS, size):
        draws = range(start, min(start + size, BOOTSTRAPS))
        yield np.array(
            [np.bincount(generator.integers(0, customers, customers), minlength=customers) for _ in draws],
            dtype=np.float64,
        )


def relative_gain(
    gained: NDArray[np.float64], constant: NDArray[np.float64], customers: NDArray[np.int64], seed: int
) -> tuple[float, float]:
    """Log loss gained over a baseline, as a share of the log loss of a constant, and the share's 5 % bound.

    `gained` float64[n] is each row's loss under the baseline minus its loss under the model, so positive is better;
    `constant` float64[n] its loss under the training base rate. The bound is one-sided, over customer bootstraps.
    """
    codes = np.unique(customers, return_inverse=True)[1]
    sums = np.column_stack([np.bincount(codes, weights=values) for values in (gained, constant)])
    drawn = np.concatenate([draw @ sums for draw in resamples(len(sums), len(gained), seed)])
    return float(gained.sum() / constant.sum()), float(np.quantile(drawn[:, 0] / drawn[:, 1], 0.05))


def average_precision(scores: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Area under precision over recall, as a step function; equal scores enter together."""
    hits, counts = _totals_by_score(scores, labels)
    found, flagged = np.cumsum(hits[::-1]), np.cumsum(counts[::-1])
    return float((hits[::-1] * found / flagged).sum() / hits.sum())


def expected_calibration_error(probability: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean gap between predicted and observed rate over bins of equal count, weighted by their rows."""
    bins = reliability_bins(probability, labels)
    return float(sum(count * abs(predicted - observed) for predicted, observed, count in bins) / len(labels))


def reliability_bins(probability: NDArray[np.float64], labels: NDArray[np.int64]) -> list[tuple[float, float, int]]:
    """(mean probability, observed rate, rows) of up to ten bins of equal count, lowest first."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, ECE_BINS) if len(part)]
    return [(float(probability[part].mean()), float(labels[part].mean()), len(part)) for part in parts]


def lift(probability: NDArray[np.float64], labels: NDArray[np.int64], share: float) -> float:
    """Outcome rate of the highest-scored share of rows, over the rate of all; rows tied at its edge count in part."""
    wanted = share * len(labels)
    hits, counts = _totals_by_score(probability, labels)
    hits, counts = hits[::-1], counts[::-1]
    taken = np.clip(wanted - (np.cumsum(counts) - counts), 0, counts)
    return float((hits * taken / counts).sum() / wanted / labels.mean())


def _weighted_auc(
    scores: NDArray[np.float64], labels: NDArray[np.int64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """AUC under each row of weights float64[b, n]; NaN where they leave a single outcome."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ordered = weights[:, order]
    churned = np.add.reduceat(ordered * labels[order], starts, axis=1)
    stayed = np.add.reduceat(ordered, starts, axis=1) - churned
    below = np.cumsum(stayed, axis=1) - stayed
    pairs = churned.sum(axis=1) * stayed.sum(axis=1)
    return np.asarray((churned * (below + stayed / 2)).sum(axis=1) / pairs)


def _totals_by_score(
    scores: NDArray[np.float64], labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Churned rows and all rows at each distinct score, lowest first."""
    groups = np.unique(scores, return_inverse=True)[1]
    hits = np.bincount(groups, weights=labels).astype(np.float64)
    return hits, np.bincount(groups).astype(np.float64)


def _log_odds(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    limited = np.clip(probability, *PROBABILITY_LIMITS)
    return np.asarray(np.log(limited) - np.log1p(-limited))


def _require_both_outcomes(labels: NDArray[np.int64]) -> None:
    present: Sequence[int] = np.unique(labels).tolist()
    if present != [0, 1]:
        raise ModelRefusedError(f"{len(labels)} rows to evaluate on, all with the outcome {present}; both are needed")
