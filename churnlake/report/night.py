"""All that a nightly page tells, read from the warehouse: totals only, never a customer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from churnlake.errors import ConflictError
from churnlake.report.standing import Standing, as_rows, read_standing
from churnlake.warehouse.duckdb import query

BINS = 20
"""Bins of the histogram, 0.05 of probability each: fine enough for a shape, wide enough for small shops."""

REASONS_SHOWN = 10
"""Features named in the table of reasons; the rest is one line."""

ASIDE = ("ignored", "unchanged", "duplicate", "quarantined")
"""Where a delivered row goes that is not accepted."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Bin:
    """Customers with a probability from `low` up to `high`; `before` is None when there was no night before."""

    low: float
    high: float
    tonight: int
    before: int | None


@dataclass(frozen=True)
class Band:
    """A risk band: its customers, the range of their probabilities, and their sum: how many are expected to churn."""

    name: str
    customers: int
    lowest: float
    highest: float
    expected: float
    before: int | None


@dataclass(frozen=True)
class Reason:
    """How often a feature is named as a reason: as the first one, by direction, and among the three."""

    feature: str
    words: str
    raises: int
    lowers: int
    among_three: int


@dataclass(frozen=True)
class Before:
    """The last published date before, and what made its scores."""

    business_date: date
    contract_version: int
    model_version: int


@dataclass(frozen=True)
class Night:
    """One published night. `rows_aside`: what, why, how many; `unscored`: status, why, how many; `stages`: seconds."""

    standing: Standing
    before: Before | None
    newest: date
    mean: float | None
    median: float | None
    horizon_days: int | None
    gap_days: int | None
    bins: tuple[Bin, ...]
    bands: tuple[Band, ...]
    reasons: tuple[Reason, ...]
    other_features: int
    rows_aside: tuple[tuple[str, str, int], ...]
    unscored: tuple[tuple[str, str, int], ...]
    checks: tuple[Row, ...]
    stages: dict[str, float]
    model: Row | None
    definition: tuple[Row, ...]

    @property
    def unit(self) -> str:
        """What one score is about, in the contract's word."""
        return next((str(line["value"]) for line in self.definition if line["topic"] == "unit"), "customer")


class _Asked:
    """Questions about one published date, each answered whole by the warehouse."""

    def __init__(self, warehouse: Path, standing: Standing) -> None:
        self.warehouse = warehouse
        # Both are typed: the name is a required one (read_standing), the date a date.
        self.contract, self.day = standing.contract, f"DATE '{standing.business_date}'"
        self.standing = standing

    def rows(self, sql: str, **given: object) -> list[dict[str, Any]]:
        return as_rows(query(self.warehouse, sql.format(contract=self.contract, day=self.day, **given)))


def read_night(warehouse: Path, contract: str, business_date: date) -> Night:
    """Everything the page of a date shows.

    Raises:
        UsageError: The date is not published.
        ConflictError: It was published again while it was read; the answers would belong to two loads.
    """
    standing = read_standing(warehouse, contract, business_date)
    night = _night(_Asked(warehouse, standing))
    if read_standing(warehouse, contract, business_date).load_id != standing.load_id:
        raise ConflictError(
            f"{contract} {business_date} was published again while its page was made",
            next_step=f"churnlake report CONTRACT --date {business_date}",
        )
    return night


def _night(asked: _Asked) -> Night:
    before, reasons = _before(asked), [Reason(**row) for row in asked.rows(_REASONS_SQL)]
    return Night(
        standing=asked.standing,
        before=before,
        **asked.rows(_TOTALS_SQL)[0],
        bins=_bins(asked, before),
        bands=_bands(asked, before),
        reasons=tuple(reasons[:REASONS_SHOWN]),
        other_features=len(reasons[REASONS_SHOWN:]),
        rows_aside=tuple(_rows_aside(asked)),
        unscored=tuple((row["status"], row["reason"], row["number"]) for row in asked.rows(_UNSCORED_SQL)),
        checks=tuple(asked.rows(_CHECKS_SQL)),
        stages={row["source"]: row["seconds"] for row in asked.rows(_STAGES_SQL)},
        model=next(iter(asked.rows(_MODEL_SQL, version=asked.standing.model_version)), None),
        definition=tuple(asked.rows(_DEFINITION_SQL)),
    )


def _before(asked: _Asked) -> Before | None:
    found = asked.rows(_BEFORE_SQL)
    return Before(**found[0]) if found else None


def _bins(asked: _Asked, before: Before | None) -> tuple[Bin, ...]:
    counted = {
        (row["business_date"], row["bin"]): row["customers"]
        for row in asked.rows(_BINS_SQL, bins=BINS, last=_last(asked, before))
    }
    today = asked.standing.business_date
    return tuple(
        Bin(
            low=place / BINS,
            high=(place + 1) / BINS,
            tonight=counted.get((today, place), 0),
            before=None if before is None else counted.get((before.business_date, place), 0),
        )
        for place in range(BINS)
    )


def _bands(asked: _Asked, before: Before | None) -> tuple[Band, ...]:
    rows = asked.rows(_BANDS_SQL, last=_last(asked, before))
    held = {
        row["risk_band"]: row["customers"] for row in rows if before and row["business_date"] == before.business_date
    }
    return tuple(
        Band(
            name=row["risk_band"],
            customers=row["customers"],
            lowest=row["lowest"],
            highest=row["highest"],
            expected=row["expected"],
            before=None if before is None else held.get(row["risk_band"], 0),
        )
        for row in rows
        if row["business_date"] == asked.standing.business_date
    )


def _last(asked: _Asked, before: Before | None) -> str:
    return asked.day if before is None else f"DATE '{before.business_date}'"


def _rows_aside(asked: _Asked) -> Iterator[tuple[str, str, int]]:
    """What left between raw and accepted. A bucket that stayed empty is told too: nought is an answer."""
    rows = asked.rows(_ASIDE_SQL)
    for what in ASIDE:
        found = [(what, str(row["why"]), int(row["number"])) for row in rows if row["what"] == what]
        yield from found or [(what, "", 0)]


_BEFORE_SQL = """
SELECT business_date, contract_version, model_version FROM churn.publications
WHERE contract = '{contract}' AND state = 'current' AND business_date < {day} ORDER BY business_date DESC LIMIT 1"""

_TOTALS_SQL = """
SELECT avg(churn_probability) AS mean, median(churn_probability) AS median,
  any_value(horizon_days) AS horizon_days, any_value(gap_days) AS gap_days,
  (SELECT max(business_date) FROM churn.publications WHERE contract = '{contract}' AND state = 'current') AS newest
FROM churn.scores_history WHERE contract = '{contract}' AND business_date = {day}"""

_BINS_SQL = """
SELECT business_date, least(floor(churn_probability * {bins}), {bins} - 1)::INTEGER AS bin, count(*) AS customers
FROM churn.scores_history WHERE contract = '{contract}' AND business_date IN ({day}, {last}) GROUP BY ALL"""

_BANDS_SQL = """
SELECT business_date, risk_band, count(*) AS customers, min(churn_probability) AS lowest,
  max(churn_probability) AS highest, sum(churn_probability) AS expected
FROM churn.scores_history WHERE contract = '{contract}' AND business_date IN ({day}, {last})
GROUP BY ALL ORDER BY min(risk_rank)"""

_ASIDE_SQL = """
SELECT split_part(name, '.', 1) AS what, substr(name, strpos(name || '.', '.') + 1) AS why,
  try_cast(observed AS BIGINT) AS number
FROM churn.run_quality WHERE contract = '{contract}' AND business_date = {day} AND kind = 'count' AND source = 'ingest'
  AND number IS NOT NULL
ORDER BY number DESC, why"""

_UNSCORED_SQL = """
SELECT status, coalesce(reason, 'no reason given') AS reason, count(*) AS number
FROM churn.not_scored WHERE contract = '{contract}' AND business_date = {day}
GROUP BY ALL ORDER BY status, number DESC, reason"""

_CHECKS_SQL = """
SELECT kind, source, name, severity, coalesce(passed, false) AS passed, observed, expected
FROM churn.run_quality
WHERE contract = '{contract}' AND business_date = {day}
  AND kind IN ('expectation', 'reconciliation', 'floor', 'drift', 'gate')
ORDER BY coalesce(passed, false), list_position(['critical', 'warning', 'info'], severity), source, kind, name"""

_STAGES_SQL = """
SELECT source, try_cast(observed AS DOUBLE) AS seconds FROM churn.run_quality
WHERE contract = '{contract}' AND business_date = {day} AND kind = 'stage' AND name = 'seconds'
ORDER BY coalesce(list_position(['ingest', 'features', 'score', 'publish'], source), 9), source"""

_MODEL_SQL = "SELECT * FROM churn.models WHERE contract = '{contract}' AND model_version = {version}"

_DEFINITION_SQL = (
    "SELECT topic, value, explanation FROM churn.definition WHERE contract = '{contract}' ORDER BY position"
)

_REASONS_SQL = """
WITH scores AS (
  SELECT * FROM churn.scores_history WHERE contract = '{contract}' AND business_date = {day}
), named AS (
  SELECT 1 AS place, reason_1_feature AS feature, reason_1_direction AS direction FROM scores
  UNION ALL SELECT 2, reason_2_feature, reason_2_direction FROM scores
  UNION ALL SELECT 3, reason_3_feature, reason_3_direction FROM scores
), meaning AS (
  SELECT column_name AS feature, description FROM churn.data_dictionary
  WHERE contract = '{contract}' AND table_name = 'features'
)
SELECT feature, coalesce(any_value(description), feature) AS words,
  count(*) FILTER (place = 1 AND direction = 'raises') AS raises,
  count(*) FILTER (place = 1 AND direction = 'lowers') AS lowers, count(*) AS among_three
FROM named LEFT JOIN meaning USING (feature) WHERE feature IS NOT NULL
GROUP BY feature ORDER BY among_three DESC, feature"""
