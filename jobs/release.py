"""The release application: rows of the quarantine that pass the rules as they are now become facts known from tonight.

A release is a delivery of its own. It is frozen in the ledger first and ingested last; until then nobody sees what it
has written. One that died is taken up by the same command, and cleared away by any other application.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.contract import load_contract
from churnlake.errors import ContractError, DataRefusedError, UsageError
from churnlake.ledger import CheckResult, Delivery, Found, Lane, Ledger, Run
from churnlake.quarantine import STATUSES, Quarantine, Wanted
from churnlake.repairs import Selection, changed_cells, choose, choose_repaired, read_repairs, repair_columns
from churnlake.settings import Settings
from churnlake.suites import Suite
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.reconcile import reconcile
from jobs import rows
from jobs.application import Application, OpenStage, clock, end_group_with_parent, exit_code_of
from jobs.expressions import expression_problems
from jobs.ingest import Batch, accounts, adds_up, clear, read_suites, refuse_unequal, write_facts
from jobs.quarantine import LEAVES, as_landed, chosen_rows, judged_anew, released_rows
from jobs.rebuild import refuse_other_meaning
from jobs.rows import Bucket

STAGES = ("release",)
HELD_SHOWN = 20


@dataclass(frozen=True)
class Request:
    """What this application was asked for."""

    contract: Path
    application: str
    wanted: Wanted
    why: str
    repaired: Path | None = None
    dry_run: bool = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the application; returns its exit code."""
    request = _parse(arguments)
    end_group_with_parent()
    return exit_code_of(lambda: run(request, Settings.from_environment()))


def run(request: Request, settings: Settings) -> int:
    """Carries the request out in this process.

    Raises:
        UsageError: No row fits, or the repaired file does not.
        DataRefusedError: None of the rows passes the rules as they are now; nothing was written.
        ChurnlakeError: Whatever else stopped it; its exit code is the command's.
    """
    contract = load_contract(request.contract)
    ledger = Ledger.open(settings.ledger_url)
    ledger.remember_contract(name=contract.name, path=str(contract.path), digest=contract.digest, now=clock())
    publications = Publications.open(settings.warehouse)
    reconcile(ledger, publications, settings.lake(contract.name), contract.name, now=clock())
    with Lane.take(settings.lake(contract.name)) as lane:
        app = Application(settings, contract, ledger, lane, request.application)
        selection = _select(app, request)
        if selection is None:
            return 0
        days = known_dates(selection, _sealed(app, publications))
        with app.run("release", max(days), "done", reason=request.why) as run, app.stage(run, "release") as stage:
            _Release(app, run, stage, request, selection, days).carry_out()
    return 0


def clear_unfinished(app: Application, keep: str | None = None) -> None:
    """Takes out what releases that died had written. Their rows are still held; the same command lets them in again."""
    name = app.contract.name
    for one in app.ledger.deliveries(name):
        if one.kind == "release" and one.state == "frozen" and one.delivery_id != keep:
            # Nothing is judged, and the contract may have lost the source meanwhile: no suite is read.
            clear(app, Batch(one.source, (), (one,), one.run_id, None, Suite("", (), ())))
            app.ledger.forget_frozen(name, one.source, [one.delivery_id])
            print(f"{one.delivery_id} had died and was cleared away: its rows are held as before; release them again")


def known_dates(selection: Selection, sealed: date | None) -> list[date]:
    """For each row the first date that may know it: never before it came, never on a sealed date."""
    return [calendar.known_date(one.row.known_date, sealed) for one in selection.rows]


def _sealed(app: Application, publications: Publications) -> date | None:
    """The last date no new fact may belong to. A night that died after its features will not look at facts again."""
    name = app.contract.name
    sealed = publications.newest(name)
    died = [run for run in app.ledger.runs(name) if run.kind == "night" and run.state == "failed"]
    settled = [run.business_date for run in died if "features" in app.done_stages(run)]
    return max([*settled, *([sealed] if sealed else [])], default=None)


def _select(app: Application, request: Request) -> Selection | None:
    """The rows that were asked for; None, and a word about it, when all of them have left the quarantine."""
    contract, wanted = app.contract, request.wanted
    if wanted.source not in contract.sources:
        raise UsageError(f"the contract has no source {wanted.source!r}", next_step="--source NAME of the contract")
    quarantine = Quarantine.open(app.settings.lake(contract.name), app.ledger.deliveries(contract.name))
    if request.repaired is None:
        selection = choose(quarantine, wanted)
    else:
        columns = repair_columns(contract.sources[wanted.source])
        selection = choose_repaired(quarantine, wanted, read_repairs(request.repaired, columns))
    if selection.rows:
        return selection
    left = {status: quarantine.count(wanted, status) for status in STATUSES if status != "held"}
    if not any(left.values()):
        raise UsageError(
            "no held row fits", next_step=f"`churnlake quarantine list {contract.path}` shows what is held"
        )
    told = ", ".join(f"{number:,} {status}" for status, number in left.items() if number)
    print(f"{contract.name}: nothing is left to let in; what was held became: {told}")
    return None


@dataclass(frozen=True)
class _Release:
    """One release at work."""

    app: Application
    run: Run
    stage: OpenStage
    request: Request
    selection: Selection
    days: Sequence[date]

    @property
    def source(self) -> str:
        return self.selection.rows[0].row.source

    @property
    def id(self) -> str:
        return self.selection.release_id

    def carry_out(self) -> None:
        """Judges the rows and lets those in that pass; the numbers are the stage's."""
        app, contract = self.app, self.app.contract
        if problems := expression_problems(app.spark, contract, self.source):
            raise ContractError(str(contract.path), problems)
        if not self.request.dry_run:
            clear_unfinished(app, keep=self.id)
        self.stage.say(f"{self.source}: judging {len(self.selection.rows):,} rows")
        batch = self._batch()
        source, chosen = contract.sources[self.source], self.selection.rows
        landed = chosen_rows(app.spark, source, self.id, chosen, self.days).persist()
        app.lake.assert_same_columns(f"raw_{self.source}", as_landed(landed))
        refuse_other_meaning(contract, app.ledger.deliveries(contract.name, self.source))
        judged = judged_anew(landed, app.lake, contract, batch, self._unfinished()).persist()
        try:
            counts = accounts(rows.counted(judged).collect(), [self.id])[self.id]
            self.stage.counts.update(self._told(counts, judged))
            if not self.request.dry_run:
                self._refuse_none(counts)
                self._write(batch, landed, judged, counts)
        finally:
            judged.unpersist()
            landed.unpersist()
        for line in _in_words(self.stage.counts, self.selection):
            print(line)

    def _unfinished(self) -> list[str]:
        """Deliveries that are not in yet, this one among them."""
        held = self.app.ledger.deliveries(self.app.contract.name, self.source)
        return [self.id, *(one.delivery_id for one in held if one.state == "frozen")]

    def _batch(self) -> Batch:
        found = self._found()
        one = Delivery(
            **vars(found), contract=self.app.contract.name, run_id=self.run.run_id, state="frozen", counts={}
        )
        return Batch(self.source, (one,), (), self.run.run_id, *read_suites(self.app.contract, self.source))

    def _found(self) -> Found:
        """The release as a delivery. Its slot is the oldest of its rows'; each row keeps its own."""
        size = sum(len(value or "") for one in self.selection.rows for value in one.text.values())
        path = self.id if self.request.repaired is None else self.request.repaired.name
        slot, known = min(one.row.slot for one in self.selection.rows), max(self.days)
        return Found(self.source, self.id, path, size, self.selection.digest, slot, known, known, kind="release")

    def _told(self, counts: Mapping[str, Any], judged: DataFrame) -> dict[str, Any]:
        stay = judged.filter(~F.col("bucket").isin(*LEAVES)).select("position", "reasons")
        held = stay.orderBy("position").limit(HELD_SHOWN).collect()
        rows_held = [(self.selection.rows[one["position"]].row, one["reasons"]) for one in held]
        buckets = ("raw", "accepted", "duplicate", "ignored", "quarantined")
        return {
            "release": self.id,
            "source": self.source,
            "dry_run": self.request.dry_run,
            "known_date": f"{max(self.days)}",
            **{name: counts[name] for name in buckets},
            "changed_cells": changed_cells(self.selection),
            "gone": self.selection.gone,
            "held": [
                {"file": row.file, "record_number": row.record_number, "row_hash": row.row_hash, "reasons": reasons}
                for row, reasons in rows_held
            ],
        }

    def _refuse_none(self, counts: Mapping[str, Any]) -> None:
        stay = sum(counts["quarantined"].values())
        if stay == counts["raw"]:
            told = ", ".join(f"{number:,} {reason}" for reason, number in counts["quarantined"].items())
            raise DataRefusedError(
                f"none of {_counted(stay)} passes the rules as they are now: {told}; all stay held",
                next_step="correct the rules, or repair the rows: `churnlake quarantine show --to FILE.csv`",
            )

    def _write(self, batch: Batch, landed: DataFrame, judged: DataFrame, counts: dict[str, Any]) -> None:
        """Frozen first, ingested last: nothing between counts before the end, and all of it can be written again."""
        app, lake, name = self.app, self.app.lake, self.app.contract.name
        app.ledger.freeze_deliveries(name, self.run.run_id, [self._found()])
        app.reach("release.frozen")
        raw = lake.replace(f"raw_{self.source}", as_landed(landed), batch.landing, self.run.run_id)
        app.reach("release.landed")
        told = lake.replace("quarantine", released_rows(judged, batch, self.id), batch.changes, self.run.run_id)
        app.reach("release.told")
        accepted = judged.filter(F.col("bucket") == Bucket.ACCEPTED)
        facts = write_facts(lake, app.contract, batch, accepted)
        app.reach("release.typed")
        checks = self._reconciled(counts, raw.rows, told.rows, facts)
        app.ledger.record_checks(self.run.run_id, checks)
        refuse_unequal(checks)
        digest = app.contract.typed_digest(self.source)
        app.ledger.mark_ingested(name, {(self.source, self.id): counts}, digest)
        app.reach("release.recorded")

    def _reconciled(self, counts: Mapping[str, Any], raw: int, told: int, facts: int) -> list[CheckResult]:
        """Rows landed, told of in quarantine and made facts are those that were judged: each counted by its write."""
        leave = {"accepted": counts["accepted"], "duplicate": counts["duplicate"],
                 "ignored": sum(counts["ignored"].values())}  # fmt: skip
        stay = {"stay held": sum(counts["quarantined"].values())}
        parts = {
            "raw": (raw, leave | stay),
            "quarantine": (told, leave),
            "facts": (facts, {"accepted": leave["accepted"]}),
        }
        return [adds_up(self.source, name, number, told_of) for name, (number, told_of) in parts.items()]


def _in_words(counts: Mapping[str, Any], selection: Selection) -> list[str]:
    would = "would " if counts["dry_run"] else ""
    ignored, stay = Counter(counts["ignored"]), Counter(counts["quarantined"])
    head = (
        f"{_counted(counts['raw'])} of {counts['source']}: {counts['accepted']:,} {would}become facts known from "
        f"{counts['known_date']}, {counts['duplicate']:,} duplicate, {ignored.total():,} ignored, "
        f"{stay.total():,} {would}stay held"
    )
    lines = [head]
    if counts["changed_cells"]:
        lines += ["repaired cells: " + ", ".join(f"{name} {n:,}" for name, n in counts["changed_cells"].items())]
    if selection.gone:
        lines += [f"{selection.gone:,} repaired lines are about rows that are no longer held; they were passed over"]
    lines += [f"stay held: {number:,} {reason}" for reason, number in stay.most_common()]
    for one in counts["held"]:
        record = "" if one["record_number"] is None else f" record {one['record_number']:,}"
        lines += [f"  {one['file']}{record} ({one['row_hash']}): {', '.join(one['reasons'])}"]
    if stay.total() > len(counts["held"]):
        lines += [f"  ... {stay.total() - len(counts['held']):,} more"]
    return lines + ([] if counts["dry_run"] else [f"let in as {counts['release']}"])


def _counted(number: int) -> str:
    return f"{number:,} row{'' if number == 1 else 's'}"


def _parse(arguments: Sequence[str] | None) -> Request:
    parser = argparse.ArgumentParser(prog="python -m jobs.release", description=__doc__, allow_abbrev=False)
    parser.add_argument("--contract", type=Path, required=True)
    parser.add_argument("--application", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--why", required=True)
    parser.add_argument("--slot", type=date.fromisoformat)
    for name in ("--file", "--reason", "--delivery", "--row-hash"):
        parser.add_argument(name, action="append", default=[])
    parser.add_argument("--repaired", type=Path)
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args(arguments)
    narrowing = map(tuple, (given.file, given.reason, given.delivery, given.row_hash))
    wanted = Wanted(given.source, given.slot, *narrowing)
    return Request(given.contract, given.application, wanted, given.why, given.repaired, given.dry_run)


if __name__ == "__main__":
    raise SystemExit(main())
