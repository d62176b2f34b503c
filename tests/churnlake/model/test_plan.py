"""The scoring plan: plain numbers that score exactly as the fitted pipeline does."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

from churnlake.errors import DataRefusedError, ModelRefusedError
from churnlake.model.levels import Category
from churnlake.model.pipeline import build_classifier, build_encoding, build_preparation, compile_plan
from churnlake.model.plan import CategoryTerm, ScoringPlan, Term
from churnlake.model.train import TrainedModel


def _term(name: str, family: str, **numbers: float) -> Term:
    plain = {"fill": 0.0, "center": 0.0, "spread": 1.0, "weight": 0.0, "usual": 0.0}
    flag = {"absent_center": 0.0, "absent_spread": 1.0, "absent_weight": 0.0}
    return Term(name=name, family=family, **(plain | flag | numbers))


TINY = ScoringPlan(
    intercept=-1.0,
    terms=(
        _term("recency", "recency", weight=2.0, usual=0.5),
        _term("spend", "spend", weight=-1.0, center=1.0, spread=2.0, fill=3.0, absent_weight=0.25),
    ),
)

MIXED = ScoringPlan(
    intercept=-1.0,
    terms=(_term("recency", "recency", weight=2.0),),
    categories=(
        CategoryTerm("region", "profile", ("north", "south"), (0.5, -0.25), other=0.125, absent=-4.0, usual=0.25),
    ),
)


def test_the_plan_scores_by_the_formula_it_states() -> None:
    """Signed log, standardised, clipped, weighted; an absent value is filled and flagged."""
    e = np.e

    scored = TINY.score(np.array([[e - 1, e - 1], [0.0, np.nan], [-(e**9 - 1), e**100]]))

    log_odds = np.array([-1 + 2 * 1 - 0, -1 + 0 - (3 - 1) / 2 + 0.25, -1 - 2 * 5 - 5])
    np.testing.assert_allclose(scored.probability, 1 / (1 + np.exp(-log_odds)), rtol=1e-14)
    assert scored.reason_feature.tolist() == [[0, -1, -1], [1, 0, -1], [0, 1, -1]]
    assert scored.reason_direction.tolist() == [[1, 0, 0], [-1, -1, 0], [-1, -1, 0]]
    np.testing.assert_array_equal(scored.reason_value[1], [np.nan, 0.0, np.nan])


def test_a_category_adds_the_share_of_its_state_and_is_told_without_a_value() -> None:
    """A level, one never seen, and none at all, each against what is usual."""
    codes = MIXED.categories[0].category.encode(["north", "south", "atlantis", None])

    scored = MIXED.score(np.column_stack([[0.0, 0.0, 0.0, np.e - 1], codes]))

    log_odds = np.array([-1 + 0.5, -1 - 0.25, -1 + 0.125, -1 + 2 - 4])
    np.testing.assert_allclose(scored.probability, 1 / (1 + np.exp(-log_odds)), rtol=1e-14)
    assert scored.reason_feature.tolist() == [[1, -1, -1], [1, -1, -1], [1, -1, -1], [1, 0, -1]]
    assert scored.reason_direction[:, 0].tolist() == [1, -1, -1, -1]
    assert np.isnan(scored.reason_value[:, 0]).all()
    assert scored.reason_value[3, 1] == np.e - 1


def test_a_category_is_one_member_of_its_family() -> None:
    """Summed with a number of the family, and told where it moves the sum most."""
    plan = ScoringPlan(
        0.0,
        (_term("age", "profile", weight=1.0),),
        (CategoryTerm("region", "profile", ("north",), (3.0,), other=0.0, absent=0.0, usual=0.0),),
    )

    scored = plan.score(np.array([[np.e - 1, 0.0], [np.e - 1, np.nan]]))

    assert scored.reason_feature.tolist() == [[1, -1, -1], [0, -1, -1]]


def test_the_plan_of_categories_equals_the_pipeline_on_every_state() -> None:
    """Levels, rare ones, texts never seen, absent ones as None or NaN, columns without any level: within 1e-12."""
    generator = np.random.default_rng(3)
    frame = pd.DataFrame({"a": generator.lognormal(3, 2, 600), "b": np.where(np.arange(600) % 3, 1.0, np.nan)})
    frame["region"] = generator.choice(np.array(["x", "y", "zz", "rare", None], dtype=object), 600)
    frame["sure"] = "yes"
    frame["unknown"] = pd.Series([None] * 600, dtype=object)
    labels = (generator.random(600) < np.where(frame["region"] == "x", 0.8, 0.3)).astype(int)
    categories = [Category("region", ("y", "x", "zz")), Category("sure", ("yes",)), Category("unknown", ())]
    encoding = build_encoding(["a", "b"], categories)
    pipeline = Pipeline(
        [("encode", encoding), *build_preparation(2, categories).steps, ("classify", build_classifier(0.1))]
    ).fit(frame, labels)
    matrix = encoding.transform(frame)
    plan = compile_plan(pipeline, ["a", "b"], categories, dict.fromkeys(frame.columns, "profile"), matrix)
    odd = pd.DataFrame(
        [
            (a, b, region, sure, unknown)
            for a in (0.0, 1e300, np.nan)
            for b in (1.0, np.nan)
            for region in ("x", "y", "zz", "rare", "never", "", None, np.nan)
            for sure in ("yes", "no", None)
            for unknown in (None, "now")
        ],
        columns=frame.columns,
    )
    rows = pd.concat([frame, odd])
    texts = rows.astype(object).where(rows.notna(), None)

    codes = [category.encode(texts[category.name]) for category in categories]
    scored = plan.score(np.column_stack([rows[["a", "b"]].to_numpy(), *codes]))

    np.testing.assert_array_equal(encoding.transform(rows)[:, 2:], np.column_stack(codes))
    assert np.abs(scored.probability - pipeline.predict_proba(rows)[:, 1]).max() <= 1e-12
    assert plan.categories[0].shares[1] > plan.categories[0].shares[0] + 0.5


def test_a_level_never_seen_counts_as_an_average_of_the_levels(mixed: TrainedModel) -> None:
    """Neither the worst nor the best, whatever else the customer is."""
    regions = next(term for term in mixed.fitted.plan.categories if term.name == "region")

    assert min(regions.shares) < regions.other < max(regions.shares)


def test_the_plan_equals_the_pipeline_on_nulls_extremes_and_columns_without_information() -> None:
    """A constant column, one never known, one known only sometimes, and values far outside training: within 1e-12."""
    generator = np.random.default_rng(3)
    train = np.column_stack(
        [generator.lognormal(3, 2, 500), generator.normal(size=500), np.full(500, 3.0), np.full(500, np.nan)]
    )
    train[::3, 1] = np.nan
    labels = (generator.random(500) < np.where(train[:, 0] > 20, 0.8, 0.3)).astype(int)
    names = ["a", "b", "constant", "never"]
    pipeline = Pipeline([*build_preparation(4).steps, ("classify", build_classifier(0.1))])
    pipeline.fit(train, labels)
    plan = compile_plan(pipeline, names, [], dict.fromkeys(names, "spend"), train)
    odd = [0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, -1e300, np.nan]
    rows = np.vstack([train, [[a, b, c, d] for a in odd for b in odd for c in odd for d in odd]])

    expected = pipeline.predict_proba(rows)[:, 1]

    assert np.abs(plan.score(rows).probability - expected).max() <= 1e-12


@pytest.mark.parametrize("name", ["trained", "mixed", "undated"])
def test_the_plan_of_a_trained_model_equals_its_pipeline(name: str, request: pytest.FixtureRequest) -> None:
    """P22: calibration included, the compiled model is the evaluated one."""
    fitted = request.getfixturevalue(name).fitted

    assert np.abs(fitted.plan_probability() - fitted.pipeline_probability()).max() <= 1e-12


@pytest.mark.parametrize("name", ["trained", "mixed"])
def test_a_row_scores_the_same_bits_whatever_stands_beside_it(name: str, request: pytest.FixtureRequest) -> None:
    """P2: neither batch size nor memory layout nor order changes one bit."""
    fitted = request.getfixturevalue(name).fitted
    plan, matrix = fitted.plan, fitted.split.test.columns(fitted.plan.features)
    matrix = np.tile(matrix, (8, 1))
    together = plan.score(matrix)

    one_by_one = [plan.score(matrix[row : row + 1]).probability[0] for row in range(50)]
    other_layout = plan.score(np.asfortranarray(matrix))
    backwards = plan.score(matrix[::-1])

    assert len(matrix) > 4096
    assert one_by_one == together.probability[:50].tolist()
    assert other_layout.probability.tobytes() == together.probability.tobytes()
    assert backwards.probability[::-1].tobytes() == together.probability.tobytes()
    assert backwards.reason_feature[::-1].tobytes() == together.reason_feature.tobytes()


def test_no_rows_score_to_no_rows() -> None:
    """An empty slice of customers is no error."""
    scored = TINY.score(np.empty((0, 2)))

    assert (scored.probability.shape, scored.reason_feature.shape) == ((0,), (0, 3))


@pytest.mark.parametrize("name", ["trained", "mixed"])
def test_writing_and_reading_a_plan_gives_the_same_numbers_and_the_same_bytes(
    name: str, request: pytest.FixtureRequest
) -> None:
    """The text is canonical, so its digest names the model."""
    plan = request.getfixturevalue(name).fitted.plan

    again = ScoringPlan.from_json(plan.to_json())

    assert again == plan
    assert again.digest == plan.digest


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda plan: plan | {"format": 1}, "has format 1; this version of Churnlake reads 2"),
        (lambda plan: plan | {"format": 3}, "has format 3"),
        (lambda plan: {"format": 1, "intercept": plan["intercept"], "terms": plan["terms"]}, "has format 1"),
        (lambda plan: plan | {"run": "rm"}, "run"),
        (lambda plan: plan | {"terms": [], "categories": []}, "no terms"),
        (lambda plan: plan | {"intercept": float("nan")}, "intercept"),
        (lambda plan: plan | {"intercept": True}, "intercept"),
        (lambda plan: plan | {"terms": [plan["terms"][0] | {"weight": "1"}]}, "weight"),
        (lambda plan: plan | {"terms": [plan["terms"][0] | {"spread": 0}]}, "spread of recency"),
        (lambda plan: plan | {"terms": [{"name": "recency"}]}, "keys"),
        (lambda plan: [plan], "list"),
        (lambda plan: plan | {"categories": [{"name": "region"}]}, "keys"),
        (lambda plan: _spoilt_category(plan, shares=[0.5]), "as many shares as levels"),
        (lambda plan: _spoilt_category(plan, levels=["north", "north"]), "different texts"),
        (lambda plan: _spoilt_category(plan, levels=["north", None]), "different texts"),
        (lambda plan: _spoilt_category(plan, shares=[0.5, "x"]), "a share"),
        (lambda plan: _spoilt_category(plan, other=float("inf")), "other"),
    ],
)
def test_a_document_that_is_not_exactly_a_plan_is_refused(
    spoil: Callable[[dict[str, Any]], object], named: str
) -> None:
    """P11: the message names what is wrong."""
    document = spoil(json.loads(MIXED.to_json()))

    with pytest.raises(ModelRefusedError, match=named):
        ScoringPlan.from_json(json.dumps(document))


def _spoilt_category(plan: dict[str, Any], **changed: object) -> dict[str, Any]:
    return plan | {"categories": [plan["categories"][0] | changed]}


def test_text_that_is_no_json_is_refused() -> None:
    """A pickle, for one."""
    with pytest.raises(ModelRefusedError, match="not JSON"):
        ScoringPlan.from_json("\x80\x04.")


def test_infinite_values_and_other_widths_are_refused_by_name() -> None:
    """A score is never made from a number that is none."""
    with pytest.raises(DataRefusedError, match="infinite values in spend"):
        TINY.score(np.array([[1.0, np.inf]]))
    with pytest.raises(DataRefusedError, match="2 features"):
        TINY.score(np.array([[1.0, 2.0, 3.0]]))


@pytest.mark.parametrize("code", [2.0, -2.0, 0.5])
def test_codes_that_are_none_are_refused_by_name(code: float) -> None:
    """The codes of another model's levels, or a number in the place of a category."""
    with pytest.raises(DataRefusedError, match="region must hold codes of its 2 levels"):
        MIXED.score(np.array([[1.0, 0.0], [1.0, code]]))


def test_scoring_needs_nothing_but_numpy() -> None:
    """Spark workers import this module; pandas, scikit-learn or MLflow would cost each of them seconds."""
    heavy = ("pandas", "sklearn", "mlflow", "pydantic", "scipy")
    code = f"import sys, churnlake.model.plan; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
