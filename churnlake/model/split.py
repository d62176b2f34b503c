"""Labelled rows as arrays, divided by time and by customer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from churnlake.errors import ModelRefusedError

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
    `seed`: of bootstraps and permutation; the fit itself draws nothing.
    """

    train_cutoffs: tuple[date, ...]
    test_cutoffs: tuple[date, ...]
    maturity_days: int
    minimum_outcomes: int = 100
    seed: int = 0

    @property
    def trained_through(self) -> date:
        return max(self.train_cutoffs)

    @property
    def label_data_through(self) -> date:
        """The last day that any label looked at, the test cutoffs' included."""
        return max(self.test_cutoffs) + timedelta(days=self.maturity_days)


@dataclass(frozen=True)
class Sample:
    """n labelled rows, one per customer and cutoff, in order of cutoff, then customer.

    `matrix` float64[n, f] over `features` (NaN = absent); `labels` int64[n], 1 = churned; `customer_ids` object[n];
    `customers` int64[n], the same as codes from 0; `cutoffs` datetime64[D][n].
    """

    features: tuple[str, ...]
    matrix: NDArray[np.float64]
    labels: NDArray[np.int64]
    customer_ids: NDArray[np.object_]
    customers: NDArray[np.int64]
    cutoffs: NDArray[np.datetime64]

    def columns(self, features: Sequence[str]) -> NDArray[np.float64]:
        """The columns of these features, in their order."""
        return self.matrix[:, [self.features.index(name) for name in features]]

    def take(self, rows: NDArray[np.bool_]) -> Self:
        """The rows marked True."""
        codes = np.unique(self.customers[rows], return_inverse=True)[1]
        return type(self)(
            self.features, self.matrix[rows], self.labels[rows], self.customer_ids[rows], codes, self.cutoffs[rows]
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
    """Training rows, and test rows that all lie at least an embargo later."""

    train: Sample
    test: Sample


def split_rows(rows: pd.DataFrame, features: Sequence[str], protocol: Protocol) -> Split:
    """Divide labelled rows into training and test cutoffs; rows of other cutoffs are left out.

    Raises:
        ModelRefusedError: The cutoffs break the embargo, or the rows are not one per customer and cutoff with a label
            of 0 or 1 and finite features.
    """
    validate_embargo(protocol)
    sample = read_sample(rows, features)
    return Split(_at_cutoffs(sample, protocol.train_cutoffs), _at_cutoffs(sample, protocol.test_cutoffs))


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


def read_sample(rows: pd.DataFrame, features: Sequence[str]) -> Sample:
    """The frame as arrays, in an order that does not depend on the frame's own."""
    _validate_columns(rows, features)
    ordered = rows.assign(business_date=pd.to_datetime(rows["business_date"])).sort_values(
        ["business_date", "customer_id"]
    )
    _validate_rows(ordered)
    matrix = ordered[list(features)].to_numpy(dtype=np.float64)
    infinite = [name for name, bad in zip(features, np.isinf(matrix).any(axis=0), strict=True) if bad]
    if infinite:
        raise ModelRefusedError(
            f"infinite values in {', '.join(infinite)}; a feature is a number, or null where absent"
        )
    ids = ordered["customer_id"].to_numpy(dtype=object)
    return Sample(
        features=tuple(features),
        matrix=matrix,
        labels=ordered["is_churned"].to_numpy(dtype=np.int64),
        customer_ids=ids,
        customers=np.unique(ids.astype(str), return_inverse=True)[1],
        cutoffs=ordered["business_date"].to_numpy().astype("datetime64[D]"),
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
