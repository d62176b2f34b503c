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
from jobs.text_lines import line_decoder, line_reader, pattern_parser

CORRUPT = "corrupt_record"
# Between the values of a row before hashing, and in place of a null: control characters no honest text field holds.
_UNIT_SEPARATOR = "\x1f"
_ABSENT = "\x00"
# Encodings in which the byte of a line end is never part of another character: Spark may split files of these anywhere.
_SPLIT_BY_BYTES = ("utf-8", "latin-1", "cp1252")
# What Spark's csv reader calls the encodings it reads rightly: it refuses cp1252, and parts UTF-16 inside characters.
_CHARSETS = {"utf-8": "UTF-8", "latin-1": "ISO-8859-1"}
_WITH_OFFSET = "yyyy-MM-dd'T'HH:mm:ss.SSSSSSxxx"


def read_landing(
    spark: SparkSession, contract: Contract, deliveries: Sequence[Delivery], layouts: Mapping[str, Layout]
) -> DataFrame:
    """Rows of deliveries of one source as they came, all text; `layouts` holds each delivery's by its id.

    Columns: those of the table raw_<source>. A line with too few or too many fields, one that does not fit the pattern,
    or one that is no JSON object keeps its text in corrupt_record. Headers and types were judged before.
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
    rows = [
        (_as_spark_spells(spark, contract.folder / one.path), one.delivery_id, one.slot, one.known_date)
        for one in deliveries
    ]
    return spark.createDataFrame(rows, "file STRING, delivery_id STRING, slot DATE, known_date DATE")


def _as_spark_spells(spark: SparkSession, path: Path) -> str:
    """The path as it stands in `file`."""
    spelling = spark.sparkContext._jvm.org.apache.hadoop.fs.Path  # type: ignore[union-attr]  # noqa: SLF001
    spelt: str = spelling(str(path)).toUri().getRawPath()
    return spelt


def _read_csv(spark: SparkSession, source: Source, layout: Layout, paths: Sequence[Path]) -> DataFrame:
    """Fields by their place in the line; their names in a header never reach Spark."""
    places = [f"field_{place}" for place in range(len(layout))]
    schema = ", ".join(f"{name} STRING" for name in (*places, CORRUPT))
    if source.encoding in _CHARSETS:
        reader = spark.read.schema(schema).options(**_csv_options(source))
        reader = reader.options(encoding=_CHARSETS[source.encoding], header=source.header)
        lines = reader.csv(_literal(paths)).withColumn("file", _file())
    else:
        parsed = F.from_csv("value", schema, _csv_options(source))
        lines = (
            _lines(spark, source, paths, int(source.header)).select("file", parsed.alias("row")).select("file", "row.*")
        )
    values = {field.column: F.col(place) for field, place in zip(layout, places, strict=True)}
    absent = F.lit(None).cast("string")
    columns = [values.get(name, absent).alias(landed_column(name)) for name in source.types]
    return lines.select("file", *columns, CORRUPT)


def _csv_options(source: Source) -> dict[str, str]:
    return {
        "sep": source.separator,
        "quote": source.quote,
        "escape": source.quote,
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": CORRUPT,
        "columnPruning": "false",  # a pruned read would not notice a wrong number of fields
    }


def _lines(spark: SparkSession, source: Source, paths: Sequence[Path], above: int) -> DataFrame:
    """Lines as (file, value), without the first `above` ones of each file; blank ones may be among them."""
    told = "file STRING, value STRING"
    if source.encoding not in _SPLIT_BY_BYTES:
        files = spark.createDataFrame(
            [(_as_spark_spells(spark, one), str(one)) for one in paths], "file STRING, path STRING"
        )
        return files.mapInArrow(line_reader(source.encoding, above), told)
    lines = spark.read.text(_literal(paths))
    if source.encoding == "utf-8" and not above:
        return lines.select(_file(), "value")
    is_top = F.col("_metadata.file_block_start") == 0
    pieces = lines.select(_file(), is_top.alias("is_top"), F.col("value").cast("binary"))
    return pieces.mapInArrow(line_decoder(source.encoding, above), told)


def _read_text(spark: SparkSession, source: Source, layout: Layout, paths: Sequence[Path]) -> DataFrame:
    """The groups of the contract's pattern. Matched in Python, as the file was inspected: Java's patterns differ."""
    columns = [landed_column(field.name) for field in layout]
    schema = ", ".join(f"`{name}` STRING" for name in ("file", *columns, CORRUPT))
    lines = _lines(spark, source, paths, source.header_lines)
    return lines.mapInArrow(pattern_parser(source.pattern or "", columns, CORRUPT), schema)


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
    "text": _read_text,
    "json": _read_json,
    "parquet": _read_parquet,
}
