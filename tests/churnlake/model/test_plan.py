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
from churnlake.model.pipeline import build_classifier, build_preparation, compile_plan
from churnlake.model.plan import ScoringPlan, Term
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


def test_the_plan_scores_by_the_formula_it_states() -> None:
    """Signed log, standardised, clipped, weighted; an absent value is filled and flagged."""
    e = np.e

    scored = TINY.score(np.array([[e - 1, e - 1], [0.0, np.nan], [-(e**9 - 1), e**100]]))

    log_odds = np.array([-1 + 2 * 1 - 0, -1 + 0 - (3 - 1) / 2 + 0.25, -1 - 2 * 5 - 5])
    np.testing.assert_allclose(scored.probability, 1 / (1 + np.exp(-log_odds)), rtol=1e-14)
    assert scored.reason_feature.tolist() == [[0, -1, -1], [1, 0, -1], [0, 1, -1]]
    assert scored.reason_direction.tolist() == [[1, 0, 0], [-1, -1, 0], [-1, -1, 0]]
    np.testing.assert_array_equal(scored.reason_value[1], [np.nan, 0.0, np.nan])


def test_the_plan_equals_the_pipeline_on_nulls_extremes_and_columns_without_information() -> None:
    """A constant column, one never known, one known only sometimes, and values far outside training: within 1e-12."""
    generator = np.random.default_rng(3)
    train = np.column_stack(
        [generator.lognormal(3, 2, 500), generator.normal(size=500), np.full(500, 3.0), np.full(500, np.nan)]
    )
    train[::3, 1] = np.nan
    labels = (generator.random(500) < np.where(train[:, 0] > 20, 0.8, 0.3)).astype(int)
    names = ["a", "b", "constant", "never"]
    pipeline = Pipeline([*build_preparation().steps, ("classify", build_classifier(0.1))])
    pipeline.fit(pd.DataFrame(train, columns=names), labels)
    plan = compile_plan(pipeline, names, dict.fromkeys(names, "spend"), train)
    odd = [0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, -1e300, np.nan]
    rows = np.vstack([train, [[a, b, c, d] for a in odd for b in odd for c in odd for d in odd]])

    expected = pipeline.predict_proba(pd.DataFrame(rows, columns=names))[:, 1]

    assert np.abs(plan.score(rows).probability - expected).max() <= 1e-12


def test_the_plan_of_a_trained_model_equals_its_pipeline(trained: TrainedModel) -> None:
    """P22: calibration included, the compiled model is the evaluated one."""
    fitted = trained.fitted

    assert np.abs(fitted.plan_probability() - fitted.pipeline_probability()).max() <= 1e-12


def test_a_row_scores_the_same_bits_whatever_stands_beside_it(trained: TrainedModel) -> None:
    """P2: neither batch size nor memory layout nor order changes one bit."""
    plan, matrix = trained.fitted.plan, trained.fitted.split.test.columns(trained.fitted.plan.features)
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


def test_writing_and_reading_a_plan_gives_the_same_numbers_and_the_same_bytes(trained: TrainedModel) -> None:
    """The text is canonical, so its digest names the model."""
    plan = trained.fitted.plan

    again = ScoringPlan.from_json(plan.to_json())

    assert again == plan
    assert again.digest == plan.digest


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda plan: plan | {"format": 2}, "format"),
        (lambda plan: plan | {"run": "rm"}, "run"),
        (lambda plan: plan | {"terms": []}, "no terms"),
        (lambda plan: plan | {"intercept": float("nan")}, "intercept"),
        (lambda plan: plan | {"intercept": True}, "intercept"),
        (lambda plan: plan | {"terms": [plan["terms"][0] | {"weight": "1"}]}, "weight"),
        (lambda plan: plan | {"terms": [plan["terms"][0] | {"spread": 0}]}, "spread of recency"),
        (lambda plan: plan | {"terms": [{"name": "recency"}]}, "keys"),
        (lambda plan: [plan], "list"),
    ],
)
def test_a_document_that_is_not_exactly_a_plan_is_refused(
    spoil: Callable[[dict[str, Any]], object], named: str
) -> None:
    """P11: the message names what is wrong."""
    document = spoil(json.loads(TINY.to_json()))

    with pytest.raises(ModelRefusedError, match=named):
        ScoringPlan.from_json(json.dumps(document))


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


def test_scoring_needs_nothing_but_numpy() -> None:
    """Spark workers import this module; pandas, scikit-learn or MLflow would cost each of them seconds."""
    heavy = ("pandas", "sklearn", "mlflow", "pydantic", "scipy")
    code = f"import sys, churnlake.model.plan; print([name for name in {heavy} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
