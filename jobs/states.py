"""Features of what holds of a customer at cutoffs, beside its events: subscription, paid time and attributes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.roles import ROLES_WITH_PLANS
from churnlake.contract.schema import Contract
from churnlake.features import Aggregate, Feature
from jobs.attributes import attributes_at
from jobs.content import KEYS, Tiles, required
from jobs.lives import lives_at
from jobs.peers import peer_column
from jobs.renewals import counts, paid_lives_at, transactions_at


def states_at(
    tiles: Tiles, contract: Contract, catalogue: Sequence[Feature], cutoffs: Sequence[date]
) -> Iterator[DataFrame]:
    """Frames of features by business_date and customer_id, one row each; who is not in one has nothing to tell.

    A column of the peer group comes along even where it is no feature.
    """
    known_on = {cutoff: cutoff for cutoff in cutoffs}
    subscribed, paying = _of_role("subscriptions", contract, catalogue), _of_role("renewals", contract, catalogue)
    if subscribed:
        lives = lives_at(required(tiles.subscriptions), contract, known_on)
        over = F.least("life_ended_on", "completes_on")
        yield _of_lives(lives.withColumn("over_on", over), subscribed, _plans("subscriptions", contract))
    if paying:
        lives = paid_lives_at(required(tiles.renewals), contract, known_on)
        over = F.col("life_ended_on")
        yield _of_lives(lives.withColumn("over_on", over), paying, _plans("renewals", contract))
        transactions = transactions_at(required(tiles.renewals), known_on).filter(counts())
        yield _of_transactions(transactions, paying, contract)
    told = [feature for feature in catalogue if feature.aggregate is Aggregate.ATTRIBUTE]
    peers = [name for name in contract.features.peer_group if name in contract.attributes]
    if told or peers:
        yield attributes_at(required(tiles.attributes), contract, cutoffs).select(
            *KEYS,
            *(F.col(feature.operand).alias(feature.name) for feature in told),
            *(F.col(name).alias(peer_column(name)) for name in peers),
        )


def _of_role(role: str, contract: Contract, catalogue: Sequence[Feature]) -> list[Feature]:
    return [feature for feature in catalogue if contract.sources[feature.source].role == role]


def _plans(role: str, contract: Contract) -> list[str]:
    """The parts of the peer group that are no attributes, where this role is the one to tell them."""
    groups = [name for name in contract.features.peer_group if name not in contract.attributes]
    telling = {source.role for source in contract.sources.values() if "plan" in source.columns}
    first = next((one for one in ROLES_WITH_PLANS if one in telling), None)
    return groups if role == first else []


def _of_lives(lives: DataFrame, features: Sequence[Feature], plans: Sequence[str]) -> DataFrame:
    """Features of a life, where it has begun; `over_on` is the day it is over."""
    has_begun = F.col("life_started_on") <= F.col("business_date")
    begun = lives.withColumn("is_over", F.coalesce(F.col("over_on") <= F.col("business_date"), F.lit(False)))
    of_life = [feature for feature in features if feature.aggregate in _OF_LIFE]
    return begun.select(
        *KEYS,
        *(F.when(has_begun, _OF_LIFE[one.aggregate](F.col(one.operand))).alias(one.name) for one in of_life),
        *(F.when(has_begun, F.col(name)).alias(peer_column(name)) for name in plans),
    )


def _in_it(value: Column) -> Column:
    return F.when(~F.col("is_over"), value)


_OF_LIFE: Mapping[Aggregate, Callable[[Column], Column]] = {
    Aggregate.LIFE_STATE: lambda operand: operand,
    Aggregate.LIFE_NOW: _in_it,
    Aggregate.LIFE_AGE: lambda operand: _in_it(F.datediff("business_date", operand)),
    Aggregate.LIFE_LEFT: lambda operand: _in_it(F.datediff(operand, "business_date")),
    Aggregate.LIFE_SINCE_END: lambda _: F.when(F.col("is_over"), F.datediff("business_date", "over_on")),
}


def _of_transactions(transactions: DataFrame, features: Sequence[Feature], contract: Contract) -> DataFrame:
    """How many transactions of a kind lie in each window; null where it is longer than the history held."""
    counted = [
        (one.name, _IS_KIND[one.operand], one.window_days)
        for one in features
        if one.aggregate is Aggregate.TRANSACTIONS and one.window_days is not None
    ]
    age = F.datediff("business_date", "event_date")
    history = F.datediff("business_date", F.lit(contract.calendar.starts_on)) + 1
    sums = [F.sum((F.expr(kind) & (age < days)).cast("int")).alias(name) for name, kind, days in counted]
    by_then = transactions.filter(age >= 0).groupBy(*KEYS).agg(*sums)
    return by_then.select(*KEYS, *(F.when(history >= days, F.col(name)).alias(name) for name, _, days in counted))


_IS_KIND = {"renews": "NOT cancels", "cancels": "cancels"}
