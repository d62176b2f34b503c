"""Training as a whole."""

from collections.abc import Callable
from datetime import timedelta

import pandas as pd

from churnlake.features import Feature
from churnlake.model.evaluate import auc
from churnlake.model.split import Protocol
from churnlake.model.train import TrainedModel, train

RowsBuilder = Callable[..., pd.DataFrame]


def test_equal_rows_in_any_order_give_an_equal_model(
    trained: TrainedModel, build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """P2: to the last bit of the plan, of the evaluation and of the gate's record."""
    shuffled = build_rows().sample(frac=1.0, random_state=1)

    again = train(shuffled, catalogue, protocol)

    assert again.fitted.plan.to_json() == trained.fitted.plan.to_json()
    assert again.fitted.evaluation == trained.fitted.evaluation
    assert again.gate.to_json() == trained.gate.to_json()


def test_the_evaluation_can_be_recomputed_from_the_test_predictions(trained: TrainedModel, protocol: Protocol) -> None:
    """Every test row is there once, and its AUC is the one reported."""
    predictions = trained.fitted.test_predictions

    assert list(predictions.columns) == ["business_date", "customer_id", "is_churned", "churn_probability"]
    assert sorted(set(predictions["business_date"])) == list(protocol.test_cutoffs)
    assert not predictions.duplicated(["business_date", "customer_id"]).any()
    recomputed = auc(predictions["churn_probability"].to_numpy(), predictions["is_churned"].to_numpy())
    assert recomputed == trained.fitted.evaluation.pooled.auc
    assert 0.65 < recomputed < 0.9


def test_test_rows_do_not_touch_the_model(
    trained: TrainedModel, build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """P10: with every test label turned round, the plan stays the same."""
    rows = build_rows()
    at_test = rows["business_date"].isin(protocol.test_cutoffs)
    rows.loc[at_test, "is_churned"] = 1 - rows.loc[at_test, "is_churned"]

    again = train(rows, catalogue, protocol)

    assert again.fitted.plan == trained.fitted.plan
    assert again.fitted.evaluation.pooled.auc < 0.5


def test_the_label_data_reach_one_maturity_beyond_the_last_test_cutoff(protocol: Protocol) -> None:
    """Scores of dates before it are retrospective."""
    assert protocol.trained_through == max(protocol.train_cutoffs)
    assert protocol.label_data_through == max(protocol.test_cutoffs) + timedelta(days=32)
