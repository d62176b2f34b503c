"""Reconciling: after any crash, the ledger learns what the warehouse knows, and readers see what is published."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from churnlake.ledger import Ledger, Run
from churnlake.ledger.lane import is_free
from churnlake.warehouse.duckdb import materialise
from churnlake.warehouse.publications import Publications

REASON = "its process ended without a word: it was killed, or the machine stopped"


@dataclass(frozen=True)
class Reconciled:
    """What was put right: run ids now known as published, and as failed; and the generation readers open."""

    published: tuple[str, ...]
    failed: tuple[str, ...]
    generation: Path


def reconcile(
    ledger: Ledger, publications: Publications, lake_root: Path, contract: str, *, now: datetime
) -> Reconciled:
    """Settle runs of a contract that are recorded as running though nobody holds their lane; then `materialise`.

    A run whose load was published is published, whatever became of its process; any other one failed.
    """
    # Runs are read before the lane is looked at: whoever starts afterwards is not among them.
    running = ledger.running(contract)
    dead = [run for run in running if is_free(lake_root, "training" if run.kind == "training" else "lake")]
    settled = [(run, publications.of_run(run.run_id) != []) for run in dead]
    changed = [(run, published) for run, published in settled if _settle(ledger, run, published=published, now=now)]
    return Reconciled(
        published=tuple(run.run_id for run, published in changed if published),
        failed=tuple(run.run_id for run, published in changed if not published),
        generation=materialise(publications),
    )


def _settle(ledger: Ledger, run: Run, *, published: bool, now: datetime) -> bool:
    if published:
        return ledger.settle_run(
            run.run_id, run.attempt, "published", exit_code=0, reason=f"found published; {REASON}", now=now
        )
    return ledger.settle_run(run.run_id, run.attempt, "failed", exit_code=1, reason=REASON, now=now)
