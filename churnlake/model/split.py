"""Labelled rows as arrays, divided by time and by customer; outcomes without dates, by customer alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from churnlake.errors import ModelRefusedError
from churnlake.model.levels import Category, count_values

FOLDS = 5
ROLLING_ORIGINS = 3

# Fewer cutoffs leave the earliest rolling origin with too little past to say anything.
ROLLING_MINIMUM_CUTOFFS = 8

Fold: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Protocol:
    """When a model learns and when it is examined.

    `maturity_days` M: a label of business date D is known M days later, which is also the embargo between the last
    training cutoff and the first test cutoff. `minimum_outcomes`: customers of the rarer outcome needed to train.
    `seed`: of bootstraps and permutation; the fit itself draws nothing. `is_dated` False: see `undated`.
    """

    train_cutoffs: tuple[date, ...]
    test_cutoffs: tuple[date, ...]
    maturity_days: int
    minimum_outcomes: int = 100
    seed: int = 0
    is_dated: bool = True

    @classmethod
    def undated(cls, told_on: date, minimum_outcomes: int = 100, seed: int = 0) -> Self:
        """For outcomes that came without dates, all in rows of the one business date `told_on`.

        There is no later time to examine on: every row is examined by a model fitted on other customers (five folds),
        and whatever comes of it, a person decides.
        """
        return cls((told_on,), (), 0, minimum_outcomes, seed, is_dated=False)

    @property
    def trained_through(self) -> date:
        return max(self.train_cutoffs)

    @property
    def label_data_through(self) -> date:
        """The last day that any label looked at, the test cutoffs' included."""
        return max(self.train_cutoffs + self.test_cutoffs) + timedelta(days=self.maturity_days)


@dataclass(frozen=True)
class Sample:
    """n labelled rows, one per customer and cutoff, in order of cutoff, then customer.

    `matrix` float64[n, f + g] over `features`, which are numbers (NaN = absent), then `categories` as their codes;
    `texts` object[n, g], what those codes stand for (None = absent); `labels` int64[n], 1 = churned; `customer_ids`
    object[n]; `customers` int64[n], the same as codes from 0; `cutoffs` datetime64[D][n].
    """

    features: tuple[str, ...]
    categories: tuple[Category, ...]
    matrix: NDArray[np.float64]
    texts: NDArray[np.object_]
    labels: NDArray[np.int64]
    customer_ids: NDArray[np.object_]
    customers: NDArray[np.int64]
    cutoffs: NDArray[np.datetime64]

    def columns(self, features: Sequence[str]) -> NDArray[np.float64]:
        """The columns of these features, in their order."""
        return self.matrix[:, [self.features.index(name) for name in features]]

    def numbers_of(self, features: Sequence[str]) -> list[str]:
        """Those of the features that are numbers."""
        names = {category.name for category in self.categories}
        return [name for name in features if name not in names]

    def categories_of(self, features: Sequence[str]) -> list[Category]:
        """Those of the features that are categories."""
        by_name = {category.name: category for category in self.categories}
        return [by_name[name] for name in features if name in by_name]

    def frame(self, features: Sequence[str]) -> pd.DataFrame:
        """The columns of these features as people know them: categories in words."""
        numbers = self.numbers_of(features)
        texts = pd.DataFrame(self.texts, columns=[category.name for category in self.categories], dtype=object)
        return pd.DataFrame(self.columns(numbers), columns=numbers).join(texts)[list(features)]

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """The rows marked True."""
        return replace(
            self,
            matrix=self.matrix[rows],
            texts=self.texts[rows],
            labels=self.labels[rows],
            customer_ids=self.customer_ids[rows],
            customers=np.unique(self.customers[rows], return_inverse=True)[1],
            cutoffs=self.cutoffs[rows],
        )

    def distinct_cutoffs(self) -> NDArray[np.datetime64]:
        """The cutoffs, oldest first."""
        return np.unique(self.cutoffs)

    def rarer_outcome_customers(self) -> int:
        """Distinct customers who show the outcome that fewer customers show."""
        return min(len(np.unique(self.customers[self.labels == outcome])) for outcome in (0, 1))

    def describe_outcomes(self, minimum: int) -> str:
        """How many customers show the rarer outcome and, where that is too few, when there will be enough."""
        count, cutoffs = self.rarer_outcome_customers(), len(self.distinct_cutoffs())
        if count >= minimum:
            return f"{count} customers"
        if count == 0:
            return f"0 customers over {cutoffs} cutoffs: every row has the same outcome"
        more = int(np.ceil(minimum * cutoffs / count)) - cutoffs
        return f"{count} customers over {cutoffs} cutoffs; enough after about {more} more at this pace"


@dataclass(frozen=True)
class Split:
    """Training rows, and test rows that all lie at least an embargo later; without dates, the same rows twice.

    `left_out` says of categories that are no features why not; `copies` counts rows left out because another customer's
    is equal in everything but the id.
    """

    train: Sample
    test: Sample
    left_out: Mapping[str, str] = field(default_factory=dict)
    copies: int = 0


def split_rows(rows: pd.DataFrame, numbers: Sequence[str], protocol: Protocol, categories: Sequence[str] = ()) -> Split:
    """Divide labelled rows into training and test cutoffs; rows of other cutoffs are left out.

    Raises:
        ModelRefusedError: The cutoffs break the embargo, or the rows are not one per customer and cutoff with a label
            of 0 or 1, finite numbers and categories that are text.
    """
    _validate_columns(rows, [*numbers, *categories])
    if not protocol.is_dated:
        return _split_undated(rows, numbers, protocol, categories)
    validate_embargo(protocol)
    learnt_from = rows[np.isin(_days(rows), np.array(protocol.train_cutoffs, dtype="datetime64[D]"))]
    kept, left_out = choose_levels(learnt_from, categories)
    sample = read_sample(rows, numbers, kept)
    train, test = _at_cutoffs(sample, protocol.train_cutoffs), _at_cutoffs(sample, protocol.test_cutoffs)
    return Split(train, test, left_out)


def choose_levels(rows: pd.DataFrame, names: Sequence[str]) -> tuple[tuple[Category, ...], dict[str, str]]:
    """The categories of these training rows, and of those that are no features why not. Looks at no outcome."""
    customers, distinct = pd.factorize(rows["customer_id"])
    kept, left_out = [], {}
    for name in names:
        values = count_values(_read_texts(rows[name]).tolist(), customers)
        unfit = values.unfit(len(distinct))
        if unfit is None:
            kept.append(Category(name, values.levels()))
        else:
            left_out[name] = unfit
    return tuple(kept), left_out


def validate_embargo(protocol: Protocol) -> None:
    """Require that training labels were known by the first test cutoff: last training cutoff + M <= first test."""
    train, test = protocol.train_cutoffs, protocol.test_cutoffs
    if not train or not test:
        raise ModelRefusedError(
            f"training needs cutoffs to train and to test on; got {len(train)} and {len(test)}",
            next_step="load more history: training needs active_within_days + 2 x maturity + 1 days of it",
        )
    limit = min(test) - timedelta(days=protocol.maturity_days)
    if max(train) > limit:
        raise ModelRefusedError(
            f"the last training cutoff must be {limit} or before, {protocol.maturity_days} days before the first test "
            f"cutoff {min(test)}; got {max(train)}"
        )


def read_sample(rows: pd.DataFrame, numbers: Sequence[str], categories: Sequence[Category] = ()) -> Sample:
    """The frame as arrays, in an order that does not depend on the frame's own."""
    _validate_columns(rows, [*numbers, *(category.name for category in categories)])
    ordered = rows.assign(business_date=pd.to_datetime(rows["business_date"])).sort_values(
        ["business_date", "customer_id"]
    )
    _validate_rows(ordered)
    texts = [_read_texts(ordered[category.name]) for category in categories]
    codes = [category.encode(column) for category, column in zip(categories, texts, strict=True)]
    ids = ordered["customer_id"].to_numpy(dtype=object)
    return Sample(
        features=(*numbers, *(category.name for category in categories)),
        categories=tuple(categories),
        matrix=np.column_stack([_read_numbers(ordered, numbers), *codes]),
        texts=np.column_stack(texts) if texts else np.empty((len(ordered), 0), dtype=object),
        labels=ordered["is_churned"].to_numpy(dtype=np.int64),
        customer_ids=ids,
        customers=np.unique(ids.astype(str), return_inverse=True)[1],
        cutoffs=_days(ordered),
    )


def grouped_folds(sample: Sample) -> list[Fold]:
    """Five (training, held-out) row sets; all rows of a customer are held out together."""
    return list(GroupKFold(FOLDS).split(sample.matrix, groups=sample.customers))


def rolling_origins(sample: Sample, maturity_days: int) -> list[Fold]:
    """The newest three cutoffs, each with the cutoffs at least an embargo before it; none below 8 cutoffs.

    An origin is left out where either side lacks one of the two outcomes: nothing can be fitted or measured there.
    """
    cutoffs = sample.distinct_cutoffs()
    if len(cutoffs) < ROLLING_MINIMUM_CUTOFFS:
        return []
    embargo = np.timedelta64(maturity_days, "D")
    origins = [
        (np.flatnonzero(sample.cutoffs <= origin - embargo), np.flatnonzero(sample.cutoffs == origin))
        for origin in cutoffs[-ROLLING_ORIGINS:]
    ]
    return [fold for fold in origins if all(len(np.unique(sample.labels[side])) == 2 for side in fold)]


def _split_undated(rows: pd.DataFrame, numbers: Sequence[str], protocol: Protocol, categories: Sequence[str]) -> Split:
    """All rows of the one business date, copies of other customers' rows left out: they would cross the folds."""
    here = rows[_days(rows) == np.datetime64(protocol.trained_through, "D")].sort_values("customer_id")
    single = here.drop_duplicates([*numbers, *categories, "is_churned"])
    kept, left_out = choose_levels(single, categories)
    sample = _at_cutoffs(read_sample(single, numbers, kept), protocol.train_cutoffs)
    return Split(sample, sample, left_out, copies=len(here) - len(single))


def _days(rows: pd.DataFrame) -> NDArray[np.datetime64]:
    return pd.to_datetime(rows["business_date"]).to_numpy().astype("datetime64[D]")


def _read_numbers(rows: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    matrix = rows[list(names)].to_numpy(dtype=np.float64)
    infinite = [name for name, bad in zip(names, np.isinf(matrix).any(axis=0), strict=True) if bad]
    if infinite:
        raise ModelRefusedError(
            f"infinite values in {', '.join(infinite)}; a feature is a number, or null where absent"
        )
    return matrix


def _read_texts(column: pd.Series) -> NDArray[np.object_]:
    """The texts object[n] of a category, None where absent."""
    kind = pd.api.types.infer_dtype(column, skipna=True)
    if kind not in ("string", "empty"):
        raise ModelRefusedError(
            f"{column.name} holds values of the kind {kind}; a category is text, or null where absent"
        )
    return column.astype(object).where(column.notna(), None).to_numpy(dtype=object)


def _at_cutoffs(sample: Sample, cutoffs: Sequence[date]) -> Sample:
    wanted = np.array(sorted(cutoffs), dtype="datetime64[D]")
    empty = sorted(str(cutoff) for cutoff in set(wanted) - set(sample.distinct_cutoffs()))
    if empty:
        raise ModelRefusedError(
            f"no labelled row at the cutoff {', '.join(empty)}; every cutoff needs eligible customers"
        )
    return sample.take(np.isin(sample.cutoffs, wanted))


def _validate_columns(rows: pd.DataFrame, features: Sequence[str]) -> None:
    needed = ["customer_id", "business_date", "is_churned", *features]
    missing = [name for name in needed if name not in rows.columns]
    if missing:
        raise ModelRefusedError(f"the training rows lack the columns {', '.join(missing)}")


def _validate_rows(rows: pd.DataFrame) -> None:
    repeated = int(rows.duplicated(["business_date", "customer_id"]).sum())
    if repeated:
        raise ModelRefusedError(f"training rows must be one per customer and cutoff; {repeated} are repeated")
    odd = sorted({repr(value) for value in rows["is_churned"].unique() if value not in (0, 1)})
    if odd:
        raise ModelRefusedError(f"is_churned must be 0 or 1 in every training row; got {', '.join(odd)}")
