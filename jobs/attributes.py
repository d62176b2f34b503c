"""Attributes at cutoffs: what was known of each customer by a date, never what is known of them today."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from jobs.content import KEYS, net_facts, newest_first


def attributes_at(attributes: DataFrame, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """The newest state of each customer at each cutoff: business_date, customer_id, one column per attribute.

    Of each source the row of its newest slot counts; it replaces the one before it whole. Whoever is not in the newest
    snapshot has no row of it. An attribute that several sources tell is that of the first source in the contract that
    has a value.
    """
    names = list(contract.attributes)
    net = net_facts(attributes, {cutoff: cutoff for cutoff in cutoffs}, ("source", *names))
    newest = Window.partitionBy(*KEYS, "source").orderBy(*newest_first(contract), *names)
    states = net.withColumn("place", F.row_number().over(newest)).filter("place = 1")
    sources = [name for name, source in contract.sources.items() if source.role == "customers"]
    order = F.array_position(F.array(*map(F.lit, sources)), F.col("source"))
    return states.groupBy(*KEYS).agg(
        *(F.min_by(name, F.when(F.col(name).isNotNull(), order)).alias(name) for name in names)
    )
