"""The command line: `churnlake VERB`. Each verb reads the clock once, does its work and says what to type next."""

import atexit
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from churnlake.errors import UsageError
from churnlake.settings import Settings
from flows.console import Terminal, verb

if TYPE_CHECKING:
    from flows.shift import Shift

app = typer.Typer(
    name="churnlake",
    help="Nightly churn scores: raw daily files in, calibrated churn probabilities out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

quarantine = typer.Typer(
    help="Rows that were set aside: what they are, why, and letting them back in.", no_args_is_help=True
)
app.add_typer(quarantine, name="quarantine")

ContractArgument = Annotated[Path, typer.Argument(metavar="CONTRACT", help="path of a contract.toml")]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON document instead of text")]
DirectOption = Annotated[bool, typer.Option("--direct", help="the same work without Prefect")]
DateOption = typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD")
SourceOption = Annotated[str | None, typer.Option("--source", metavar="NAME", help="a source of the contract")]
FileOption = Annotated[list[str] | None, typer.Option("--file", metavar="PATH", help="as `quarantine list` names it")]
ReasonOption = Annotated[list[str] | None, typer.Option("--reason", metavar="RULE", help="rows that break this rule")]
DeliveryOption = Annotated[list[str] | None, typer.Option("--delivery", metavar="ID", help="rows of this delivery")]
RowHashOption = Annotated[list[str] | None, typer.Option("--row-hash", metavar="HASH", help="this row")]
SlotOption = Annotated[
    datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="files of this date")
]
StatusOption = Annotated[str, typer.Option(metavar="STATUS", help="held, released, withdrawn or expired")]
ForceOption = Annotated[bool, typer.Option("--force", help="replace the file if it is there")]


@app.command()
def run(  # noqa: PLR0913 - options of a command
    contract: ContractArgument,
    date: Annotated[datetime | None, DateOption] = None,
    *,
    restate: Annotated[bool, typer.Option(help="publish --date again, from today's code, model and contract")] = False,
    reason: Annotated[str | None, typer.Option(help="why, kept with a restatement")] = None,
    direct: DirectOption = False,
    as_json: JsonOption = False,
) -> None:
    """The nightly flow, for --date or whatever is due. With no model yet it loads history and trains first."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.shift import Request
        from flows.summary import show_shift

        request = Request(contract, date.date() if date else None, restate, reason)
        shift = _open(contract, settings)
        shift.plan_nights(request)
        given = {"business_date": request.business_date, "restate": restate, "reason": reason}
        _work(shift, terminal, "nightly", given, direct=direct)
        show_shift(terminal, shift)


@app.command()
def backfill(
    contract: ContractArgument,
    to: Annotated[
        datetime, typer.Option("--to", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="the date to compute")
    ],
    *,
    direct: DirectOption = False,
    as_json: JsonOption = False,
) -> None:
    """Lake and tiles through a date, features and scores of that date. Publishes and seals nothing."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.summary import show_shift

        shift = _open(contract, settings)
        shift.plan_backfill(to.date())
        _work(shift, terminal, "backfill", {"to_date": to.date()}, direct=direct)
        show_shift(terminal, shift)


@app.command()
def train(
    contract: ContractArgument,
    as_of: Annotated[datetime | None, DateOption] = None,
    *,
    direct: DirectOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fit, judge and register a model on what was known at the end of --as-of (default: the newest date)."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.summary import shift_document, show_model

        shift = _open(contract, settings)
        day = as_of.date() if as_of else shift.newest_date()
        shift.plan_training(day)
        _work(shift, terminal, "training", {"as_of": day}, direct=direct)
        terminal.document(shift_document(shift) | {"said": shift.said})
        for line in shift.said:
            terminal.say(line)
        show_model(terminal, shift.ledger.champion(shift.contract.name))


def _open(contract: Path, settings: Settings) -> "Shift":
    from flows.shift import Shift, read_clock

    return Shift.open(contract, settings, read_clock(settings))


def _work(shift: "Shift", terminal: Terminal, flow: str, given: dict[str, Any], *, direct: bool) -> None:
    """Carries out the agenda, by Prefect or without it, and shows each change."""
    from flows.runners import killed_by_terminate
    from flows.shift import carry_out
    from flows.summary import watch

    shift.listener = lambda run, stage: watch(terminal, run, stage)
    with killed_by_terminate(), shift.on_duty():
        if direct or not shift.agenda:
            carry_out(shift)
            return
        # Prefect takes its ten seconds while Spark takes its own.
        shift.start_ahead()
        terminal.working(f"  {shift.agenda[0].kind} of {shift.contract.name} is starting")
        _flow_through_prefect(shift, flow, given)


def _flow_through_prefect(shift: "Shift", flow: str, given: dict[str, Any]) -> None:
    import importlib

    from flows.orchestrator import process_tag, use_prefect

    use_prefect(shift.settings, quiet=True)
    from prefect import tags

    function = getattr(importlib.import_module(f"flows.{flow}"), flow)
    with tags(process_tag(), shift.contract.name):
        state = function(shift.contract.path, **given, return_state=True)
    if shift.failure is not None:
        raise shift.failure
    if not state.is_completed():
        state.result()  # raises what stopped the flow


@app.command()
def models(contract: ContractArgument, *, as_json: JsonOption = False) -> None:
    """Every model version: its quality, its gate, and which one is champion."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.standing import show_models

        show_models(terminal, _open(contract, settings))


@app.command()
def promote(
    contract: ContractArgument,
    to: Annotated[int, typer.Option("--to", metavar="N", help="the model version")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="why, kept with the decision")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a version that the gate held or passed the champion: a person decides, with a reason."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.runners import killed_by_terminate
        from flows.shift import carry_out
        from flows.standing import show_promotion

        shift = _open(contract, settings)
        shift.plan_promotion(to, reason)
        with killed_by_terminate():
            carry_out(shift)
        show_promotion(terminal, shift)


@app.command()
def check(contract: ContractArgument, *, as_json: JsonOption = False) -> None:
    """Contract, suites, files and their first rows, taking nothing in: every problem with what to do."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.inspection import check as check_contract
        from flows.runners import killed_by_terminate
        from flows.shift import read_clock

        with killed_by_terminate():
            check_contract(terminal, contract, settings, read_clock(settings))


@app.command()
def init(  # noqa: PLR0913 - options of a command
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where the contract goes; made if it is not there")],
    *,
    files: Annotated[
        Path | None, typer.Option("--from", metavar="FILES", help="a folder of sample files, or one file; required")
    ] = None,
    day_first: Annotated[bool, typer.Option("--day-first", help="03/05/2026 is the third of May")] = False,
    month_first: Annotated[bool, typer.Option("--month-first", help="03/05/2026 is the fifth of March")] = False,
    customer: Annotated[str | None, typer.Option(metavar="COLUMN", help="the column that holds the customer")] = None,
    copy: Annotated[bool, typer.Option("--copy", help="copy the files beside the contract; default: a link")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="ask nothing")] = False,
    as_json: JsonOption = False,
) -> None:
    """A first contract from sample files, each line with its reason. Asks only what the files cannot tell."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.init import Wish, init, told_order
        from flows.shift import read_clock

        if files is None:
            raise UsageError(
                f"init was told one folder, {folder}; it needs one for the contract, and --from that of the samples",
                next_step=f"`churnlake init NEW_FOLDER --from {folder}`, where the sample files lie in {folder}",
            )
        order = told_order(day_first=day_first, month_first=month_first)
        init(terminal, Wish(folder, files, order, customer, copy, yes), read_clock(settings))


@app.command()
def status(
    contract: ContractArgument,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="exit 7 when the newest date is not published in time")
    ] = False,
    by: Annotated[str, typer.Option(metavar="HH:MM", help="local time a date must be published by")] = "06:00",
    as_json: JsonOption = False,
) -> None:
    """Dates that are published, running, due, failed, skipped or withdrawn, with run ids and owners."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.standing import read_standing, show_standing

        raise typer.Exit(show_standing(terminal, read_standing(_open(contract, settings), by), check=check))


@app.command()
def sql(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="one SELECT")],
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="comma-separated lines")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask the warehouse: read only, locked down, one SELECT."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.questions import ask

        ask(terminal, settings, question, as_csv=as_csv)


@app.command()
def report(
    contract: ContractArgument, date: Annotated[datetime | None, DateOption] = None, *, as_json: JsonOption = False
) -> None:
    """The pages of a night again, for --date (published or refused) or the newest published date."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.standing import rewrite_page

        page = rewrite_page(_open(contract, settings), date.date() if date else None)
        terminal.document({"page": str(page), "exit_code": 0})
        terminal.say(str(page))


@app.command()
def explain(
    contract: ContractArgument,
    customer: Annotated[str, typer.Option("--customer", metavar="ID", help="as the files write it")],
    date: Annotated[datetime | None, DateOption] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Why a customer was scored on a date or not (default: the newest): the facts, the label, the features."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.explain import explain as explain_customer
        from flows.runners import killed_by_terminate

        with killed_by_terminate():
            explain_customer(terminal, _open(contract, settings), customer, date.date() if date else None)


@quarantine.command("list")
def list_quarantine(
    contract: ContractArgument,
    *,
    source: SourceOption = None,
    date: SlotOption = None,
    status: StatusOption = "held",
    as_json: JsonOption = False,
) -> None:
    """Rows set aside, by file and first reason: how many, since when, what to type next."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.quarantine import Asked, show_groups

        show_groups(terminal, _open(contract, settings), Asked(source, date.date() if date else None, status=status))


@quarantine.command("show")
def show_quarantine(  # noqa: PLR0913 - options of a command
    contract: ContractArgument,
    *,
    source: SourceOption = None,
    date: SlotOption = None,
    file: FileOption = None,
    reason: ReasonOption = None,
    delivery: DeliveryOption = None,
    row_hash: RowHashOption = None,
    status: StatusOption = "held",
    limit: Annotated[int, typer.Option(min=1, help="rows to show")] = 20,
    to: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="write all of them for repair")] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """The rows themselves: record number, reasons and text. --to writes them for repair in a spreadsheet."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.quarantine import Asked, show_rows, write_rows

        day = date.date() if date else None
        asked = Asked(source, day, file or (), reason or (), delivery or (), row_hash or (), status)
        if to is None:
            show_rows(terminal, _open(contract, settings), asked, limit)
        else:
            write_rows(terminal, _open(contract, settings), asked, to, force=force)


@quarantine.command("release")
def release_quarantine(  # noqa: PLR0913 - options of a command
    contract: ContractArgument,
    *,
    source: SourceOption = None,
    date: SlotOption = None,
    file: FileOption = None,
    reason: ReasonOption = None,
    delivery: DeliveryOption = None,
    row_hash: RowHashOption = None,
    why: Annotated[str, typer.Option(metavar="TEXT", help="kept with the release")] = "",
    repaired: Annotated[Path | None, typer.Option(metavar="FILE.csv", help="what `quarantine show --to` wrote")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would become of each row; write nothing")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Lets rows back in that pass the rules as they are now; tonight knows them. The others stay held."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.quarantine import Asked, Wish, plan_release, release
        from flows.runners import killed_by_terminate
        from flows.summary import watch

        day = date.date() if date else None
        asked = Asked(source, day, file or (), reason or (), delivery or (), row_hash or ())
        shift = _open(contract, settings)
        plan_release(shift, Wish(asked, why, repaired, dry_run))
        shift.listener = lambda run, stage: watch(terminal, run, stage)
        with killed_by_terminate():
            release(terminal, shift)


@app.command()
def export(  # noqa: PLR0913 - options of a command
    contract: ContractArgument,
    band: Annotated[str, typer.Option(metavar="BAND", help="a risk band of the contract, such as high")],
    to: Annotated[Path, typer.Option(metavar="FILE", help="FILE.csv or FILE.parquet")],
    date: Annotated[datetime | None, DateOption] = None,
    *,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """The customers of a band with their reasons, as a file for a campaign tool; no cell can start a formula."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.export import export as write_export

        write_export(terminal, _open(contract, settings), band, date.date() if date else None, to, force)


@app.command()
def doctor(*, as_json: JsonOption = False) -> None:
    """Java, jars, disk, memory, lakes, warehouse and ports: each problem with its fix."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.standing import show_findings

        raise typer.Exit(show_findings(terminal, settings))


@app.command()
def up(
    *,
    prefect_port: Annotated[int, typer.Option(help="Prefect's API and UI")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="MLflow's UI")] = 5050,
    pages_port: Annotated[int, typer.Option(help="the nightly pages")] = 8780,
    as_json: JsonOption = False,
) -> None:
    """Prefect, MLflow and the nightly pages on this machine's loopback, until Ctrl-C."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.runners import killed_by_terminate
        from flows.services import Ports, serve

        with killed_by_terminate():
            serve(terminal, settings, Ports(prefect_port, mlflow_port, pages_port))


@app.command(hidden=True)
def demo(
    *,
    direct: DirectOption = False,
    again: Annotated[bool, typer.Option(help="remove what an earlier demo left, and start over")] = False,
    as_json: JsonOption = False,
) -> None:
    """The example web shop: history, a model, three nights. `make demo` calls it."""
    with verb(as_json=as_json) as (terminal, settings):
        from flows.demo import show_demo

        def work(shift: "Shift", given: dict[str, Any]) -> None:
            _work(shift, terminal, "nightly", given, direct=direct)

        show_demo(terminal, settings, work, again=again)


def main() -> None:
    """Entry of the console script."""
    atexit.register(_end_quietly)  # registered first, so that it runs last
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _end_quietly() -> None:
    """DuckDB's binding reports what Prefect's threads still hold while the interpreter ends; nobody can use that."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


if __name__ == "__main__":
    main()
