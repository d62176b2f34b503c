"""The training application: rows from Spark, then fit, gate and register without it."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churnlake import calendar
from churnlake.calendar import DayRange, Schedule
from churnlake.contract import Contract, load_contract
from churnlake.due import complete_through, due_slots, first_model_needs, training_schedule
from churnlake.errors import ModelRefusedError
from churnlake.features import Feature, build_catalogue
from churnlake.ledger import Delivery, Lane, Ledger, Run, taken_files
from churnlake.settings import Settings
from jobs.application import Application, OpenStage, clock, end_group_with_parent, exit_code_of
from jobs.canary import ask_canary
from jobs.content import KEYS, in_sample
from jobs.features import features_at
from jobs.horizons import refuse_too_few
from jobs.labels import labels_at
from jobs.population import population_at
from jobs.rebuild import refuse_other_meaning
from jobs.snapshot import read_tiles, tile_versions

if TYPE_CHECKING:
    import pandas as pd

    from churnlake.model.fit import FittedModel
    from churnlake.model.gate import Gate

STAGES = ("rows", "fit", "gate", "register")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the application; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.training", description=__doc__)
    parser.add_argument("--contract", type=Path, required=True)
    parser.add_argument("--application", required=True)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    given = parser.parse_args(arguments)
    end_group_with_parent()
    return exit_code_of(lambda: run(given.contract, given.application, given.as_of, Settings.from_environment()))


def run(path: Path, application: str, as_of: date, settings: Settings) -> int:
    """Trains in this process on what was known at the end of `as_of`.

    Raises:
        ModelRefusedError: There is too little history, or the gate did not pass the model.
    """
    contract = load_contract(path)
    ledger = Ledger.open(settings.ledger_url)
    ledger.remember_contract(name=contract.name, path=str(contract.path), digest=contract.digest, now=clock())
    with Lane.take(settings.lake(contract.name), kind="training") as lane:
        app = Application(settings, contract, ledger, lane, application)
        with app.run("training", as_of, "done") as run:
            _train(app, run)
    return 0


def _train(app: Application, run: Run) -> None:
    """The stages hand their results on in memory, so a run that died is never taken up; a new one starts."""
    with app.stage(run, "rows") as stage:
        refuse_other_meaning(app.contract, app.ledger.deliveries(app.contract.name))
        settled = settled_slots(app.contract, app.ledger.deliveries(app.contract.name), run.business_date)
        schedule = training_cutoffs(app.contract, settled, run.business_date)
        rows = _read_rows(app, run, stage, schedule, settled)
    from threadpoolctl import threadpool_limits

    from churnlake.model.fit import fit
    from churnlake.model.gate import judge
    from churnlake.model.split import Protocol
    from churnlake.model.train import THREADS

    rules = app.contract.training
    if app.contract.has_undated_outcomes:
        protocol = Protocol.undated(run.business_date, rules.minimum_outcomes, rules.seed)
    else:
        maturity = app.contract.churn.maturity_days
        protocol = Protocol(schedule.train, schedule.test, maturity, rules.minimum_outcomes, rules.seed)
    with app.stage(run, "fit") as stage, threadpool_limits(THREADS):
        stage.say(f"fitting on {len(rows):,} customer-months")
        fitted = fit(rows, _modelled(app.contract), protocol)
        split = fitted.split
        stage.counts.update(candidate=fitted.candidate.name, copies=split.copies, left_out=dict(split.left_out))
    with app.stage(run, "gate") as stage, threadpool_limits(THREADS):
        gate = judge(fitted)
        stage.counts.update(
            verdict=gate.verdict.value, passed=sum(check.passed for check in gate.checks), checks=len(gate.checks)
        )
    with app.stage(run, "register") as stage:
        _register(app, run, stage, fitted, gate)


def settled_slots(contract: Contract, deliveries: Sequence[Delivery], as_of: date) -> dict[date, date]:
    """For each due slot up to `as_of` the date on which all its sources were settled, by the first version of each."""
    settled: dict[date, date] = {}
    for name, source in contract.sources.items():
        taken = [one for one in taken_files(deliveries) if one.source == name]
        due = due_slots(contract, name, DayRange(contract.calendar.starts_on, as_of))
        came = _came(taken, due if source.delivery == "snapshot" else None)
        for slot in due:
            on = calendar.settled_on(came.get(slot), slot, source.max_late_days)
            settled[slot] = max(on, settled.get(slot, on))
    return settled


def _came(taken: Sequence[Delivery], told_of: Sequence[date] | None) -> dict[date, date]:
    """When each slot's first version became known; of snapshots, for each due slot in `told_of`, it or a newer one."""
    came: dict[date, date] = {}
    for one in taken:
        came[one.slot] = min(one.known_date, came.get(one.slot, one.known_date))
    if told_of is None:
        return came
    later = {slot: [known for day, known in came.items() if day >= slot] for slot in told_of}
    return {slot: min(known) for slot, known in later.items() if known}


def training_cutoffs(contract: Contract, settled: dict[date, date], as_of: date) -> Schedule:
    """The mature cutoffs as known on `as_of`.

    Raises:
        ModelRefusedError: There is no test cutoff or no training cutoff yet; says when there will be.
    """
    if contract.has_undated_outcomes:
        return Schedule((as_of,), ())
    complete = complete_through(contract, settled, as_of)
    schedule = training_schedule(contract, complete)
    if not schedule.train or not schedule.test:
        raise ModelRefusedError(
            f"not enough history to train: data are complete through {complete}, the first model needs "
            f"{first_model_needs(contract)}",
            next_step="load more history, shorten the horizon or active_within_days, or wait",
        )
    return schedule


def _read_rows(
    app: Application, run: Run, stage: OpenStage, schedule: Schedule, settled: dict[date, date]
) -> "pd.DataFrame":
    """customer_id, business_date, is_churned and features of every eligible customer at every cutoff.

    Raises:
        ModelRefusedError: The labels cannot be right, or are too few; no feature was built.
    """
    contract, lake = app.contract, app.lake
    cutoffs = [*schedule.train, *schedule.test]
    versions = tile_versions(lake)
    tiles = read_tiles(lake, versions)
    stage.say(f"labelling {len(cutoffs)} cutoffs")
    matured = {day: calendar.label_known_on(day, contract.churn.maturity_days, settled) for day in cutoffs}
    population = population_at(tiles, contract, cutoffs).persist()
    everybody, found = population, population.filter("eligible").count()
    share = min(1.0, contract.training.row_budget / max(found, 1))
    learnt_from = in_sample(population, share) if share < 1 else population
    if share < 1 and not contract.features.peer_group:  # a place among peers is one among all of them
        tiles, population = tiles.sample(share), learnt_from
    labels = labels_at(tiles, contract, matured, learnt_from).persist()
    stage.say(f"looking at the labels of {found:,} customer-months")
    ask_canary(app, run, stage, tiles, everybody, labels)
    refuse_too_few(contract, tiles, labels, schedule)
    stage.say(f"building features of {found:,} customer-months")
    labelled = population.join(labels, [*KEYS], "left")
    features = features_at(tiles, contract, build_catalogue(contract), cutoffs, labelled)
    names = [feature.name for feature in _modelled(contract)]
    rows: pd.DataFrame = features.filter("is_churned IS NOT NULL").select(*KEYS, "is_churned", *names).toPandas()
    stage.counts.update(
        rows=len(rows),
        cutoffs=len(cutoffs),
        train=len(schedule.train),
        test=len(schedule.test),
        share=share,
        versions=versions,
    )
    return rows


def _modelled(contract: Contract) -> list[Feature]:
    return [feature for feature in build_catalogue(contract) if feature.is_modelled]


def _register(app: Application, run: Run, stage: OpenStage, fitted: "FittedModel", gate: "Gate") -> None:
    from churnlake.model.gate import Verdict
    from churnlake.model.registry import Provenance, promote, register
    from churnlake.model.train import TrainedModel

    contract, settings = app.contract, app.settings
    versions = {name: str(version) for name, version in app.done_stages(run)["rows"]["versions"].items()}
    provenance = Provenance(contract.name, contract.version, contract.digest, run.run_id, app.revision, versions)
    registered = register(settings.mlflow_url, settings.mlflow_artifacts, TrainedModel(fitted, gate), provenance)
    states: dict[Verdict, Any] = {Verdict.PROMOTE: "registered", Verdict.HOLD: "held", Verdict.REFUSE: "refused"}
    app.ledger.record_model(
        contract=contract.name,
        version=registered.version,
        digest=registered.digest,
        state=states[gate.verdict],
        trained_through=fitted.protocol.trained_through,
        label_data_through=fitted.protocol.label_data_through,
        metrics=_metrics(fitted),
        gate=[asdict(check) | {"verdict": check.verdict.value} for check in gate.checks],
        run_id=run.run_id,
        now=clock(),
        reason=gate.reason,
    )
    stage.counts.update(version=registered.version, verdict=gate.verdict.value)
    if gate.verdict is not Verdict.PROMOTE:
        looks, decides = f"look at `churnlake models {contract.path}`", f"--to {registered.version} --reason TEXT"
        raise ModelRefusedError(
            f"{contract.name} version {registered.version} is {states[gate.verdict]}: {gate.reason}",
            next_step=f"{looks}; if it may score all the same: `churnlake promote {contract.path} {decides}`"
            if gate.verdict is Verdict.HOLD
            else looks,
        )
    by = {"actor": app.actor, "reason": gate.reason}
    promote(settings.mlflow_url, contract.name, registered.version, **by)
    app.ledger.set_champion(contract.name, registered.version, now=clock(), **by)


def _metrics(fitted: "FittedModel") -> dict[str, Any]:
    """What the ledger keeps of a model: out-of-time metrics, pooled and by test cutoff, and what was chosen."""
    evaluation = fitted.evaluation
    return {
        **asdict(evaluation.pooled),
        "by_cutoff": {day: asdict(metrics) for day, metrics in evaluation.by_cutoff.items()},
        "candidate": fitted.candidate.name,
        "training_rows": len(fitted.split.train.labels),
    }


if __name__ == "__main__":
    raise SystemExit(main())
