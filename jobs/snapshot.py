"""The features stage: population and feature snapshot of one business date."""

from datetime import date
from typing import Any

from pyspark.sql import functions as F

from churnlake.errors import ChurnlakeError, DataRefusedError
from churnlake.features import build_catalogue
from churnlake.ledger import CheckResult, Run
from jobs.application import Application, OpenStage
from jobs.content import Tiles
from jobs.features import features_at
from jobs.lake import Lake, ReadOnlyLake
from jobs.population import population_at
from jobs.quality import audit
from jobs.rebuild import refuse_other_meaning
from jobs.tiles import DAILY_TILES, TILE_TABLES

# Tables of facts that features and populations read as they are, where a contract has a source of their role.
STATE_TABLES = ("subscriptions", "renewals", "attributes", "outcomes_told")


def tile_versions(lake: ReadOnlyLake) -> dict[str, int]:
    """The versions of the tile tables now, to be pinned by whoever reads them.

    Raises:
        DataRefusedError: Nothing was ever taken in.
    """
    versions = {name: lake.version(name) for name in (*TILE_TABLES, *STATE_TABLES)}
    if versions["known_customers"] is None:
        raise DataRefusedError(
            "the lake holds no customer yet", next_step="check that deliveries lie where the contract says"
        )
    return {name: version for name, version in versions.items() if version is not None}


def read_tiles(lake: ReadOnlyLake, versions: dict[str, int]) -> Tiles:
    """The tables at pinned versions; those that no source of the contract fills are left out."""
    stored = {name: lake.stored(name, versions[name]) for name in DAILY_TILES if name in versions}
    by_spark = versions.keys() - {"daily_values"}  # only features count values, from the files
    frames: dict[str, Any] = {name: lake.read(name, versions[name]) for name in by_spark}
    return Tiles(**frames, stored=stored)


def snapshot(app: Application, run: Run, stage: OpenStage) -> None:
    """Writes population and features of the run's date and accounts for every known customer.

    Raises:
        ChurnlakeError: known differs from eligible plus excluded.
        DataRefusedError: Nobody is eligible.
        UsageError: The lake holds rows of another meaning than the contract gives them.
    """
    lake, contract, day = app.lake, app.contract, run.business_date
    refuse_other_meaning(contract, app.ledger.deliveries(contract.name))
    versions = tile_versions(lake)
    tiles = read_tiles(lake, versions)
    stage.say("sorting known customers into eligible and excluded")
    within = {"business_date": day}
    population = lake.replace("population", population_at(tiles, contract, [day]), within, run.run_id)
    stage.say("computing features")
    people = lake.read("population", population.version).filter(F.col("business_date") == day)
    built = features_at(tiles, contract, build_catalogue(contract), [day], people)
    features = lake.replace("features", built, within, run.run_id)
    reasons = _reasons(lake, population.version, day)
    eligible = reasons.pop("", 0)
    stage.counts.update(known=population.rows, eligible=eligible, excluded=reasons, features=features.rows)
    stage.counts["versions"] = {**versions, "population": population.version, "features": features.version}
    checks = [
        _adds_up("known", population.rows, eligible + sum(reasons.values())),
        _adds_up("features", eligible, features.rows),
    ]
    app.ledger.record_checks(run.run_id, checks)
    if not all(check.passed for check in checks):
        raise ChurnlakeError(
            f"features: {', '.join(f'{one.name} {one.observed}, expected {one.expected}' for one in checks)}"
        )
    if not eligible:
        raise DataRefusedError(
            f"{day}: none of {population.rows} known customers is eligible (excluded: {reasons})",
            next_step="check [churn] in the contract against the data",
        )
    stage.say("checking population and features")
    audit(app, run.run_id, "population", people)
    audit(app, run.run_id, "features", lake.read("features", features.version).filter(F.col("business_date") == day))
    app.reach("features.written")


def _reasons(lake: Lake, version: int, day: date) -> dict[str, int]:
    population = lake.read("population", version).filter(F.col("business_date") == day)
    counted = population.groupBy(F.coalesce("reason", F.lit("")).alias("reason")).count().collect()
    return {row["reason"]: row["count"] for row in counted}


def _adds_up(name: str, expected: int, found: int) -> CheckResult:
    return CheckResult("reconciliation", "population", name, "critical", expected == found, str(found), str(expected))
