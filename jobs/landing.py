"""Landing: files of every format become rows of text, each with its delivery, its place and a hash of what it holds."""

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, LongType, MapType, StringType, StructField, StructType, TimestampType

from churnlake.contract.schema import Contract
from churnlake.contract.source import Source
from churnlake.contract.values import landed_column
from churnlake.deliveries import Layout
from churnlake.ledger import Delivery
from jobs.json_lines import json_parser

CORRUPT = "corrupt_record"
# Between the values of a row before hashing, and in place of a null: control characters no honest text field holds.
_UNIT_SEPARATOR = "\x1f"
_ABSENT = "\x00"
_WITH_OFFSET = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSxxx"


def read_landing(
    spark: SparkSession, contract: Contract, deliveries: Sequence[Delivery], layouts: Mapping[str, Layout]
) -> DataFrame:
    """Rows of deliveries of one source as they came, all text; `layouts` holds each delivery's by its id.

    Columns: those of the table raw_<source>. A line with too few or too many fields, or one that is no JSON object,
    keeps its text in corrupt_record. Headers and types were judged before.
    """
    source = contract.sources[deliveries[0].source]
    read = _READERS[source.format]
    groups = [read(spark, source, layout, paths) for layout, paths in _alike(contract, source, deliveries, layouts)]
    lines = functools.reduce(DataFrame.unionAll, groups).withColumn("position", F.monotonically_increasing_id())
    keyed = lines.join(F.broadcast(_file_keys(spark, contract, deliveries)), "file")
    names = [landed_column(name) for name in source.types]
    month = F.date_format("known_date", "yyyy-MM").alias("known_month")
    hashed = row_hash([*names, CORRUPT]).alias("row_hash")
    return keyed.select("delivery_id", "slot", *map(quoted, names), CORRUPT, "position", hashed, "known_date", month)


def quoted(*path: str) -> Column:
    """A column, or a field inside one, by its exact name: backticks keep any name a name."""
    return F.col(_spelt(path))


def _spelt(path: Sequence[str]) -> str:
    return ".".join(f"`{part.replace('`', '``')}`" for part in path)


def row_hash(names: Sequence[str]) -> Column:
    """md5 over the columns of a row: the source's in the contract's order, then corrupt_record."""
    return F.md5(F.concat_ws(_UNIT_SEPARATOR, *(F.coalesce(quoted(name), F.lit(_ABSENT)) for name in names)))


def _alike(
    contract: Contract, source: Source, deliveries: Sequence[Delivery], layouts: Mapping[str, Layout]
) -> Iterator[tuple[Layout, list[Path]]]:
    """Files that one read can take: of one layout, and parquet files of one schema too."""
    groups: dict[tuple[Layout, str], list[Path]] = defaultdict(list)
    for one in deliveries:
        path = contract.folder / one.path
        schema = str(pq.read_schema(path).remove_metadata()) if source.format == "parquet" else ""
        groups[layouts[one.delivery_id], schema].append(path)
    return ((layout, paths) for (layout, _), paths in groups.items())


def _literal(paths: Sequence[Path]) -> list[str]:
    """The paths as Spark is given them: brackets, stars and the like in a folder's name are no pattern."""
    return [re.sub(r"([\\*?\[\]{}])", r"\\\1", str(path)) for path in paths]


def _file() -> Column:
    return F.regexp_replace("_metadata.file_path", "^file:/+", "/").alias("file")


def _file_keys(spark: SparkSession, contract: Contract, deliveries: Sequence[Delivery]) -> DataFrame:
    as_spark_spells = spark.sparkContext._jvm.org.apache.hadoop.fs.Path  # type: ignore[union-attr]  # noqa: SLF001
    rows = [
        (
            as_spark_spells(str(contract.folder / one.path)).toUri().getRawPath(),
            one.delivery_id,
            one.slot,
            one.known_date,
        )
        for one in deliveries
    ]
    return spark.createDataFrame(rows, "file STRING, delivery_id STRING, slot DATE, known_date DATE")


def _read_csv(spark: SparkSession, source: Source, layout: Layout, paths: Sequence[Path]) -> DataFrame:
    """Fields by their place in the header; their names there never reach Spark."""
    places = [f"field_{place}" for place in range(len(layout))]
    lines = (
        spark.read.schema(", ".join(f"{name} STRING" for name in (*places, CORRUPT)))
        .option("header", True)
        .option("sep", source.separator)
        .option("escape", '"')
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
        .option("columnPruning", False)  # a pruned read would not notice a wrong number of fields
        .csv(_literal(paths))
    )
    values = {field.column: F.col(place) for field, place in zip(layout, places, strict=True)}
    absent = F.lit(None).cast("string")
    columns = [values.get(name, absent).alias(landed_column(name)) for name in source.types]
    return lines.select(_file(), *columns, CORRUPT)


def _read_json(spark: SparkSession, source: Source, layout: Layout, paths: Sequence[Path]) -> DataFrame:
    """One object a line, parsed in Python: Spark's reader rewrites numbers and lets misshapen lines pass."""
    lines = spark.read.option("lineSep", "\n").text(_literal(paths)).select(_file(), "value")
    places = {landed_column(name): [one.name for one in layout if one.column == name] for name in source.types}
    schema = StructType([StructField(name, StringType()) for name in ("file", *places, CORRUPT)])
    return lines.mapInArrow(json_parser(places, CORRUPT), schema)


def _read_parquet(spark: SparkSession, source: Source, layout: Layout, paths: Sequence[Path]) -> DataFrame:
    """Fields by path, as text: a file's own types are judged like any other text."""
    frame = spark.read.parquet(*_literal(paths))
    arrow = pq.read_schema(paths[0])
    columns = []
    for name in source.types:
        found = [_as_text(frame, arrow, one.name) for one in layout if one.column == name]
        columns.append(F.coalesce(*found, F.lit(None).cast("string")).alias(landed_column(name)))
    return frame.select(_file(), *columns, F.lit(None).cast("string").alias(CORRUPT))


def _as_text(frame: DataFrame, arrow: pa.Schema, name: str) -> Column:
    path = name.split(".")
    value, written = quoted(*path), _arrow_type(arrow, path)
    read = frame.select(value).schema[0].dataType
    if pa.types.is_timestamp(written) and isinstance(read, LongType):  # of nanoseconds, which Spark reads as a number
        value = F.timestamp_micros(F.expr(f"{_spelt(path)} DIV 1000"))
        return F.date_format(value, _WITH_OFFSET) if written.tz else value.cast("timestamp_ntz").cast("string")
    if isinstance(read, TimestampType):
        return F.date_format(value, _WITH_OFFSET)
    if isinstance(read, StructType | ArrayType | MapType):
        return F.to_json(value)
    return value.cast("string")


def _arrow_type(arrow: pa.Schema, path: Sequence[str]) -> pa.DataType:
    found = arrow.field(path[0]).type
    for name in path[1:]:
        found = found.field(name).type
    return found


_READERS: dict[str, Callable[[SparkSession, Source, Layout, Sequence[Path]], DataFrame]] = {
    "csv": _read_csv,
    "json": _read_json,
    "parquet": _read_parquet,
}
