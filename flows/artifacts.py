"""What a run leaves in Prefect to look at: its verdict, checks, population and page. Never a customer's row."""

from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from churnlake.ledger import Run
from flows.shift import Shift
from flows.tally import night_tally, stage_lines


def artifact_key(contract: str, what: str) -> str:
    """Prefect's keys are global and take lowercase letters, digits and dashes only."""
    return f"{contract.replace('_', '-')}-{what}"


def start_progress(run: Run, title: str) -> UUID:
    """A bar for one run, at nought."""
    key = artifact_key(run.contract, f"progress-{run.kind}-{run.business_date}")
    return UUID(str(create_progress_artifact(progress=0.0, key=key, description=title)))


def report_progress(artifact: UUID, share: float) -> None:
    """Moves the bar; `share` is 0 to 1."""
    update_progress_artifact(artifact_id=artifact, progress=round(100 * share, 1))


def show_run(shift: Shift, run: Run) -> None:
    """Everything about a finished run. Only nights have a population and a page."""
    what = "night" if run.kind == "night" else run.kind
    create_markdown_artifact(night_markdown(shift, run), key=artifact_key(run.contract, what))
    checks = shift.ledger.checks(run.run_id)
    if checks:
        create_table_artifact(
            [
                {
                    "source": check.source,
                    "check": check.name,
                    "severity": check.severity,
                    "passed": check.passed,
                    "observed": check.observed,
                    "expected": check.expected,
                }
                for check in checks
            ],
            key=artifact_key(run.contract, "quality"),
            description=f"Checks of {run.run_id}",
        )
    if run.kind == "night":
        _show_night(shift, run)


def _show_night(shift: Shift, run: Run) -> None:
    tally = night_tally(shift.ledger, run)
    groups = {
        "eligible": tally.eligible,
        **{f"excluded: {reason}": number for reason, number in tally.excluded.items()},
    }
    create_table_artifact(
        [{"customers": name, "number": number} for name, number in groups.items()],
        key=artifact_key(run.contract, "population"),
        description=f"{tally.known} known customers on {run.business_date}",
    )
    page = shift.settings.reports / run.contract / f"{run.business_date}.html"
    create_link_artifact(
        page.as_uri(), link_text=f"The page of {run.business_date}", key=artifact_key(run.contract, "report")
    )
    _show_data(shift, run)


def show_refused(shift: Shift) -> None:
    """For runs that published nothing: the page that says why, and what had arrived."""
    for run in shift.refused:
        _show_data(shift, run)


def _show_data(shift: Shift, run: Run) -> None:
    from churnlake.report import data_address

    page = data_address(shift.settings.reports, run.contract, run.business_date)
    text = "What arrived for" if run.state == "published" else "Why nothing was published for"
    create_link_artifact(page.as_uri(), link_text=f"{text} {run.business_date}", key=artifact_key(run.contract, "data"))


def night_markdown(shift: Shift, run: Run) -> str:
    """Verdict, stages in numbers, model and the next command, as markdown."""
    lines = [
        f"# {run.contract} {run.business_date}: {run.state}",
        "",
        "| stage | in | out | aside | seconds |",
        "|---|---|---|---|---|",
    ]
    for line in stage_lines(shift.ledger.stages(run.run_id)):
        seconds = "" if line.seconds is None else f"{line.seconds:.1f}"
        lines.append(
            f"| {line.stage} | {_number(line.taken)} | {_number(line.given)} | {line.aside_in_words} | {seconds} |"
        )
    model = "none" if run.model_version is None else f"version {run.model_version}"
    lines += ["", f"Run `{run.run_id}`, attempt {run.attempt}. Model: {model}.", ""]
    question = "select * from churn.scores_latest order by risk_rank limit 10"
    lines += [
        f'Next: `churnlake sql "{question}"`' if run.kind == "night" else f"Next: `churnlake run {shift.contract.path}`"
    ]
    return "\n".join(lines)


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
