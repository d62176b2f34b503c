"""Facts: what accepted rows tell, typed and signed, by the role of their source; and whose existence they tell."""

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.reading import expression_sql
from churnlake.contract.roles import HAPPENINGS
from churnlake.contract.schema import Contract
from churnlake.contract.source import Source
from churnlake.features import PRICE_SCALE
from jobs.landing import quoted
from jobs.rows import Bucket


def facts_of(classified: DataFrame, contract: Contract, name: str) -> DataFrame:
    """The facts of one source's accepted rows, as the table of its role holds them: see `TABLE_OF_ROLE`."""
    source = contract.sources[name]
    accepted = classified.filter(F.col("bucket") == Bucket.ACCEPTED).select(
        "delivery_id", "slot", "row_hash", "known_date", "canonical.*"
    )
    told = _TOLD[source.role](accepted, contract, source)
    stamped = {
        "source": F.lit(name),
        "typed_digest": F.lit(contract.typed_digest(name)),
        "known_month": F.date_format("known_date", "yyyy-MM"),
    }
    return told.withColumns(stamped)


TABLE_OF_ROLE = {
    "events": "events",
    "subscriptions": "subscriptions",
    "renewals": "renewals",
    "customers": "attributes",
    "labels": "outcomes_told",
}


def known_from(source: Source, day: Column) -> Column:
    """When a fact of `day` counts as known: with its delivery; in a history some days after it happened.

    A history that comes after a date was published is known from the first night that could use it, like any file.
    """
    if source.delivery != "history":
        return F.col("known_date")
    return F.greatest("known_date", F.date_add(day, source.assumed_lag_days))


def _events(accepted: DataFrame, contract: Contract, source: Source) -> DataFrame:
    """One signed row per accepted raw row. Measures are integers of their scale."""
    columns = source.columns
    activity = F.coalesce(F.expr(expression_sql(contract.churn.activity, list(columns))), F.lit(False))
    happened = _happened(contract)
    known = known_from(source, happened["event_date"])
    text = sorted({*contract.features.distinct, *(by.column for by in contract.features.by)})
    return accepted.select(
        "customer_id",
        *(column.alias(name) for name, column in happened.items()),
        *(
            _minor_units(one.name, one.scale, present=one.name in columns).alias(one.name)
            for one in contract.features.measures
        ),
        *(_or_null(column, columns, "string").alias(column) for column in text),
        activity.alias("is_activity"),
        F.lit(1).alias("sign"),
        known.alias("known_date"),
        "delivery_id",
        "slot",
        "row_hash",
        (happened["event_date"] != known).alias("off_day"),
    )


def _happened(contract: Contract) -> dict[str, Column]:
    """When it happened, in UTC, and on which day of the contract's zone."""
    local = F.col("event_ts").cast("timestamp_ntz")
    utc = F.to_utc_timestamp(local.cast("timestamp"), contract.timezone)
    return {"event_ts": utc, "event_date": F.to_date(local)}


def _minor_units(measure: str, scale: int, *, present: bool) -> Column:
    """HALF_UP to `scale` decimals, once per row, then an exact integer.

    Rounded again after the product: in binary 0.29 * 100 is below 29, and a cast would cut it.
    """
    if not present:
        return F.lit(None).cast("bigint")
    return F.expr(f"try_cast(round(round(`{measure}`, {scale}) * {10**scale}) AS BIGINT)")


def _or_null(column: str, mapped: Mapping[str, str], kind: str) -> Column:
    return (quoted(column) if column in mapped else F.lit(None)).cast(kind)


def _subscriptions(accepted: DataFrame, _: Contract, source: Source) -> DataFrame:
    """One row per state of a subscription. A history tells of each how it began, and later how it ended.

    What a history knows of an end was not known before it: there the open state holds until the day of the end.
    """
    columns = source.columns
    days = {name: _or_null(name, columns, "date") for name in ("started_on", "ended_on", "completes_on", "renews_on")}
    whole = accepted.select(
        "customer_id",
        *(day.alias(name) for name, day in days.items()),
        _or_null("plan", columns, "string").alias("plan"),
        _minor_units("price", PRICE_SCALE, present="price" in columns).alias("price"),
        "known_date", "delivery_id", "slot", "row_hash",
    )  # fmt: skip
    if source.delivery != "history":
        return whole.withColumns({"event_date": F.col("slot"), "sign": F.lit(1)})
    began, ended = known_from(source, F.col("started_on")), known_from(source, F.col("ended_on"))
    has_ended = F.col("ended_on").isNotNull()
    still_open = {"ended_on": F.lit(None).cast("date")}
    # Known in the same night, both are one state.
    is_apart = has_ended & (ended > began)
    first = whole.withColumns(
        {
            "event_date": F.coalesce("started_on", "known_date"),
            "sign": F.lit(1),
            "known_date": began,
            "ended_on": F.when(~is_apart, F.col("ended_on")),
        }
    )
    later = whole.filter(is_apart).withColumns({"event_date": F.col("ended_on"), "known_date": ended})
    return (
        first.unionByName(later.withColumns(still_open | {"sign": F.lit(-1)}))
        .unionByName(later.withColumn("sign", F.lit(1)))
    )  # fmt: skip


def _renewals(accepted: DataFrame, contract: Contract, source: Source) -> DataFrame:
    """One row per transaction. Whether it cancels is never null: what does not say so does not."""
    columns, happened = source.columns, _happened(contract)
    return accepted.select(
        "customer_id",
        *(column.alias(name) for name, column in happened.items()),
        F.col("paid_until").cast("date").alias("paid_until"),
        F.coalesce(_or_null("cancels", columns, "boolean"), F.lit(False)).alias("cancels"),
        _or_null("auto_renew", columns, "boolean").alias("auto_renew"),
        _or_null("plan", columns, "string").alias("plan"),
        _minor_units("price", PRICE_SCALE, present="price" in columns).alias("price"),
        F.lit(1).alias("sign"),
        known_from(source, happened["event_date"]).alias("known_date"),
        "delivery_id", "slot", "row_hash",
    )  # fmt: skip


def _customers(accepted: DataFrame, contract: Contract, source: Source) -> DataFrame:
    """One row per state of a customer's attributes; those of other sources are null in it.

    A history without dates tells what it saw on its last day. Only what never changes was so before.
    """
    kinds = contract.attributes
    columns = {name: _or_null(name, source.columns, _STORED[kind]) for name, kind in kinds.items()}
    whole = accepted.select(
        "customer_id", *(column.alias(name) for name, column in columns.items()),
        "known_date", "delivery_id", "slot", "row_hash",
    ).withColumns({"event_date": F.col("known_date"), "sign": F.lit(1)})  # fmt: skip
    changing = [name for name in kinds if name in source.columns and name not in contract.features.immutable]
    if source.delivery != "history" or not changing:
        return whole
    early = whole.withColumns({name: F.lit(None).cast(_STORED[kinds[name]]) for name in changing})
    through = {"known_date": F.greatest("known_date", F.lit(source.through)), "event_date": F.lit(source.through)}
    return (
        early.unionByName(early.withColumns(through | {"sign": F.lit(-1)}))
        .unionByName(whole.withColumns(through))
    )  # fmt: skip


_STORED = {"number": "double", "category": "string"}


def _labels(accepted: DataFrame, _: Contract, source: Source) -> DataFrame:
    """One row per outcome that the data set brings; `as_of` is null where it does not say when it was predicted."""
    return accepted.select(
        "customer_id",
        F.col("is_churned").cast("boolean").alias("is_churned"),
        _or_null("as_of", source.columns, "date").alias("as_of"),
        F.coalesce(_or_null("as_of", source.columns, "date"), F.col("slot")).alias("event_date"),
        F.lit(1).alias("sign"),
        "known_date", "delivery_id", "slot", "row_hash",
    )  # fmt: skip


_TOLD: Mapping[str, Callable[[DataFrame, Contract, Source], DataFrame]] = {
    "events": _events,
    "subscriptions": _subscriptions,
    "renewals": _renewals,
    "customers": _customers,
    "labels": _labels,
}


def named_customers(classified: DataFrame, contract: Contract, name: str) -> DataFrame:
    """Who appears: source, customer_id, usable_from, known_date, delivery_id of every row whose customer can be read.

    A row set aside for another column still tells that its customer exists; a row with a bad id does not.
    """
    source = contract.sources[name]
    bad_id = F.exists("reasons", lambda reason: reason.startswith(f"{source.role}.customer_id."))
    told = (
        F.col("bucket").isin(Bucket.ACCEPTED, Bucket.QUARANTINED) & ~bad_id & F.col("canonical.customer_id").isNotNull()
    )
    rows = classified.filter(told)
    dated = {"subscriptions": "started_on", **dict.fromkeys(HAPPENINGS, "event_ts")}.get(source.role)
    day = F.to_date(F.col(f"canonical.{dated}").cast("timestamp_ntz")) if dated else F.lit(None).cast("date")
    known = known_from(source, day)
    return rows.select(
        F.lit(name).alias("source"),
        "canonical.customer_id",
        # greatest() passes over a null date
        (F.greatest(known, day) if source.role in HAPPENINGS else known).alias("usable_from"),
        known.alias("known_date"),
        "delivery_id",
    )
