"""Labels at cutoffs: what was known when the cutoff matured, so a label never changes later."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.contract.schema import Contract
from jobs.content import KEYS, Tiles, active_days, required, with_corrected
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
            told = _silent(required(tiles.daily_activity), contract, matured_on, eligible)
        case "cancellation":
            told = _cancelled(required(tiles.subscriptions), contract, matured_on)
        case "expiry":
            due = renewed_at(required(tiles.renewals), contract, matured_on)
            told = due.select(*KEYS, F.col("renewed_on").isNull().alias("is_churned"))
        case "label":
            told = outcomes_at(required(tiles.outcomes_told), contract, cutoffs)
    labelled = eligible.join(told, [*KEYS]).filter(F.col("is_churned").isNotNull())
    return labelled.select(*KEYS, F.col("is_churned").cast("int").alias("is_churned"))


def _silent(
    daily_activity: DataFrame, contract: Contract, matured_on: Mapping[date, date], eligible: DataFrame
) -> DataFrame:
    days = label_activity(daily_activity, contract, matured_on)
    return eligible.join(days, [*KEYS], "left").select(*KEYS, F.col("first").isNull().alias("is_churned"))


def label_activity(daily_activity: DataFrame, contract: Contract, matured_on: Mapping[date, date]) -> DataFrame:
    """First and last active day inside the label window of each cutoff, as known when it matured.

    Columns: business_date, customer_id, first, last.
    """
    churn = contract.churn
    spark = daily_activity.sparkSession
    cutoffs = F.broadcast(spark.createDataFrame(list(matured_on.items()), "business_date DATE, matured_on DATE"))
    first, last = churn.gap_days + 1, churn.gap_days + churn.horizon_days
    ends = (min(matured_on), max(matured_on))
    oldest, newest = (calendar.label_window(day, churn.gap_days, churn.horizon_days) for day in ends)
    reach = (oldest.first, newest.last)
    rows = with_corrected(daily_activity.filter(F.col("event_date").between(*reach)), ["activity"])
    inside = F.datediff("event_date", "business_date").between(first, last)
    return active_days(rows.join(cutoffs, inside & (F.col("known_date") <= F.col("matured_on"))))


def _cancelled(subscriptions: DataFrame, contract: Contract, matured_on: Mapping[date, date]) -> DataFrame:
    churn = contract.churn
    days = F.datediff("life_ended_on", "business_date")
    last = churn.gap_days + churn.horizon_days
    lives = lives_at(subscriptions, contract, matured_on)
    is_member = (F.col("life_started_on") <= F.col("business_date")) & (days.isNull() | (days > churn.gap_days))
    return lives.filter(is_member).select(*KEYS, F.coalesce(days <= last, F.lit(False)).alias("is_churned"))
