"""The backfill flow: brings the lake through a past date, and computes features and scores of that date."""

from datetime import date
from pathlib import Path

from prefect import flow
from prefect.client.schemas import State

from flows.following import follow_agenda
from flows.shift import taken_up


@flow(name="backfill", flow_run_name="backfill {contract_path.parent.name} {to_date}")
def backfill(contract_path: Path, to_date: date) -> State:
    """Equal to running night by night through `to_date`, in one application; publishes and seals nothing."""
    with taken_up(contract_path, lambda shift: shift.plan_backfill(to_date)) as shift:
        return follow_agenda(shift)
