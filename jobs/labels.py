"""Labels at cutoffs: what was known when the cutoff matured, so a label never changes later."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.calendar import Seen
from churnlake.contract.schema import Contract
from jobs.activity import with_active_days
from jobs.content import KEYS, Tiles, required
from jobs.lives import lives_at
from jobs.outcomes import outcomes_at
from jobs.population import population_at
from jobs.renewals import renewed_at


def labels_at(
    tiles: Tiles, contract: Contract, matured_on: Mapping[date, date], population: DataFrame | None = None
) -> DataFrame:
    """One row per eligible customer and cutoff that has an outcome: business_date, customer_id, is_churned (0 or 1).

    `matured_on` gives for each cutoff D the date L on which its label became known; facts known after L do not count.
    `population` is `population_at` of the same tiles and cutoffs, where the caller has it already.

    - inactivity: churned when no day of D+gap+1 .. D+gap+horizon has net activity.
    - cancellation: churned when the life that D lies in ends on one of those days, as first days without. Whoever
      left inside the gap, or before D as it turned out later, has no label: nobody could act on it.
    - expiry: churned when no transaction after D, and no later than the grace after the end of the paid time, pays
      beyond that end. Who turned out later to have had another end at D than one of those days has no label.
    - label: as the data set says.
    """
    cutoffs = list(matured_on)
    people = population_at(tiles, contract, cutoffs) if population is None else population
    eligible = people.filter("eligible").select(*KEYS)
    match contract.churn.definition:
        case "inactivity":
            active = with_later_activity(eligible, tiles, contract, matured_on)
            told = active.select(*KEYS, F.col("first").isNull().alias("is_churned"))
        case "cancellation":
            lives = _cancelled(required(tiles.subscriptions), contract, matured_on)
            told = eligible.join(lives, [*KEYS])
        case "expiry":
            due = renewed_at(required(tiles.renewals), contract, matured_on)
            told = eligible.join(due.select(*KEYS, F.col("renewed_on").isNull().alias("is_churned")), [*KEYS])
        case "label":
            told = eligible.join(outcomes_at(required(tiles.outcomes_told), contract, cutoffs), [*KEYS])
    labels = told.select(*KEYS, F.col("is_churned").cast("int").alias("is_churned"))
    return labels.filter(F.col("is_churned").isNotNull())


def with_later_activity(
    rows: DataFrame, tiles: Tiles, contract: Contract, matured_on: Mapping[date, date]
) -> DataFrame:
    """`rows` of business_date and customer_id with the first and the last active day of the label window.

    Both are told as known when the date matured.
    """
    churn = contract.churn
    seen = {
        day: Seen(calendar.label_window(day, churn.gap_days, churn.horizon_days), known)
        for day, known in matured_on.items()
    }
    return with_active_days(rows, tiles, contract, seen)


def _cancelled(subscriptions: DataFrame, contract: Contract, matured_on: Mapping[date, date]) -> DataFrame:
    churn = contract.churn
    days = F.datediff("life_ended_on", "business_date")
    last = churn.gap_days + churn.horizon_days
    lives = lives_at(subscriptions, contract, matured_on)
    is_member = (F.col("life_started_on") <= F.col("business_date")) & (days.isNull() | (days > churn.gap_days))
    return lives.filter(is_member).select(*KEYS, F.coalesce(days <= last, F.lit(False)).alias("is_churned"))
