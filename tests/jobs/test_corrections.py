"""Corrections and late files, taken in by the ingest stage itself: what is known changes, what was known does not."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.ledger import Delivery, Lane, Ledger
from churnlake.settings import Settings
from jobs.application import Application
from jobs.ingest import ingest

HEADER = "order_no,customer,at,price,pieces,item,kind"
# A handful of rows a day is no history to judge by.
WITHOUT_GATES = ('duplicates = "drop"\n', 'duplicates = "drop"\non_missing = "warn"\ngates = { sensitivity = "off" }\n')
TOLD = {"sign", "known_date", "delivery_id", "known_month", "off_day"}
Content = Counter[tuple[Any, ...]]


DAY, REORDERED = date(2026, 1, 20), date(2026, 1, 19)
NIGHTS = (DAY, date(2026, 1, 29), date(2026, 1, 30))
ANN, BOB, CLEO = (f"{place},{name},{DAY},1.50,1,pen,purchase" for place, name in enumerate(("ann", "bob", "cleo")))
BROKEN = f"9,dan,{DAY},1;50,1,pen,purchase"
FIRST = (ANN, BOB, BOB, BROKEN)
# Four groups of three days hold the same rows, and end in the same versions of their files: one comes whole on the last
# night, one night by night, two in an order dealt at random.
WHOLE, NIGHTLY, DEALT, DEALT_OTHERWISE = GROUPS = (
    (date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)),
    (NIGHTS[0] - timedelta(days=2), NIGHTS[1], NIGHTS[2]),
    (date(2026, 1, 7), date(2026, 1, 8), date(2026, 1, 9)),
    (date(2026, 1, 10), date(2026, 1, 11), date(2026, 1, 12)),
)


def versions(group: tuple[date, ...]) -> list[list[list[str]]]:
    """Three days' files in all their versions, with rows repeated, without a customer, broken, and dated ahead."""
    generator = random.Random(5)  # noqa: S311 - made-up data
    days = []
    for day in group:
        lines = [
            f"{number},c{generator.randrange(4)},{day},{generator.choice(['1', '2.5', 'x'])},1,pen,purchase"
            for number in range(8)
        ]
        days.append([[*lines, lines[0], f"n,,{day},1,1,pen,purchase", f"e,c1,{day + timedelta(days=1)},1,1,pen,gift"]])
    first, second = days[0][0], days[1][0]
    days[0] += [[*reversed(first[4:]), first[4]], first]  # corrected, and then the first bytes again
    days[1].append([*second[3:], f"new,c9,{group[1]},3,1,ink,purchase", second[5]])
    return days


def dealt(seed: int) -> list[list[int]]:
    """For each day of a group the nights on which its versions come: after one another, each on a night of its own."""
    generator = random.Random(seed)  # noqa: S311 - made-up data
    return [sorted(generator.sample(range(3), count)) for count in (3, 2, 1)]


COME = {WHOLE: [[2], [2], [2]], NIGHTLY: [[0, 1, 2], [1, 2], [2]], DEALT: dealt(1), DEALT_OTHERWISE: dealt(2)}


@dataclass
class Desk:
    """A shop's folder, and the ingest stage that takes in what lies there."""

    app: Application
    known: dict[date, Content] = field(default_factory=dict)

    def deliver(self, slot: date, lines: Sequence[str]) -> None:
        path = self.app.contract.folder / "orders" / f"{slot}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([HEADER, *lines]) + "\n")

    def take_in(self, night: date, sealed: date | None) -> None:
        with self.app.run("history", night, "done") as run, self.app.stage(run, "ingest") as stage:
            ingest(self.app, run, stage, sealed)
        self.known = {day: self.known.get(day, content) for day, content in self.seen().items()}

    def taken(self, slot: date) -> list[Delivery]:
        """The deliveries of a slot that are in, oldest first."""
        found = [one for one in self.app.ledger.deliveries("shop") if (one.slot, one.state) == (slot, "ingested")]
        return sorted(found, key=lambda one: one.known_date)

    def seen(self) -> dict[date, Content]:
        """What was known in the end of each night, as told now: net facts, whenever they happened."""
        facts = self.app.lake.read("events").groupBy("known_date", "row_hash").agg(F.sum("sign").alias("net")).collect()
        days = {row.known_date for row in facts}
        return {
            day: +sum((Counter({(row.row_hash,): row.net}) for row in facts if row.known_date <= day), Counter())
            for day in days
        }


@pytest.fixture(scope="module")
def desk(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_contract: Callable[..., Contract]
) -> Iterator[Desk]:
    """Three nights: a day corrected and put back as it was, one in another order of rows, and the groups."""
    root = tmp_path_factory.mktemp("corrections")
    contract = make_contract(root / "shop", WITHOUT_GATES, ("max_late_days = 10", "max_late_days = 35"))
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(root / "home")})
    with Lane.take(settings.lake("shop")) as lane:
        desk = Desk(Application(settings, contract, Ledger.open(settings.ledger_url), lane, "desk"))
        for place, night in enumerate(NIGHTS):
            desk.deliver(DAY, (FIRST, (CLEO, BOB), FIRST)[place])
            desk.deliver(REORDERED, [line.replace(str(DAY), str(REORDERED)) for line in FIRST][:: -1 if place else 1])
            for group, come in COME.items():
                for slot, days, nights in zip(group, versions(group), come, strict=True):
                    if place in nights:
                        # The group that comes whole comes as it is in the end.
                        desk.deliver(slot, days[-1] if group is WHOLE else days[nights.index(place)])
            desk.take_in(night, night - timedelta(days=1) if place else None)
        yield desk


def net(rows: DataFrame, sign: str, *names: str) -> Counter[Any]:
    """How often each row is left, by these columns."""
    left = rows.groupBy(*names).agg(F.sum(sign).alias("net")).filter("net != 0").collect()
    return Counter({tuple(row)[:-1]: row.net for row in left})


def test_p5_a_correction_is_known_from_its_night_and_changes_nothing_before(desk: Desk) -> None:
    """The day holds {A, B}; corrected to {B, C} nine days later: the night before still sees {A, B}."""
    facts = desk.app.lake.read("events").filter(F.col("slot") == F.lit(DAY))
    told = facts.select("customer_id", "known_date", "sign", "delivery_id", "off_day").collect()
    first, second, third = (one.delivery_id for one in desk.taken(DAY))
    assert sorted(map(tuple, told)) == [
        ("ann", DAY, 1, first, False),
        ("ann", NIGHTS[1], -1, second, True),
        ("ann", NIGHTS[2], 1, third, True),
        ("bob", DAY, 1, first, False),  # in every version, and told once
        ("cleo", NIGHTS[1], 1, second, True),
        ("cleo", NIGHTS[2], -1, third, True),
    ]
    tiles = desk.app.lake.read("daily_activity").filter(F.col("event_date") == F.lit(DAY))
    seen = [
        {customer for (customer,) in net(tiles.filter(F.col("known_date") <= F.lit(day)), "events", "customer_id")}
        for day in (DAY, NIGHTS[1] - timedelta(days=1), NIGHTS[1], NIGHTS[2])
    ]
    assert seen == [{"ann", "bob"}, {"ann", "bob"}, {"bob", "cleo"}, {"ann", "bob"}]


def test_p4_every_version_of_a_day_is_accounted_for(desk: Desk) -> None:
    """P4: rows the version before held too are unchanged; -1 facts are no raw rows; each number is counted."""
    names = ("raw", "unchanged", "accepted", "duplicate", "withdrawn")
    day, reordered = desk.taken(DAY), desk.taken(REORDERED)
    assert [tuple(one.counts[name] for name in names) for one in day] == [
        (4, 0, 2, 1, 0), (2, 1, 1, 0, 1), (4, 1, 1, 1, 1),
    ]  # fmt: skip
    assert [one.counts["quarantined"] for one in day] == [{"bad_type.price": 1}, {}, {"bad_type.price": 1}]
    assert [tuple(one.counts[name] for name in names) for one in reordered] == [(4, 0, 2, 1, 0), (4, 4, 0, 0, 0)]
    # What is wrong with a row is counted whatever its bucket.
    assert [one.counts["defects"] for one in reordered] == [{"bad_type.price": 1, "duplicate": 1}] * 2
    assert [one.corrects for one in day] == [None, day[0].delivery_id, day[1].delivery_id]


def test_a_held_row_that_a_correction_leaves_out_is_withdrawn(desk: Desk) -> None:
    """Nothing is taken out of quarantine: a row of status withdrawn follows, written by the delivery that did it."""
    first, second, third = (one.delivery_id for one in desk.taken(DAY))
    rows = desk.app.lake.read("quarantine").filter(F.col("slot") == F.lit(DAY)).collect()
    told = sorted((row.known_date, row.delivery_id, row.status, row.changed_by, row.record_number) for row in rows)
    assert told == [
        (DAY, first, "held", first, 4),
        (NIGHTS[1], first, "withdrawn", second, 4),
        (NIGHTS[2], third, "held", third, 4),
    ]
    assert {row.file for row in rows} == {f"orders/{DAY}.csv"}


def test_p5_any_order_of_deliveries_ends_in_the_same_content(desk: Desk) -> None:
    """P5: all at once, night by night, dealt at random: equal facts, tiles and held rows in the end."""
    facts = desk.app.lake.read("events")
    content = sorted(set(facts.columns) - TOLD - {"row_hash", "event_ts", "event_date", "slot"})
    by_day = net(facts, "sign", "slot", *content)
    sums = net(desk.app.lake.read("daily_activity"), "amount", "event_date", "customer_id")
    status = F.when(F.col("status") == "held", 1).otherwise(-1).alias("open")
    number = F.get_json_object("raw_row", "$.order_no").alias("order_no")
    quarantine = desk.app.lake.read("quarantine").select(
        "slot", F.concat_ws(" ", "reasons").alias("why"), number, status
    )
    held = net(quarantine, "open", "slot", "why", "order_no")
    found = []
    for group in GROUPS:
        of_group = [
            Counter({(group.index(key[0]), *map(str, key[1:])): count for key, count in one.items() if key[0] in group})
            for one in (by_day, sums, held)
        ]
        found.append(of_group)
    assert found[0] == found[1] == found[2] == found[3]
    assert all(found[0])


def test_p5_what_was_known_on_a_date_never_changes(desk: Desk) -> None:
    """P5: facts known by a published night are, after all that came later, those that were known then."""
    assert set(desk.known) == set(desk.seen())
    assert desk.seen() == desk.known
