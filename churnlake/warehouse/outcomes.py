"""Cohorts whose outcome is due: the customers of a published date, once that date is mature."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from churnlake import calendar
from churnlake.contract.schema import Contract
from churnlake.due import complete_through
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.records import Load, as_load

COHORTS_A_NIGHT = 31
"""A night tells the outcomes of at most so many dates, oldest first: a long gap is made up over several nights."""


@dataclass(frozen=True)
class MaturedCohort:
    """The outcomes of one published date, for a load to show. `label_files` may hold other dates too."""

    business_date: date
    load_id: int
    label_files: tuple[Path, ...]


@dataclass(frozen=True)
class DueCohorts:
    """What tonight tells: for each cohort the date L on which its labels became known; and what it leaves.

    `waiting` are left to the next nights; `other_definition` were scored under another version, horizon or gap of the
    contract, so that tonight's rules would not answer what was predicted.
    """

    known_on: Mapping[Load, date]
    waiting: int
    other_definition: int


def untold_cohorts(publications: Publications, contract: str, business_date: date) -> list[Load]:
    """Published loads before a date, oldest first, whose outcomes no other published date tells.

    Scores made with hindsight are none of them: they would measure nothing. What `business_date` itself told before
    counts as untold, so that publishing it again tells the same.
    """
    query = """SELECT load.* FROM current JOIN load ON load.load_id = current.load_id
        WHERE current.contract = :contract AND current.business_date < :day AND NOT load.is_retrospective
          AND NOT EXISTS (SELECT 1 FROM outcome JOIN current AS shown ON shown.load_id = outcome.load_id
            WHERE outcome.cohort_load_id = load.load_id AND shown.business_date <> :day)
        ORDER BY current.business_date"""
    with publications.reading() as connection:
        rows = connection.execute(query, {"contract": contract, "day": business_date.isoformat()})
        return [as_load(row) for row in rows]


def due_cohorts(contract: Contract, untold: Iterable[Load], settled: Mapping[date, date], as_of: date) -> DueCohorts:
    """Those of the untold cohorts that are mature by what is known at the end of `as_of`.

    `settled` gives for each due slot when it was; outcomes that come without dates never mature.
    """
    maturity = contract.churn.maturity_days
    complete = complete_through(contract, settled, as_of)
    mature = [] if contract.has_undated_outcomes else [load for load in untold if _matures(load, maturity) <= complete]
    same = [load for load in mature if _meaning(load) == _promise(contract)]
    told = {load: calendar.label_known_on(load.business_date, maturity, settled) for load in same[:COHORTS_A_NIGHT]}
    return DueCohorts(told, len(same) - len(told), len(mature) - len(same))


def _matures(load: Load, maturity_days: int) -> date:
    return calendar.matures_on(load.business_date, maturity_days)


def _meaning(load: Load) -> tuple[int, int, int]:
    return load.contract_version, load.horizon_days, load.gap_days


def _promise(contract: Contract) -> tuple[int, int, int]:
    return contract.version, contract.churn.horizon_days, contract.churn.gap_days
