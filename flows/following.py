"""How Prefect sees a shift: one subflow per run, one task per stage, each following its row in the ledger."""

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas import State
from prefect.states import Completed, Failed

from churnlake.errors import ChurnlakeError
from churnlake.ledger import Run, Stage
from flows import artifacts
from flows.orchestrator import settle_dead_flows
from flows.runners import STAGES, Application
from flows.shift import Shift, at_hand
from flows.tally import verdict

REFUSALS = {3, 4, 5}
"""Exit codes by which a run was refused: data, model, or another run. The rest are failures."""


def follow_agenda(shift: Shift) -> State:
    """Carries out the agenda under the flow that calls it; returns the state that flow ends with."""
    settle_dead_flows()
    try:
        for application in shift.agenda:
            with shift.job(application) as progress:
                for run in progress.runs():
                    follow_run(run_title(application, run), run.run_id, application.kind)
    except ChurnlakeError as error:
        shift.failure = error
        _show_refused(shift)
        return Failed(name="Refused" if error.exit_code in REFUSALS else "Failed", message=str(error))
    ended = verdict(shift)
    return Completed(name=ended.name, message=ended.message)


def _show_refused(shift: Shift) -> None:
    try:
        artifacts.show_refused(shift)
    except Exception as problem:  # noqa: BLE001 - the error that stopped the night is what must be seen
        get_run_logger().warning(f"no link to the data page: {problem}")


def run_title(application: Application, run: Run) -> str:
    """`<contract> <date>`, with the kind of work where it is no night."""
    kind = "" if application.kind == "night" else f" {application.kind}"
    return f"{application.contract}{kind} {run.business_date}"


@flow(name="business-date", flow_run_name="{title}", log_prints=False)
def follow_run(title: str, run_id: str, kind: str) -> State:
    """One run: its stages in order, then what it left to look at."""
    shift = at_hand()
    progress = artifacts.start_progress(shift.ledger.run(run_id), title)
    stages = STAGES[kind]  # type: ignore[index]
    for place, stage in enumerate(stages, start=1):
        follow_stage.with_options(name=stage)(run_id, stage)
        artifacts.report_progress(progress, place / len(stages))
    run = finish_run(run_id)
    return Completed(name=run.state.capitalize(), message=f"run {run.run_id}")


@task(task_run_name="{stage}", cache_policy=NO_CACHE)
def follow_stage(run_id: str, stage: str) -> None:
    """One stage: ends with its row. It is never retried here; the runner starts the job again where that can help."""
    shift = at_hand()
    run = shift.ledger.run(run_id)
    if shift.running is None:
        raise LookupError(f"no job of {run_id} runs in this process")
    for change in shift.running.stage(run, stage):
        shift.tell(run, change)
        get_run_logger().info(in_one_line(change))


def finish_run(run_id: str) -> Run:
    """The finished run, kept with the shift and shown as artifacts."""
    shift = at_hand()
    if shift.running is None:
        raise LookupError(f"no job of {run_id} runs in this process")
    run = shift.running.finished(shift.ledger.run(run_id))
    shift.finish(run)
    artifacts.show_run(shift, run)
    return run


def in_one_line(stage: Stage) -> str:
    """A stage's change for a log."""
    told = stage.message or stage.progress or ""
    seconds = "" if stage.seconds is None else f" in {stage.seconds:.1f} s"
    return f"{stage.stage}: {stage.state}{seconds}{f' ({told})' if told else ''}"
