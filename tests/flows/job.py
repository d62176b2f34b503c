"""A real job without Spark: takes the lane, writes ledger rows, publishes three customers, or fails as it is told."""

import argparse
import os
import signal
import sys
import threading
import time
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb

from churnlake.contract import Contract, load_contract
from churnlake.ledger import CheckResult, Lane, Ledger, Run
from churnlake.settings import Settings
from churnlake.warehouse.duckdb import LoadRequest, build_load, materialise
from churnlake.warehouse.publications import Publications

COUNTS = {
    "ingest": {
        "raw": 10,
        "accepted": 6,
        "ignored": {"anonymous": 2},
        "duplicate": 1,
        "unchanged": 0,
        "quarantined": {"price": 1},
    },
    "features": {"known": 4, "eligible": 3, "excluded": {"inactive": 1}},
    "score": {"eligible": 3, "scored": 3, "held": 0},
    "publish": {"scored": 3, "not_scored": 1},
    "rows": {"rows": 100},
    "fit": {},
    "gate": {},
    "register": {},
}
METRICS = {
    "auc": 0.77,
    "auc_low": 0.75,
    "auc_high": 0.79,
    "rows": 5000,
    "mean_probability": 0.6,
    "base_rate": 0.61,
    "ece": 0.02,
    "calibration_slope": 1.0,
    "lift_top_decile": 1.5,
    "candidate": "lite",
}


def clock() -> datetime:
    """The instant of a record."""
    return datetime.now(UTC)


def parse() -> argparse.Namespace:
    """The job's own arguments, and how to misbehave before them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fail", help="stage:exit code")
    parser.add_argument("--once", type=Path, help="fail only while this file is missing")
    parser.add_argument("--hang", help="stage")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--contract", type=Path, required=True)
    parser.add_argument("--application", required=True)
    parser.add_argument("--date", type=date.fromisoformat, action="append", default=[])
    parser.add_argument("--history-through", type=date.fromisoformat)
    parser.add_argument("--backfill-to", type=date.fromisoformat)
    parser.add_argument("--as-of", type=date.fromisoformat)
    parser.add_argument("--restate", action="store_true")
    parser.add_argument("--reason")
    return parser.parse_args()


def end_with_parent() -> None:
    """Ends the group when whoever started the job is gone."""

    def watch() -> None:
        while os.read(0, 1):
            pass
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main() -> int:
    """The whole job; its exit code."""
    given = parse()
    end_with_parent()
    settings = Settings.from_environment()
    contract = load_contract(given.contract)
    ledger = Ledger.open(settings.ledger_url)
    if given.wait:
        print(f"{contract.name} waits for 1 missing file")
        return 0
    kind, stages, dates = work(given)
    with Lane.take(settings.lake(contract.name), "training" if kind == "training" else "lake") as lane:
        for day in dates:
            code = one_run(given, settings, contract, ledger, lane, kind, day, stages)
            if code:
                print(f"error: {stages} said no\n  next: try again", file=sys.stderr)
                return code
    return 0


def work(given: argparse.Namespace) -> tuple[str, tuple[str, ...], list[date]]:
    """Kind, stages and dates that the arguments ask for."""
    if given.history_through:
        return "history", ("ingest",), [given.history_through]
    if given.backfill_to:
        return "history", ("ingest", "features", "score"), [given.backfill_to]
    if given.as_of:
        return "training", ("rows", "fit", "gate", "register"), [given.as_of]
    return "night", ("ingest", "features", "score", "publish"), given.date or [date(2011, 12, 9)]


def one_run(  # noqa: PLR0917
    given: argparse.Namespace,
    settings: Settings,
    contract: Contract,
    ledger: Ledger,
    lane: Lane,
    kind: str,
    day: date,
    stages: tuple[str, ...],
) -> int:
    """One date's run, from where an earlier attempt left it; 0 or the exit code to fail with."""
    old = ledger.unfinished_run(contract.name, kind, day)
    made = {"application": given.application, "pid": os.getpid(), "lane_epoch": lane.epoch, "now": clock()}
    if old:
        run = ledger.adopt_run(old.run_id, **made)
    else:
        run = ledger.start_run(
            contract=contract.name,
            kind=kind,
            business_date=day,
            contract_digest=contract.digest,
            code_revision="test",
            actor="tester",
            reason=given.reason,
            **made,
        )
    done = {one.stage for one in ledger.stages(run.run_id) if one.state == "done"}
    for stage in stages:
        if stage in done:
            continue
        ledger.start_stage(run.run_id, stage, run.attempt, now=clock())
        ledger.report_progress(run.run_id, stage, run.attempt, f"{stage} at work")
        code = trouble(given, stage)
        if code:
            ledger.fail_stage(run.run_id, stage, run.attempt, message=f"{stage} said no", now=clock())
            ledger.finish_run(
                run.run_id, run.attempt, "failed", exit_code=code, now=clock(), message=f"{stage} said no"
            )
            return code
        perform(settings, contract, ledger, run, stage)
        ledger.finish_stage(run.run_id, stage, run.attempt, counts=COUNTS[stage], now=clock())
    ledger.finish_run(run.run_id, run.attempt, "published" if kind == "night" else "done", exit_code=0, now=clock())
    return 0


def trouble(given: argparse.Namespace, stage: str) -> int:
    """The exit code to fail a stage with, 0 for none."""
    if given.hang == stage:
        time.sleep(600)
    failing, _, code = (given.fail or ":").partition(":")
    if failing != stage or (given.once and given.once.exists()):
        return 0
    if given.once:
        given.once.touch()
    return int(code)


def perform(settings: Settings, contract: Contract, ledger: Ledger, run: Run, stage: str) -> None:
    """What a stage leaves beside its row."""
    if stage == "ingest":
        ledger.record_checks(
            run.run_id, [CheckResult("reconciliation", "invoices", "raw", "critical", True, "10", "10")]
        )
    if stage == "register":
        ledger.record_model(
            contract=contract.name,
            version=1,
            digest="d",
            state="registered",
            trained_through=run.business_date,
            label_data_through=run.business_date,
            metrics=METRICS,
            gate=[{"name": "G1", "passed": True}],
            run_id=run.run_id,
            now=clock(),
        )
        ledger.set_champion(contract.name, 1, actor="tester", reason="the test says so", now=clock())
    if stage == "publish":
        publish(settings, contract, run)


def publish(settings: Settings, contract: Contract, run: Run) -> None:
    """Three customers as a real load of the warehouse."""
    folder = settings.home / "files"
    folder.mkdir(parents=True, exist_ok=True)
    score, population = folder / f"{run.run_id}-score.parquet", folder / f"{run.run_id}-population.parquet"
    reasons = ", ".join(
        f"'recency' AS reason_{n}_feature, 40.0 AS reason_{n}_value, 'raises' AS reason_{n}_direction, "
        f"NULL::VARCHAR AS reason_{n}_level"
        for n in (1, 2, 3)
    )
    day = f"DATE '{run.business_date}' AS business_date"
    duckdb.execute(
        f"COPY (SELECT {day}, '{run.run_id}' AS run_id, 'c' || i AS customer_id, i / 10.0 AS churn_probability, "
        f"{reasons} FROM range(1, 4) AS t(i)) TO '{score}' (FORMAT parquet)"
    )
    duckdb.execute(
        f"COPY (SELECT {day}, 'c' || i AS customer_id, i < 4 AS eligible, "
        f"CASE WHEN i = 4 THEN 'inactive' END AS reason FROM range(1, 5) AS t(i)) TO '{population}' (FORMAT parquet)"
    )
    publications = Publications.open(settings.warehouse)
    epoch = publications.claim(contract.name)
    request = LoadRequest(
        contract=contract.name,
        business_date=run.business_date,
        data_through=run.business_date,
        run_id=run.run_id,
        attempt=run.attempt,
        horizon_days=30,
        gap_days=0,
        contract_version=1,
        model_version=1,
        scored_at=clock(),
        is_retrospective=False,
        bands={"high": 0.1, "medium": 0.3},
        wording={"recency": ("last order {value} days ago", 0)},
        score_files=[score],
        population_files=[population],
        documents={"run_quality": [], "definition": [], "models": [], "data_dictionary": []},
    )
    seen = publications.seen(contract.name, run.business_date)
    load = build_load(publications, request, epoch=epoch, now=clock())
    publications.publish(
        load.load_id, epoch=epoch, seen=seen, fingerprint="f", actor="tester", now=clock(), reason=run.reason
    )
    materialise(publications)


if __name__ == "__main__":
    raise SystemExit(main())
