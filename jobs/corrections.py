"""What a delivery takes back that takes the place of one before it, as a difference of multisets by row hash.

A correction takes the place of an earlier version of its slot; a snapshot that of the newest one before it, whatever
its slot. Such deliveries of one night, one after another, are a series. Each lands whole. Copies of a row that the
delivery before it held too are unchanged; the others are judged like any row. Live facts and rows held back of which
it has fewer copies are withdrawn: a fact by a copy of sign -1, a held row by a row of status `withdrawn`. Nothing that
was written before is touched.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from churnlake.ledger import Delivery

# What two facts of one row may differ in: when and by which delivery they were told.
_TOLD = ("sign", "known_date", "delivery_id", "known_month", "off_day")
_ENDED = ("released", "withdrawn", "expired")
_ROW = ("series", "row_hash")


@dataclass(frozen=True)
class Link:
    """A delivery that takes the place of the one `before` it; `place` counts those of a series from 1."""

    delivery: Delivery
    before: str
    series: str
    place: int


@dataclass(frozen=True)
class Replaced:
    """What links leave out. A copy of a row is gone with the first later link of its series that has fewer copies.

    `series` is the one a row belongs to: all snapshots of a source are one, else each slot is. `copies` are
    `copies_before`; `gone` holds series, row_hash, now (copies left) and ending: a struct of place, by (delivery), on.
    """

    links: tuple[Link, ...]
    series: Column
    copies: DataFrame
    gone: DataFrame


@dataclass(frozen=True)
class Told:
    """What deliveries of one source tell: facts, as the table of their role holds them, and rows of quarantine."""

    facts: DataFrame
    held: DataFrame

    def beside(self, other: "Told") -> "Told":
        """Both together."""
        return Told(self.facts.unionByName(other.facts), self.held.unionByName(other.held))


def links_of(deliveries: Iterable[Delivery], in_force: Iterable[Delivery], *, are_snapshots: bool) -> tuple[Link, ...]:
    """Which of the deliveries of one source take the place of another; `in_force` are those of it that are in."""
    if not are_snapshots:
        return tuple(_versions(deliveries))
    newest = max(in_force, key=lambda one: one.slot, default=None)
    in_order = [*([newest] if newest else []), *sorted(deliveries, key=lambda one: one.slot)]
    pairs = enumerate(itertools.pairwise(in_order), start=1)
    return tuple(Link(one, before.delivery_id, "", place) for place, (before, one) in pairs)


def _versions(deliveries: Iterable[Delivery]) -> Iterator[Link]:
    """The corrections among deliveries, which stand in the order in which they came."""
    places: dict[str, int] = {}
    for one in deliveries:
        if one.corrects is not None:
            places[one.delivery_id] = places.get(one.corrects, 0) + 1
            yield Link(one, one.corrects, str(one.slot), places[one.delivery_id])


def replaced_by(links: Sequence[Link], raw: DataFrame, *, are_snapshots: bool) -> Replaced:
    """What the links leave out of the deliveries before them; `raw` holds the rows of all of these."""
    series = F.lit("") if are_snapshots else F.col("slot").cast("string")
    ids = [link.delivery.delivery_id for link in links]
    now = _copies(raw, ids).select(F.col("delivery_id").alias("by"), "row_hash", F.col("copies").alias("now"))
    beside = _beside(raw, links).join(now, ["by", "row_hash"], "left").fillna(0, ["now"])
    gone = beside.filter(F.col("now") < F.col("copies")).select(
        *_ROW, "now", F.struct("place", "by", "on").alias("end")
    )
    return Replaced(tuple(links), series, copies_before(raw, links), gone)


def copies_before(raw: DataFrame, links: Sequence[Link]) -> DataFrame:
    """How often the delivery before each link held each row.

    Columns: delivery_id (of the link), row_hash, copies.
    """
    return _beside(raw, links).select(F.col("by").alias("delivery_id"), "row_hash", "copies")


def withdraw_written(replaced: Replaced, written: Told, run_id: str) -> Told:
    """What links withdraw of what other deliveries of their source wrote; `run_id` is the run that withdraws."""
    live = _live(replaced, written.facts)
    return _taken_back(replaced, written, Told(live, _open(replaced, written.held, live)), run_id)


def withdraw_told(replaced: Replaced, told: Told, run_id: str) -> Told:
    """What links withdraw of what earlier links of their own night come to, as `withdraw_written` does of others."""
    copies = Told(_numbered_anew(replaced, told.facts), _numbered_anew(replaced, told.held))
    return _taken_back(replaced, told, copies, run_id)


def _taken_back(replaced: Replaced, told: Told, copies: Told, run_id: str) -> Told:
    """Of numbered copies those that are gone, in the columns of what was told."""
    on = F.col("end.on")
    since: dict[str, Column] = {"known_date": on, "known_month": F.date_format(on, "yyyy-MM")}
    fact = since | {"sign": F.lit(-1), "delivery_id": F.col("end.by")}
    if "off_day" in told.facts.columns:
        fact["off_day"] = F.col("told.event_date") != on
    held = since | {"status": F.lit("withdrawn"), "changed_by": F.col("end.by"), "run_id": F.lit(run_id)}
    return Told(
        _ended(replaced, copies.facts).select(*_written_anew(told.facts.columns, fact)),
        _ended(replaced, copies.held).select(*_written_anew(told.held.columns, held)),
    )


def _written_anew(names: Sequence[str], new: dict[str, Column]) -> list[Column]:
    return [(new[name] if name in new else F.col("told")[name]).alias(name) for name in names]


def _copies(raw: DataFrame, delivery_ids: Sequence[str]) -> DataFrame:
    mine = raw.filter(F.col("delivery_id").isin(list(delivery_ids)))
    return mine.groupBy("delivery_id", "row_hash").agg(F.count("*").alias("copies"))


def _beside(raw: DataFrame, links: Sequence[Link]) -> DataFrame:
    """Rows of the deliveries before links, with their copies there, beside each link: series, place, by, on."""
    told = [(one.before, one.series, one.place, one.delivery.delivery_id, one.delivery.known_date) for one in links]
    named = "delivery_id STRING, series STRING, place INT, by STRING, on DATE"
    following = F.broadcast(raw.sparkSession.createDataFrame(told, named))
    return _copies(raw, sorted({link.before for link in links})).join(following, "delivery_id").drop("delivery_id")


def _packed(replaced: Replaced, frame: DataFrame, names: Sequence[str], *beside: str) -> DataFrame:
    """Rows that some link has fewer of: series, row_hash, told (a struct of these columns), and columns beside it.

    Whatever a contract calls its columns, inside the struct they meet no name of ours.
    """
    packed = frame.select(
        replaced.series.alias("series"), "row_hash", F.struct(*map(_exactly, names)).alias("told"), *beside
    )
    return packed.join(replaced.gone.select(*_ROW).distinct(), [*_ROW], "left_semi")


def _exactly(name: str) -> Column:
    return F.col(f"`{name}`")


def _live(replaced: Replaced, facts: DataFrame) -> DataFrame:
    """One row per live copy of a fact, numbered within its raw row."""
    content = [name for name in facts.columns if name not in _TOLD]
    signed = _packed(replaced, facts, content, "sign")
    net = signed.groupBy(*_ROW, "told").agg(F.sum("sign").alias("net")).filter(F.col("net") > 0)
    each = net.withColumn("one", F.explode(F.sequence(F.lit(1), F.col("net"))))
    return each.select(*_ROW, "told", F.lit(0).alias("place"), _number().alias("copy"))


def _number(*within: str) -> Column:
    return F.row_number().over(Window.partitionBy(*_ROW, *within).orderBy("told"))


def open_copies(quarantine: DataFrame) -> DataFrame:
    """A source's held rows that nothing has ended: of equal rows of one delivery the first ones count as gone."""
    ended = F.sum(F.col("status").isin(*_ENDED).cast("int")).over(Window.partitionBy("delivery_id", "row_hash"))
    order = Window.partitionBy("delivery_id", "row_hash").orderBy("record_number", "raw_row")
    return (
        quarantine.withColumn("ended", ended)
        .filter(F.col("status") == "held")
        .withColumn("place", F.row_number().over(order))
        .filter(F.col("place") > F.col("ended"))
        .drop("ended", "place")
    )


def _open(replaced: Replaced, quarantine: DataFrame, live: DataFrame) -> DataFrame:
    """Copies still held, numbered after those of their row that are facts by now."""
    facts = live.groupBy(*_ROW).agg(F.count("*").alias("facts"))
    held = _packed(replaced, open_copies(quarantine), quarantine.columns).join(facts, [*_ROW], "left")
    copy = _number() + F.coalesce("facts", F.lit(0))
    return held.select(*_ROW, "told", F.lit(0).alias("place"), copy.alias("copy"))


def _numbered_anew(replaced: Replaced, frame: DataFrame) -> DataFrame:
    """What the night's own deliveries tell, numbered after the copies that the delivery before each one held."""
    places = [(link.delivery.delivery_id, link.place) for link in replaced.links]
    known = F.broadcast(frame.sparkSession.createDataFrame(places, "delivery_id STRING, place INT"))
    told = _packed(replaced, frame, frame.columns, "delivery_id")
    beside = told.join(known, "delivery_id", "left").join(replaced.copies, ["delivery_id", "row_hash"], "left")
    copy = _number("delivery_id") + F.coalesce("copies", F.lit(0))
    return beside.select(*_ROW, "told", F.coalesce("place", F.lit(0)).alias("place"), copy.alias("copy"))


def _ended(replaced: Replaced, instances: DataFrame) -> DataFrame:
    """Instances of rows that a later link has fewer of, each with the first that does: told, end."""
    is_over = (F.col("end.place") > F.col("place")) & (F.col("copy") > F.col("now"))
    over = instances.join(replaced.gone, [*_ROW]).filter(is_over)
    return over.groupBy(*_ROW, "told", "copy", "place").agg(F.min("end").alias("end"))
