"""The nightly application: ingest, features, score and publish, for one business date or several, resumable."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from churnlake import calendar
from churnlake.contract import Contract, load_contract
from churnlake.due import newest_date, what_is_due
from churnlake.errors import ConflictError, UsageError, WaitingForDelivery
from churnlake.ledger import Lane, Ledger, Run
from churnlake.model.registry import Champion, resolve_champion
from churnlake.settings import Settings
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.reconcile import reconcile
from jobs.application import Application, clock, end_group_with_parent, exit_code_of
from jobs.cohorts import write_matured
from jobs.fingerprint import differing_parts, fingerprint
from jobs.ingest import ingest
from jobs.manifest import WAITING_STEP, waits_for
from jobs.publish import Claim, publish, request_load
from jobs.rebuild import rebuild
from jobs.release import clear_unfinished
from jobs.score import score
from jobs.snapshot import snapshot

STAGES = ("ingest", "features", "score", "publish")


@dataclass(frozen=True)
class Request:
    """What this application was asked for."""

    contract: Path
    application: str
    dates: tuple[date, ...]
    history_through: date | None = None
    backfill_to: date | None = None
    restate: bool = False
    reason: str | None = None


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the application; returns its exit code."""
    request = _parse(arguments)
    end_group_with_parent()
    return exit_code_of(lambda: run(request, Settings.from_environment()))


def run(request: Request, settings: Settings) -> int:
    """Carries the request out in this process.

    Raises:
        ChurnlakeError: Whatever stopped it; its exit code is the command's.
    """
    contract = load_contract(request.contract)
    now = datetime.fromisoformat(settings.now) if settings.now else datetime.now(UTC)
    ledger = Ledger.open(settings.ledger_url)
    ledger.remember_contract(name=contract.name, path=str(contract.path), digest=contract.digest, now=clock())
    publications = Publications.open(settings.warehouse)
    reconcile(ledger, publications, settings.lake(contract.name), contract.name, now=clock())
    with Lane.take(settings.lake(contract.name)) as lane:
        app = Application(settings, contract, ledger, lane, request.application)
        clear_unfinished(app)
        if request.history_through is not None:
            return _history(app, publications, request.history_through)
        if request.backfill_to is not None:
            return _backfill(app, publications, request.backfill_to)
        return _nights(app, publications, request, now)


def _nights(app: Application, publications: Publications, request: Request, now: datetime) -> int:
    epoch = publications.claim(app.contract.name)
    sealed = publications.newest(app.contract.name)
    due = what_is_due(app.contract, sealed, now)
    dates = request.dates or due.dates
    if due.skipped and not request.dates:
        app.ledger.record_skipped(app.contract.name, due.skipped, reason="older than max_catchup_days", now=clock())
    if not dates:
        print(f"{app.contract.name}: nothing due; published through {sealed}")
        return 0
    if any(request.restate or publications.seen(app.contract.name, day) is None for day in dates):
        app.warm_up()
    champion = resolve_champion(app.settings.mlflow_url, app.contract.name)
    for day in dates:
        may_wait = not request.dates and _may_still_come(app.contract, day, now)
        seen, sealed = publications.seen(app.contract.name, day), publications.newest(app.contract.name)
        _one_night(
            app, publications, Night(day, epoch, seen, sealed, champion, may_wait, request.restate, request.reason)
        )
    return 0


@dataclass(frozen=True)
class Night:
    """One business date of this application and what was resolved for it."""

    business_date: date
    epoch: int
    seen: int | None
    sealed: date | None
    champion: Champion
    may_wait: bool
    restate: bool
    reason: str | None


def _may_still_come(contract: Contract, day: date, now: datetime) -> bool:
    """Under the replay clock a later slot is the proof that a file is late; else the clock is."""
    if contract.calendar.clock == "replay":
        return newest_date(contract, now) == day
    return not calendar.is_past_expected(now, day, contract.calendar.expected_by, contract.timezone)


def _one_night(app: Application, publications: Publications, night: Night) -> None:
    day, name = night.business_date, app.contract.name
    if night.seen is not None and not night.restate:
        _meet_published(app, publications, night)
        return
    if night.sealed is not None and day <= night.sealed and not night.restate:
        raise ConflictError(
            f"{name} {day} is sealed: {night.sealed} is published and {day} never was",
            next_step="later dates only; --restate changes code, model or contract of a published date",
        )
    if night.restate and night.seen is None:
        raise UsageError(
            f"{name} {day} was never published, so there is nothing to restate", next_step="run it without --restate"
        )
    if night.may_wait and (waiting := waits_for(app.contract, app.ledger.deliveries(name), day)):
        raise WaitingForDelivery(waiting, next_step=WAITING_STEP)
    with app.run("night", day, "published", reason=night.reason, champion=night.champion) as run:
        _stages(app, publications, run, night)


def _stages(app: Application, publications: Publications, run: Run, night: Night) -> None:
    done = app.done_stages(run)
    if "ingest" not in done:
        with app.stage(run, "ingest") as stage:
            rebuild(app, run, stage)
            if not night.restate:
                ingest(app, run, stage, night.sealed)
    done = _snapshot_and_score(app, run, done, night.champion)
    # Published last and checked by the warehouse itself, so a new attempt may always go through it again.
    with app.stage(run, "publish") as stage:
        claim = Claim(night.epoch, night.seen, _fingerprint(app, night))
        app.ledger.pin_run(run.run_id, fingerprint=claim.fingerprint)
        matured = write_matured(app, publications, run, stage)
        stage.counts.update(outcomes=matured.counts)
        stage.say("building and auditing the load")
        request = request_load(app, run, night.champion, done, matured.cohorts)
        stage.counts.update(publish(app, publications, claim, request))


def _fingerprint(app: Application, night: Night) -> str:
    deliveries = app.ledger.deliveries(app.contract.name)
    return fingerprint(deliveries, night.business_date, app.contract.digest, night.champion.digest, app.revision)


def _snapshot_and_score(
    app: Application, run: Run, done: dict[str, dict[str, Any]], champion: Champion
) -> dict[str, dict[str, Any]]:
    if "features" not in done:
        with app.stage(run, "features") as stage:
            snapshot(app, run, stage)
            done = done | {"features": stage.counts}
    if "score" not in done:
        with app.stage(run, "score") as stage:
            score(app, run, stage, champion.plan, done["features"])
            done = done | {"score": stage.counts}
    return done


def _meet_published(app: Application, publications: Publications, night: Night) -> None:
    """A date that is published: fine when nothing it was made of differs, else a conflict that says what differs."""
    name, day = app.contract.name, night.business_date
    current = publications.current(name, day)
    if current is None:
        raise ConflictError(
            f"{name} {day} was withdrawn",
            next_step="`churnlake run --restate --reason TEXT --date ...` publishes it again",
        )
    mine = _fingerprint(app, night)
    differing = differing_parts(mine, current.fingerprint)
    if differing:
        raise ConflictError(
            f"{name} {day} is published as {current.run_id} from other {' and '.join(differing)}",
            next_step="to replace it: --restate --reason TEXT",
        )
    print(f"{name} {day}: already published as {current.run_id}, from the same files, contract, model and code")


def _history(app: Application, publications: Publications, through: date) -> int:
    with app.run("history", through, "done") as run:
        if "ingest" not in app.done_stages(run):
            with app.stage(run, "ingest") as stage:
                rebuild(app, run, stage)
                ingest(app, run, stage, publications.newest(app.contract.name))
    return 0


def _backfill(app: Application, publications: Publications, to: date) -> int:
    """Lake and tiles through a date, and features and scores of that date; publishes and seals nothing."""
    champion = resolve_champion(app.settings.mlflow_url, app.contract.name)
    with app.run("history", to, "done", reason="backfill", champion=champion) as run:
        done = app.done_stages(run)
        if "ingest" not in done:
            with app.stage(run, "ingest") as stage:
                rebuild(app, run, stage)
                ingest(app, run, stage, publications.newest(app.contract.name))
        _snapshot_and_score(app, run, done, champion)
    return 0


def _parse(arguments: Sequence[str] | None) -> Request:
    parser = argparse.ArgumentParser(prog="python -m jobs.night", description=__doc__)
    parser.add_argument("--contract", type=Path, required=True)
    parser.add_argument("--application", required=True)
    parser.add_argument("--date", type=date.fromisoformat, action="append", default=[])
    parser.add_argument("--history-through", type=date.fromisoformat)
    parser.add_argument("--backfill-to", type=date.fromisoformat)
    parser.add_argument("--restate", action="store_true")
    parser.add_argument("--reason")
    given = parser.parse_args(arguments)
    return Request(
        given.contract,
        given.application,
        tuple(sorted(given.date)),
        given.history_through,
        given.backfill_to,
        given.restate,
        given.reason,
    )


if __name__ == "__main__":
    raise SystemExit(main())
