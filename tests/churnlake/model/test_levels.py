"""Which values of a category the model weighs, and their codes."""

import numpy as np
import pytest

from churnlake.model.levels import MOST_LEVELS, OTHER, Category, count_values


def _customers(count: int) -> np.ndarray:
    return np.arange(count)


def test_a_level_has_fifty_rows_and_twenty_customers() -> None:
    """49 rows, or 19 customers, are too few; both limits are enough exactly."""
    texts = ["fifty"] * 50 + ["short"] * 49 + ["few"] * 60 + ["twenty"] * 60
    customers = np.concatenate([np.arange(50), np.arange(49), np.arange(60) % 19, np.arange(60) % 20])

    values = count_values(texts, customers)

    assert values.texts == ("few", "twenty", "fifty", "short")
    assert (values.rows, values.customers) == ((60, 60, 50, 49), (19, 20, 50, 49))
    assert values.levels() == ("twenty", "fifty")


def test_an_absent_value_is_no_level() -> None:
    """However many there are of them; and an empty column has no values at all."""
    assert count_values([None] * 100 + ["a"] * 50, _customers(150)).levels() == ("a",)
    assert count_values([None], _customers(1)).texts == ()


def test_the_61_most_frequent_values_are_levels_and_of_equals_the_first_in_the_alphabet() -> None:
    """With "other" and "absent" that makes 63 states."""
    texts = [f"v{number:02}" for number in range(70) for _ in range(50)] + ["zz"] * 51

    levels = count_values(texts, _customers(len(texts))).levels()

    assert len(levels) == MOST_LEVELS
    assert (levels[0], levels[1], levels[-1]) == ("zz", "v00", "v59")


@pytest.mark.parametrize(
    ("values", "customers", "said"),
    [
        (50, 100, None),
        (51, 100, "51 different values for 100 customers: nearly one each, an identifier"),
        (10_000, 30_000, None),
        (10_001, 30_000, "10,001 different values; a category may have 10,000"),
    ],
)
def test_a_column_of_nearly_as_many_values_as_customers_is_no_feature(
    values: int, customers: int, said: str | None
) -> None:
    """More than half of the customers, or more than 10,000: an identifier, not a group."""
    texts = [f"v{number % values}" for number in range(customers)]

    assert count_values(texts, _customers(customers)).unfit(customers) == said


def test_codes_are_the_levels_places_and_unseen_differs_from_absent() -> None:
    """The value is compared as it is: neither case nor blanks are dropped."""
    codes = Category("region", ("north", "south", "")).encode(["south", None, "east", "north", "North", "north ", ""])

    np.testing.assert_array_equal(codes, [1, np.nan, OTHER, 0, OTHER, OTHER, 2])
