"""What a night came to, in numbers and in the warehouse's own words: for the terminal and as a document."""

import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from churnlake.ledger import ModelRecord, Run, Stage
from churnlake.warehouse.duckdb import query
from flows.console import Terminal
from flows.shift import Shift
from flows.tally import night_tally, stage_lines, verdict

MOST_AT_RISK = 10
TOP = """SELECT risk_rank, customer_id, churn_probability, risk_band, reason_1_text, reason_2_text, reason_3_text
FROM churn_{contract}.scores_latest ORDER BY risk_rank LIMIT {count}"""

QUESTION = "select customer_id, churn_probability, reason_1_text from churn.scores_latest order by risk_rank limit 20"


def progress_line(run: Run, stage: Stage) -> str:
    """One change of a stage, for people."""
    head = f"  {run.kind:<8} {run.business_date}  {stage.stage:<8}"
    if stage.state == "running":
        return f"{head} {stage.progress or 'started'}"
    if stage.state == "failed":
        return f"{head} failed"
    (line,) = stage_lines([stage])
    told = "" if line.taken is None else f"{line.taken:,} in, {line.given or 0:,} out, aside {line.aside_in_words}"
    return f"{head} done in {line.seconds or 0:.1f} s  {told}".rstrip()


def watch(terminal: Terminal, run: Run, stage: Stage) -> None:
    """Shows a change of a stage: what runs moves, what is done stays."""
    if stage.state == "running":
        terminal.working(progress_line(run, stage))
    else:
        terminal.still()
        terminal.say(progress_line(run, stage))


def shift_document(shift: Shift) -> dict[str, Any]:
    """What a shift came to, as a document."""
    ended = verdict(shift)
    nights = [asdict(night_tally(shift.ledger, run)) for run in shift.published()]
    document: dict[str, Any] = {"contract": shift.contract.name, "verdict": ended.name, "message": ended.message}
    document["runs"] = [
        {"run_id": run.run_id, "kind": run.kind, "business_date": run.business_date} for run in shift.runs
    ]
    document["published"] = nights
    if nights:
        document["most_at_risk"] = most_at_risk(shift)
        document["page"] = str(page_path(shift))
    return document | {"exit_code": 0}


def page_path(shift: Shift) -> Path:
    """Where the page of the newest published date lies."""
    return shift.settings.reports / shift.contract.name / f"{shift.publications.newest(shift.contract.name)}.html"


def most_at_risk(shift: Shift, count: int = MOST_AT_RISK) -> list[dict[str, Any]]:
    """The customers of the newest published date most likely to leave, with the reasons in words."""
    # The name is a contract's: lowercase letters, digits and underscores only.
    answer = query(shift.settings.warehouse, TOP.format(contract=shift.contract.name, count=count))
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def show_shift(terminal: Terminal, shift: Shift) -> None:
    """What was published, who is most at risk, where the page is and what to type next."""
    if terminal.as_json:
        terminal.document(shift_document(shift))
    ended = verdict(shift)
    terminal.say(f"{shift.contract.name}: {ended.message}")
    for run in shift.published():
        tally = night_tally(shift.ledger, run)
        excluded = ", ".join(f"{number:,} {reason}" for reason, number in tally.excluded.items()) or "0 excluded"
        terminal.say(f"  {tally.business_date}  {tally.known:,} known = {tally.eligible:,} eligible + {excluded}")
        terminal.say(
            f"              {tally.scored:,} scored, {tally.held:,} held; "
            f"model version {tally.model_version}; run {run.run_id}"
        )
    if shift.published():
        for line in shift.said:
            terminal.say(line)
        show_most_at_risk(terminal, shift)
        show_next(terminal, shift)


def show_most_at_risk(terminal: Terminal, shift: Shift) -> None:
    """The ten most at risk, each with its first reason."""
    rows = [
        (one["risk_rank"], one["customer_id"], one["churn_probability"], one["risk_band"], one["reason_1_text"])
        for one in most_at_risk(shift)
    ]
    terminal.say()
    terminal.table(("rank", shift.contract.unit, "probability", "band", "why"), rows, title="Most at risk")
    terminal.say()


def show_next(terminal: Terminal, shift: Shift) -> None:
    """What to type next, so that it works from this folder as it stands."""
    page = page_path(shift)
    if page.exists():
        terminal.say(f"Look:  {page}")
    churnlake, contract = own_command(), shlex.quote(nearest_path(shift.contract.path))
    terminal.say(f'Ask:   {churnlake} sql "{QUESTION}"')
    terminal.say(f"Check: {churnlake} status {contract}   Models: {churnlake} models {contract}")
    terminal.say(f"Watch: {churnlake} up")


def own_command() -> str:
    """How this command is called here: by its name where it is on PATH, else by its path."""
    if shutil.which("churnlake"):
        return "churnlake"
    return shlex.quote(nearest_path(Path(sys.executable).parent / "churnlake"))


def nearest_path(path: Path) -> str:
    """A path as one would type it: relative when it lies below this folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def show_model(terminal: Terminal, model: ModelRecord | None) -> None:
    """How good the champion is, on customers and dates it was not fitted on."""
    if model is None:
        terminal.say("no model yet")
        return
    metrics = model.metrics
    passed = sum(bool(check["passed"]) for check in model.gate)
    interval = f"{metrics['auc_low']:.3f} .. {metrics['auc_high']:.3f}"
    terminal.say(
        f"Model {model.contract} version {model.version} ({metrics['candidate']}), "
        f"trained through {model.trained_through}"
    )
    terminal.say(
        f"  out of time  AUC {metrics['auc']:.3f} (90 % interval {interval}) on {metrics['rows']:,} customer-dates"
    )
    terminal.say(
        f"  calibration  estimated {metrics['mean_probability']:.1%}, realised {metrics['base_rate']:.1%}; "
        f"mean gap {metrics['ece']:.3f}, slope {metrics['calibration_slope']:.2f}"
    )
    terminal.say(f"  top decile   {metrics['lift_top_decile']:.2f} times the churn of all")
    terminal.say(f"  gate         {passed} of {len(model.gate)} checks passed")
