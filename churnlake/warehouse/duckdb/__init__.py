"""The embedded warehouse: DuckDB views over immutable parquet files."""

from churnlake.warehouse.duckdb.generations import LINK, materialise
from churnlake.warehouse.duckdb.loads import LoadRequest, build_load
from churnlake.warehouse.duckdb.questions import Answer, query
from churnlake.warehouse.duckdb.retention import Swept, sweep

__all__ = ["LINK", "Answer", "LoadRequest", "Swept", "build_load", "materialise", "query", "sweep"]
