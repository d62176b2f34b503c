"""Rows divided by time and by customer."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from churnlake.errors import ModelRefusedError
from churnlake.model.split import (
    Protocol,
    Sample,
    grouped_folds,
    read_sample,
    rolling_origins,
    split_rows,
    validate_embargo,
)


def _rows(*entries: tuple[str, date, int, float]) -> pd.DataFrame:
    return pd.DataFrame(entries, columns=["customer_id", "business_date", "is_churned", "x"])


TRAIN, TEST = date(2024, 1, 1), date(2024, 2, 2)


def _sample(customers: int, cutoffs: int) -> Sample:
    generator = np.random.default_rng(0)
    return read_sample(
        _rows(
            *(
                (f"c{customer}", TRAIN + timedelta(days=15 * cutoff), int(generator.random() < 0.5), 1.0)
                for customer in range(customers)
                for cutoff in range(cutoffs)
                if generator.random() < 0.7
            )
        ),
        ["x"],
    )


def test_no_fold_has_a_customer_on_both_sides_and_every_row_is_held_out_once() -> None:
    """A customer's other rows would tell the outcome of the held-out one."""
    sample = _sample(customers=57, cutoffs=9)

    folds = grouped_folds(sample)

    for fitted_on, held_out in folds:
        assert set(sample.customer_ids[fitted_on]).isdisjoint(sample.customer_ids[held_out])
    assert sorted(np.concatenate([held_out for _, held_out in folds])) == list(range(len(sample.labels)))


def test_a_label_known_on_the_test_cutoff_itself_may_be_trained_on_and_one_day_later_not() -> None:
    """The embargo is exactly M days."""
    validate_embargo(Protocol((TRAIN,), (TEST,), maturity_days=32))

    with pytest.raises(
        ModelRefusedError, match=r"must be 2023-12-31 or before, 33 days before .* 2024-02-02; got 2024-01-01"
    ):
        validate_embargo(Protocol((TRAIN,), (TEST,), maturity_days=33))


def test_training_without_cutoffs_is_refused() -> None:
    """Too short a history is said as such."""
    with pytest.raises(ModelRefusedError, match="got 0 and 1"):
        validate_embargo(Protocol((), (TEST,), maturity_days=1))


def test_rows_go_where_their_cutoff_says_and_other_cutoffs_are_left_out() -> None:
    """A row between training and test, inside the embargo, is used by neither."""
    rows = _rows(("b", TEST, 1, 4.0), ("a", TRAIN, 0, 1.0), ("a", date(2024, 1, 20), 0, 3.0), ("b", TRAIN, 1, 2.0))

    split = split_rows(rows, ["x"], Protocol((TRAIN,), (TEST,), maturity_days=32))

    assert (split.train.customer_ids.tolist(), split.train.matrix.tolist()) == (["a", "b"], [[1.0], [2.0]])
    assert (split.test.customer_ids.tolist(), split.test.labels.tolist()) == (["b"], [1])


def test_the_order_of_the_given_rows_does_not_matter() -> None:
    """Spark hands rows over in any order; the model must not see it."""
    rows = _rows(("b", TRAIN, 1, 2.0), ("a", TEST, 0, 3.0), ("a", TRAIN, 0, 1.0))

    first, second = read_sample(rows, ["x"]), read_sample(rows.iloc[[2, 0, 1]], ["x"])

    assert first.customer_ids.tolist() == second.customer_ids.tolist() == ["a", "b", "a"]
    assert first.matrix.tolist() == second.matrix.tolist() == [[1.0], [2.0], [3.0]]


def test_rolling_origins_keep_the_embargo_and_need_eight_cutoffs() -> None:
    """The newest three cutoffs, each judged by a model that only saw labels known by then."""
    sample = _sample(customers=60, cutoffs=8)

    origins = rolling_origins(sample, maturity_days=32)

    cutoffs = sample.distinct_cutoffs()
    assert [np.unique(sample.cutoffs[held_out]).tolist() for _, held_out in origins] == [
        [c] for c in cutoffs[-3:].tolist()
    ]
    assert [sample.cutoffs[fitted_on].max() for fitted_on, _ in origins] == cutoffs[[2, 3, 4]].tolist()
    assert rolling_origins(_sample(customers=60, cutoffs=7), maturity_days=32) == []


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (_rows(("a", TRAIN, 0, 1.0), ("a", TRAIN, 1, 2.0)), "1 are repeated"),
        (_rows(("a", TRAIN, 2, 1.0)), "must be 0 or 1"),
        (_rows(("a", TRAIN, 0, np.inf)), "infinite values in x"),
        (_rows(("a", TRAIN, 0, 1.0)).drop(columns="x"), "lack the columns x"),
    ],
)
def test_rows_that_are_no_training_rows_are_refused(rows: pd.DataFrame, said: str) -> None:
    """Each fault is named."""
    with pytest.raises(ModelRefusedError, match=said):
        read_sample(rows, ["x"])


def test_a_cutoff_without_any_row_is_refused() -> None:
    """It would silently shrink the protocol."""
    with pytest.raises(ModelRefusedError, match="no labelled row at the cutoff 2024-02-02"):
        split_rows(_rows(("a", TRAIN, 0, 1.0)), ["x"], Protocol((TRAIN,), (TEST,), maturity_days=32))
