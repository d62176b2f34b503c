"""Outcomes by horizon: how many customers left and stayed, with the contract's horizon and with the usual others."""

from collections.abc import Iterator, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.calendar import Schedule
from churnlake.contract import Contract
from churnlake.due import training_schedule
from churnlake.errors import ModelRefusedError
from churnlake.sufficiency import Outcomes, in_words
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
    people = _people(labels_at(held, contract, matured))
    return Outcomes(churn.horizon_days, len(cutoffs), spacing, people.get(1, 0), people.get(0, 0))


def _people(labels: DataFrame) -> dict[int, int]:
    """Customers who show each outcome, 1 churned or 0 stayed, at any cutoff."""
    told = labels.groupBy("is_churned").agg(F.count_distinct("customer_id").alias("people"))
    return {row["is_churned"]: row["people"] for row in told.collect()}


def refuse_too_few(contract: Contract, held: Tiles, labels: DataFrame, schedule: Schedule) -> None:
    """Stops where fewer customers than needed show the rarer outcome at the training cutoffs; other horizons are told.

    `labels` has business_date, customer_id, is_churned. Outcomes without dates have no other horizon, and are left to
    the fit.

    Raises:
        ModelRefusedError: They are too few.
    """
    needed = contract.training.minimum_outcomes
    people = _people(labels.filter(F.col("business_date").isin(list(schedule.train))))
    if contract.has_undated_outcomes or min(people.get(0, 0), people.get(1, 0)) >= needed:
        return
    newest = max((*schedule.train, *schedule.test))
    found = tuple(outcomes_by_horizon(held, contract, calendar.matures_on(newest, contract.churn.maturity_days)))
    raise ModelRefusedError(
        f"too little to train on: {in_words(found, contract.churn.horizon_days, needed)}",
        next_step=f"wait, or change {contract.path}, then `churnlake check` counts again",
    )
