"""Rows: delivered text becomes typed, signed facts; every raw row ends in exactly one bucket."""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from churnlake.contract.reading import expression_sql
from churnlake.contract.schema import Contract, Source, landed_column
from churnlake.ledger import Delivery
from churnlake.suites import RowRule, Severity

CORRUPT = "corrupt_record"
CANONICAL_SUITE = "events"
# Between the values of a row before hashing, and in place of a null: control characters no honest text field holds.
_UNIT_SEPARATOR = "\x1f"
_ABSENT = "\x00"
_SPARK_TYPES = {"text": "string"}
# After the first colon of a time stand digits, colons and a point; anything else is a zone.
_CARRIES_ZONE = ":[0-9:.]*[^0-9:.]"


class Bucket(StrEnum):
    """Where a raw row goes: the first that fits, in this order. Malformed rows are quarantined too."""

    MALFORMED = "malformed"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    ACCEPTED = "accepted"


def read_landing(spark: SparkSession, contract: Contract, deliveries: Sequence[Delivery]) -> DataFrame:
    """Rows of deliveries of one source as they came, all text.

    Columns: delivery_id, <columns>, corrupt_record, row_hash, known_date, known_month. A line with too few or too many
    fields keeps its text in corrupt_record. Headers were judged before; here they are skipped.
    """
    source = contract.sources[deliveries[0].source]
    schema = ", ".join(f"`{name}` STRING" for name in source.types) + f", {CORRUPT} STRING"
    lines = (
        spark.read.schema(schema)
        .option("header", True)
        .option("sep", source.separator)
        .option("escape", '"')
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
        .option("columnPruning", False)  # a pruned read would not notice a wrong number of fields
        .csv([_literal_path(contract.folder / delivery.path) for delivery in deliveries])
        .withColumn("file", F.regexp_replace("_metadata.file_path", "^file:/+", "/"))
    )
    columns = [F.col(f"`{name}`").alias(landed_column(name)) for name in source.types]
    month = F.date_format("known_date", "yyyy-MM").alias("known_month")
    keyed = lines.join(F.broadcast(_file_keys(spark, contract, deliveries)), "file")
    return keyed.select(
        "delivery_id", *columns, CORRUPT, _row_hash([*columns, F.col(CORRUPT)]).alias("row_hash"), "known_date", month
    )


def _literal_path(path: Path) -> str:
    """The path as Spark is given it: brackets, stars and the like in a folder's name are no pattern."""
    return re.sub(r"([\\*?\[\]{}])", r"\\\1", str(path))


def _file_keys(spark: SparkSession, contract: Contract, deliveries: Sequence[Delivery]) -> DataFrame:
    as_spark_spells = spark.sparkContext._jvm.org.apache.hadoop.fs.Path  # type: ignore[union-attr]  # noqa: SLF001
    rows = [
        (as_spark_spells(str(contract.folder / one.path)).toUri().getRawPath(), one.delivery_id, one.known_date)
        for one in deliveries
    ]
    return spark.createDataFrame(rows, "file STRING, delivery_id STRING, known_date DATE")


def _row_hash(columns: Sequence[Column]) -> Column:
    return F.md5(F.concat_ws(_UNIT_SEPARATOR, *(F.coalesce(column, F.lit(_ABSENT)) for column in columns)))


def classify(
    landed: DataFrame,
    contract: Contract,
    name: str,
    source_rules: Sequence[RowRule],
    canonical_rules: Sequence[RowRule],
) -> DataFrame:
    """Every landed row with its bucket and reasons; nothing is dropped: rows are flagged, then split.

    Columns: delivery_id, row_hash, known_date, raw_row, typed (a struct of the file's columns), canonical (one of the
    contract's), bucket, reasons.
    """
    source = contract.sources[name]
    typed = _with_types(landed, source, contract.timezone)
    flagged = typed.withColumn("source_reasons", _reasons(source_rules)).withColumn("ignored", _ignored_reason(source))
    mapped = _with_canonical(flagged, source)
    judged = mapped.withColumn("broken", F.concat("source_reasons", _reasons(canonical_rules), _too_early(source)))
    return _with_bucket(judged, source).select(
        "delivery_id",
        "row_hash",
        "known_date",
        "raw_row",
        "typed",
        _packed(source.columns, "canonical"),
        "bucket",
        "reasons",
    )


def _with_types(landed: DataFrame, source: Source, timezone: str) -> DataFrame:
    """try_cast never fails a job: a value that does not fit is null here and named in bad_types."""
    raw = F.struct(*(F.col(landed_column(name)).alias(landed_column(name)) for name in source.types), CORRUPT).alias(
        "raw_row"
    )
    columns = {name: F.expr(_typed(landed_column(name), kind, timezone)) for name, kind in source.types.items()}
    bad = [
        F.when(F.col(landed_column(name)).isNotNull() & columns[name].isNull(), F.lit(f"bad_type.{name}"))
        for name in source.types
    ]
    return landed.select(
        "delivery_id", "row_hash", "known_date", raw, F.array_compact(F.array(*bad)).alias("bad_types"),
        *(column.alias(name) for name, column in columns.items()),
    )  # fmt: skip


def _typed(column: str, kind: str, timezone: str) -> str:
    """SQL of the typed value. A timestamp is local time; one that carries its zone is moved there first."""
    if kind != "timestamp":
        return f"try_cast(`{column}` AS {_SPARK_TYPES.get(kind, kind)})"
    local = f"CAST(from_utc_timestamp(try_cast(`{column}` AS TIMESTAMP), '{timezone}') AS TIMESTAMP_NTZ)"
    plain = f"try_cast(`{column}` AS TIMESTAMP_NTZ)"
    return f"CASE WHEN trim(`{column}`) RLIKE '{_CARRIES_ZONE}' THEN {local} ELSE {plain} END"


def _reasons(rules: Sequence[RowRule]) -> Column:
    """Names of the critical and warning rules a row breaks; info rules only count, they set nothing aside."""
    flags = [F.when(F.expr(rule.breaks), F.lit(rule.name)) for rule in rules if rule.severity is not Severity.INFO]
    return F.array_compact(F.array(*flags)) if flags else F.array().cast("array<string>")


def _ignored_reason(source: Source) -> Column:
    reasons = [
        F.when(F.expr(expression_sql(rule.when, list(source.types))), F.lit(rule.reason)) for rule in source.ignore
    ]
    return F.coalesce(*reasons, F.lit(None).cast("string"))


def _with_canonical(flagged: DataFrame, source: Source) -> DataFrame:
    """Canonical columns replace the typed ones, which move into a struct: `Quantity` and `quantity` would clash."""
    canonical = [
        F.expr(f"CAST({expression_sql(text, list(source.types))} AS STRING)").alias(column) if column == "customer_id"
        else F.expr(expression_sql(text, list(source.types))).alias(column)
        for column, text in source.columns.items()
    ]  # fmt: skip
    kept = ("delivery_id", "row_hash", "known_date", "raw_row", "bad_types", "source_reasons", "ignored")
    return flagged.select(*kept, _packed(source.types, "typed"), *canonical)


def _packed(names: Sequence[str] | dict[str, str], alias: str) -> Column:
    return F.struct(*(F.col(f"`{name}`") for name in names)).alias(alias)


def _too_early(source: Source) -> Column:
    """A fact dated after its delivery waits; one dated too far ahead is an error of its clock."""
    days_ahead = F.datediff(F.to_date("event_ts"), F.col("known_date"))
    return F.array_compact(F.array(F.when(days_ahead > source.max_early_days, F.lit("too_early"))))


def _with_bucket(judged: DataFrame, source: Source) -> DataFrame:
    malformed = F.when(F.col(f"raw_row.{CORRUPT}").isNotNull(), F.array(F.lit("bad_shape"))).otherwise(
        F.col("bad_types")
    )
    sorted_out = (F.size(malformed) > 0) | F.col("ignored").isNotNull()
    repeated = F.row_number().over(Window.partitionBy("delivery_id", "row_hash", sorted_out).orderBy(F.lit(1))) > 1
    is_duplicate = repeated if source.duplicates == "drop" else F.lit(False)
    order = (
        (F.size(malformed) > 0, Bucket.MALFORMED, malformed),
        (F.col("ignored").isNotNull(), Bucket.IGNORED, F.array("ignored")),
        (is_duplicate, Bucket.DUPLICATE, F.array(F.lit("duplicate"))),
        (F.size("broken") > 0, Bucket.QUARANTINED, F.col("broken")),
        (F.lit(True), Bucket.ACCEPTED, F.array().cast("array<string>")),
    )
    choice = F.coalesce(
        *(F.when(fits, F.struct(F.lit(bucket).alias("bucket"), why.alias("reasons"))) for fits, bucket, why in order)
    )
    return judged.withColumn("choice", choice).select("*", "choice.bucket", "choice.reasons")


def accepted_events(classified: DataFrame, contract: Contract, name: str) -> DataFrame:
    """The typed facts of a source, one signed row per accepted raw row. Measures are integers of their scale."""
    columns = contract.sources[name].columns
    facts = classified.filter(F.col("bucket") == Bucket.ACCEPTED).select("delivery_id", "known_date", "canonical.*")
    activity = F.coalesce(F.expr(expression_sql(contract.churn.activity, list(columns))), F.lit(False))
    local = F.col("event_ts").cast("timestamp_ntz")
    text = sorted({*contract.features.distinct, *(by.column for by in contract.features.by)})
    return facts.select(
        F.lit(name).alias("source"),
        "customer_id",
        F.to_utc_timestamp(local.cast("timestamp"), contract.timezone).alias("event_ts"),
        F.to_date(local).alias("event_date"),
        *(
            _minor_units(one.name, one.scale, present=one.name in columns).alias(one.name)
            for one in contract.features.measures
        ),
        *(
            (F.col(column).cast("string") if column in columns else F.lit(None).cast("string")).alias(column)
            for column in text
        ),
        activity.alias("is_activity"),
        F.lit(1).alias("sign"),
        "known_date",
        "delivery_id",
        F.lit(contract.typed_digest(name)).alias("typed_digest"),
        F.date_format("known_date", "yyyy-MM").alias("known_month"),
        (F.to_date(local) != F.col("known_date")).alias("off_day"),
    )


def _minor_units(measure: str, scale: int, *, present: bool) -> Column:
    """HALF_UP to `scale` decimals, once per row, then an exact integer.

    Rounded again after the product: in binary 0.29 * 100 is below 29, and a cast would cut it.
    """
    if not present:
        return F.lit(None).cast("bigint")
    return F.expr(f"try_cast(round(round(`{measure}`, {scale}) * {10**scale}) AS BIGINT)")


def named_customers(classified: DataFrame, name: str) -> DataFrame:
    """Who appears: source, customer_id, usable_from, known_date, delivery_id of every row whose customer can be read.

    A row set aside for another column still tells that its customer exists; a row with a bad id does not.
    """
    bad_id = F.exists("reasons", lambda reason: reason.startswith(f"{CANONICAL_SUITE}.customer_id."))
    told = (
        F.col("bucket").isin(Bucket.ACCEPTED, Bucket.QUARANTINED) & ~bad_id & F.col("canonical.customer_id").isNotNull()
    )
    event_date = F.to_date(F.col("canonical.event_ts").cast("timestamp_ntz"))
    return classified.filter(told).select(
        F.lit(name).alias("source"),
        "canonical.customer_id",
        F.greatest("known_date", event_date).alias("usable_from"),  # greatest() passes over a null date
        "known_date",
        "delivery_id",
    )


def set_aside(classified: DataFrame, name: str, rule_digest: str, run_id: str) -> DataFrame:
    """The rows for quarantine, each with its raw text as JSON and every reason."""
    return classified.filter(F.col("bucket").isin(Bucket.MALFORMED, Bucket.QUARANTINED)).select(
        F.lit(name).alias("source"),
        "delivery_id",
        "row_hash",
        F.to_json("raw_row").alias("raw_row"),
        "reasons",
        F.lit(rule_digest).alias("rule_digest"),
        F.lit("held").alias("status"),
        F.lit(run_id).alias("run_id"),
        "known_date",
        F.date_format("known_date", "yyyy-MM").alias("known_month"),
    )


def bucket_counts(classified: DataFrame) -> DataFrame:
    """Rows per delivery, bucket and set of reasons: what reconciliation and the run report are made of."""
    return classified.groupBy("delivery_id", "bucket", "reasons").count()
