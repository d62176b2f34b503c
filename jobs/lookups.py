"""Lookups: tables of a contract that are joined to a source's rows before its columns are mapped."""

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from churnlake.contract.roles import brought_column
from churnlake.contract.schema import Contract
from churnlake.contract.values import landed_column, typed_column
from churnlake.errors import DataRefusedError
from jobs.lake import Lake
from jobs.landing import quoted
from jobs.notation import with_plain_values
from jobs.rows import Lookup, typed_value


def read_lookups(lake: Lake, contract: Contract, source: str) -> tuple[Lookup, ...]:
    """The lookups of a source as they lie in the lake.

    Raises:
        DataRefusedError: A lookup is not in the lake, or two of its rows have one key.
    """
    versions = {name: lake.version(f"raw_{name}") for name in contract.sources[source].lookups}
    landed = {name: lake.read(f"raw_{name}", version) for name, version in versions.items() if version is not None}
    return typed_lookups(landed, contract, source)


def typed_lookups(landed: Mapping[str, DataFrame], contract: Contract, source: str) -> tuple[Lookup, ...]:
    """The lookups of a source, typed from how each landed; a value that does not fit its type is null.

    Raises:
        DataRefusedError: A lookup did not come, or two of its rows have one key.
    """
    return tuple(
        Lookup(tuple(map(typed_column, columns)), _typed(landed.get(name), contract, name), _key(contract, name))
        for name, columns in contract.sources[source].lookups.items()
    )


def _key(contract: Contract, name: str) -> tuple[str, ...]:
    return tuple(brought_column(name, column) for column in contract.sources[name].key)


def _typed(landed: DataFrame | None, contract: Contract, name: str) -> DataFrame:
    source = contract.sources[name]
    if landed is None:
        raise DataRefusedError(f"the lookup {name} was never delivered", next_step=f"deliver {source.path}")
    rows = with_plain_values(landed, source).select(
        *(
            F.expr(typed_value(landed_column(column), kind, contract.timezone)).alias(brought_column(name, column))
            for column, kind in source.types.items()
        )
    )
    key = _key(contract, name)
    repeated = rows.groupBy(*map(quoted, key)).count().filter("count > 1").limit(1).collect()
    if repeated:
        told = ", ".join(f"{column} = {value}" for column, value in zip(source.key, repeated[0], strict=False))
        raise DataRefusedError(
            f"the lookup {name} has {repeated[0]['count']} rows with {told}; one is allowed",
            next_step=f"deliver one row for each {', '.join(source.key)}, or name further columns in its key",
        )
    return rows
