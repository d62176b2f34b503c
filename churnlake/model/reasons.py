"""Why a score is what it is: contributions by family against the average training customer. Needs only numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

REASONS = 3

# Log-odds. A family that moves the estimate by less (at most about one point of probability) explains nothing.
FLOOR = 0.05


@dataclass(frozen=True)
class Reasons:
    """Up to three reasons a row, strongest first.

    `feature` int16[n, 3] is a column of the scored matrix, -1 where there is no further reason; `value` float64[n, 3]
    is that column's raw value (NaN = absent); `direction` int8[n, 3] is +1 raises, -1 lowers, 0 none.
    """

    feature: NDArray[np.int16]
    value: NDArray[np.float64]
    direction: NDArray[np.int8]


def members_by_family(families: Sequence[str]) -> tuple[NDArray[np.intp], ...]:
    """Columns of each family, families in order of first appearance."""
    return tuple(np.flatnonzero(np.asarray(families) == family) for family in dict.fromkeys(families))


def top_reasons(
    matrix: NDArray[np.float64], shifts: NDArray[np.float64], members: Sequence[NDArray[np.intp]]
) -> Reasons:
    """The families that move each row's log-odds most away from the average training customer.

    Args:
        matrix: float64[n, f], the raw feature values.
        shifts: float64[n, f], each feature's contribution minus its mean contribution in training, in log-odds.
        members: the columns of each family.

    A family is worded by its largest member of the sign of the family's sum. Equal strength keeps the columns' order.
    """
    totals = np.column_stack([shifts[:, columns].sum(axis=1) for columns in members])
    raising = np.column_stack([columns[shifts[:, columns].argmax(axis=1)] for columns in members])
    lowering = np.column_stack([columns[shifts[:, columns].argmin(axis=1)] for columns in members])
    order = np.argsort(-np.abs(totals), axis=1, kind="stable")[:, :REASONS]
    strength = np.take_along_axis(totals, order, axis=1)
    worded_by = np.take_along_axis(np.where(totals > 0, raising, lowering), order, axis=1)
    return _padded(matrix, worded_by, strength)


def _padded(matrix: NDArray[np.float64], worded_by: NDArray[np.intp], strength: NDArray[np.float64]) -> Reasons:
    rows, found = worded_by.shape
    feature = np.full((rows, REASONS), -1, dtype=np.int16)
    value = np.full((rows, REASONS), np.nan)
    direction = np.zeros((rows, REASONS), dtype=np.int8)
    told = np.abs(strength) >= FLOOR
    feature[:, :found] = np.where(told, worded_by, -1)
    value[:, :found] = np.where(told, np.take_along_axis(matrix, worded_by, axis=1), np.nan)
    direction[:, :found] = np.where(told, np.sign(strength), 0)
    return Reasons(feature=feature, value=value, direction=direction)
