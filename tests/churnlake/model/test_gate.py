"""The gate: what refuses, what holds, and that an error means no."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

from churnlake.errors import ModelRefusedError
from churnlake.features import Family, Feature
from churnlake.model.fit import FittedModel, fit
from churnlake.model.gate import (
    NO_RECENCY,
    Check,
    Finding,
    Gate,
    Verdict,
    check_against_recency,
    check_permuted,
    check_plan,
    check_test_size,
    held_out_auc,
    judge,
    permute_by_customer,
    permuted_reach,
    run_check,
)
from churnlake.model.pipeline import build_candidates
from churnlake.model.search import search
from churnlake.model.split import Protocol, Sample, grouped_folds, read_sample
from churnlake.model.train import TrainedModel, train

RowsBuilder = Callable[..., pd.DataFrame]


def _check(verdict: Verdict) -> Check:
    return Check("x", verdict is Verdict.PROMOTE, "seen", "allowed", verdict, None)


def test_an_honest_model_passes_every_check(trained: TrainedModel) -> None:
    """Nothing stands in the way of a model of a real signal."""
    assert (trained.gate.verdict, trained.gate.reason) == (Verdict.PROMOTE, "all 8 checks passed")
    assert trained.permuted_auc == pytest.approx(0.5, abs=0.06)


def test_a_model_of_noise_is_refused(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """G1: it is no better than the base rate, and the record says so."""
    gate = train(build_rows(signal=0.0), catalogue, protocol).gate

    assert gate.verdict is Verdict.REFUSE
    assert not gate.check("better than the base rate").passed
    assert "better than the base rate: relative gain" in gate.reason


def test_a_model_that_knows_recency_alone_is_refused(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """G1: a model must add something to the one number everybody has."""
    rows = build_rows()
    rows["is_churned"] = (np.random.default_rng(1).random(len(rows)) < 1 / (1 + 20 / rows["days_since_last"])).astype(
        int
    )
    useless = [column for column in rows.columns[3:] if column != "days_since_last"]
    rows[useless] = np.random.default_rng(2).normal(size=(len(rows), len(useless)))

    gate = train(rows, catalogue, protocol).gate

    assert gate.check("better than the base rate").passed
    assert gate.check("better than recency alone").verdict is Verdict.REFUSE


def test_too_few_outcomes_are_refused_before_any_fit_with_the_time_when_there_will_be_enough(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """Customers are counted, not rows: forty customers with ten rows each are forty."""
    with pytest.raises(
        ModelRefusedError, match=r"40 customers over 10 cutoffs; enough after about 15 more .* 100"
    ) as refusal:
        train(build_rows(customers=40), catalogue, protocol)

    assert refusal.value.exit_code == 4


def test_training_rows_with_one_outcome_are_refused(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """Missing files make everyone look churned; no model is made of that."""
    with pytest.raises(ModelRefusedError, match="every row has the same outcome"):
        train(build_rows().assign(is_churned=1), catalogue, protocol)


def test_a_small_test_holds(build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol) -> None:
    """With fewer than fifty customers of the rarer outcome nothing can be decided."""
    rows = build_rows()
    at_test = rows["business_date"].isin(protocol.test_cutoffs)
    few = rows[~at_test | (rows["customer_id"] < "c00040")]

    gate = train(few, catalogue, protocol).gate

    assert gate.check("test size").verdict is Verdict.HOLD


def test_two_training_cutoffs_hold(build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol) -> None:
    """A person decides about a model that saw one season only."""
    short = replace(protocol, train_cutoffs=protocol.train_cutoffs[-2:])

    gate = train(build_rows(), catalogue, short).gate

    assert gate.check("training cutoffs").observed == "2 cutoffs"
    assert gate.verdict is Verdict.HOLD


def test_a_feature_that_knows_the_outcome_holds(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """G9: too good to be true."""
    rows = build_rows()
    rows["noise"] = rows["noise"] + 3 * rows["is_churned"]

    gate = train(rows, catalogue, protocol).gate

    assert gate.check("not too good to be true").verdict is Verdict.HOLD
    assert gate.verdict is Verdict.HOLD


def test_a_feature_that_is_the_outcome_stops_training(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """Perfect separation leaves nothing to calibrate: refused, with where to look."""
    rows = build_rows()
    rows["noise"] = rows["noise"] / 100 + rows["is_churned"]

    with pytest.raises(ModelRefusedError, match="look for a feature that knows the outcome"):
        train(rows, catalogue, protocol)


def test_an_exploding_check_refuses_and_says_why() -> None:
    """P12: an error inside a check means no."""

    def explode() -> Finding:
        raise ZeroDivisionError("no customers left")

    check = run_check("shape", "anything", Verdict.HOLD, explode)

    assert check == Check("shape", False, "ZeroDivisionError: no customers left", "anything", Verdict.REFUSE, None)


def test_a_check_that_cannot_run_refuses_the_model(trained: TrainedModel) -> None:
    """P12: without a recency feature the comparison fails, and so does the model."""
    split = trained.fitted.split
    blind = [replace(feature, family=Family.SPEND) for feature in trained.fitted.catalogue]

    check = check_against_recency(split, trained.fitted.plan_probability(), blind, seed=0)

    assert check.verdict is Verdict.REFUSE
    assert check.observed.startswith("ModelRefusedError: the catalogue marks no lite feature of the family recency")


def test_a_measurement_that_is_no_number_refuses(trained: TrainedModel) -> None:
    """P12: NaN is neither above nor below a limit."""
    check = check_plan(replace(trained.fitted, plan=replace(trained.fitted.plan, intercept=np.nan)))

    assert (check.passed, check.verdict, check.value) == (False, Verdict.REFUSE, None)


def test_a_plan_that_differs_from_its_pipeline_is_refused(trained: TrainedModel) -> None:
    """P22: a difference in the eighth decimal is a difference."""
    plan = trained.fitted.plan

    gate = judge(replace(trained.fitted, plan=replace(plan, intercept=plan.intercept + 1e-8)))

    assert gate.check("plan equals pipeline").verdict is Verdict.REFUSE


@pytest.mark.parametrize(
    ("checks", "verdict"),
    [
        ([Verdict.PROMOTE, Verdict.PROMOTE], Verdict.PROMOTE),
        ([Verdict.PROMOTE, Verdict.HOLD], Verdict.HOLD),
        ([Verdict.HOLD, Verdict.REFUSE, Verdict.PROMOTE], Verdict.REFUSE),
        ([], Verdict.REFUSE),
    ],
)
def test_the_gate_says_what_its_most_cautious_check_says(checks: list[Verdict], verdict: Verdict) -> None:
    """And no checks at all means no."""
    assert Gate(tuple(map(_check, checks))).verdict is verdict


def _grouped_leak() -> tuple[Sample, tuple[Feature, ...]]:
    """300 customers with four equal rows each, and enough features to tell them apart."""
    generator = np.random.default_rng(4)
    names = [f"f{number:02d}" for number in range(60)]
    customers = pd.DataFrame(generator.normal(size=(300, 60)), columns=names)
    customers.insert(0, "customer_id", [f"c{number:03d}" for number in range(300)])
    rows = pd.concat(
        [customers.assign(business_date=date(2024, 1, 1) + timedelta(days=15 * cutoff)) for cutoff in range(4)]
    )
    rows["is_churned"] = np.tile((generator.random(300) < 0.5).astype(int), 4)
    return read_sample(rows, names), tuple(names)


def test_permuted_labels_catch_a_forgotten_grouping(catalogue: tuple[Feature, ...]) -> None:
    """G8: with a customer's rows on both sides of a fold, even labels dealt at random are found again."""
    sample, names = _grouped_leak()
    candidates = build_candidates([replace(catalogue[0], name=name, lite=False) for name in names])
    dealt = replace(sample, labels=permute_by_customer(sample, np.random.default_rng(0)))
    careless = list(KFold(5, shuffle=True, random_state=0).split(dealt.matrix))

    grouped = held_out_auc(dealt, search(dealt, candidates, grouped_folds(dealt), []))
    forgotten = held_out_auc(dealt, search(dealt, candidates, careless, []))

    assert forgotten > 0.65
    assert abs(grouped - 0.5) < 0.1


def test_a_protocol_that_finds_permuted_labels_is_refused(
    monkeypatch: pytest.MonkeyPatch, catalogue: tuple[Feature, ...]
) -> None:
    """G8 judges the protocol as it runs: break its folds, and the check refuses."""
    sample, names = _grouped_leak()
    candidates = build_candidates([replace(catalogue[0], name=name, lite=False) for name in names])
    honest = check_permuted(sample, candidates, maturity_days=32, seed=0)

    monkeypatch.setattr(
        "churnlake.model.search.grouped_folds",
        lambda sample: list(KFold(5, shuffle=True, random_state=0).split(sample.matrix)),
    )
    broken = check_permuted(sample, candidates, maturity_days=32, seed=0)

    assert honest.verdict is Verdict.PROMOTE
    assert broken.verdict is Verdict.REFUSE


@pytest.mark.parametrize(
    ("churned", "stayed", "allowed"),
    [
        (100, 2400, "between 0.412 and 0.588"),
        (300, 2200, "between 0.44 and 0.56"),
        (20, 2480, "between 0.35 and 0.65"),
        (1, 0, "between 0.35 and 0.65"),
    ],
)
def test_few_outcomes_widen_what_permuted_labels_may_show(churned: int, stayed: int, allowed: str) -> None:
    """Three standard errors of an AUC without signal, never less than .06 nor so much that a leak of .78 passes."""
    rows = pd.DataFrame({
        "customer_id": [f"c{number}" for number in range(churned + stayed)],
        "business_date": date(2024, 1, 1),
        "is_churned": [1] * churned + [0] * stayed,
    })  # fmt: skip

    check = check_permuted(read_sample(rows, []), [], maturity_days=32, seed=0)

    assert check.allowed == f"cross-validated AUC {allowed}"


def test_a_customers_many_rows_are_no_more_evidence_than_one() -> None:
    """The width goes by customers: ten cutoffs of the same people leave it as it is."""
    customers = pd.DataFrame({"customer_id": [f"c{n}" for n in range(200)], "is_churned": [1] * 80 + [0] * 120})
    once = customers.assign(business_date=date(2024, 1, 1))
    often = pd.concat([customers.assign(business_date=date(2024, 1, 1) + timedelta(days=n)) for n in range(10)])

    assert permuted_reach(read_sample(once, [])) == permuted_reach(read_sample(often, [])) > 0.1


def test_permuted_labels_keep_a_customers_outcomes_together() -> None:
    """Each customer gets another's outcomes, in order, repeated where it has more rows."""
    days = [date(2024, 1, 1) + timedelta(days=day) for day in range(3)]
    rows = pd.DataFrame(
        [("a", days[0], 1), ("a", days[1], 1), ("a", days[2], 0), ("b", days[1], 0)],
        columns=["customer_id", "business_date", "is_churned"],
    )
    sample = read_sample(rows, [])

    dealt = {tuple(permute_by_customer(sample, np.random.default_rng(seed)).tolist()) for seed in range(20)}

    # In order of cutoff, then customer: a, a, b, a. Either nobody swaps, or a gets b's 0 and b the first of a's.
    assert dealt == {(1, 1, 0, 0), (0, 0, 1, 0)}


def test_the_test_size_counts_customers_not_rows(
    build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol
) -> None:
    """The boundary: 50 is enough, 49 is not."""
    fitted: FittedModel = fit(build_rows(customers=150), catalogue, protocol)
    test = fitted.split.test
    one_each = test.take(test.cutoffs == test.cutoffs[0])
    churned = np.flatnonzero(one_each.labels == 1)
    stayed = np.flatnonzero(one_each.labels == 0)
    rarer, other = sorted([churned, stayed], key=len)

    def keep(count: int) -> Sample:
        return one_each.take(np.isin(np.arange(len(one_each.labels)), np.concatenate([rarer[:count], other])))

    assert len(rarer) >= 50
    assert check_test_size(keep(50)).passed
    assert check_test_size(keep(49)).verdict is Verdict.HOLD


def test_outcomes_without_dates_hold_however_good_the_model(undated: TrainedModel) -> None:
    """Every check passes but one: nothing shows that it holds for a later time, and the reason says so."""
    failed = [check for check in undated.gate.checks if not check.passed]

    assert [check.name for check in failed] == ["examined on a later time"]
    assert undated.gate.verdict is Verdict.HOLD
    assert "provisional: the outcomes have no dates" in undated.gate.reason


def test_outcomes_without_dates_that_nothing_tells_are_refused(
    told_once: pd.DataFrame, mixed_catalogue: tuple[Feature, ...]
) -> None:
    """The other checks stand: a person is not asked about noise."""
    rows = told_once.assign(is_churned=np.random.default_rng(5).permutation(told_once["is_churned"]))

    gate = train(rows, mixed_catalogue, Protocol.undated(rows["business_date"].iloc[0])).gate

    assert gate.check("better than the base rate").verdict is Verdict.REFUSE
    assert gate.verdict is Verdict.REFUSE


def test_a_catalogue_without_recency_is_held_against_the_base_rate_alone(
    told_once: pd.DataFrame, mixed_catalogue: tuple[Feature, ...]
) -> None:
    """Customers' attributes have no last activity to compare with."""
    profile = [replace(feature, family=Family.PROFILE) for feature in mixed_catalogue]

    gate = train(told_once, profile, Protocol.undated(told_once["business_date"].iloc[0])).gate

    assert "better than recency alone" not in {check.name for check in gate.checks}
    assert gate.check("better than the base rate").passed
    assert gate.check("better than the base rate").allowed.endswith(f"above 0; {NO_RECENCY}")
    assert gate.verdict is Verdict.HOLD


def test_permuted_labels_are_not_found_in_categories(mixed: TrainedModel) -> None:
    """G8: a level's weight is learnt from other customers, so nothing of a customer's own outcome is in it."""
    assert mixed.permuted_auc == pytest.approx(0.5, abs=0.06)
