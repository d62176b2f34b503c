"""The population of cutoffs: every known customer, eligible or excluded with a reason."""

from collections.abc import Iterable, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.calendar import Seen
from churnlake.contract.schema import Contract
from jobs.activity import with_active_days
from jobs.content import KEYS, Tiles, cutoff_frame, required
from jobs.lives import lives_at
from jobs.outcomes import outcomes_at
from jobs.renewals import paid_lives_at


def population_at(tiles: Tiles, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """Every customer known at each cutoff: business_date, customer_id, eligible, reason (null when eligible)."""
    known = tiles.known_customers.groupBy("customer_id").agg(F.min("first_known_date").alias("first_known_date"))
    dates = cutoff_frame(tiles.known_customers.sparkSession, cutoffs)
    at = known.crossJoin(F.broadcast(dates)).filter(F.col("first_known_date") <= F.col("business_date"))
    people = at.select(*KEYS)
    match contract.churn.definition:
        case "inactivity":
            found, reason = with_recent_activity(people, tiles, contract, cutoffs), _why_inactive(contract)
        case "cancellation":
            lives = lives_at(required(tiles.subscriptions), contract, {cutoff: cutoff for cutoff in cutoffs})
            found, reason = people.join(lives, [*KEYS], "left"), _why_unsubscribed(contract)
        case "expiry":
            lives = paid_lives_at(required(tiles.renewals), contract, {cutoff: cutoff for cutoff in cutoffs})
            found, reason = people.join(lives, [*KEYS], "left"), _why_not_expiring(contract)
        case "label":
            told = outcomes_at(required(tiles.outcomes_told), contract, cutoffs)
            found = people.join(told, [*KEYS], "left")
            reason = F.lit(None).cast("string") if contract.has_undated_outcomes else _why_unlabelled()
    return found.select(*KEYS, reason.isNull().alias("eligible"), reason.alias("reason"))


def with_recent_activity(rows: DataFrame, tiles: Tiles, contract: Contract, cutoffs: Iterable[date]) -> DataFrame:
    """`rows` of business_date and customer_id with the first and the last active day of the span that ends there."""
    span = contract.features.span_days
    return with_active_days(
        rows, tiles, contract, {day: Seen(calendar.observation_window(day, span), day) for day in cutoffs}
    )


def _why_inactive(contract: Contract) -> Column:
    churn = contract.churn
    silent = F.coalesce(F.datediff("business_date", "last") >= churn.lookback_days, F.lit(True))
    new = F.datediff("business_date", "first") < churn.min_tenure_days
    return F.when(silent, F.lit("inactive")).when(new, F.lit("too_new"))


def _why_unsubscribed(contract: Contract) -> Column:
    """Scored is who is subscribed at the end of the date, and of whom no end is known yet."""
    day = F.col("business_date")
    new = F.datediff("business_date", "life_started_on") < contract.churn.min_tenure_days
    return (
        F.when(F.col("oddity").isNotNull(), F.col("oddity"))
        .when(F.col("life_started_on").isNull(), F.lit("no_subscription"))
        .when(F.col("life_started_on") > day, F.lit("not_started"))
        .when(F.col("life_ended_on") <= day, F.lit("ended"))
        .when(F.col("completes_on") <= day, F.lit("completed"))
        .when(F.col("life_ended_on").isNotNull(), F.lit("already_leaving"))
        .when(new, F.lit("too_new"))
    )


def _why_not_expiring(contract: Contract) -> Column:
    """Scored is whose paid time ends in the label window, as far as known; who has cancelled may still come back."""
    churn, day = contract.churn, F.col("business_date")
    left = F.datediff("life_ended_on", day)
    new = F.datediff(day, "life_started_on") < churn.min_tenure_days
    return (
        F.when(F.col("oddity").isNotNull(), F.col("oddity"))
        .when(F.col("life_started_on").isNull(), F.lit("no_subscription"))
        .when(left <= 0, F.lit("ended"))
        .when(left <= churn.gap_days, F.lit("expires_in_gap"))
        .when(left.isNull() | (left > churn.gap_days + churn.horizon_days), F.lit("not_expiring"))
        .when(new, F.lit("too_new"))
    )


def _why_unlabelled() -> Column:
    """Dated outcomes say who is to be scored on which date; without dates that is everybody."""
    return F.when(F.col("is_churned").isNull(), F.lit("no_label"))
