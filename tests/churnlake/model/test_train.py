"""Training as a whole."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from churnlake.errors import ModelRefusedError
from churnlake.features import Feature
from churnlake.model.calibrate import cross_fitted
from churnlake.model.evaluate import auc
from churnlake.model.fit import _held_out_probability
from churnlake.model.gate import Verdict
from churnlake.model.plan import logistic
from churnlake.model.search import Search
from churnlake.model.split import Protocol, grouped_folds
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
    assert trained.fitted.plan_probability().tolist() == predictions["churn_probability"].tolist()
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


def test_equal_rows_with_categories_give_an_equal_model_in_any_order(
    mixed: TrainedModel, build_mixed_rows: RowsBuilder, mixed_catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """P2: levels are ranked by their rows, then by text, never by where they came first."""
    again = train(build_mixed_rows().sample(frac=1.0, random_state=1), mixed_catalogue, protocol)

    assert again.fitted.plan.to_json() == mixed.fitted.plan.to_json()
    assert again.gate.to_json() == mixed.gate.to_json()


def test_a_category_that_tells_much_is_learnt_and_one_that_is_an_id_is_not(mixed: TrainedModel) -> None:
    """The planted effect: islanders leave more; ships are too few for a level of their own; addresses are no groups."""
    fitted = mixed.fitted
    region = next(term for term in fitted.plan.categories if term.name == "region")
    shares = dict(zip(region.levels, region.shares, strict=True))

    assert mixed.gate.verdict is Verdict.PROMOTE
    assert set(shares) == {"islands", "north", "south"}
    assert shares["islands"] > max(shares["north"], shares["south"], region.absent) + 0.5
    assert list(fitted.split.left_out) == ["email"]
    assert all("email" not in candidate.features for candidate in fitted.candidates)


def test_one_training_cutoff_trains_calibrates_and_holds(
    build_mixed_rows: RowsBuilder, mixed_catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """A single cohort makes a model, examined on a later one; a person decides about it."""
    single = replace(protocol, train_cutoffs=protocol.train_cutoffs[-1:], test_cutoffs=protocol.test_cutoffs[-1:])

    model = train(build_mixed_rows(customers=1_500), mixed_catalogue, single)

    assert all(score.rolling is None for score in model.fitted.search_table)
    assert [check.name for check in model.gate.checks if not check.passed] == ["training cutoffs"]
    assert model.gate.verdict is Verdict.HOLD


def test_without_dates_every_row_is_examined_by_a_model_of_other_customers(
    undated: TrainedModel, told_once: pd.DataFrame
) -> None:
    """The evaluation is of out-of-fold predictions, one a customer, not of the model's own rows."""
    fitted = undated.fitted
    predictions = fitted.test_predictions

    assert sorted(predictions["customer_id"]) == sorted(told_once["customer_id"])
    assert fitted.evaluation.pooled.rows == 3_000
    own = auc(fitted.plan_probability(), fitted.split.test.labels)
    assert fitted.evaluation.pooled.auc < own
    assert 0.7 < fitted.evaluation.pooled.auc < 0.9


def test_without_dates_noise_that_fits_its_own_rows_is_worth_nothing(
    told_once: pd.DataFrame, mixed_catalogue: tuple[Feature, ...]
) -> None:
    """Outcomes dealt at random: what the model finds in its own rows, it does not find in others."""
    generator = np.random.default_rng(5)
    rows = told_once.assign(is_churned=generator.permutation(told_once["is_churned"]))

    fitted = train(rows, mixed_catalogue, Protocol.undated(rows["business_date"].iloc[0])).fitted

    assert fitted.evaluation.pooled.auc < 0.54


def test_without_dates_calibration_is_judged_on_rows_it_was_not_fitted_to(
    undated: TrainedModel,
) -> None:
    """Where a sigmoid is applied, each row's comes from the other folds; else the scores stand as they are."""
    fitted = undated.fitted
    slope = 0.5
    log_odds = np.linspace(-3, 3, len(fitted.split.test.labels))
    found = Search(fitted.candidate, (), log_odds, tuple(grouped_folds(fitted.split.test)))
    applied = replace(fitted.calibration, slope=slope, intercept=0.0, applied=True)

    plain = _held_out_probability(fitted.split.test, found, replace(applied, applied=False))
    crossed = _held_out_probability(fitted.split.test, found, applied)

    np.testing.assert_array_equal(plain, logistic(log_odds))
    expected = cross_fitted(log_odds, fitted.split.test.labels, found.folds)
    np.testing.assert_array_equal(crossed, logistic(expected))
    assert len({round(float(value), 9) for value in np.diff(expected)}) > 1


def test_without_dates_copies_of_a_customer_do_not_make_the_model_look_better(
    told_once: pd.DataFrame, mixed_catalogue: tuple[Feature, ...], undated: TrainedModel
) -> None:
    """Every row three times under new ids: left out, counted, and the same model."""
    copies = [told_once.assign(customer_id=told_once["customer_id"] + f"-{number}") for number in (1, 2)]
    catalogue = [feature for feature in mixed_catalogue if feature.name != "email"]

    fitted = train(
        pd.concat([told_once, *copies]), catalogue, Protocol.undated(told_once["business_date"].iloc[0])
    ).fitted

    assert fitted.split.copies == 6_000
    assert fitted.plan == undated.fitted.plan


def test_without_dates_too_few_outcomes_ask_for_more_customers(
    told_once: pd.DataFrame, mixed_catalogue: tuple[Feature, ...]
) -> None:
    """There is no cutoff to wait for."""
    with pytest.raises(ModelRefusedError, match="bring the outcomes of more customers"):
        train(told_once.head(60), mixed_catalogue, Protocol.undated(told_once["business_date"].iloc[0]))
