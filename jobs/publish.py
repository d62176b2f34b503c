"""The publish stage: an audited load of the run's scores becomes what analysts see, by the warehouse's own protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from churnlake import calendar
from churnlake.contract.schema import Contract
from churnlake.definition import definition_rows
from churnlake.features import Feature, build_catalogue
from churnlake.intake import delivery_rows, measurement_rows, reason_rows, taken_in
from churnlake.ledger import CheckResult, Delivery, Ledger, ModelRecord, Promotion, Run
from churnlake.model.registry import Champion
from churnlake.warehouse.duckdb import LoadRequest, build_load, materialise
from churnlake.warehouse.outcomes import MaturedCohort
from churnlake.warehouse.publications import Publications
from jobs.application import Application, clock
from jobs.lake import partition_files
from jobs.training import settled_slots


@dataclass(frozen=True)
class Claim:
    """What a run remembers of the warehouse, and publishes only if it still holds; and what it was made of."""

    epoch: int
    seen: int | None
    fingerprint: str


def publish(app: Application, publications: Publications, claim: Claim, request: LoadRequest) -> dict[str, Any]:
    """Builds the load, audits it, moves the pointer, shows it; returns what was counted.

    Readers see the last night or this one, never a mix.

    Raises:
        DataRefusedError: The load failed its audit.
        ConflictError: Another run claimed the contract or published the date meanwhile.
    """
    load = build_load(publications, request, epoch=claim.epoch, now=clock())
    app.reach("publish.loaded")
    publication = publications.publish(
        load.load_id,
        epoch=claim.epoch,
        seen=claim.seen,
        fingerprint=claim.fingerprint,
        actor=app.actor,
        now=clock(),
        reason=app.ledger.run(request.run_id).reason,
    )
    app.reach("publish.committed")
    materialise(publications)
    app.reach("publish.materialised")
    return {
        "load_id": load.load_id,
        "scored": load.customers_scored,
        "not_scored": load.customers_not_scored,
        "previous_load_id": publication.previous_load_id,
        "model_version": request.model_version,
    }


def request_load(
    app: Application, run: Run, champion: Champion, done: Mapping[str, Any], cohorts: Sequence[MaturedCohort]
) -> LoadRequest:
    """All that the warehouse needs of a scored run. `done` holds the counts of its finished stages."""
    contract, day = app.contract, run.business_date
    root = app.settings.lake(contract.name)
    catalogue = build_catalogue(contract)
    scores = partition_files(
        root / "scores", done["score"]["versions"]["scores"], {"business_date": day, "run_id": run.run_id}
    )
    population = partition_files(
        root / "population", done["features"]["versions"]["population"], {"business_date": day}
    )
    return LoadRequest(
        contract=contract.name,
        business_date=day,
        data_through=_data_through(app, day),
        run_id=run.run_id,
        attempt=run.attempt,
        horizon_days=contract.churn.horizon_days,
        gap_days=contract.churn.gap_days,
        contract_version=contract.version,
        model_version=champion.version,
        scored_at=clock(),
        is_retrospective=champion.label_data_through > day,
        bands=contract.decision.bands,
        wording={feature.name: (feature.wording, feature.scale) for feature in catalogue},
        score_files=[Path(file) for file in scores],
        population_files=[Path(file) for file in population],
        documents=_documents(app, run, champion, catalogue),
        cohorts=cohorts,
    )


def _data_through(app: Application, day: date) -> date:
    settled = settled_slots(app.contract, app.ledger.deliveries(app.contract.name), day)
    return calendar.complete_through(sorted(settled), lambda slot: settled[slot] <= day, day)


def _documents(
    app: Application, run: Run, champion: Champion, catalogue: Sequence[Feature]
) -> dict[str, list[dict[str, Any]]]:
    taken = _taken_in(app, run.business_date)
    return {
        "run_quality": [
            *_stage_rows(app, run),
            *(_check_row(check) for check in app.ledger.checks(run.run_id)),
            *_measurements(app, taken),
        ],
        "deliveries": list(delivery_rows(taken)),
        "quarantine_reasons": list(reason_rows(taken)),
        "definition": definition_rows(app.contract),
        "models": _model_rows(app.ledger, app.contract.name, champion),
        "data_dictionary": _feature_rows(app.contract, catalogue),
    }


def _taken_in(app: Application, day: date) -> list[Delivery]:
    """The deliveries this date tells of: all that became known since the date published before it."""
    name = app.contract.name
    before = Publications.open(app.settings.warehouse).newest_before(name, day)
    return taken_in(app.ledger.deliveries(name), before, day)


def _measurements(app: Application, taken: Sequence[Delivery]) -> list[dict[str, Any]]:
    name = app.contract.name
    return [
        row
        for source in sorted({one.source for one in taken})
        for row in measurement_rows(source, app.ledger.measurements(name, source), taken)
    ]


def _stage_rows(app: Application, run: Run) -> list[dict[str, Any]]:
    """Every number a stage counted, flattened (`quarantined.bad_type.Quantity`), and its seconds."""
    rows = []
    for stage in app.ledger.stages(run.run_id):
        numbers = {name: value for name, value in _flat(stage.counts).items() if not name.startswith("versions.")}
        rows += [_count_row("count", stage.stage, name, value) for name, value in numbers.items()]
        if stage.seconds is not None:
            rows.append(_count_row("stage", stage.stage, "seconds", round(stage.seconds, 1)))
    return rows


def _flat(counts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in counts.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


def _count_row(kind: str, source: str, name: str, value: object) -> dict[str, Any]:
    return {
        "kind": kind,
        "source": source,
        "name": name,
        "severity": None,
        "passed": None,
        "observed": str(value),
        "expected": None,
    }


_CHECK_COLUMNS = ("kind", "source", "name", "severity", "passed", "observed", "expected")


def _check_row(check: CheckResult) -> dict[str, Any]:
    return {name: getattr(check, name) for name in _CHECK_COLUMNS}


# Columns of `models` that the ledger's metrics hold, some under another name.
_METRICS = {
    "candidate": "candidate",
    "auc": "auc",
    "auc_low": "auc_low",
    "auc_high": "auc_high",
    "log_loss": "log_loss",
    "brier": "brier",
    "calibration_error": "ece",
    "lift_top_decile": "lift_top_decile",
    "base_rate": "base_rate",
    "training_rows": "training_rows",
    "test_rows": "rows",
}


def _model_rows(ledger: Ledger, contract: str, champion: Champion) -> list[dict[str, Any]]:
    promotions = {one.version: one for one in ledger.promotions(contract)}
    return [_model_row(model, champion, promotions.get(model.version)) for model in ledger.models(contract)]


def _model_row(model: ModelRecord, champion: Champion, promotion: Promotion | None) -> dict[str, Any]:
    return {column: model.metrics[metric] for column, metric in _METRICS.items()} | {
        "model_version": model.version,
        "state": model.state,
        "is_champion": model.version == champion.version,
        "trained_through": model.trained_through,
        "label_data_through": model.label_data_through,
        "digest": model.digest,
        "reason": model.reason,
        "created_at": model.created_at,
        "promoted_at": model.promoted_at,
        "promoted_by": None if promotion is None else promotion.actor,
        "promoted_because": None if promotion is None else promotion.reason,
    }


def _feature_rows(contract: Contract, catalogue: Sequence[Feature]) -> list[dict[str, Any]]:
    return [
        {
            "table_name": "features",
            "column_name": one.name,
            "position": place,
            "type": one.unit,
            "description": one.description,
            "contract": contract.name,
        }
        for place, one in enumerate(catalogue, start=1)
    ]
