"""What was paid for at cutoffs: transactions move the day until which a customer has paid, as known by a date."""

from collections.abc import Mapping
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from jobs.content import KEYS, net_facts
from jobs.lives import life_at

_CONTENT = ("source", "event_date", "event_ts", "paid_until", "cancels", "auto_renew", "plan", "price")
_STATE = ("plan", "price", "auto_renew", "cancels", "transaction_on")
# The newest transaction is the last one. At one instant a cancelling one is newer than others, and a later end than an
# earlier one; what is left only makes the order certain.
_ORDER = ("event_date", "event_ts", "cancels", "paid_until", "price", "plan", "auto_renew", "source")


def transactions_at(renewals: DataFrame, known_on: Mapping[date, date]) -> DataFrame:
    """Every transaction known at each cutoff, whenever it happened: business_date, customer_id and what it says.

    `known_on` gives for each cutoff the date by which a fact must have been known.
    """
    return net_facts(renewals, known_on, _CONTENT)


def counts() -> Column:
    """True for a transaction that moves the end: one that cancels, or that pays for some day."""
    return F.col("cancels") | F.coalesce(F.col("paid_until") > F.col("event_date"), F.lit(False))


def paid_lives_at(renewals: DataFrame, contract: Contract, known_on: Mapping[date, date]) -> DataFrame:
    """The life that counts at each cutoff: one row per customer with a transaction by then, as `lives.lives_at` has it.

    Columns: business_date, customer_id, life_started_on, life_ended_on (the first day not paid for; null for never),
    plan, price (integer of two decimals), auto_renew, cancels, transaction_on (date), earlier_lives. Where nothing was
    ever paid for, all but the keys are null, and `oddity` says why: missing_end or never_started.

    Reads only transactions of the cutoff's day and before. The newest one moves the end to its paid_until, back too.
    One that cancels ends nothing before its own day, and without a paid_until leaves the end where it is. A transaction
    that pays for no day and does not cancel is passed over. Paid spells no more than the grace apart are one life. Plan
    and price are those of the newest transaction that pays and tells of them.
    """
    told = transactions_at(renewals, known_on).filter(F.col("event_date") <= F.col("business_date"))
    has_end = told.groupBy(*KEYS).agg(F.max(F.col("paid_until").isNotNull()).alias("has_end"))
    lives = life_at(_paid_spells(told.filter(counts())), contract.churn.grace_days, _STATE)
    is_odd = F.col("life_started_on").isNull()
    oddity = F.when(~F.col("has_end"), F.lit("missing_end")).when(is_odd, F.lit("never_started"))
    return has_end.join(lives, [*KEYS], "left").withColumn("oddity", oddity).drop("has_end")


def renewed_at(renewals: DataFrame, contract: Contract, known_on: Mapping[date, date]) -> DataFrame:
    """Whose paid time ends in the label window of each cutoff, and when they renewed, as known by a date of its own.

    Columns: business_date, customer_id, life_ended_on, renewed_on (date of the first renewing transaction, null where
    there is none). It happens after the cutoff and no later than the grace after the end, and pays beyond that end.
    """
    churn = contract.churn
    left = F.datediff("life_ended_on", "business_date")
    is_due = left.between(churn.gap_days + 1, churn.gap_days + churn.horizon_days)
    due = paid_lives_at(renewals, contract, known_on).filter(is_due).select(*KEYS, "life_ended_on")
    paying = transactions_at(renewals, known_on).filter(counts() & ~F.col("cancels"))
    is_after = F.col("event_date") > F.col("business_date")
    in_time = F.col("event_date") <= F.date_add("life_ended_on", churn.grace_days)
    beyond = F.col("paid_until") > F.col("life_ended_on")
    renewing = paying.select(*KEYS, "event_date", "paid_until").join(due, [*KEYS]).filter(is_after & in_time & beyond)
    first = renewing.groupBy(*KEYS).agg(F.min("event_date").alias("renewed_on"))
    return due.join(first, [*KEYS], "left")


def _paid_spells(transactions: DataFrame) -> DataFrame:
    """The days that each transaction speaks for: from its own to the end it tells, or to the next transaction."""
    in_order = Window.partitionBy(*KEYS).orderBy(*_ORDER)
    so_far = in_order.rowsBetween(Window.unboundedPreceding, Window.currentRow)

    def newest(value: Column) -> Column:
        return F.last(value, ignorenulls=True).over(so_far)

    # A cancellation of nothing that is known ends nothing, and begins nothing.
    end = F.coalesce(newest(F.col("paid_until")), F.col("event_date"))
    pays = ~F.col("cancels")
    return transactions.select(
        *KEYS,
        F.col("event_date").alias("started_on"),
        F.least(end, F.lead("event_date").over(in_order)).alias("ended_on"),
        newest(F.when(pays, F.col("plan"))).alias("plan"),
        newest(F.when(pays, F.col("price"))).alias("price"),
        F.when(pays, F.col("auto_renew")).otherwise(F.lit(False)).alias("auto_renew"),
        "cancels",
        F.col("event_date").alias("transaction_on"),
    )
