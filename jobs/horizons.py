"""Outcomes by horizon: how many customers left and stayed, with the contract's horizon and with the usual others."""

from collections.abc import Iterator, Sequence
from datetime import date

from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.contract import Contract
from churnlake.due import training_schedule
from churnlake.sufficiency import Outcomes
from jobs.content import Tiles
from jobs.labels import labels_at

HORIZONS = (30, 60, 90)


def outcomes_by_horizon(held: Tiles, contract: Contract, complete: date) -> Iterator[Outcomes]:
    """Customers by outcome at the training cutoffs of the contract's horizon and of the usual others."""
    if contract.has_undated_outcomes:
        yield _outcomes(held, contract, (complete,))
        return
    asked = contract.churn.horizon_days
    is_free = contract.churn.definition != "label" and not contract.training.train_on
    for days in sorted({asked, *HORIZONS}) if is_free else (asked,):
        changed = contract.model_copy(update={"churn": contract.churn.model_copy(update={"horizon_days": days})})
        schedule = training_schedule(changed, complete)
        yield _outcomes(held, changed, schedule.train if schedule.test else ())


def _outcomes(held: Tiles, contract: Contract, cutoffs: Sequence[date]) -> Outcomes:
    churn = contract.churn
    spacing = contract.training.cutoff_spacing_days or calendar.cutoff_spacing(churn.horizon_days)
    if not cutoffs:
        return Outcomes(churn.horizon_days, 0, spacing, 0, 0)
    matured = {day: calendar.matures_on(day, churn.maturity_days) for day in cutoffs}
    told = labels_at(held, contract, matured).groupBy("is_churned").agg(F.count_distinct("customer_id").alias("people"))
    people = {row["is_churned"]: row["people"] for row in told.collect()}
    return Outcomes(churn.horizon_days, len(cutoffs), spacing, people.get(1, 0), people.get(0, 0))
