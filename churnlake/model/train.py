"""Train: fit a model and ask the gate about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from threadpoolctl import threadpool_limits

from churnlake.features import Feature
from churnlake.model.fit import FittedModel, fit
from churnlake.model.gate import PERMUTED_CHECK, Gate, judge
from churnlake.model.split import Protocol

# The matrices are small, so two threads mostly wait for each other (measured: five times slower). With one, sums do not
# depend on the machine's number of cores either.
THREADS = 1


@dataclass(frozen=True)
class TrainedModel:
    """A fitted model with the gate's record of it."""

    fitted: FittedModel
    gate: Gate

    @property
    def permuted_auc(self) -> float | None:
        """Held-out AUC on permuted labels; None where that check failed with an error."""
        return self.gate.check(PERMUTED_CHECK).value


def train(rows: pd.DataFrame, catalogue: Sequence[Feature], protocol: Protocol) -> TrainedModel:
    """Fit and judge a model. Equal rows, in any order, give an equal model.

    Args:
        rows: customer_id, business_date, is_churned (0 or 1), then one float64 column per feature, NaN where absent.
        catalogue: the features that may be used.
        protocol: the cutoffs to learn from and to evaluate on, and their embargo.

    Raises:
        ModelRefusedError: The rows or cutoffs do not fit, or there are too few outcomes to train on.
    """
    with threadpool_limits(limits=THREADS):
        fitted = fit(rows, catalogue, protocol)
        return TrainedModel(fitted, judge(fitted))
