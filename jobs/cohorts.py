"""Outcomes of matured cohorts: what became of the customers of a published date, written once that can be known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.ledger import Run
from churnlake.warehouse.outcomes import DueCohorts, MaturedCohort, due_cohorts, untold_cohorts
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.records import Load
from jobs.application import Application, OpenStage
from jobs.content import KEYS, Tiles
from jobs.endings import endings_at
from jobs.labels import labels_at
from jobs.lake import Lake, Slice, partition_files
from jobs.snapshot import read_tiles, tile_versions
from jobs.training import settled_slots


@dataclass(frozen=True)
class Written:
    """The cohorts whose labels were written, and what was counted of them."""

    cohorts: tuple[MaturedCohort, ...]
    counts: dict[str, Any]


def write_matured(app: Application, publications: Publications, run: Run, stage: OpenStage) -> Written:
    """Writes the labels of every published date that has matured since; a night without one reads no table."""
    contract, day = app.contract, run.business_date
    untold = untold_cohorts(publications, contract.name, day)
    settled = settled_slots(contract, app.ledger.deliveries(contract.name), day) if untold else {}
    due = due_cohorts(contract, untold, settled, day)
    counts: dict[str, Any] = {"waiting": due.waiting, "other_definition": due.other_definition}
    if not due.known_on:
        return Written((), {"cohorts": 0, **counts})
    stage.say(f"labelling the customers of {len(due.known_on)} matured dates")
    version = _write(app.lake, contract, due, run.run_id)
    told = _count(app.lake, version, list(due.known_on))
    root = app.settings.lake(contract.name)
    cohorts = tuple(
        MaturedCohort(load.business_date, load.load_id, _files(root, version, load.business_date))
        for load in due.known_on
    )
    return Written(cohorts, {"cohorts": len(cohorts), **counts, "version": version, **told})


def label_rows(tiles: Tiles, contract: Contract, due: DueCohorts, scored: DataFrame, run_id: str) -> DataFrame:
    """Rows of the table `labels` for the customers in `scored` (business_date, customer_id, scored_by)."""
    known_on = {load.business_date: known for load, known in due.known_on.items()}
    people = scored.withColumn("eligible", F.lit(True))
    labels = labels_at(tiles, contract, known_on, people)
    endings = endings_at(tiles, contract, known_on, labels.filter("is_churned = 1"))
    dates = F.broadcast(
        scored.sparkSession.createDataFrame(list(known_on.items()), "business_date DATE, matured_on DATE")
    )
    rows = labels.join(endings, [*KEYS], "left").join(scored, [*KEYS]).join(dates, "business_date")
    return rows.select(
        F.date_format("business_date", "yyyy-MM").alias("cohort_month"),
        *KEYS,
        F.col("is_churned").cast("boolean").alias("is_churned"),
        "churned_on",
        "matured_on",
        "scored_by",
        F.lit(run_id).alias("run_id"),
    )


def _write(lake: Lake, contract: Contract, due: DueCohorts, run_id: str) -> int:
    loads = list(due.known_on)
    tiles = read_tiles(lake, tile_versions(lake))
    rows = label_rows(tiles, contract, due, _scored(lake, loads), run_id)
    days = [load.business_date for load in loads]
    within: Slice = {"cohort_month": sorted({f"{day:%Y-%m}" for day in days}), "business_date": days}
    return lake.replace("labels", rows, within, run_id).version


def _scored(lake: Lake, loads: Sequence[Load]) -> DataFrame:
    """Who was scored by the published runs: business_date, customer_id, scored_by."""
    scores = lake.read("scores")
    published = F.lit(False)
    for load in loads:
        published = published | ((F.col("business_date") == load.business_date) & (F.col("run_id") == load.run_id))
    return scores.filter(published).select(*KEYS, F.col("run_id").alias("scored_by"))


def _count(lake: Lake, version: int, loads: Sequence[Load]) -> dict[str, Any]:
    """By date: customers with an outcome, those churned, and those scored of whom nothing can be told."""
    days = [load.business_date for load in loads]
    rows = lake.read("labels", version).filter(F.col("business_date").isin(days)).groupBy("business_date")
    counted = {row.business_date: row for row in rows.agg(
        F.count("*").alias("told"), F.sum(F.col("is_churned").cast("int")).alias("churned")
    ).collect()}  # fmt: skip
    return {f"{load.business_date}": _told(counted.get(load.business_date), load) for load in loads}


def _told(row: Any, load: Load) -> dict[str, int]:
    told, churned = (0, 0) if row is None else (int(row.told), int(row.churned))
    return {"told": told, "churned": churned, "untold": (load.customers_scored or 0) - told}


def _files(root: Path, version: int, day: date) -> tuple[Path, ...]:
    return tuple(Path(file) for file in partition_files(root / "labels", version, {"cohort_month": f"{day:%Y-%m}"}))
