"""The training flow: takes in the history it lacks, then fits, judges and registers a model."""

from datetime import date
from pathlib import Path

from prefect import flow
from prefect.client.schemas import State

from flows.following import follow_agenda
from flows.shift import taken_up


@flow(name="training", flow_run_name="training {contract_path.parent.name}")
def training(contract_path: Path, as_of: date | None = None) -> State:
    """Trains on what was known at the end of `as_of` (default: the newest date that has ended)."""
    with taken_up(contract_path, lambda shift: shift.plan_training(as_of or shift.newest_date())) as shift:
        return follow_agenda(shift)
