"""The demo: a real web shop's year in files, from nothing to three published nights and the customers most at risk."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from churnlake.errors import UsageError
from churnlake.ledger import Ledger, Run
from churnlake.settings import Settings
from flows.console import Terminal
from flows.runners import CHECKOUT
from flows.shift import Request, Shift
from flows.summary import shift_document, show_model, show_most_at_risk, show_next
from flows.tally import night_tally, stage_lines

CONTRACT = CHECKOUT / "examples" / "online_retail" / "contract.toml"

STEPS = (date(2011, 11, 28), date(2011, 11, 30))
"""The first night brings history and training with it; the second step catches up two nights in one application."""

Work = Callable[[Shift, dict[str, Any]], None]


def show_demo(terminal: Terminal, settings: Settings, work: Work, *, again: bool) -> None:
    """Runs what is left of the demo and shows all of it.

    Raises:
        UsageError: Starting over would remove other contracts' work.
    """
    if again:
        _remove(settings)
    shift = _open(settings)
    terminal.say(_beginning(shift))
    for day in STEPS:
        shift = _open(settings)
        sealed = shift.publications.newest(shift.contract.name)
        if sealed is None or sealed < day:
            shift.plan_nights(Request(CONTRACT, day))
            work(shift, {"business_date": day})
    terminal.document(shift_document(shift))
    _show(terminal, shift)


def _open(settings: Settings) -> Shift:
    return Shift.open(CONTRACT, settings, datetime.now(UTC))


def _beginning(shift: Shift) -> str:
    sealed = shift.publications.newest(shift.contract.name)
    begun = bool(shift.ledger.runs(shift.contract.name))
    if sealed is not None and sealed >= STEPS[-1]:
        return f"the demo is complete in {shift.settings.home}; shown again (`make demo AGAIN=1` starts over)"
    if sealed is not None:
        return f"resuming after {sealed} (`make demo AGAIN=1` starts over)"
    return "resuming before the first night" if begun else f"starting in {shift.settings.home}"


def _remove(settings: Settings) -> None:
    if not settings.home.exists():
        return
    others = [one.name for one in Ledger.open(settings.ledger_url).contracts() if one.path != str(CONTRACT)]
    if others:
        fix = "set CHURNLAKE_HOME to another folder for the demo"
        raise UsageError(
            f"{settings.home} holds {', '.join(others)} too; the demo removes nothing of others", next_step=fix
        )
    shutil.rmtree(settings.home)


def _show(terminal: Terminal, shift: Shift) -> None:
    runs = [run for run in shift.ledger.runs(shift.contract.name) if run.state in ("done", "published")]
    terminal.say()
    for run in runs:
        if run.kind in ("history", "night"):
            terminal.say(lines_of(shift, run))
    terminal.say()
    for run in runs:
        if run.kind == "night":
            terminal.say(customers_of(shift, run))
    terminal.say()
    show_model(terminal, shift.ledger.champion(shift.contract.name))
    show_most_at_risk(terminal, shift)
    show_next(terminal, shift)


def lines_of(shift: Shift, run: Run) -> str:
    """`history ..2011-11-27  n lines = n accepted + n anonymous + n duplicate + ...` of a run."""
    ingest = next(line for line in stage_lines(shift.ledger.stages(run.run_id)) if line.stage == "ingest")
    aside = "".join(f" + {number:,} {reason}" for reason, number in ingest.aside.items() if number)
    days = f"{'' if run.kind == 'night' else '..'}{run.business_date}"
    lines = f"{ingest.taken or 0:,} lines = {ingest.given or 0:,} accepted{aside}"
    lines += f"; {ingest.corrections_in_words}" if ingest.corrections_in_words else ""
    return f"{run.kind:<8} {days:>12}  {lines}"


def customers_of(shift: Shift, run: Run) -> str:
    """`night 2011-11-28  n known = n eligible + n excluded; n scored, n held; published` of a night."""
    tally = night_tally(shift.ledger, run)
    excluded = "".join(f" + {number:,} {reason}" for reason, number in tally.excluded.items())
    known = f"{tally.known:,} known = {tally.eligible:,} eligible{excluded}"
    scored = f"{tally.scored:,} scored, {tally.held:,} held"
    return f"{run.kind:<8} {run.business_date!s:>12}  {known}; {scored}; {run.state}"
