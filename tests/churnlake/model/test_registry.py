"""The registry on a real MLflow database: what was registered comes back whole, or not at all."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from churnlake.errors import ModelRefusedError
from churnlake.model.gate import Gate, Verdict
from churnlake.model.registry import (
    DIGEST_TAG,
    MANIFEST_TAG,
    Provenance,
    Registered,
    promote,
    register,
    resolve_champion,
)
from churnlake.model.train import TrainedModel


@dataclass(frozen=True)
class Shelf:
    """One contract of its own in the shared registry, with a registered and promoted model."""

    url: str
    artifacts: Path
    contract: str
    registered: Registered

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.url)

    @property
    def folder(self) -> Path:
        """The stored files of the champion."""
        return next((self.artifacts / self.contract / "models").iterdir()) / "artifacts"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose name has a space, as users' folders do."""
    return tmp_path_factory.mktemp("model home")


@pytest.fixture(scope="module")
def numbers() -> count:
    """One for each contract of this module."""
    return count()


def _provenance(contract: str) -> Provenance:
    return Provenance(contract, 1, "ab" * 32, "run-1", "rev-1", {"events": "7", "daily_activity": "9"})


@pytest.fixture
def shelf(home: Path, numbers: count, trained: TrainedModel) -> Shelf:
    """A fresh contract name per test: migrating a new database each time would take seconds."""
    url, artifacts, contract = f"sqlite:///{home / 'mlflow.sqlite'}", home / "artifacts", f"shop{next(numbers)}"
    registered = register(url, artifacts, trained, _provenance(contract))
    promote(url, contract, registered.version, actor="ann", reason="policy")
    return Shelf(url, artifacts, contract, registered)


def test_p22_the_champion_is_the_registered_model(shelf: Shelf, trained: TrainedModel) -> None:
    """P22: the plan that scores is, number by number, the plan that was evaluated."""
    champion = resolve_champion(shelf.url, shelf.contract)

    assert champion.plan == trained.fitted.plan
    assert (champion.version, champion.digest) == (1, shelf.registered.digest)
    assert champion.label_data_through == trained.fitted.protocol.label_data_through
    assert champion.catalogue == tuple(feature.name for feature in trained.fitted.catalogue)
    assert champion.wording["spend"] == ("spend {value}", 0)


def test_the_run_holds_metrics_parameters_plots_predictions_and_data_versions(
    shelf: Shelf, trained: TrainedModel
) -> None:
    """What a colleague needs to judge the model is in MLflow, and its AUC can be recomputed from the predictions."""
    run = shelf.client.get_run(shelf.registered.mlflow_run_id)
    stored = {entry.path for entry in shelf.client.list_artifacts(run.info.run_id)}
    predictions = pd.read_parquet(shelf.client.download_artifacts(run.info.run_id, "test_predictions.parquet"))

    assert run.info.status == "FINISHED"
    assert run.data.metrics["test_auc"] == trained.fitted.evaluation.pooled.auc
    assert run.data.metrics["permuted_auc"] == trained.permuted_auc
    assert run.data.params["candidate"] == trained.fitted.candidate.name
    assert {"calibration.png", "gain.png", "roc.png", "coefficients.png", "search.json", "evaluation.json"} < stored
    assert [(entry.dataset.name, entry.dataset.digest) for entry in run.inputs.dataset_inputs] == [
        ("events", "7"),
        ("daily_activity", "9"),
    ]
    pd.testing.assert_frame_equal(predictions, trained.fitted.test_predictions, check_dtype=False)


def test_mlflow_itself_loads_the_version_and_predicts_the_same(
    shelf: Shelf, trained: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may load it by name; that leaves a note in the folder, which must not cost the champion its place."""
    test = trained.fitted.split.test
    features = list(trained.fitted.candidate.features)
    rows = pd.DataFrame(test.columns(features), columns=features).head(20)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", shelf.url)

    predicted = mlflow.pyfunc.load_model(f"models:/{shelf.contract}@champion").predict(rows)

    np.testing.assert_allclose(predicted[:, 1], trained.fitted.plan_probability()[:20], atol=1e-12)
    assert resolve_champion(shelf.url, shelf.contract).digest == shelf.registered.digest


class _Payload:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.marker}'",)


def _swap_a_number(folder: Path, _: bytes) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    plan["intercept"] += 1e-9
    (folder / "plan.json").write_text(json.dumps(plan, sort_keys=True, separators=(",", ":")))


POISONS: dict[str, Callable[[Path, bytes], object]] = {
    "plan.json": _swap_a_number,
    "model.skops": lambda folder, payload: (folder / "model.skops").write_bytes(payload),
    "model.pkl": lambda folder, payload: (folder / "model.pkl").write_bytes(payload),
    "sub/extra.json": lambda folder, _: (
        (folder / "sub").mkdir(),
        (folder / "sub" / "extra.json").write_text("{}"),
    ),
    "gate.json": lambda folder, _: (folder / "gate.json").unlink(),
    "provenance.json": lambda folder, _: (folder / "provenance.json").write_text("{}"),
}


@pytest.mark.parametrize("path", POISONS)
def test_p11_a_changed_added_or_missing_file_is_refused_and_nothing_executes(
    shelf: Shelf, tmp_path: Path, path: str
) -> None:
    """P11: one byte, one file more or one less, and the model is not used; the file is named."""
    marker = tmp_path / "executed"
    POISONS[path](shelf.folder, pickle.dumps(_Payload(marker)))

    with pytest.raises(ModelRefusedError, match=f"differs from what was registered in {path}") as refusal:
        resolve_champion(shelf.url, shelf.contract)
    with pytest.raises(ModelRefusedError, match="differs from what was registered"):
        promote(shelf.url, shelf.contract, 1, actor="ann", reason="again")

    assert refusal.value.exit_code == 4
    assert not marker.exists()


def test_the_poison_of_these_tests_is_live(tmp_path: Path) -> None:
    """Unpickled, it does leave its mark: the test above proves something."""
    marker = tmp_path / "executed"

    pickle.loads(pickle.dumps(_Payload(marker)))  # noqa: S301 - the point of this test

    assert marker.exists()


def test_a_forged_manifest_is_refused(shelf: Shelf) -> None:
    """P11: the manifest must have the digest recorded beside it."""
    shelf.client.set_model_version_tag(shelf.contract, "1", MANIFEST_TAG, json.dumps({"plan.json": "00"}))

    with pytest.raises(ModelRefusedError, match="no digest of its own"):
        resolve_champion(shelf.url, shelf.contract)


def test_p11_a_version_registered_by_other_means_is_refused(shelf: Shelf) -> None:
    """P11: an alias moved to a version without our digest does not make it score."""
    version = shelf.client.create_model_version(shelf.contract, shelf.folder.as_uri())
    shelf.client.set_registered_model_alias(shelf.contract, "champion", version.version)

    with pytest.raises(ModelRefusedError, match=r"version 2 of .* has no digest of its own"):
        resolve_champion(shelf.url, shelf.contract)


def test_without_a_champion_the_next_step_is_named(shelf: Shelf, tmp_path: Path) -> None:
    """No alias, no such contract, no database at all: the same answer, and no database is made by asking."""
    shelf.client.delete_registered_model_alias(shelf.contract, "champion")

    for url, contract in [
        (shelf.url, shelf.contract),
        (shelf.url, "unheard_of"),
        (f"sqlite:///{tmp_path}/x.sqlite", "a"),
    ]:
        with pytest.raises(ModelRefusedError, match=f"{contract} has no champion model"):
            resolve_champion(url, contract)
    assert not (tmp_path / "x.sqlite").exists()


def test_a_later_version_scores_only_once_it_is_promoted(shelf: Shelf, trained: TrainedModel) -> None:
    """Registering moves no alias."""
    second = register(shelf.url, shelf.artifacts, trained, _provenance(shelf.contract))
    before = resolve_champion(shelf.url, shelf.contract).version

    promote(shelf.url, shelf.contract, second.version, actor="ann", reason="better calibrated")

    assert (before, second.version, resolve_champion(shelf.url, shelf.contract).version) == (1, 2, 2)
    assert shelf.client.get_model_version(shelf.contract, "2").tags["churnlake.promoted_because"] == "better calibrated"


def test_a_refused_model_is_registered_for_the_record_but_cannot_be_promoted(
    shelf: Shelf, trained: TrainedModel
) -> None:
    """The gate's no is kept with the files and stands whatever the command says."""
    failed = replace(trained.gate.checks[0], passed=False, verdict=Verdict.REFUSE)
    refused = replace(trained, gate=Gate((failed, *trained.gate.checks[1:])))
    version = register(shelf.url, shelf.artifacts, refused, _provenance(shelf.contract)).version

    with pytest.raises(ModelRefusedError, match=r"version 2 of .* was refused by the gate: training size"):
        promote(shelf.url, shelf.contract, version, actor="ann", reason="please")
    with pytest.raises(ModelRefusedError, match="has no model version 99"):
        promote(shelf.url, shelf.contract, 99, actor="ann", reason="please")
    assert resolve_champion(shelf.url, shelf.contract).version == 1


def test_p11_a_pipeline_with_a_type_outside_the_list_is_never_registered(shelf: Shelf, trained: TrainedModel) -> None:
    """P11: the list is fixed, and the type is named."""
    pipeline = Pipeline([("call", FunctionTransformer(os.system)), *trained.fitted.pipeline.steps])
    foreign = replace(trained, fitted=replace(trained.fitted, pipeline=pipeline))

    with pytest.raises(ModelRefusedError, match=r"types that are not allowed: (posix|nt)\.system"):
        register(shelf.url, shelf.artifacts, foreign, _provenance(shelf.contract))

    assert len(shelf.client.search_model_versions(f"name = '{shelf.contract}'")) == 1


def test_p22_a_pipeline_that_is_not_the_evaluated_one_is_refused(shelf: Shelf, trained: TrainedModel) -> None:
    """P22: what is read back from the store must give the evaluated probabilities."""
    plan = trained.fitted.plan
    other = replace(trained, fitted=replace(trained.fitted, plan=replace(plan, intercept=plan.intercept - 0.01)))

    with pytest.raises(ModelRefusedError, match="the stored pipeline differs from the evaluated one"):
        register(shelf.url, shelf.artifacts, other, _provenance(shelf.contract))


def test_plots_are_png_pictures(shelf: Shelf) -> None:
    """Drawn without a display."""
    run = shelf.registered.mlflow_run_id

    heads = {
        name: Path(shelf.client.download_artifacts(run, name)).read_bytes()[:8]
        for name in ("calibration.png", "gain.png", "roc.png", "coefficients.png")
    }

    assert set(heads.values()) == {b"\x89PNG\r\n\x1a\n"}


def test_the_digest_tag_is_on_the_version(shelf: Shelf) -> None:
    """Version and digest can be compared in MLflow's own pages."""
    assert shelf.client.get_model_version(shelf.contract, "1").tags[DIGEST_TAG] == shelf.registered.digest


@pytest.mark.parametrize("name", ["mixed", "undated"])
def test_p22_a_model_with_categories_comes_back_whole(
    home: Path, numbers: count, name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P22: its plan, and by MLflow's own loader its pipeline, which takes texts, None and NaN alike."""
    model = request.getfixturevalue(name)
    url, contract = f"sqlite:///{home / 'mlflow.sqlite'}", f"shop{next(numbers)}"
    version = register(url, home / "artifacts", model, _provenance(contract)).version
    promote(url, contract, version, actor="ann", reason="a person said so")
    fitted = model.fitted
    rows = fitted.split.test.frame(fitted.candidate.features).head(200)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)

    loaded = mlflow.pyfunc.load_model(f"models:/{contract}@champion")

    assert resolve_champion(url, contract).plan == fitted.plan
    assert rows["region"].isna().any()
    with_nan = rows.assign(region=rows["region"].where(rows["region"].notna(), np.nan))
    assert {type(value) for value in with_nan["region"]} == {str, float}
    for frame in (rows, with_nan):
        np.testing.assert_allclose(loaded.predict(frame)[:, 1], fitted.plan_probability()[:200], atol=1e-12)
