"""Rows: delivered text becomes typed, signed facts; every raw row ends in exactly one bucket."""

import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from churnlake.contract.reading import expression_sql
from churnlake.contract.roles import HAPPENINGS
from churnlake.contract.schema import Contract
from churnlake.contract.source import Source
from churnlake.contract.values import landed_column, typed_column
from churnlake.suites import RowRule, Severity
from jobs.landing import CORRUPT, quoted
from jobs.notation import holds_value, with_plain_values

_SPARK_TYPES = {"text": "string"}
# After the first colon of a time stand digits, colons and a point; anything else is a zone.
_CARRIES_ZONE = ":[0-9:.]*[^0-9:.]"
# A time alone would be one of today: Spark reads the clock for it.
_BEGINS_WITH_DATE = "^[+-]?[0-9]{4,}-"
# Spark counts positions within a partition in the lower 33 bits.
_PARTITION_BITS = 33
# Ends each name in a list of flags: no name holds a control character.
_END = "\x1f"
_IGNORED = "ignored."
# What a row keeps from landing to its bucket.
_KEYS = ("delivery_id", "slot", "position", "row_hash", "known_date", "raw_row")
_KEPT = (*_KEYS, "copy", "is_unchanged")


@dataclass(frozen=True)
class Lookup:
    """A table joined to a source's rows: where their columns `on` equal its `key`; `rows` has that key once each."""

    on: tuple[str, ...]
    rows: DataFrame
    key: tuple[str, ...]


class Bucket(StrEnum):
    """Where a raw row goes: the first that fits, in this order. Malformed rows are quarantined too."""

    UNCHANGED = "unchanged"
    MALFORMED = "malformed"
    IGNORED = "ignored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    ACCEPTED = "accepted"


def classify(  # noqa: PLR0913, PLR0917 - what judges a row
    landed: DataFrame,
    contract: Contract,
    name: str,
    source_rules: Sequence[RowRule],
    canonical_rules: Sequence[RowRule],
    before: DataFrame | None = None,
    lookups: Sequence[Lookup] = (),
) -> DataFrame:
    """Every landed row with its bucket and reasons; nothing is dropped: rows are flagged, then split.

    Columns: delivery_id, slot, position, row_hash, known_date, raw_row (a struct of the file's columns as text), typed
    (one of them by type), canonical (one of the contract's), flags, bucket, reasons, is_judged.

    `flags` name everything that is wrong with a row, whatever its bucket: bad_shape, bad_type.<column>,
    ignored.<reason>, every rule it breaks at any severity, too_early, duplicate for a copy of an earlier row of its
    delivery. Nothing but its shape and copies is judged of a misshapen row. `reasons` are those that led to the bucket.

    `before` (delivery_id, row_hash, copies) says how often a corrected delivery held a row already: so many copies are
    unchanged. `is_judged` holds for rows that a suite judges: those that are neither malformed, ignored nor copies;
    unchanged ones too, so that a corrected day is judged as a day and not by its few new rows.

    `lookups` bring further columns to the expressions of the contract; a row without a match has nulls there.
    """
    source, columns = contract.sources[name], list(contract.expression_columns(name))
    typed = _with_types(_with_copies(landed, source, before), source, contract.timezone)
    joined = _with_lookups(typed, lookups)
    judged = _with_canonical(_with_source_flags(joined, source, source_rules, columns), source, columns)
    broken = judged.withColumn("broken", F.concat("source_broken", _broken(canonical_rules), _too_early(source)))
    noted = broken.withColumn("noted", F.concat("source_noted", _noted(canonical_rules)))
    return _with_bucket(_with_flags(noted, source)).select(
        *_KEYS, "typed", _packed(source.columns, "canonical"), "flags", "bucket", "reasons", "is_judged"
    )


def _with_copies(landed: DataFrame, source: Source, before: DataFrame | None) -> DataFrame:
    """Which copy of its row each is inside its delivery, from 1, and whether the corrected delivery held it too.

    Where neither matters no row is moved. Counting copies is the one shuffle of this pass, of raw text alone.
    """
    if source.duplicates == "keep" and before is None:
        return landed.withColumn("copy", F.lit(1)).withColumn("is_unchanged", F.lit(False))
    same_row = Window.partitionBy("delivery_id", "row_hash").orderBy("position")
    counted = landed.withColumn("copy", F.row_number().over(same_row))
    if before is None:
        return counted.withColumn("is_unchanged", F.lit(False))
    held = before.select("delivery_id", "row_hash", F.col("copies").alias("held_copies"))
    joined = counted.join(held, ["delivery_id", "row_hash"], "left")
    return joined.withColumn("is_unchanged", F.col("copy") <= F.coalesce("held_copies", F.lit(0)))


def _with_types(landed: DataFrame, source: Source, timezone: str) -> DataFrame:
    """try_cast never fails a job: a value that does not fit is null here and named in `malformed`."""
    raw = {name: landed_column(name) for name in source.types}
    packed = landed.withColumn("raw_row", F.struct(*(F.col(one) for one in raw.values()), CORRUPT))
    typed = with_plain_values(packed, source).select(
        *_KEPT,
        *(
            F.expr(typed_value(column, source.types[name], timezone)).alias(typed_column(name))
            for name, column in raw.items()
        ),
    )
    bad = (
        (f"bad_type.{name}", holds_value(F.col("raw_row")[column], source) & quoted(typed_column(name)).isNull())
        for name, column in raw.items()
        if source.types[name] != "text"
    )
    malformed = F.when(_is_misshapen(), F.lit(f"bad_shape{_END}")).otherwise(_listed(bad))
    return typed.withColumn("malformed", malformed)


def _with_lookups(typed: DataFrame, lookups: Sequence[Lookup]) -> DataFrame:
    for lookup in lookups:
        same = [quoted(own) == quoted(key) for own, key in zip(lookup.on, lookup.key, strict=True)]
        typed = typed.join(F.broadcast(lookup.rows), functools.reduce(Column.__and__, same), "left")
    return typed


def _is_misshapen() -> Column:
    return F.col(f"raw_row.{CORRUPT}").isNotNull()


def typed_value(column: str, kind: str, timezone: str) -> str:
    """SQL of the typed value. A timestamp is local time; one that carries its zone is moved there first."""
    if kind != "timestamp":
        return f"try_cast(`{column}` AS {_SPARK_TYPES.get(kind, kind)})"
    local = f"CAST(from_utc_timestamp(try_cast(`{column}` AS TIMESTAMP), '{timezone}') AS TIMESTAMP_NTZ)"
    plain = f"try_cast(`{column}` AS TIMESTAMP_NTZ)"
    zoned = f"trim(`{column}`) RLIKE '{_CARRIES_ZONE}'"
    return f"CASE WHEN NOT {zoned} THEN {plain} WHEN trim(`{column}`) RLIKE '{_BEGINS_WITH_DATE}' THEN {local} END"


def _listed(flags: Iterable[tuple[str, Column]]) -> Column:
    """The names of the flags that are true, each ended by a mark: a text, as Spark compiles no filter over arrays."""
    return F.concat(F.lit(""), *(F.when(flag, F.lit(f"{name}{_END}")).otherwise("") for name, flag in flags))


def _names(listed: Column) -> Column:
    """The names in a list that `_listed` made, as an array."""
    none = F.array().cast("array<string>")
    return F.when(listed == "", none).otherwise(F.split(F.substr(listed, F.lit(1), F.length(listed) - 1), _END))


def _broken(rules: Sequence[RowRule]) -> Column:
    """The critical and warning rules a row breaks: reasons to set it aside."""
    return _listed((rule.name, F.expr(rule.breaks)) for rule in rules if rule.severity is not Severity.INFO)


def _noted(rules: Sequence[RowRule]) -> Column:
    """The info rules a row breaks: they only count, they set nothing aside."""
    return _listed((rule.name, F.expr(rule.breaks)) for rule in rules if rule.severity is Severity.INFO)


def _with_source_flags(typed: DataFrame, source: Source, rules: Sequence[RowRule], names: list[str]) -> DataFrame:
    ignored = ((f"{_IGNORED}{rule.reason}", F.expr(expression_sql(rule.when, names))) for rule in source.ignore)
    return typed.withColumns(
        {"source_broken": _broken(rules), "source_noted": _noted(rules), "ignored": _listed(ignored)}
    )


def _with_canonical(flagged: DataFrame, source: Source, names: list[str]) -> DataFrame:
    """Canonical columns replace the typed ones, which move into a struct: `Quantity` and `quantity` would clash."""
    canonical = [
        F.expr(f"CAST({expression_sql(text, names)} AS STRING)").alias(column) if column == "customer_id"
        else F.expr(expression_sql(text, names)).alias(column)
        for column, text in source.columns.items()
    ]  # fmt: skip
    kept = (*_KEPT, "malformed", "source_broken", "source_noted", "ignored")
    return flagged.select(*kept, _packed(source.typed, "typed"), *canonical)


def _packed(names: Collection[str], alias: str) -> Column:
    return F.struct(*(quoted(name) for name in names)).alias(alias)


def _too_early(source: Source) -> Column:
    """A fact dated after its file's day waits; one dated too far ahead is an error of its clock.

    Held against the file's day, not the day it became known: a file that comes late must be judged as on its day. A
    history has no such day but the one it goes through.
    """
    if source.role not in HAPPENINGS:
        return _listed([])
    last = F.col("slot") if source.through is None else F.lit(source.through)
    days_ahead = F.datediff(F.to_date("event_ts"), last)
    return _listed([("too_early", days_ahead > source.max_early_days)])


def _with_flags(judged: DataFrame, source: Source) -> DataFrame:
    is_copy = (F.col("copy") > 1) if source.duplicates == "drop" else F.lit(False)
    of_fields = F.when(_is_misshapen(), "").otherwise(F.concat("ignored", "broken", "noted"))
    flags = F.concat("malformed", _listed([("duplicate", is_copy)]), of_fields)
    return judged.withColumns({"flags": _names(flags), "is_copy": is_copy})


def _with_bucket(flagged: DataFrame) -> DataFrame:
    """The first bucket that fits, and what led to it; of an unchanged row none of the others is asked for."""
    first_ignored = F.substring_index("ignored", _END, 1)
    order = (
        (F.col("malformed") != "", Bucket.MALFORMED, F.col("malformed")),
        (
            F.col("ignored") != "",
            Bucket.IGNORED,
            F.concat(F.substr(first_ignored, F.lit(len(_IGNORED) + 1)), F.lit(_END)),
        ),
        (F.col("is_copy"), Bucket.DUPLICATE, F.lit(f"duplicate{_END}")),
        (F.col("broken") != "", Bucket.QUARANTINED, F.col("broken")),
    )
    bucket = F.coalesce(*(F.when(fits, F.lit(name)) for fits, name, _ in order), F.lit(Bucket.ACCEPTED))
    reasons = F.coalesce(*(F.when(fits, why) for fits, _, why in order), F.lit(""))
    is_unchanged = F.col("is_unchanged")
    return flagged.withColumns({"choice": bucket, "why": reasons}).select(
        "*",
        F.when(is_unchanged, Bucket.UNCHANGED).otherwise(F.col("choice")).alias("bucket"),
        _names(F.when(is_unchanged, "").otherwise(F.col("why"))).alias("reasons"),
        F.col("choice").isin(Bucket.QUARANTINED, Bucket.ACCEPTED).alias("is_judged"),
    )


def without_spare_text(classified: DataFrame) -> DataFrame:
    """The same rows, their text kept only where it goes to quarantine: what is cached must be small."""
    is_held = F.col("bucket").isin(Bucket.MALFORMED, Bucket.QUARANTINED)
    return classified.withColumn("raw_row", F.when(is_held, F.col("raw_row")))


@dataclass(frozen=True)
class Place:
    """Where a delivery's rows lie: its file, and the position of its first row; None where it was read in pieces."""

    file: str
    first: int | None

    @classmethod
    def of(cls, file: str, first: int, last: int) -> "Place":
        """The place of rows between two positions, whose upper bits are a partition: two of them are two pieces."""
        return cls(file, first if first >> _PARTITION_BITS == last >> _PARTITION_BITS else None)


def set_aside(  # noqa: PLR0913, PLR0917 - what a row set aside is told with
    classified: DataFrame,
    name: str,
    rule_digest: str,
    run_id: str,
    places: Mapping[str, Place],
    through: date | None = None,
) -> DataFrame:
    """The rows for quarantine, each with its raw text as JSON, every reason, and its file and record there.

    Those of a history are held from the day it goes `through`: its first day lies too far back to count from.
    """
    since = F.col("known_date") if through is None else F.greatest("known_date", F.lit(through))
    spark = classified.sparkSession
    known = [(delivery, place.file, place.first) for delivery, place in places.items()]
    files = spark.createDataFrame(known, "delivery_id STRING, file STRING, first BIGINT")
    held = classified.filter(F.col("bucket").isin(Bucket.MALFORMED, Bucket.QUARANTINED))
    held = held.withColumn("known_date", since)
    return held.join(F.broadcast(files), "delivery_id").select(
        F.lit(name).alias("source"),
        "delivery_id",
        "slot",
        "file",
        (F.col("position") - F.col("first") + 1).alias("record_number"),
        "row_hash",
        F.to_json("raw_row").alias("raw_row"),
        "reasons",
        F.lit(rule_digest).alias("rule_digest"),
        F.lit("held").alias("status"),
        F.col("delivery_id").alias("changed_by"),
        F.lit(run_id).alias("run_id"),
        "known_date",
        F.date_format("known_date", "yyyy-MM").alias("known_month"),
    )


def counted(classified: DataFrame) -> DataFrame:
    """Rows per delivery, bucket, reasons and flags, with their first and last position: what accounts are made of."""
    return classified.groupBy("delivery_id", "bucket", "reasons", "flags").agg(
        F.count("*").alias("rows"), F.min("position").alias("first"), F.max("position").alias("last")
    )
