"""What a date took in: each delivery under one date, its buckets and reasons as rows, and what was measured of it."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from churnlake.gates import HISTORY
from churnlake.intake import delivery_rows, measurement_rows, reason_rows, taken_in
from churnlake.ledger import Delivery, Measurement

MONDAY = date(2026, 3, 9)
COUNTS: dict[str, Any] = {
    "raw": 12,
    "accepted": 5,
    "unchanged": 1,
    "duplicate": 1,
    "ignored": {"anonymous": 2},
    "quarantined": {"bad_type.price": 2, "too_early": 1},
    "defects": {"bad_type.price": 3, "too_early": 1, "never": 0},
    "withdrawn": 4,
}


@pytest.fixture
def deliver() -> Callable[..., Delivery]:
    """A delivery that is in the lake: the file of a Monday, unless another day or another kind is given."""

    def made(slot: date = MONDAY, **given: Any) -> Delivery:
        values: dict[str, Any] = {
            "source": "orders", "delivery_id": f"{slot}-0a", "path": f"data/{slot}.csv", "bytes": 100, "sha256": "0a",
            "slot": slot, "available_on": slot, "known_date": slot, "contract": "shop", "run_id": "r1",
            "state": "ingested", "counts": COUNTS,
        }  # fmt: skip
        return Delivery(**values | given)

    return made


def test_every_delivery_falls_to_exactly_one_published_date(deliver: Callable[..., Delivery]) -> None:
    """History to the first date, a late file to the night that knew it, one that is only frozen to none."""
    days = [MONDAY + timedelta(days=place) for place in range(5)]
    late = deliver(days[0], delivery_id="late", known_date=days[3])
    frozen = deliver(days[2], state="frozen")
    deliveries = [*map(deliver, (days[0], days[1], days[3], days[4])), late, frozen]

    published = [(None, days[1]), (days[1], days[3]), (days[3], days[4])]
    told = [taken_in(deliveries, after, through) for after, through in published]

    assert [[one.delivery_id for one in ones] for ones in told] == [
        ["2026-03-09-0a", "2026-03-10-0a"],
        ["2026-03-12-0a", "late"],
        ["2026-03-13-0a"],
    ]


def test_a_delivery_is_told_with_its_buckets(deliver: Callable[..., Delivery]) -> None:
    """Buckets with reasons are summed; what was withdrawn stands beside them."""
    (row,) = delivery_rows([deliver()])

    buckets = ("raw", "accepted", "ignored", "unchanged", "duplicate", "quarantined", "withdrawn")
    assert [row[name] for name in buckets] == [12, 5, 2, 1, 1, 3, 4]
    assert row["raw"] == sum(row[name] for name in buckets[1:-1])


def test_files_corrections_and_releases_are_told_apart(deliver: Callable[..., Delivery]) -> None:
    """By what they replace and where they come from."""
    given = [deliver(), deliver(corrects="2026-03-09-0a"), deliver(kind="release")]

    assert [row["kind"] for row in delivery_rows(given)] == ["file", "correction", "release"]


def test_an_account_of_an_older_version_lacks_what_it_did_not_count(deliver: Callable[..., Delivery]) -> None:
    """Nothing was withdrawn then, and defects were not counted: no row claims that there were none."""
    old = deliver(counts={name: COUNTS[name] for name in COUNTS if name not in ("withdrawn", "defects")})

    assert [row["withdrawn"] for row in delivery_rows([old])] == [0]
    assert {row["bucket"] for row in reason_rows([old])} == {"ignored", "quarantined"}


def test_reasons_are_rows_of_their_own(deliver: Callable[..., Delivery]) -> None:
    """By bucket and rule; a rule that no row breaks has none."""
    rows = [(row["bucket"], row["reason"], row["rows"]) for row in reason_rows([deliver()])]

    assert rows == [
        ("ignored", "anonymous", 2),
        ("quarantined", "bad_type.price", 2),
        ("quarantined", "too_early", 1),
        ("defect", "bad_type.price", 3),
        ("defect", "too_early", 1),
    ]


def test_measurements_of_the_newest_slots_are_kept_without_bins(deliver: Callable[..., Delivery]) -> None:
    """Of a long history only what gates look back on; never what was measured of another delivery."""
    slots = [MONDAY + timedelta(days=place) for place in range(HISTORY + 1)]
    taken = [deliver(slot) for slot in slots]
    measured = [
        Measurement(f"{slot}-{end}", slot, name, 0.5)
        for slot in slots
        for end, name in (("0a", "null.price"), ("0a", "bin.price.7"), ("other", "null.price"))
    ]

    rows = list(measurement_rows("orders", measured, taken))

    assert [row["delivery_id"] for row in rows] == [f"{slot}-0a" for slot in slots[1:]]
    assert rows[0] == {
        "kind": "measurement", "source": "orders", "name": "null.price", "observed": "0.5",
        "delivery_id": f"{slots[1]}-0a",
    }  # fmt: skip
