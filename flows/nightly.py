"""The nightly flow: asks what is due and brings each date, oldest first, from files to published scores."""

from datetime import date
from pathlib import Path

from prefect import flow
from prefect.client.schemas import State

from flows.following import follow_agenda
from flows.shift import Request, taken_up


@flow(name="nightly", flow_run_name="nightly {contract_path.parent.name}")
def nightly(
    contract_path: Path, business_date: date | None = None, *, restate: bool = False, reason: str | None = None
) -> State:
    """One tick: everything that is due, or what is missing up to `business_date`. Nothing due ends in seconds.

    Ends as Published, WaitingForDelivery or CaughtUp; as Refused where data, model or another run say no.
    """
    request = Request(contract_path, business_date, restate, reason)
    with taken_up(contract_path, lambda shift: shift.plan_nights(request)) as shift:
        return follow_agenda(shift)
