"""What a business date took in: its deliveries as the warehouse tells them, every one under exactly one date."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal

from churnlake.gates import HISTORY
from churnlake.ledger import Delivery, Measurement

KEPT_APART = "bin."
"""Bins of a distribution are many and mean nothing alone: they stay in the ledger."""

Row = dict[str, Any]
Told = Literal["file", "correction", "release"]

_BUCKETS = ("ignored", "unchanged", "duplicate", "quarantined")


def taken_in(deliveries: Iterable[Delivery], after: date | None, through: date) -> list[Delivery]:
    """The deliveries in the lake that became known after one date, through another; from the first on for None.

    With `after` the date published or withdrawn before, each delivery falls to one date: what history took in to the
    first publication, and a late or corrected file to the night that first knew it.
    """
    return [
        one
        for one in deliveries
        if one.state == "ingested" and one.known_date <= through and (after is None or one.known_date > after)
    ]


def told_kind(delivery: Delivery) -> Told:
    """What people call it."""
    if delivery.kind == "release":
        return "release"
    return "file" if delivery.corrects is None else "correction"


def delivery_rows(deliveries: Iterable[Delivery]) -> Iterator[Row]:
    """Rows of `deliveries`: each of the given ones with its buckets. `withdrawn` are facts and no rows of the file."""
    for one in deliveries:
        yield {
            "run_id": one.run_id,
            "source": one.source,
            "delivery_id": one.delivery_id,
            "file": one.path,
            "slot": one.slot,
            "kind": told_kind(one),
            "corrects": one.corrects,
            "known_date": one.known_date,
            "bytes": one.bytes,
            "raw": one.counts.get("raw"),
            "accepted": one.counts.get("accepted"),
            **{bucket: _size(one.counts.get(bucket)) for bucket in _BUCKETS},
            # A version without corrections took nothing back.
            "withdrawn": one.counts.get("withdrawn", 0) if one.counts else None,
        }


def reason_rows(deliveries: Iterable[Delivery]) -> Iterator[Row]:
    """Rows of `quarantine_reasons`: why rows were set aside, and all that was wrong with rows of any bucket."""
    for one in deliveries:
        head = {"run_id": one.run_id, "source": one.source, "slot": one.slot, "delivery_id": one.delivery_id}
        for bucket, name in (("ignored", "ignored"), ("quarantined", "quarantined"), ("defect", "defects")):
            reasons: Mapping[str, int] = one.counts.get(name) or {}
            yield from (head | {"bucket": bucket, "reason": why, "rows": rows} for why, rows in reasons.items() if rows)


def measurement_rows(source: str, measured: Iterable[Measurement], deliveries: Sequence[Delivery]) -> Iterator[Row]:
    """Rows of `run_quality`: what was measured of a source's deliveries; of many slots those gates look back on."""
    slots = sorted({one.slot for one in deliveries if one.source == source})[-HISTORY:]
    mine = {one.delivery_id for one in deliveries if one.source == source and one.slot in slots}
    for one in measured:
        if one.delivery_id in mine and not one.name.startswith(KEPT_APART):
            yield {
                "kind": "measurement",
                "source": source,
                "name": one.name,
                "observed": str(one.value),
                "delivery_id": one.delivery_id,
            }


def _size(count: int | Mapping[str, int] | None) -> int | None:
    return sum(count.values()) if isinstance(count, Mapping) else count
