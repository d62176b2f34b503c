"""Rows divided by time and by customer."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from churnlake.errors import ModelRefusedError
from churnlake.model.levels import Category
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


def _texts(**columns: list[object]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    ids = [f"c{number:03}" for number in range(count)]
    return pd.DataFrame({"customer_id": ids, "business_date": TRAIN, "is_churned": 0} | columns)


def test_categories_stand_behind_the_numbers_as_codes_and_in_words() -> None:
    """None and NaN are absent alike; a frame of the sample gives the words back."""
    rows = _texts(region=["north", None, "east", np.nan], x=[1.0, 2.0, np.nan, 4.0])

    sample = read_sample(rows, ["x"], [Category("region", ("east", "north"))])

    assert sample.features == ("x", "region")
    np.testing.assert_array_equal(sample.matrix, [[1, 1], [2, np.nan], [np.nan, 0], [4, np.nan]])
    expected = pd.DataFrame({"region": ["north", None, "east", None], "x": [1.0, 2.0, np.nan, 4.0]})
    pd.testing.assert_frame_equal(sample.frame(["region", "x"]), expected)
    assert sample.take(sample.labels == 0).frame(["region"])["region"].tolist() == ["north", None, "east", None]


def test_a_category_of_numbers_is_refused_by_name() -> None:
    """1 and 1.0 would be two levels; the contract says what a text is."""
    with pytest.raises(ModelRefusedError, match="senior holds values of the kind integer"):
        read_sample(_texts(senior=[0, 1]), [], [Category("senior", ("0", "1"))])


def test_levels_are_those_of_the_training_rows_alone() -> None:
    """A value that is frequent only at the test cutoff is "other" there."""
    train = pd.concat([_texts(region=["north"] * 120), _texts(region=["south"] * 49).assign(customer_id="s")])
    train["customer_id"] += train.groupby("customer_id").cumcount().astype(str)
    test = _texts(region=["west"] * 120).assign(business_date=TEST)

    split = split_rows(pd.concat([train, test]), [], Protocol((TRAIN,), (TEST,), maturity_days=32), ["region"])

    assert split.train.categories == (Category("region", ("north",)),)
    assert sorted(set(split.train.matrix[:, 0])) == [-1, 0]
    assert set(split.test.matrix[:, 0]) == {-1}
    assert set(split.test.frame(["region"])["region"]) == {"west"}


def test_a_category_that_is_nearly_an_id_is_left_out_with_its_reason() -> None:
    """The others are kept."""
    rows = _texts(email=[f"{number}@shop" for number in range(100)], region=["north"] * 100)
    rows = pd.concat([rows, rows.assign(business_date=TEST)])

    split = split_rows(rows, [], Protocol((TRAIN,), (TEST,), maturity_days=32), ["email", "region"])

    assert split.train.features == ("region",)
    assert split.left_out == {"email": "100 different values for 100 customers: nearly one each, an identifier"}


def test_without_dates_all_rows_train_and_test_and_copies_of_other_customers_are_left_out() -> None:
    """Equal in everything but the id, nulls included; another outcome or another null makes another row."""
    rows = _texts(region=["north", "north", None, None, "north"], x=[1.0, 1.0, np.nan, np.nan, 1.0])
    rows["is_churned"] = [0, 0, 1, 1, 1]

    split = split_rows(rows, ["x"], Protocol.undated(TRAIN), ["region"])

    assert split.train is split.test
    assert split.train.customer_ids.tolist() == ["c000", "c002", "c004"]
    assert split.copies == 2


def test_an_undated_protocol_reaches_no_further_than_the_day_it_was_told() -> None:
    """Scores from that day on are no hindsight."""
    protocol = Protocol.undated(TRAIN, minimum_outcomes=7, seed=3)

    assert (protocol.trained_through, protocol.label_data_through) == (TRAIN, TRAIN)
    assert (protocol.test_cutoffs, protocol.minimum_outcomes, protocol.seed) == ((), 7, 3)


def test_an_undated_set_without_rows_of_its_day_is_refused() -> None:
    """The boundary: rows of the day after are none."""
    rows = _texts(x=[1.0]).assign(business_date=TRAIN + timedelta(days=1))

    with pytest.raises(ModelRefusedError, match="no labelled row at the cutoff 2024-01-01"):
        split_rows(rows, ["x"], Protocol.undated(TRAIN))
