"""Explaining one customer on one date: the facts that decide, the label, the features. Reads the lake, writes nothing.

Everything comes from the functions a night and a training use, so what is shown is what happened.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from churnlake import calendar, explanation
from churnlake.contract import Contract, load_contract
from churnlake.due import complete_through
from churnlake.errors import UsageError
from churnlake.explanation import Evidence, Life, Outcome
from churnlake.features import PRICE_SCALE, build_catalogue
from churnlake.ledger import Delivery, Ledger
from churnlake.settings import Settings
from jobs.application import end_group_with_parent, exit_code_of
from jobs.content import Tiles, required
from jobs.features import features_at
from jobs.labels import labels_at, with_later_activity
from jobs.lake import ReadOnlyLake
from jobs.lives import lives_at
from jobs.population import population_at, with_recent_activity
from jobs.rebuild import refuse_other_meaning
from jobs.renewals import paid_lives_at, renewed_at
from jobs.snapshot import STATE_TABLES, read_tiles, tile_versions
from jobs.tiles import TILE_TABLES
from jobs.training import settled_slots

FACTS_SHOWN = 10
NEAREST_SHOWN = 5
# What every table of facts holds beside what a fact tells.
_STAMPS = {
    "source", "customer_id", "event_date", "known_date", "delivery_id", "known_month", "off_day", "sign", "slot",
    "row_hash", "typed_digest",
}  # fmt: skip


@dataclass(frozen=True)
class Maturity:
    """How far data are complete, and the date on which the label became known: None where it is not known yet."""

    complete: date
    judged_on: date | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the explanation as one JSON document; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m jobs.explain", description=__doc__, allow_abbrev=False)
    parser.add_argument("--contract", type=Path, required=True)
    parser.add_argument("--application", required=True)
    parser.add_argument("--customer", required=True)
    parser.add_argument("--date", type=date.fromisoformat)
    given = parser.parse_args(arguments)
    end_group_with_parent()
    return exit_code_of(lambda: run(given.contract, given.customer, given.date, Settings.from_environment()))


def run(path: Path, customer: str, day: date | None, settings: Settings) -> int:
    """Explains in this process, on the newest versions of the lake that a run finished with.

    Raises:
        UsageError: Nothing was taken in yet, the date lies outside of the data, nobody has that id, or the lake holds
            rows of another meaning than the contract gives them.
    """
    from jobs.session import build_session

    contract = load_contract(path)
    ledger = Ledger.open(settings.ledger_url)
    deliveries = ledger.deliveries(contract.name)
    newest, versions = finished_versions(ledger, contract)
    refuse_other_meaning(contract, deliveries)
    asked = day or newest
    if not contract.calendar.starts_on <= asked <= newest:
        raise UsageError(
            f"{contract.name} holds data of {contract.calendar.starts_on} .. {newest}; got {asked}",
            next_step=f"--date {newest}, or run the later date first",
        )
    maturity = maturity_of(contract, deliveries, asked, newest)
    with tempfile.TemporaryDirectory(prefix="churnlake-") as scratch:
        spark = build_session(f"churnlake explain {contract.name}", settings, Path(scratch))
        lake = ReadOnlyLake(spark, settings.lake(contract.name))
        tiles = read_tiles(lake, versions or tile_versions(lake))
        print(json.dumps(explain(tiles, contract, customer, asked, maturity), default=str))
        spark.stop()
    return 0


def finished_versions(ledger: Ledger, contract: Contract) -> tuple[date, dict[str, int]]:
    """The newest business date a run finished its tables for, and their versions; none where only history is in.

    A run at work may have written some tables and not yet others, so the newest of all would not fit together.

    Raises:
        UsageError: No run has taken anything in yet.
    """
    stages = [
        (run.business_date, stage)
        for run in ledger.runs(contract.name)
        for stage in ledger.stages(run.run_id)
        if stage.state == "done" and stage.stage in ("ingest", "features", "rows")
    ]
    if not stages:
        raise UsageError(f"{contract.name} has taken nothing in yet", next_step=f"`churnlake run {contract.path}`")
    pinned = [(day, stage.counts["versions"]) for day, stage in stages if "versions" in stage.counts]
    newest = max(day for day, _ in pinned or stages)
    versions: dict[str, int] = pinned[-1][1] if pinned else {}
    return newest, {name: held for name, held in versions.items() if name in (*TILE_TABLES, *STATE_TABLES)}


def maturity_of(contract: Contract, deliveries: Sequence[Delivery], day: date, newest: date) -> Maturity:
    """When the label of the day became known, by what had been delivered until `newest`."""
    settled = settled_slots(contract, deliveries, newest)
    complete = complete_through(contract, settled, newest)
    days = contract.churn.maturity_days
    if contract.churn.definition == "label":
        return Maturity(complete, day)  # it came with the data, and is not waited for
    is_mature = calendar.matures_on(day, days) <= complete
    return Maturity(complete, calendar.label_known_on(day, days, settled) if is_mature else None)


def explain(tiles: Tiles, contract: Contract, customer: str, day: date, maturity: Maturity) -> dict[str, Any]:
    """The explanation as a document.

    Raises:
        UsageError: Nobody has that id; the nearest ones are named.
    """
    known_since = _known_since(tiles, contract, customer)
    own = tiles.of(customer)
    verdict = next(iter(population_at(own, contract, [day]).collect()), None)
    found = _evidence(own, contract, known_since, day, maturity)
    reason = None if verdict is None else verdict["reason"]
    is_eligible = verdict is not None and bool(verdict["eligible"])
    facts = list(_facts(own, contract, found, day, maturity.judged_on))
    return {
        "contract": contract.name,
        "unit": contract.unit,
        "customer": customer,
        "business_date": day,
        "known_since": known_since,
        "windows": [asdict(one) for one in explanation.windows(contract, day, maturity.complete)],
        "eligible": is_eligible,
        "reason": None if is_eligible else reason or "not_known",
        "why_eligible": explanation.why_eligible(contract, day, reason, found),
        "label": _label(own, contract, day, maturity, found) if is_eligible else _no_label(contract),
        **chosen(facts),
        "features": _features(tiles, own, contract, customer, day) if is_eligible else [],
    }


def _known_since(tiles: Tiles, contract: Contract, customer: str) -> date:
    known = tiles.known_customers
    first: date | None = known.filter(F.col("customer_id") == customer).agg(F.min("first_known_date")).collect()[0][0]
    if first is not None:
        return first
    near, number = nearest_ids(known, customer), known.select("customer_id").distinct().count()
    raise UsageError(
        f"{contract.name} knows no {contract.unit} {customer!r} among {number:,}"
        + (f"; nearest: {', '.join(near)}" if near else ""),
        next_step=f"--customer {near[0]}" if near else "give an id as the files write it, leading zeros and all",
    )


def nearest_ids(known: DataFrame, wanted: str) -> list[str]:
    """Ids that begin alike, then those that a few letters tell apart, nearest first."""
    ids = known.select("customer_id").distinct()
    begins = F.startswith("customer_id", F.lit(wanted)) | F.startswith(F.lit(wanted), "customer_id")
    apart = F.levenshtein(F.col("customer_id"), F.lit(wanted))
    close = begins | (apart <= max(1, len(wanted) // 3))
    order = (F.desc("begins"), F.asc("apart"), F.asc("customer_id"))
    found = ids.select("customer_id", begins.alias("begins"), apart.alias("apart")).filter(close).orderBy(*order)
    return [row["customer_id"] for row in found.limit(NEAREST_SHOWN).collect()]


def _evidence(own: Tiles, contract: Contract, known_since: date, day: date, maturity: Maturity) -> Evidence:
    judged_on = maturity.judged_on
    if contract.churn.definition == "inactivity":
        asked = own.known_customers.select(F.lit(day).alias("business_date"), "customer_id").distinct()
        (before,) = with_recent_activity(asked, own, contract, [day]).collect()
        if judged_on is None:
            return Evidence(known_since, before["first"], before["last"])
        (after,) = with_later_activity(asked, own, contract, {day: judged_on}).collect()
        return Evidence(known_since, before["first"], before["last"], after["first"])
    if contract.churn.definition == "expiry":
        return _paid_evidence(required(own.renewals), contract, known_since, day, judged_on)
    if own.subscriptions is None:
        return Evidence(known_since)
    later = None if judged_on is None else _life(own, contract, day, judged_on)
    return Evidence(known_since, life=_life(own, contract, day, day), later_life=later)


def _life(own: Tiles, contract: Contract, day: date, known_on: date) -> Life | None:
    rows = lives_at(required(own.subscriptions), contract, {day: known_on}).collect()
    if not rows:
        return None
    one = rows[0]
    return Life(one["life_started_on"], one["life_ended_on"], one["completes_on"], one["oddity"])


def _paid_evidence(
    renewals: DataFrame, contract: Contract, known_since: date, day: date, judged_on: date | None
) -> Evidence:
    life = _paid_life(renewals, contract, day, day)
    if judged_on is None:
        return Evidence(known_since, life=life)
    due = renewed_at(renewals, contract, {day: judged_on}).collect()
    renewed_on = due[0]["renewed_on"] if due else None
    later = _paid_life(renewals, contract, day, judged_on)
    return Evidence(known_since, stayed_on=renewed_on, life=life, later_life=later)


def _paid_life(renewals: DataFrame, contract: Contract, day: date, known_on: date) -> Life | None:
    rows = paid_lives_at(renewals, contract, {day: known_on}).collect()
    if not rows:
        return None
    one = rows[0]
    return Life(one["life_started_on"], one["life_ended_on"], oddity=one["oddity"], paid_on=one["transaction_on"])


def _label(own: Tiles, contract: Contract, day: date, maturity: Maturity, found: Evidence) -> dict[str, Any]:
    if maturity.judged_on is None:
        matures = calendar.matures_on(day, contract.churn.maturity_days)
        told = f"not known before {matures}; data are complete through {maturity.complete}"
        return {"outcome": None, "known_on": None, "why": told}
    rows = labels_at(own, contract, {day: maturity.judged_on}).collect()
    outcomes: dict[int, Outcome] = {1: "churned", 0: "stayed"}
    outcome = outcomes[rows[0]["is_churned"]] if rows else None
    return {
        "outcome": outcome,
        "known_on": maturity.judged_on,
        "why": explanation.why_label(contract, day, outcome, found),
    }


def _no_label(contract: Contract) -> dict[str, Any]:
    return {"outcome": None, "known_on": None, "why": f"only an eligible {contract.unit} has a label"}


def _facts(
    own: Tiles, contract: Contract, found: Evidence, day: date, judged_on: date | None
) -> Iterator[dict[str, Any]]:
    """What the lake holds of the customer, newest first: nothing that happened after the label window."""
    if own.daily_activity is not None:
        deciding = {found.first_active, found.last_active, found.stayed_on}
        for row in _days(own.daily_activity, contract, day).collect():
            told = _told_day(row, contract)
            yield _fact(row, told, row["event_date"], day, judged_on) | {"decides": row["event_date"] in deciding}
    decided: set[str] = set()
    for table in (own.subscriptions, own.renewals, own.outcomes_told, own.attributes):
        for row in [] if table is None else table.orderBy(F.desc("known_date"), F.desc("sign")).collect():
            # A state counts from the day it was known, whatever days it tells of; a transaction happens on its own.
            told_on = row["event_date"] if table is own.renewals else min(row["event_date"], row["known_date"])
            fact = _fact(row, _told_state(row), told_on, day, judged_on)
            decides = row["sign"] > 0 and fact["standing"] not in decided and _is_about(row, table, own, found)
            decided |= {fact["standing"]} if decides else set()
            yield fact | {"decides": decides}


def _days(tile: DataFrame, contract: Contract, day: date) -> DataFrame:
    churn = contract.churn
    first = calendar.observation_window(day, contract.features.span_days).first
    read = F.col("event_date").between(first, calendar.label_window(day, churn.gap_days, churn.horizon_days).last)
    sums = ["events", "activity", *(measure.name for measure in contract.features.measures)]
    by_day = tile.filter(read).groupBy("source", "event_date", "known_date")
    return by_day.agg(*(F.sum(one).alias(one) for one in sums)).orderBy(F.desc("event_date"), F.desc("known_date"))


def _told_day(row: Row, contract: Contract) -> str:
    scales = {measure.name: measure.scale for measure in contract.features.measures}
    measured = (f"{name} {row[name] / 10**scale:,.{scale}f}" for name, scale in scales.items())
    return ", ".join((f"rows {row['events']:,}, activity {row['activity']:,}", *measured))


def _told_state(row: Row) -> str:
    held = {name: value for name, value in row.asDict().items() if name not in _STAMPS and value is not None}
    values = [f"{name} {value / 10**PRICE_SCALE if name == 'price' else value}" for name, value in held.items()]
    return (", ".join(values) or "nothing known") + (", taken back" if row["sign"] < 0 else "")


def _is_about(row: Row, table: DataFrame | None, own: Tiles, found: Evidence) -> bool:
    """Whether a row is of the life that counts, or the outcome that was told; attributes decide nothing."""
    lives = [one for one in (found.life, found.later_life) if one is not None]
    if table is own.subscriptions:
        return row["started_on"] in {one.started_on for one in lives}
    if table is own.renewals:
        return row["event_date"] in {found.stayed_on, *(one.paid_on for one in lives)}
    return table is own.outcomes_told


def _fact(row: Row, told: str, happened: date, day: date, judged_on: date | None) -> dict[str, Any]:
    return {
        "source": row["source"],
        "day": row["event_date"],
        "known": row["known_date"],
        "told": told,
        "standing": explanation.standing(happened, row["known_date"], day, judged_on),
    }


def chosen(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The facts that decide, the newest others, and those not yet known; of each kind how many more there are."""
    late = [one for one in facts if one["standing"].endswith("does not count")]
    others = [one for one in facts if one not in late]
    newest = [one for one in others if not one["decides"]][:FACTS_SHOWN]
    shown = [one for one in others if one["decides"] or one in newest]
    return {
        "facts": shown,
        "more_facts": len(others) - len(shown),
        "not_yet_known": late[:FACTS_SHOWN],
        "more_not_yet_known": max(0, len(late) - FACTS_SHOWN),
    }


def _features(tiles: Tiles, own: Tiles, contract: Contract, customer: str, day: date) -> list[dict[str, Any]]:
    """Each feature with its value in people's units. A place among peers needs everyone who is eligible."""
    catalogue = build_catalogue(contract)
    asked = tiles if contract.features.peer_group else own
    rows = features_at(asked, contract, catalogue, [day]).filter(F.col("customer_id") == customer).collect()
    if not rows:
        raise AssertionError(f"{customer} is eligible and has no features")
    return [
        {
            "feature": one.name,
            "value": _in_units(rows[0][one.name], one.scale),
            "unit": one.unit.removeprefix(f"10^-{one.scale} "),
            "description": one.description,
        }
        for one in catalogue
    ]


def _in_units(value: float | str | None, scale: int) -> float | str | None:
    return value / 10**scale if isinstance(value, float) and scale else value


if __name__ == "__main__":
    raise SystemExit(main())
