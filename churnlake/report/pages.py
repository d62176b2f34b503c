"""Writing pages: of scores for each published night, of data also for refused ones, and an index of them all.

Each stands alone: no script, no network.
"""

import secrets
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from churnlake.contract import Contract, load_contract
from churnlake.errors import UnavailableError, UsageError
from churnlake.ledger import Ledger, Run
from churnlake.report import plots, trends
from churnlake.report.account import (
    BUCKETS,
    DAYS,
    Account,
    account_of_run,
    read_account,
    refused_run,
    refused_runs,
    require_refused,
)
from churnlake.report.night import Night, read_night
from churnlake.report.samples import MASK, SHOWN, WIDTH, read_samples, visible
from churnlake.report.standing import Standing, read_standings
from churnlake.report.verdict import Deadline, Light, Verdict, is_late, judge, judge_data
from churnlake.settings import Settings
from churnlake.warehouse.duckdb import LINK

MARKS = {Light.GREEN: "✓", Light.AMBER: "!", Light.RED: "✕"}
"""Beside its words every light has a mark: colour alone tells nothing to some."""


DATA_HEADLINES = {
    Light.GREEN: "Every row is where it belongs",
    Light.AMBER: "Taken in, with something to look at",
    Light.RED: "Look into it before the scores are used",
}

BUCKET_WORDS = {
    "accepted": "accepted",
    "ignored": "left out by the contract",
    "unchanged": "unchanged in a correction",
    "duplicate": "further copies",
    "quarantined": "quarantined",
}

ARRIVALS_SHOWN = 20
"""Deliveries in the table: the first night tells all of history, which belongs into the warehouse."""


@dataclass(frozen=True)
class Entry:
    """One line of the index: a published night, or one that was refused.

    `page` and `data_page` are addresses relative to the index; None where that page was never written.
    """

    contract: str
    business_date: date
    page: str | None
    data_page: str | None
    standing: Standing | None = None
    verdict: Verdict | None = None
    refused: Run | None = None


@dataclass(frozen=True)
class Flow:
    """The rows of one source by where they went."""

    source: str
    raw: int | None
    counts: dict[str, int]


def write_page(settings: Settings, contract_name: str, business_date: date) -> Path:
    """Write the pages of a published night, over earlier ones, and bring the index up to date.

    Returns: `<home>/reports/<contract>/<business_date>.html`; its data page lies beside it.

    Raises:
        UsageError: The date is not published.
        ConflictError: The date was published again while the page was made.
        UnavailableError: The page cannot be written.
    """
    night = read_night(settings.warehouse, contract_name, business_date)
    ledger = Ledger.open(settings.ledger_url)
    deadline = _deadlines(ledger).get(contract_name)
    page = address(settings.reports, contract_name, business_date)
    _write(page, _render("night.html", **_shown(night, deadline), publish_seconds=_publish_seconds(ledger, night)))
    write_data_page(settings, contract_name, business_date)
    return page


def write_data_page(settings: Settings, contract_name: str, business_date: date) -> Path:
    """Write what a published or refused night took in, over an earlier page, and bring the index up to date.

    Returns: `<home>/reports/<contract>/<business_date>-data.html`.

    Raises:
        UsageError: The date is neither published nor was it refused.
        UnavailableError: The page cannot be written.
    """
    ledger = Ledger.open(settings.ledger_url)
    page = data_address(settings.reports, contract_name, business_date)
    try:
        account = _account(settings, ledger, contract_name, business_date)
        known = {one.name: Path(one.path) for one in ledger.contracts()}.get(contract_name)
        contract = None if known is None else _contract(known)
        samples = read_samples(settings.lake(contract_name), ledger, contract, account)
        _write(page, _render("data.html", **_told(account, contract, known), samples=samples))
    finally:
        # A page that cannot be made costs no night its line.
        write_index(settings)
    return page


def _account(settings: Settings, ledger: Ledger, contract: str, business_date: date) -> Account:
    refused = refused_run(ledger, contract, business_date)
    if (settings.warehouse / LINK).exists():
        try:
            return read_account(settings.warehouse, contract, business_date)
        except UsageError:
            if refused is None:
                raise
    return account_of_run(ledger, require_refused(refused, contract, business_date))


def _told(account: Account, contract: Contract | None, contract_path: Path | None) -> dict[str, object]:
    kinds = {kind: sum(one.kind == kind for one in account.arrivals) for kind in ("file", "correction", "release")}
    newest_first = sorted(account.arrivals, key=lambda one: (one.slot, one.source, one.delivery_id), reverse=True)
    return {
        "account": account,
        "verdict": judge_data(account),
        "headlines": DATA_HEADLINES,
        "kinds": kinds,
        "late": sum(one.late_days > 0 for one in account.arrivals),
        "shown_arrivals": newest_first[:ARRIVALS_SHOWN],
        "flows": [_flow(account, source) for source in account.sources],
        "buckets": BUCKETS,
        "bucket_words": BUCKET_WORDS,
        "samples_shown": SHOWN,
        "mask": MASK,
        "width": WIDTH,
        "days": DAYS,
        "pictures": [_picture(account, source) for source in account.trend_sources],
        "courses": [_drawn(account, course) for course in trends.tell(account)],
        "unit": "customer" if contract is None else contract.unit,
        "timezone": None if contract is None else contract.timezone,
        "contract_path": "CONTRACT" if contract_path is None else shlex.quote(str(contract_path)),
        "corrected_days": any(one.kind == "correction" for one in account.days),
    }


def _flow(account: Account, source: str) -> Flow:
    return Flow(
        source, account.total("raw", source), {bucket: account.total(bucket, source) or 0 for bucket in BUCKETS}
    )


def _picture(account: Account, source: str) -> dict[str, object]:
    days, first = trends.by_day(account, source), trends.first_day(account, [source])
    plot = plots.daily_rows(days, first, account.business_date)
    return {"source": source, "first": first, "days": dict(sorted(days.items(), reverse=True)), "plot": plot}


def _drawn(account: Account, course: trends.Course) -> dict[str, object]:
    values = [one.value for one in course.values]
    first = trends.first_day(account, account.trend_sources)
    return {
        "course": course,
        "spelled": course.spelled(course.last.value),
        "low": course.spelled(min(values)),
        "high": course.spelled(max(values)),
        "plot": plots.course(course.values, first, account.business_date),
    }


def write_index(settings: Settings) -> Path:
    """Write the list of all nights of all contracts, published or refused, newest first.

    Returns: `<home>/reports/index.html`.

    Raises:
        UnavailableError: It cannot be written.
    """
    ledger = Ledger.open(settings.ledger_url)
    entries = [*_published(settings, ledger)]
    shown = {(entry.contract, entry.business_date) for entry in entries}
    entries += [one for one in _refused(settings, ledger) if (one.contract, one.business_date) not in shown]
    entries.sort(key=lambda entry: entry.contract)
    entries.sort(key=lambda entry: entry.business_date, reverse=True)
    index = settings.reports / "index.html"
    _write(index, _render("index.html", entries=entries, contracts=sorted({entry.contract for entry in entries})))
    return index


def _published(settings: Settings, ledger: Ledger) -> Iterator[Entry]:
    if not (settings.warehouse / LINK).exists():
        return
    deadlines = _deadlines(ledger)
    for standing in read_standings(settings.warehouse):
        contract, day = standing.contract, standing.business_date
        verdict = judge(standing, deadlines.get(contract))
        yield Entry(contract, day, *_links(settings.reports, contract, day), standing=standing, verdict=verdict)


def _refused(settings: Settings, ledger: Ledger) -> Iterator[Entry]:
    for contract in ledger.contracts():
        for run in refused_runs(ledger, contract.name):
            _, data_page = _links(settings.reports, contract.name, run.business_date)
            yield Entry(contract.name, run.business_date, None, data_page, refused=run)


def _deadlines(ledger: Ledger) -> dict[str, Deadline]:
    """By when each contract expects its nights. One that cannot be read has none, which its verdict says."""
    deadlines = {known.name: _deadline(Path(known.path)) for known in ledger.contracts()}
    return {name: deadline for name, deadline in deadlines.items() if deadline is not None}


def _contract(path: Path) -> Contract | None:
    try:
        return load_contract(path)
    except UsageError:
        # The night is over: one team's half-edited contract must not cost every team its page.
        return None


def _deadline(path: Path) -> Deadline | None:
    contract = _contract(path)
    if contract is None:
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


def address(reports: Path, contract: str, business_date: date) -> Path:
    """Where the page of a published night lies."""
    return reports / contract / f"{business_date}.html"


def data_address(reports: Path, contract: str, business_date: date) -> Path:
    """Where the data page of a night lies."""
    return reports / contract / f"{business_date}-data.html"


def _links(reports: Path, contract: str, business_date: date) -> tuple[str | None, str | None]:
    pages = (address(reports, contract, business_date), data_address(reports, contract, business_date))
    page, data_page = (str(one.relative_to(reports)) if one.is_file() else None for one in pages)
    return page, data_page


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
    templates.filters |= {"moment": moment, "share": share, "percent": percent, "words": words, "visible": visible}
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


def percent(part: float, whole: float) -> str:
    """A part of a whole for people; a little is never shown as nothing, and almost all never as all."""
    if not whole or not part:
        return ""
    value = 100 * part / whole
    if part == whole:
        return "100 %"
    return "< 0.1 %" if value < 0.1 else f"{min(value, 99.9):.1f} %"


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
