"""The day of a churn: when a customer who left did so, as far as the definition can tell."""

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
from jobs.renewals import paid_lives_at


def endings_at(tiles: Tiles, contract: Contract, known_on: Mapping[date, date], churned: DataFrame) -> DataFrame:
    """business_date, customer_id, churned_on: the first day without, of those churned of whom a day can be told.

    `known_on` gives for each cutoff the date on which its labels became known; `churned` holds business_date and
    customer_id of who left.

    - inactivity: the day after the last one with net activity, which may lie before the cutoff; silence has no other.
    - cancellation: the first day no longer subscribed.
    - expiry: the first day not paid for any more.
    - otherwise the data say who left, not when: no rows.
    """
    match contract.churn.definition:
        case "inactivity":
            return _after_last_activity(churned, tiles, contract, known_on)
        case "cancellation":
            lives = lives_at(required(tiles.subscriptions), contract, known_on).join(churned, [*KEYS], "left_semi")
            return lives.select(*KEYS, F.col("life_ended_on").alias("churned_on"))
        case "expiry":
            paid = paid_lives_at(required(tiles.renewals), contract, known_on).join(churned, [*KEYS], "left_semi")
            return paid.select(*KEYS, F.col("life_ended_on").alias("churned_on"))
        case _:
            return churned.select(*KEYS, F.lit(None).cast("date").alias("churned_on")).limit(0)


def _after_last_activity(
    churned: DataFrame, tiles: Tiles, contract: Contract, known_on: Mapping[date, date]
) -> DataFrame:
    """Who was scored had been active within the look-back, so that no older day need be read."""
    churn = contract.churn
    seen = {
        day: Seen(calendar.window_before_label(day, churn.lookback_days, churn.gap_days), known)
        for day, known in known_on.items()
    }
    active = with_active_days(churned.select(*KEYS), tiles, contract, seen)
    return active.filter("last IS NOT NULL").select(*KEYS, F.date_add("last", 1).alias("churned_on"))
