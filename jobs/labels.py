"""Labels at cutoffs, from tiles alone: what was known when the cutoff matured, so a label never changes later."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from jobs.content import KEYS, Tiles
from jobs.population import population_at


def labels_at(
    tiles: Tiles, contract: Contract, matured_on: Mapping[date, date], population: DataFrame | None = None
) -> DataFrame:
    """One row per eligible customer and cutoff: business_date, customer_id, is_churned (0 or 1).

    `matured_on` gives for each cutoff D the date L on which its label became known; facts known after L do not count.
    `population` is `population_at` of the same tiles and cutoffs, where the caller has it already.
    Inactivity: churned when no day of D+gap+1 .. D+gap+horizon has net activity.
    """
    churn = contract.churn
    dates = list(matured_on.items())
    spark = tiles.known_customers.sparkSession
    cutoffs = F.broadcast(spark.createDataFrame(dates, "business_date DATE, matured_on DATE"))
    first = F.date_add("business_date", churn.gap_days + 1)
    inside = F.col("event_date").between(first, F.date_add("business_date", churn.gap_days + churn.horizon_days))
    days = (
        tiles.daily_activity.join(cutoffs, inside & (F.col("known_date") <= F.col("matured_on")))
        .groupBy(*KEYS, "source", "event_date")
        .agg(F.sum("activity").alias("activity"))
        .filter("activity > 0")
    )
    active = days.select(*KEYS).distinct().withColumn("stayed", F.lit(1))
    people = population_at(tiles, contract, list(matured_on)) if population is None else population
    eligible = people.filter("eligible").select(*KEYS)
    return eligible.join(active, [*KEYS], "left").select(
        *KEYS, (1 - F.coalesce("stayed", F.lit(0))).alias("is_churned")
    )
