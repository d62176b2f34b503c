"""Places among peers: where a value stands in the customer's group on the same date."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.features import Aggregate, Feature
from jobs.content import KEYS


def peer_column(name: str) -> str:
    """The column that a part of the peer group has beside the features; no feature's name begins so."""
    return f"_peer_{name}"


def with_places(rows: DataFrame, contract: Contract, catalogue: Sequence[Feature]) -> DataFrame:
    """Adds, for each feature that asks for it, the place of another one's value among the peers of its date.

    The place is the share of peers with a lower value plus half the share with the same one: in the open interval
    from 0 to 1, and 0.5 of a group in which all are alike. Who has no value stands at the far end: longer ago than
    everybody of a recency, below everybody of all else. Customers of whom no group is known are one group.
    """
    wanted = [feature for feature in catalogue if feature.aggregate is Aggregate.PLACE]
    if not wanted:
        return rows
    aggregates = {feature.name: feature.aggregate for feature in catalogue}
    values = F.array(*(_or_far_end(F.col(one.operand), aggregates[one.operand]) for one in wanted))
    group = ["business_date", *map(peer_column, contract.features.peer_group)]
    # One row a value, because Spark sorts once for each order it is asked for; the rest rides on the first of them.
    state = F.struct(*(F.col(name) for name in rows.columns if name not in KEYS))
    told = rows.withColumn("_state", state).select(*KEYS, *group[1:], "_state", F.posexplode(values))
    placed = told.withColumn("_place", _place(F.col("col"), [*group, "pos"]))
    gathered = placed.groupBy(*KEYS).agg(
        F.any_value(F.when(F.col("pos") == 0, F.col("_state")), F.lit(True)).alias("_state"),
        F.map_from_entries(F.collect_list(F.struct("pos", "_place"))).alias("_places"),
    )
    places = [F.col("_places")[number].alias(feature.name) for number, feature in enumerate(wanted)]
    return gathered.select(*KEYS, "_state.*", *places)


def _or_far_end(value: Column, aggregate: Aggregate) -> Column:
    end = float("inf") if aggregate is Aggregate.SINCE_LAST else float("-inf")
    return F.coalesce(value.cast("double"), F.lit(end))


def _place(value: Column, group: Sequence[str]) -> Column:
    peers = Window.partitionBy(*group)
    upwards = peers.orderBy(value)
    below = F.rank().over(upwards) - 1
    not_above = F.count(F.lit(1)).over(upwards)
    return (below + not_above) / (2 * F.count(F.lit(1)).over(peers))
