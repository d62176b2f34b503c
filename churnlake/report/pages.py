"""Writing pages: one for each published night, and an index of them all. Each stands alone: no script, no network."""

import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from churnlake.contract import load_contract
from churnlake.errors import UnavailableError, UsageError
from churnlake.ledger import Ledger
from churnlake.report import plots
from churnlake.report.night import Night, read_night
from churnlake.report.standing import Standing, read_standings
from churnlake.report.verdict import Deadline, Light, Verdict, is_late, judge
from churnlake.settings import Settings

MARKS = {Light.GREEN: "✓", Light.AMBER: "!", Light.RED: "✕"}
"""Beside its words every light has a mark: colour alone tells nothing to some."""


@dataclass(frozen=True)
class Entry:
    """One line of the index. `page` is its address relative to the index; None where no page was written yet."""

    standing: Standing
    verdict: Verdict
    page: str | None


def write_page(settings: Settings, contract_name: str, business_date: date) -> Path:
    """Write the page of a published night, over an earlier one, and bring the index up to date.

    Returns: `<home>/reports/<contract>/<business_date>.html`.

    Raises:
        UsageError: The date is not published.
        ConflictError: The date was published again while the page was made.
        UnavailableError: The page cannot be written.
    """
    night = read_night(settings.warehouse, contract_name, business_date)
    ledger = Ledger.open(settings.ledger_url)
    deadline = _deadlines(ledger).get(contract_name)
    page = _address(settings.reports, night.standing)
    _write(page, _render("night.html", **_shown(night, deadline), publish_seconds=_publish_seconds(ledger, night)))
    write_index(settings)
    return page


def write_index(settings: Settings) -> Path:
    """Write the list of all reports of all contracts, newest first.

    Returns: `<home>/reports/index.html`.

    Raises:
        UsageError: There is no warehouse yet.
        UnavailableError: It cannot be written.
    """
    deadlines = _deadlines(Ledger.open(settings.ledger_url))
    entries = [
        Entry(standing, judge(standing, deadlines.get(standing.contract)), _link(settings.reports, standing))
        for standing in read_standings(settings.warehouse)
    ]
    index = settings.reports / "index.html"
    _write(
        index, _render("index.html", entries=entries, contracts=sorted({entry.standing.contract for entry in entries}))
    )
    return index


def _deadlines(ledger: Ledger) -> dict[str, Deadline]:
    """By when each contract expects its nights. One that cannot be read has none, which its verdict says."""
    deadlines = {known.name: _deadline(Path(known.path)) for known in ledger.contracts()}
    return {name: deadline for name, deadline in deadlines.items() if deadline is not None}


def _deadline(path: Path) -> Deadline | None:
    try:
        contract = load_contract(path)
    except UsageError:
        # The night is published: one team's half-edited contract must not cost every team its page.
        return None
    rules = contract.calendar
    return Deadline(None if rules.clock == "replay" else rules.expected_by, contract.timezone)


def _publish_seconds(ledger: Ledger, night: Night) -> float | None:
    """The publish stage ends after its load was made, so that its seconds are in the ledger alone."""
    if night.standing.run_id not in {run.run_id for run in ledger.runs(night.standing.contract)}:
        return None
    stages = {stage.stage: stage.seconds for stage in ledger.stages(night.standing.run_id)}
    return stages.get("publish")


def _shown(night: Night, deadline: Deadline | None) -> dict[str, object]:
    return {
        "night": night,
        "standing": night.standing,
        "verdict": judge(night.standing, deadline),
        "timezone": None if deadline is None else deadline.timezone,
        "is_late": is_late(night.standing, deadline),
        "plot": plots.histogram(night.bins, night.bands, night.unit),
    }


def _address(reports: Path, standing: Standing) -> Path:
    return reports / standing.contract / f"{standing.business_date}.html"


def _link(reports: Path, standing: Standing) -> str | None:
    page = _address(reports, standing)
    return str(page.relative_to(reports)) if page.is_file() else None


def _render(template: str, **shown: object) -> str:
    return _templates().get_template(template).render(**shown)


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,  # whatever a delivery, a contract or a model says stays text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals |= {"number": number, "marks": MARKS}
    templates.filters |= {"moment": moment, "share": share, "words": words}
    return templates


def number(name: str, value: float | None, shape: str = ",d", unit: str = "") -> Markup:
    """A number as people read it, with its name and exact value beside it for those who compare."""
    if value is None:
        return Markup('<span data-name="{}" class="none">not recorded</span>').format(name)
    shown = format(value, shape) + unit
    return Markup('<data value="{}" data-name="{}">{}</data>').format(value, name, shown)


def moment(at: datetime, timezone: str | None = None) -> str:
    """An instant to the minute, in UTC or a zone that is named."""
    there = at.astimezone(UTC if timezone is None else ZoneInfo(timezone))
    return f"{there:%Y-%m-%d %H:%M} {timezone or 'UTC'}"


def share(part: float, whole: float) -> str:
    """A part of a whole as a CSS percentage; nothing of nothing is nothing."""
    return f"{100 * part / whole:.2f}%" if whole else "0%"


def words(name: str) -> str:
    """A name with underscores as people write it."""
    return name.replace("_", " ")


def _write(path: Path, text: str) -> None:
    """A reader meets the old page or the new one, never half of one."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_text(text, encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"the page {path} cannot be written: {error.strerror}",
            next_step="check free space and rights of the folder; the scores are published all the same",
        ) from error
