"""Places among peers: where a value stands in the customer's group on the same date."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from churnlake.features import Aggregate, Feature


def peer_column(name: str) -> str:
    """The column that a part of the peer group has beside the features; no feature's name begins so."""
    return f"_peer_{name}"


def with_places(rows: DataFrame, contract: Contract, catalogue: Sequence[Feature]) -> DataFrame:
    """Adds, for each feature that asks for it, the place of another one's value among the peers of its date.

    The place is the share of peers with a lower value plus half the share with the same one: in the open interval
    from 0 to 1, and 0.5 of a group in which all are alike. Peers without the value do not count, and have no place.
    Customers of whom no group is known are one group.
    """
    group = ["business_date", *map(peer_column, contract.features.peer_group)]
    wanted = [feature for feature in catalogue if feature.aggregate is Aggregate.PLACE]
    return rows.withColumns({feature.name: _place(F.col(feature.operand), group) for feature in wanted})


def _place(value: Column, group: Sequence[str]) -> Column:
    peers = Window.partitionBy(*group)
    upwards = peers.orderBy(value.asc_nulls_last())
    below = F.rank().over(upwards) - 1
    not_above = F.count(value).over(upwards)
    return F.when(value.isNotNull(), (below + not_above) / (2 * F.count(value).over(peers)))
