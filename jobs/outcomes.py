"""Outcomes that a data set brings along, as the classic one-table sets do."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.contract.schema import Contract
from jobs.content import KEYS, net_facts


def outcomes_at(told: DataFrame, contract: Contract, cutoffs: Sequence[date]) -> DataFrame:
    """Who has an outcome at each cutoff: business_date, customer_id, is_churned (boolean).

    A dated outcome belongs to its own date alone, an undated one to every cutoff. An outcome is told after the cutoff
    it is about, so all that is in the lake count. Where a customer has several, any that says churned decides.
    """
    everything = dict.fromkeys(cutoffs, date.max)
    net = net_facts(told, everything, ("is_churned", "as_of"))
    here = net if contract.has_undated_outcomes else net.filter(F.col("as_of") == F.col("business_date"))
    return here.groupBy(*KEYS).agg(F.max("is_churned").alias("is_churned"))
