"""Expiry: text that was set aside is kept for the contract's quarantine_days; then its row can no longer be let in."""

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import functions as F

from churnlake.ledger import CheckResult, Run
from churnlake.quarantine import Quarantine
from jobs.application import Application
from jobs.corrections import open_copies


def expire(app: Application, run: Run) -> int:
    """Ends rows that were held for too long, and takes the text out of every row as old; returns how many ended.

    One commit a source: both or neither. Made again it finds nothing left to do, and tells the same number.
    """
    by, ended = f"expiry-{run.business_date}", 0
    for source, rules in app.contract.sources.items():
        oldest = run.business_date - timedelta(days=rules.quarantine_days)
        if writers := _quarantine(app).kept_before(source, oldest):
            _expire(app, run, source, oldest, [*writers, by])
        number = _quarantine(app).expired_by(source, by, run.business_date)
        if number:
            told = f"{number:,} held for more than {rules.quarantine_days} days; their text is gone"
            allowed = "let in or corrected within quarantine_days"
            app.ledger.record_checks(
                run.run_id, [CheckResult("floor", source, "expired", "info", False, told, allowed)]
            )
        ended += number
    return ended


def _quarantine(app: Application) -> Quarantine:
    name = app.contract.name
    return Quarantine.open(app.settings.lake(name), app.ledger.deliveries(name))


def _expire(app: Application, run: Run, source: str, oldest: date, writers: Sequence[str]) -> None:
    """Rewrites the slices of those who wrote old rows, and of this expiry."""
    held = app.lake.read("quarantine", app.lake.version("quarantine")).filter(F.col("source") == source)
    is_old = F.col("known_date") < F.lit(oldest)
    emptied = held.filter(F.col("changed_by").isin(list(writers))).withColumn(
        "raw_row", F.when(~is_old, F.col("raw_row"))
    )
    ended = (
        open_copies(held)
        .filter(is_old)
        .withColumns(
            {
                "raw_row": F.lit(None).cast("string"),
                "status": F.lit("expired"),
                "changed_by": F.lit(writers[-1]),
                "run_id": F.lit(run.run_id),
                "known_date": F.lit(run.business_date),
                "known_month": F.lit(f"{run.business_date:%Y-%m}"),
            }
        )
    )
    within = {"source": source, "changed_by": list(writers)}
    app.lake.replace("quarantine", emptied.unionByName(ended), within, run.run_id)
