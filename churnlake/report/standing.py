"""How a published night stands: the few facts its verdict rests on, as the warehouse tells them."""

from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any

from churnlake.errors import UsageError
from churnlake.warehouse.duckdb import Answer, query
from churnlake.warehouse.publications import CONTRACT_NAME


@dataclass(frozen=True)
class Standing:
    """One published business date of one contract. A count is None where the run did not record it.

    `aside` are the delivered rows that were not accepted; `excluded` the known customers that are not eligible.
    """

    contract: str
    business_date: date
    restatement: int
    run_id: str
    load_id: int
    fingerprint: str
    data_through: date
    contract_version: int
    model_version: int
    customers_scored: int
    customers_not_scored: int
    is_retrospective: bool
    reason: str | None
    actor: str
    published_at: datetime
    first_published_at: datetime
    model_state: str | None
    checks: int
    failed_critical: int
    failed_warning: int
    failed_info: int
    raw: int | None
    accepted: int | None
    aside: int
    known: int | None
    eligible: int | None
    excluded: int
    scored: int | None
    held: int


def read_standing(warehouse: Path, contract: str, business_date: date) -> Standing:
    """How a date stands.

    Raises:
        UsageError: The name is none of a contract, there is no warehouse, or the date is not published in it.
    """
    require_name(contract)
    wanted = f"AND publication.contract = '{contract}' AND publication.business_date = DATE '{business_date}'"
    found = _standings(query(warehouse, _STANDING_SQL.format(wanted=wanted)))
    if not found:
        newest = _newest(warehouse, contract)
        raise UsageError(
            f"{contract} {business_date} is not published, so it has no report; "
            + (f"the newest published date is {newest}" if newest else f"no date of {contract} is published"),
            next_step=f"churnlake report CONTRACT --date {newest}"
            if newest
            else "publish a night: churnlake run CONTRACT",
        )
    return found[0]


def read_standings(warehouse: Path) -> list[Standing]:
    """How every published date of every contract stands, newest first."""
    return _standings(query(warehouse, _STANDING_SQL.format(wanted="")))


def require_name(contract: str) -> None:
    """Refuses what could not be a contract's name, before it becomes part of a question or a path.

    Raises:
        UsageError: The name does not fit.
    """
    if not CONTRACT_NAME.fullmatch(contract):
        raise UsageError(
            f"a contract's name is lowercase letters, digits and underscores, at most 40; got {contract!r}",
            next_step="give the name under [contract] in the contract's file",
        )


def as_rows(answer: Answer) -> list[dict[str, Any]]:
    """An answer's rows by column name."""
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]


def _standings(answer: Answer) -> list[Standing]:
    names = {field.name for field in fields(Standing)}
    return [Standing(**{name: row[name] for name in names}) for row in as_rows(answer)]


def _newest(warehouse: Path, contract: str) -> date | None:
    asked = f"SELECT max(business_date) FROM churn.publications WHERE contract = '{contract}' AND state = 'current'"  # noqa: S608 - required name
    newest: date | None = query(warehouse, asked).rows[0][0]
    return newest


# A check that says neither yes nor no has failed. A count may be split by reason: `held` or `held.<reason>`.
_STANDING_SQL = """
WITH quality AS (
  SELECT contract, business_date, kind, severity, passed, source,
    kind IN ('expectation', 'reconciliation', 'floor', 'drift', 'gate') AS is_check,
    kind = 'count' AS is_count, split_part(name, '.', 1) AS what, try_cast(observed AS BIGINT) AS number
  FROM churn.run_quality
), told AS (
  SELECT contract, business_date,
    count(*) FILTER (is_check) AS checks,
    count(*) FILTER (is_check AND passed IS NOT TRUE AND severity = 'warning') AS failed_warning,
    count(*) FILTER (is_check AND passed IS NOT TRUE AND severity = 'info') AS failed_info,
    count(*) FILTER (is_check AND passed IS NOT TRUE) AS failed,
    sum(number) FILTER (is_count AND source = 'ingest' AND what = 'raw')::BIGINT AS raw,
    sum(number) FILTER (is_count AND source = 'ingest' AND what = 'accepted')::BIGINT AS accepted,
    sum(number) FILTER (is_count AND source = 'ingest'
      AND what IN ('ignored', 'unchanged', 'duplicate', 'quarantined'))::BIGINT AS aside,
    sum(number) FILTER (is_count AND source = 'features' AND what = 'known')::BIGINT AS known,
    sum(number) FILTER (is_count AND source = 'features' AND what = 'eligible')::BIGINT AS eligible,
    sum(number) FILTER (is_count AND source = 'features' AND what = 'excluded')::BIGINT AS excluded,
    sum(number) FILTER (is_count AND source = 'score' AND what = 'scored')::BIGINT AS scored,
    sum(number) FILTER (is_count AND source = 'score' AND what = 'held')::BIGINT AS held
  FROM quality GROUP BY ALL
), first AS (
  SELECT contract, business_date, min(published_at) AS first_published_at FROM churn.publications GROUP BY ALL
)
SELECT publication.* EXCLUDE (state, previous_load_id), first_published_at, models.state AS model_state,
  coalesce(checks, 0) AS checks, coalesce(failed - failed_warning - failed_info, 0) AS failed_critical,
  coalesce(failed_warning, 0) AS failed_warning, coalesce(failed_info, 0) AS failed_info, raw, accepted,
  coalesce(aside, 0) AS aside, known, eligible, coalesce(excluded, 0) AS excluded, scored, coalesce(held, 0) AS held
FROM churn.publications AS publication
JOIN first USING (contract, business_date)
LEFT JOIN told USING (contract, business_date)
LEFT JOIN churn.models USING (contract, model_version)
WHERE publication.state = 'current' {wanted}
ORDER BY publication.business_date DESC, publication.contract
"""
