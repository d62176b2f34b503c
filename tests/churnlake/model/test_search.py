"""The choice of a candidate."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from churnlake.features import Feature
from churnlake.model.calibrate import row_losses
from churnlake.model.pipeline import build_candidates
from churnlake.model.search import Search, search_by_customer
from churnlake.model.split import Protocol, read_sample

RowsBuilder = Callable[..., pd.DataFrame]


def _search(rows: pd.DataFrame, catalogue: tuple[Feature, ...]) -> Search:
    sample = read_sample(rows, [feature.name for feature in catalogue])
    return search_by_customer(sample, build_candidates(catalogue), maturity_days=32)


def test_candidates_stand_from_the_simplest_to_the_least_penalised(catalogue: tuple[Feature, ...]) -> None:
    """The rule takes the first that is good enough."""
    candidates = build_candidates(catalogue)

    assert [candidate.name for candidate in candidates] == [
        "lite",
        "all, C=0.003",
        "all, C=0.01",
        "all, C=0.03",
        "all, C=0.1",
    ]
    assert [len(candidate.features) for candidate in candidates] == [4, 7, 7, 7, 7]


def test_the_few_features_win_where_the_others_are_noise(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """Within one standard error of the best, the simplest is taken."""
    rows = build_rows()

    found = _search(rows[rows["business_date"] <= max(protocol.train_cutoffs)], catalogue)

    assert found.chosen.name == "lite"
    assert [score.name for score in found.table if score.chosen] == ["lite"]
    assert all(score.rolling is not None for score in found.table)


def test_all_features_win_where_one_of_the_others_tells_much(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...]
) -> None:
    """Simplicity is not bought with a plainly worse model."""
    rows = build_rows()
    rows["noise"] = rows["noise"] + 2 * rows["is_churned"]

    assert len(_search(rows, catalogue).chosen.features) == 7


def test_the_table_holds_the_loss_of_rows_that_were_held_out(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...]
) -> None:
    """The chosen row of the table can be recomputed from the out-of-fold scores; 7 cutoffs give no origin."""
    rows = build_rows(customers=150)
    rows = rows[rows["business_date"].isin(sorted(rows["business_date"].unique())[:7])]
    sample = read_sample(rows, [feature.name for feature in catalogue])

    found = _search(rows, catalogue)

    chosen = next(score for score in found.table if score.chosen)
    losses = row_losses(found.out_of_fold, sample.labels)
    by_fold = [losses[held_out].mean() for _, held_out in found.folds]
    assert chosen.log_loss == chosen.cross_validated == pytest.approx(np.mean(by_fold))
    assert chosen.standard_error == pytest.approx(np.std(by_fold, ddof=1) / np.sqrt(5))
    assert chosen.rolling is None
