"""Lives of subscriptions at cutoffs: the spells in which a customer was subscribed, from what was known by a date."""

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from jobs.content import KEYS, net_facts, newest_first

# Stands for an end that nobody knows, so that ends can be compared; no contract reaches it.
_NEVER = date(9999, 1, 1)
_STATE = ("completes_on", "renews_on", "plan", "price")


def lives_at(subscriptions: DataFrame, contract: Contract, known_on: Mapping[date, date]) -> DataFrame:
    """The life that counts at each cutoff: one row per customer with a subscription, as known on a date of its own.

    Columns: business_date, customer_id, life_started_on, life_ended_on (null while nobody knows of an end),
    completes_on, renews_on, plan, price (integer of two decimals), earlier_lives. Where no spell can be told, all but
    the keys are null, and `oddity` says why: missing_start or never_started.

    Args:
        subscriptions: Signed states, as the lake's table holds them.
        contract: Its `grace_days` join a spell to the one before it.
        known_on: For each cutoff the date by which facts must have been known: the cutoff itself for features, the
            date a label matured for labels.

    A spell is [started_on, ended_on). The newest state known of a start replaces those before it. Spells that overlap,
    of one source or of several, are one life, and so are spells no more than the grace apart: a life ends when the
    last of them does. A spell that ends on or before its start never began. The life a cutoff lies in counts; else the
    newest one before it; else the first one after it.
    """
    states = _newest_states(subscriptions, contract, known_on)
    return _told(states).join(life_at(states, contract.churn.grace_days, _STATE), [*KEYS], "left")


def life_at(spells: DataFrame, grace_days: int, state: Sequence[str]) -> DataFrame:
    """The life that counts at each cutoff, of the customers who have one: see `lives_at`.

    Columns: business_date, customer_id, life_started_on, life_ended_on, the columns of `state` as the spell of the life
    that started last has them, earlier_lives.

    Args:
        spells: business_date, customer_id, started_on, ended_on (null: open) and the columns of `state`. Those that end
            on or before their start, or have none, are passed over.
        grace_days: Spells no more than so many days apart are one life.
        state: Further columns to carry along.
    """
    lives = (
        _numbered(spells, grace_days)
        .groupBy(*KEYS, "life")
        .agg(
            F.min("started_on").alias("life_started_on"),
            F.max("until").alias("until"),
            *(F.max_by(name, "started_on").alias(name) for name in state),
        )
    )
    return _counting(lives, state)


def _newest_states(subscriptions: DataFrame, contract: Contract, known_on: Mapping[date, date]) -> DataFrame:
    content = ("source", "started_on", "ended_on", *_STATE)
    net = net_facts(subscriptions, known_on, content)
    newest = Window.partitionBy(*KEYS, "source", "started_on").orderBy(
        *newest_first(contract), F.desc_nulls_first("ended_on"), *_STATE
    )
    # Starts that are missing cannot be told apart: each is a state of its own.
    place = F.when(F.col("started_on").isNull(), 1).otherwise(F.row_number().over(newest))
    return net.withColumn("place", place).filter("place = 1").drop("place")


def _numbered(spells: DataFrame, grace_days: int) -> DataFrame:
    """The spells that began, each with the number of its life."""
    until = F.coalesce("ended_on", F.lit(_NEVER))
    begun = spells.withColumn("until", until).filter(F.col("started_on") < F.col("until"))
    in_order = Window.partitionBy(*KEYS).orderBy("started_on", "until")
    before = in_order.rowsBetween(Window.unboundedPreceding, -1)
    bridged = F.date_add(F.max("until").over(before), grace_days)
    is_new = F.coalesce(F.col("started_on") > bridged, F.lit(True))
    return begun.withColumn("is_new", is_new.cast("int")).withColumn("life", F.sum("is_new").over(in_order))


def _counting(lives: DataFrame, state: Sequence[str]) -> DataFrame:
    """The one life of each customer that counts at the cutoff."""
    has_begun = F.col("life_started_on") <= F.col("business_date")
    order = Window.partitionBy(*KEYS).orderBy(
        F.desc(has_begun), F.when(has_begun, -F.col("life")).otherwise(F.col("life"))
    )
    return (
        lives.withColumn("place", F.row_number().over(order))
        .filter("place = 1")
        .select(
            *KEYS,
            "life_started_on",
            F.when(F.col("until") < F.lit(_NEVER), F.col("until")).alias("life_ended_on"),
            *state,
            (F.col("life") - 1).cast("int").alias("earlier_lives"),
        )
    )


def _told(states: DataFrame) -> DataFrame:
    """Customers with any state, and why no spell may be told of one."""
    return states.groupBy(*KEYS).agg(_oddity().alias("oddity"))


def _oddity() -> Column:
    has_start = F.max(F.col("started_on").isNotNull())
    has_spell = F.max(
        F.col("started_on").isNotNull() & (F.col("ended_on").isNull() | (F.col("started_on") < F.col("ended_on")))
    )
    return F.when(~has_start, F.lit("missing_start")).when(~has_spell, F.lit("never_started"))
