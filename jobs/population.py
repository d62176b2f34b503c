"""The population of cutoffs: every known customer, eligible or excluded with a reason."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from jobs.content import KEYS, Tiles, cutoff_frame, net_days


def population_at(tiles: Tiles, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """Every customer known at each cutoff: business_date, customer_id, eligible, reason (null when eligible)."""
    known = tiles.known_customers.groupBy("customer_id").agg(F.min("first_known_date").alias("first_known_date"))
    at = known.crossJoin(F.broadcast(cutoff_frame(tiles.known_customers.sparkSession, cutoffs))).filter(
        F.col("first_known_date") <= F.col("business_date")
    )
    days = net_days(tiles.daily_activity, contract, cutoffs).filter(F.col("activity") > 0)
    lives = days.groupBy(*KEYS).agg(F.max("event_date").alias("last"), F.min("event_date").alias("first"))
    return at.select(*KEYS).join(lives, [*KEYS], "left").select(*KEYS, *_eligibility(contract))


def _eligibility(contract: Contract) -> tuple[Column, Column]:
    churn = contract.churn
    silent = F.coalesce(F.datediff("business_date", "last") >= churn.active_within_days, F.lit(True))
    new = F.datediff("business_date", "first") < churn.min_tenure_days
    reason = F.when(silent, F.lit("inactive")).when(new, F.lit("too_new"))
    return reason.isNull().alias("eligible"), reason.alias("reason")
