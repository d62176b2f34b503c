"""The model registry: register, promote, resolve. The only module that talks to MLflow, imported when first asked.

What is registered is one folder: the pipeline as skops, the scoring plan, the catalogue, the gate's record and the
provenance. Its manifest (sha256 of every file) is kept with the version; a folder that differs in one byte or one file
is refused. Scoring reads the plan, which is numbers: nothing in an artifact executes.
"""

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from churnlake.errors import ModelRefusedError
from churnlake.model.plan import ScoringPlan

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from churnlake.model.train import TrainedModel

CHAMPION = "champion"

# Every type a pipeline may hold beyond those skops trusts by itself. A model with any other is not registered.
ALLOWED_TYPES = (
    "churnlake.model.pipeline.absent_as_nan",
    "churnlake.model.pipeline.clip_outliers",
    "churnlake.model.plan.signed_log",
    "numpy.dtype",
)

DIGEST_TAG = "churnlake.digest"
MANIFEST_TAG = "churnlake.manifest"
VERDICT_TAG = "churnlake.verdict"
REASON_TAG = "churnlake.promoted_because"
ACTOR_TAG = "churnlake.promoted_by"

SKOPS_FILE = "model.skops"

# MLflow writes this file beside a model whenever someone loads it by name; it is not ours and never read here.
LOADER_NOTE = "registered_model_meta"

REQUIREMENTS = ("numpy", "pandas", "scikit-learn", "skops")

# Fitted and compiled arithmetic differ in the order of a sum, nothing more.
READ_BACK_TOLERANCE = 1e-12


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from. `data_versions` holds the version of every lake table it was trained on."""

    contract: str
    contract_version: int
    contract_digest: str
    run_id: str
    code_revision: str
    data_versions: Mapping[str, str]


@dataclass(frozen=True)
class Registered:
    """A version in the registry, read back and found whole."""

    version: int
    digest: str
    mlflow_run_id: str


@dataclass(frozen=True)
class Champion:
    """The model that scores, checked against the digest of its registration.

    `digest` is hex; `catalogue` the names of all features it could use and `wording` the phrase and decimal scale of
    each; a score of a date before `label_data_through` is retrospective.
    """

    version: int
    digest: str
    plan: ScoringPlan
    trained_through: date
    label_data_through: date
    catalogue: tuple[str, ...]
    wording: Mapping[str, tuple[str, int]]


def register(tracking_url: str, artifacts: Path, trained: "TrainedModel", provenance: Provenance) -> Registered:
    """Log a model's run and register it as the contract's next version, whatever its verdict; moves no alias.

    Args:
        tracking_url: MLflow's, `sqlite:///...`.
        artifacts: folder of all artifacts.
        trained: the judged model.
        provenance: what it was made from.

    Raises:
        ModelRefusedError: The pipeline holds a type outside `ALLOWED_TYPES`, or what was read back differs.
    """
    client = _client(tracking_url)
    run_id = client.create_run(
        _experiment(client, artifacts, provenance.contract), run_name=provenance.run_id
    ).info.run_id
    try:
        registered = _register_run(client, run_id, trained, provenance)
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)
    return registered


def promote(tracking_url: str, contract: str, version: int, *, actor: str, reason: str) -> None:
    """Make this version the contract's champion, and note with it who did so and why.

    Raises:
        ModelRefusedError: There is no such version, its files differ from those registered, or the gate refused it.
    """
    client = _client(tracking_url)
    found = _version(client, contract, version)
    files = _verified_files(client, found)
    gate = json.loads(files["gate.json"])
    if gate["verdict"] not in ("promote", "hold"):
        raise ModelRefusedError(
            f"version {version} of {contract} was refused by the gate: {gate['reason']}",
            next_step="train another model",
        )
    client.set_model_version_tag(contract, str(version), REASON_TAG, reason)
    client.set_model_version_tag(contract, str(version), ACTOR_TAG, actor)
    client.set_registered_model_alias(contract, CHAMPION, str(version))


def resolve_champion(tracking_url: str, contract: str) -> Champion:
    """The contract's champion: alias to version to digest, its files checked, its plan read.

    Raises:
        ModelRefusedError: There is no champion, or its files are not exactly those that were registered.
    """
    _require_database(tracking_url, contract)
    client = _client(tracking_url)
    return _read_model(client, _champion_version(client, contract))


def resolve_version(tracking_url: str, contract: str, version: int) -> Champion:
    """What this version would score with as champion; its verdict is not looked at.

    Raises:
        ModelRefusedError: There is no such version, or its files are not exactly those that were registered.
    """
    client = _client(tracking_url)
    return _read_model(client, _version(client, contract, version))


def _read_model(client: "MlflowClient", found: "ModelVersion") -> Champion:
    files = _verified_files(client, found)
    provenance = json.loads(files["provenance.json"])
    catalogue = json.loads(files["catalogue.json"])
    return Champion(
        version=int(found.version),
        digest=found.tags[DIGEST_TAG],
        plan=ScoringPlan.from_json(files["plan.json"].decode()),
        trained_through=date.fromisoformat(provenance["trained_through"]),
        label_data_through=date.fromisoformat(provenance["label_data_through"]),
        catalogue=tuple(feature["name"] for feature in catalogue),
        wording={feature["name"]: (feature["wording"], feature["scale"]) for feature in catalogue},
    )


def _register_run(client: "MlflowClient", run_id: str, trained: "TrainedModel", provenance: Provenance) -> Registered:
    _require_allowed_types(trained)
    _log_facts(client, run_id, trained, provenance)
    with TemporaryDirectory() as scratch:
        _log_evidence(client, run_id, trained, Path(scratch) / "evidence")
        folder = Path(scratch) / "model"
        _write_model(folder, trained, provenance)
        manifest = _manifest(_read_files(folder))
        tags = {
            DIGEST_TAG: _digest(manifest),
            MANIFEST_TAG: _canonical(manifest),
            VERDICT_TAG: trained.gate.verdict.value,
        }
        version = _create_version(client, run_id, folder, provenance.contract, tags)
    found = _version(client, provenance.contract, version)
    _require_same_scores(_verified_files(client, found)[SKOPS_FILE], trained)
    return Registered(version, found.tags[DIGEST_TAG], run_id)


def _log_facts(client: "MlflowClient", run_id: str, trained: "TrainedModel", provenance: Provenance) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    params = [Param(name, str(value)) for name, value in _params(trained).items()]
    started = client.get_run(run_id).info.start_time
    metrics = [Metric(name, value, started, 0) for name, value in _metrics(trained).items()]
    tags = {
        "contract_digest": provenance.contract_digest,
        "code_revision": provenance.code_revision,
        "run_id": provenance.run_id,
    }
    tags |= {f"data_version.{table}": version for table, version in provenance.data_versions.items()}
    tags |= {VERDICT_TAG: trained.gate.verdict.value}
    client.log_batch(run_id, metrics=metrics, params=params, tags=[RunTag(name, value) for name, value in tags.items()])
    # A digest of an MLflow data set holds at most 36 characters.
    inputs = [
        DatasetInput(
            Dataset(table, version[:36], "local", json.dumps({"table": table, "version": version})),
            [InputTag("mlflow.data.context", "training")],
        )
        for table, version in provenance.data_versions.items()
    ]
    client.log_inputs(run_id, inputs)


def _log_evidence(client: "MlflowClient", run_id: str, trained: "TrainedModel", folder: Path) -> None:
    from churnlake.model.plots import draw_plots

    folder.mkdir()
    predictions = trained.fitted.test_predictions
    predictions.to_parquet(folder / "test_predictions.parquet", index=False)
    _write_json(folder / "search.json", [asdict(score) for score in trained.fitted.search_table])
    _write_json(folder / "evaluation.json", asdict(trained.fitted.evaluation))
    scores, labels = predictions["churn_probability"].to_numpy(), predictions["is_churned"].to_numpy()
    for name, image in draw_plots(trained.fitted.plan, scores, labels).items():
        (folder / name).write_bytes(image)
    client.log_artifacts(run_id, str(folder))


def _write_model(folder: Path, trained: "TrainedModel", provenance: Provenance) -> None:
    import mlflow.sklearn
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    fitted = trained.fitted
    # Not required, so that a null, which pandas turns into NaN anyway, passes.
    texts = {category.name for category in fitted.split.train.categories}
    types = {name: DataType.string if name in texts else DataType.double for name in fitted.candidate.features}
    inputs = Schema([ColSpec(kind, name, required=False) for name, kind in types.items()])
    mlflow.sklearn.save_model(
        fitted.pipeline,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=list(ALLOWED_TYPES),
        signature=ModelSignature(inputs, Schema([TensorSpec(fitted.split.test.matrix.dtype, (-1, 2))])),
        pyfunc_predict_fn="predict_proba",
        pip_requirements=[f"{name}=={installed_version(name)}" for name in REQUIREMENTS],
    )
    (folder / "plan.json").write_text(fitted.plan.to_json())
    (folder / "gate.json").write_text(trained.gate.to_json())
    _write_json(folder / "catalogue.json", [asdict(feature) for feature in fitted.catalogue])
    _write_json(folder / "provenance.json", _provenance(trained, provenance))


def _create_version(client: "MlflowClient", run_id: str, folder: Path, contract: str, tags: Mapping[str, str]) -> int:
    model = client.create_logged_model(client.get_run(run_id).info.experiment_id, name="model", source_run_id=run_id)
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    if not client.search_registered_models(f"name = '{contract}'"):
        client.create_registered_model(contract)
    # By location, not as models:/<id>: that form is looked up in the process's default database, not in this client's.
    created = client.create_model_version(
        contract, model.artifact_location, run_id=run_id, tags=dict(tags), model_id=model.model_id
    )
    return int(created.version)


def _params(trained: "TrainedModel") -> dict[str, Any]:
    fitted = trained.fitted
    return {
        "candidate": fitted.candidate.name,
        "c": fitted.candidate.c,
        "features": len(fitted.candidate.features),
        "seed": fitted.protocol.seed,
        "maturity_days": fitted.protocol.maturity_days,
        "train_cutoffs": " ".join(map(str, fitted.protocol.train_cutoffs)),
        "test_cutoffs": " ".join(map(str, fitted.protocol.test_cutoffs)) or "none: the outcomes have no dates",
        "train_rows": len(fitted.split.train.labels),
        "copies_left_out": fitted.split.copies,
        "features_left_out": "; ".join(f"{name}: {why}" for name, why in fitted.split.left_out.items()) or "none",
        "calibration_applied": fitted.calibration.applied,
        "calibration_slope": fitted.calibration.slope,
        "calibration_intercept": fitted.calibration.intercept,
    }


def _metrics(trained: "TrainedModel") -> dict[str, float]:
    evaluation = trained.fitted.evaluation
    metrics = {f"test_{name}": float(value) for name, value in asdict(evaluation.pooled).items()}
    for cutoff, measured in evaluation.by_cutoff.items():
        metrics |= {f"test_{name}_{cutoff}": float(value) for name, value in asdict(measured).items()}
    chosen = next(score for score in trained.fitted.search_table if score.chosen)
    metrics |= {"cross_validated_log_loss": chosen.cross_validated}
    if trained.permuted_auc is not None:
        metrics |= {"permuted_auc": trained.permuted_auc}
    return metrics


def _provenance(trained: "TrainedModel", provenance: Provenance) -> dict[str, Any]:
    fitted = trained.fitted
    return asdict(provenance) | {
        "train_cutoffs": [str(cutoff) for cutoff in fitted.protocol.train_cutoffs],
        "test_cutoffs": [str(cutoff) for cutoff in fitted.protocol.test_cutoffs],
        "trained_through": str(fitted.protocol.trained_through),
        "label_data_through": str(fitted.protocol.label_data_through),
        "is_dated": fitted.protocol.is_dated,
        "plan_digest": fitted.plan.digest,
    }


def _require_allowed_types(trained: "TrainedModel") -> None:
    import skops.io

    stored = skops.io.dumps(trained.fitted.pipeline)
    odd = sorted(set(skops.io.get_untrusted_types(data=stored)) - set(ALLOWED_TYPES))
    if odd:
        raise ModelRefusedError(
            f"the pipeline holds types that are not allowed: {', '.join(odd)}; allowed: {', '.join(ALLOWED_TYPES)}"
        )


def _require_same_scores(stored: bytes, trained: "TrainedModel") -> None:
    """The stored pipeline, read back, gives the evaluated probabilities: what was evaluated is what is registered."""
    import numpy as np
    import skops.io

    stored_pipeline = skops.io.loads(stored, trusted=list(ALLOWED_TYPES))
    read_back = replace(trained.fitted, pipeline=stored_pipeline).pipeline_probability()
    difference = float(np.abs(read_back - trained.fitted.plan_probability()).max())
    if not difference <= READ_BACK_TOLERANCE:
        raise ModelRefusedError(
            f"the stored pipeline differs from the evaluated one by {difference:.1e}; allowed: {READ_BACK_TOLERANCE}"
        )


def _client(tracking_url: str) -> "MlflowClient":
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    from mlflow.tracking import MlflowClient

    # Each new database otherwise announces every migration step.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(tracking_url)


def _experiment(client: "MlflowClient", artifacts: Path, contract: str) -> str:
    found = client.get_experiment_by_name(contract)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(contract, artifact_location=(artifacts / contract).resolve().as_uri()))


def _version(client: "MlflowClient", contract: str, version: int) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(contract, str(version))
    except MlflowException as error:
        raise ModelRefusedError(
            f"{contract} has no model version {version}",
            next_step=f"list them with `churnlake models`, contract {contract}",
        ) from error


def _champion_version(client: "MlflowClient", contract: str) -> "ModelVersion":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(contract, CHAMPION)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        raise _no_champion(contract) from error


def _require_database(tracking_url: str, contract: str) -> None:
    """No database file means no champion; asking MLflow would take seconds to create an empty one."""
    match = re.fullmatch(r"sqlite:///(.+)", tracking_url)
    if match and not Path(match.group(1)).exists():
        raise _no_champion(contract)


def _no_champion(contract: str) -> ModelRefusedError:
    return ModelRefusedError(
        f"{contract} has no champion model",
        next_step="`churnlake train` makes one; `churnlake promote` chooses among those held",
    )


def _verified_files(client: "MlflowClient", found: "ModelVersion") -> dict[str, bytes]:
    """The version's files by relative path, exactly those of its manifest."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    manifest = _recorded_manifest(found)
    repository = get_artifact_repository(client.get_model_version_download_uri(found.name, found.version))
    with TemporaryDirectory() as scratch:
        repository.download_artifacts("", dst_path=scratch)  # type: ignore[no-untyped-call]
        files = _read_files(Path(scratch))
    files.pop(LOADER_NOTE, None)
    stored = _manifest(files)
    changed = sorted(path for path in manifest.keys() | stored.keys() if manifest.get(path) != stored.get(path))
    if changed:
        raise ModelRefusedError(
            f"version {found.version} of {found.name} differs from what was registered in {', '.join(changed)}",
            next_step="train again, or promote a version that is whole",
        )
    return files


def _recorded_manifest(found: "ModelVersion") -> dict[str, str]:
    manifest: dict[str, str] = json.loads(found.tags.get(MANIFEST_TAG, "{}"))
    if not manifest or _digest(manifest) != found.tags.get(DIGEST_TAG):
        raise ModelRefusedError(
            f"version {found.version} of {found.name} has no digest of its own: registered by other means, or altered",
            next_step="train again",
        )
    return manifest


def _read_files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _manifest(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


def _digest(manifest: Mapping[str, str]) -> str:
    return hashlib.sha256(_canonical(manifest).encode()).hexdigest()


def _canonical(manifest: Mapping[str, str]) -> str:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"))


def _write_json(path: Path, document: Sequence[Any] | Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, sort_keys=True, indent=1))
