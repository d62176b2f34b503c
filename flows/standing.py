"""Where a contract stands: its dates, its models, its machine. What `status`, `models` and `doctor` show."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from churnlake.due import newest_date, what_is_due
from churnlake.errors import UsageError
from churnlake.ledger import Promotion, Run
from churnlake.settings import Settings
from flows.console import Terminal, in_words
from flows.doctor import examine
from flows.services import DEFAULT_PORTS
from flows.shift import Shift

EXIT_LATE = 7
EXIT_UNFIT = 2


@dataclass(frozen=True)
class DateStanding:
    """One business date and how it stands; `run_id` and `owner` of the run that says so, where there is one."""

    business_date: date
    state: str
    run_id: str | None = None
    owner: str | None = None
    told: str | None = None


@dataclass(frozen=True)
class Standing:
    """A contract's dates, newest first, its champion, and the date that is late (None: none is)."""

    contract: str
    published_through: date | None
    champion: int | None
    late: date | None
    by: time
    dates: tuple[DateStanding, ...]


def read_standing(shift: Shift, by: str) -> Standing:
    """The standing of a contract now.

    Raises:
        UsageError: `by` is no time.
    """
    try:
        deadline = time.fromisoformat(by)
    except ValueError:
        raise UsageError(f"--by must be a time such as 06:00; got {by!r}", next_step="--by 06:00") from None
    name = shift.contract.name
    sealed = shift.publications.newest(name)
    champion = shift.ledger.champion(name)
    dates = tuple(sorted(_dates(shift, sealed), key=lambda one: (one.business_date, one.state), reverse=True))
    late = late_date(wanted_date(shift, deadline), sealed)
    return Standing(name, sealed, champion.version if champion else None, late, deadline, dates)


def wanted_date(shift: Shift, by: time) -> date | None:
    """The date that should be published by now: the newest one, or before `by` (local time) the one before it."""
    newest = newest_date(shift.contract, shift.now)
    local = shift.now.astimezone(ZoneInfo(shift.contract.timezone))
    if newest is None or shift.contract.calendar.clock == "replay" or local.time() >= by:
        return newest
    return newest - timedelta(days=1)


def late_date(wanted: date | None, sealed: date | None) -> date | None:
    """The wanted date when it is not published, else None."""
    return wanted if wanted is not None and (sealed is None or sealed < wanted) else None


def _dates(shift: Shift, sealed: date | None) -> list[DateStanding]:
    name = shift.contract.name
    publications = shift.publications.published(name)
    published = [DateStanding(one.business_date, "published", one.run_id, one.actor) for one in publications]
    shown = {one.business_date for one in published}
    runs = [run for run in shift.ledger.runs(name) if run.kind == "night"]
    withdrawn = {run.business_date for run in runs if shift.publications.is_withdrawn(name, run.business_date)}
    open_runs = {run.business_date: run for run in runs if run.business_date not in shown | withdrawn}
    due = what_is_due(shift.contract, sealed, shift.now)
    taken = shown | withdrawn | set(open_runs)
    skipped = {one.business_date: one.reason for one in shift.ledger.skipped(name)}
    return [
        *published,
        *(DateStanding(day, "withdrawn") for day in withdrawn),
        *(_of_run(run) for run in open_runs.values()),
        *(DateStanding(day, "due") for day in due.dates if day not in taken),
        *(DateStanding(day, "skipped", told=reason) for day, reason in skipped.items() if day not in taken),
    ]


def _of_run(run: Run) -> DateStanding:
    return DateStanding(run.business_date, run.state, run.run_id, run.actor, run.message)


def show_standing(terminal: Terminal, standing: Standing, *, check: bool) -> int:
    """The standing, for people or as a document; the exit code, which only a `check` makes other than 0."""
    code = EXIT_LATE if check and standing.late is not None else 0
    terminal.document(asdict(standing) | {"exit_code": code})
    through = standing.published_through or "no date yet"
    model = "no model yet" if standing.champion is None else f"model version {standing.champion}"
    terminal.say(f"{standing.contract}: published through {through}, {model}")
    if code:
        terminal.say(f"late: {standing.late} should be published by {standing.by:%H:%M}")
    rows = [
        (one.business_date, one.state, one.run_id, one.owner, (one.told or "").partition("\n")[0])
        for one in standing.dates
    ]
    if rows:
        terminal.table(("date", "state", "run", "owner", "why"), rows)
    return code


def rewrite_page(shift: Shift, business_date: date | None) -> Path:
    """Writes the pages of a date, by default the newest published one, over earlier ones; returns the one to open.

    Raises:
        UsageError: The date was neither published nor refused, or nothing is published.
    """
    from churnlake.report import write_data_page, write_page

    day = business_date or shift.publications.newest(shift.contract.name)
    if day is None:
        raise UsageError(
            f"{shift.contract.name}: nothing is published yet", next_step=f"`churnlake run {shift.contract.path}`"
        )
    is_published = shift.publications.current(shift.contract.name, day) is not None
    return (write_page if is_published else write_data_page)(shift.settings, shift.contract.name, day)


def show_models(terminal: Terminal, shift: Shift) -> None:
    """Every version with its quality out of time, its gate, and why it was promoted, held or refused."""
    models = shift.ledger.models(shift.contract.name)
    promotions = shift.ledger.promotions(shift.contract.name)
    document = {"models": [asdict(model) for model in models], "promotions": [asdict(one) for one in promotions]}
    terminal.document({"contract": shift.contract.name, **document, "exit_code": 0})
    if not models:
        terminal.say(f"{shift.contract.name}: no model yet\n  next: `churnlake train {shift.contract.path}`")
    columns = (
        "version",
        "state",
        "trained through",
        "AUC",
        "90 % interval",
        "calibration gap",
        "lift, top decile",
        "gate",
        "why",
        "promoted",
    )
    rows = [
        (
            model.version,
            "champion" if model.is_champion else model.state,
            model.trained_through,
            model.metrics["auc"],
            f"{in_words(model.metrics['auc_low'])} .. {in_words(model.metrics['auc_high'])}",
            model.metrics["ece"],
            model.metrics["lift_top_decile"],
            f"{sum(bool(check['passed']) for check in model.gate)} of {len(model.gate)}",
            model.reason,
            _promoted(model.version, promotions),
        )
        for model in models
    ]
    if rows:
        terminal.table(columns, rows)


def _promoted(version: int, promotions: Sequence[Promotion]) -> str:
    """The last time a version became champion: by whom, when and why; empty when it never did."""
    newest = next((one for one in reversed(promotions) if one.version == version), None)
    return "" if newest is None else f"by {newest.actor} on {newest.promoted_at:%Y-%m-%d}: {newest.reason}"


def show_promotion(terminal: Terminal, shift: Shift) -> None:
    """What the promotion said, and the champion now."""
    champion = shift.ledger.champion(shift.contract.name)
    version = None if champion is None else champion.version
    terminal.document({"contract": shift.contract.name, "champion": version, "said": shift.said, "exit_code": 0})
    for line in shift.said:
        terminal.say(line)


def show_findings(terminal: Terminal, settings: Settings) -> int:
    """What doctor found; the exit code: 0, or 2 when something stops a night."""
    findings = examine(settings, DEFAULT_PORTS.by_name)
    code = EXIT_UNFIT if any(finding.state == "problem" for finding in findings) else 0
    terminal.document({"findings": [asdict(finding) for finding in findings], "exit_code": code})
    for finding in findings:
        terminal.say(f"{finding.state:<8} {finding.subject}: {finding.detail}")
        if finding.fix and finding.state != "ok":
            terminal.say(f"         next: {finding.fix}")
    return code
