"""Every lake and warehouse table once: columns, keys, partition, owner, retention, description."""

from churnlake.tables.lake import LAKE
from churnlake.tables.table import Column, Table, data_dictionary
from churnlake.tables.warehouse import WAREHOUSE

__all__ = ["LAKE", "WAREHOUSE", "Column", "Table", "data_dictionary"]
