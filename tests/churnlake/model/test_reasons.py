"""Reasons: families summed, the top three told, each by its largest member."""

import numpy as np

from churnlake.model.reasons import members_by_family, top_reasons


def test_families_are_ranked_by_the_size_of_their_sum_and_worded_by_the_largest_member_of_its_sign() -> None:
    """Two features that cancel out do not make a reason, and a reason is told by the member that drives it."""
    members = members_by_family(["recency", "recency", "spend", "rhythm", "volume"])
    shifts = np.array([[0.9, -0.3, -0.8, 0.2, 0.1]])
    matrix = np.array([[61.0, 5.0, 120.0, np.nan, 4.0]])

    reasons = top_reasons(matrix, shifts, members)

    assert reasons.feature.tolist() == [[2, 0, 3]]
    assert reasons.direction.tolist() == [[-1, 1, 1]]
    np.testing.assert_array_equal(reasons.value, [[120.0, 61.0, np.nan]])


def test_families_below_the_floor_give_fewer_than_three_reasons() -> None:
    """0.05 log-odds is told, anything smaller is not."""
    members = members_by_family(["recency", "spend", "rhythm"])

    reasons = top_reasons(np.array([[1.0, 2.0, 3.0]]), np.array([[0.05, -0.049, 0.0]]), members)

    assert reasons.feature.tolist() == [[0, -1, -1]]
    assert reasons.direction.tolist() == [[1, 0, 0]]
    np.testing.assert_array_equal(reasons.value, [[1.0, np.nan, np.nan]])


def test_a_model_of_one_family_still_gives_three_columns() -> None:
    """Missing ranks are empty, not absent: the score table always has three reasons."""
    reasons = top_reasons(np.array([[7.0, 8.0]]), np.array([[-0.2, -0.4]]), members_by_family(["spend", "spend"]))

    assert reasons.feature.tolist() == [[1, -1, -1]]
    assert reasons.direction.tolist() == [[-1, 0, 0]]


def test_equally_strong_families_keep_the_order_of_the_columns() -> None:
    """Ties do not depend on anything but the catalogue."""
    members = members_by_family(["trend", "spend", "recency", "rhythm"])

    reasons = top_reasons(np.zeros((1, 4)), np.array([[0.5, -0.5, 0.5, 0.5]]), members)

    assert reasons.feature.tolist() == [[0, 1, 2]]
