"""Snapshots, taken in by the ingest stage itself: the newest table that is known counts, and nothing but it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.errors import DataRefusedError
from churnlake.ledger import CheckResult, Delivery, Lane, Ledger, Run
from churnlake.settings import Settings
from jobs.application import Application
from jobs.attributes import attributes_at
from jobs.ingest import ingest

PEOPLE = """
[sources.people]
role = "customers"
delivery = "snapshot"
path = "people/{business_date}.csv"
ready = { stable_seconds = 0 }
on_missing = "warn"
max_disappear = 0.5
types = { id = "text", region = "text", points = "int" }
columns = { customer_id = "id", region = "region", points = "points" }
"""
HEADERS = {"people": "id,region,points", "plans": "id,since,until"}
PLANS = ("ann,2025-01-01,", "bob,2025-02-01,")


def day(number: int) -> date:
    """A day of January 2026."""
    return date(2026, 1, number)


@dataclass
class Desk:
    """A club's folder, and the ingest stage that takes in what lies there."""

    app: Application

    def deliver(self, number: int, *lines: str, source: str = "people") -> None:
        path = self.app.contract.folder / source / f"{day(number)}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([HEADERS[source], *lines]) + "\n")

    def take_in(self, night: int, sealed: int | None = None) -> Run:
        with self.app.run("history", day(night), "done") as run, self.app.stage(run, "ingest") as stage:
            ingest(self.app, run, stage, None if sealed is None else day(sealed))
        return run

    def taken(self) -> list[Delivery]:
        """The deliveries of people that are in, in the order in which they took each other's place."""
        found = [one for one in self.app.ledger.deliveries("club", "people") if one.state == "ingested"]
        return sorted(found, key=lambda one: (one.slot, one.known_date))

    def stale_checks(self, run: Run) -> list[CheckResult]:
        return [one for one in self.app.ledger.checks(run.run_id) if one.name.startswith("stale.")]

    def attributes(self, cutoffs: Sequence[date]) -> dict[date, dict[str, tuple[str | None, float | None]]]:
        """What is known of each customer at each cutoff."""
        rows = attributes_at(self.app.lake.read("attributes"), self.app.contract, cutoffs).collect()
        return {
            cutoff: {row.customer_id: (row.region, row.points) for row in rows if row.business_date == cutoff}
            for cutoff in cutoffs
        }


@pytest.fixture(scope="module")
def desk(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_members: Callable[..., Contract]
) -> Iterator[Desk]:
    """A first night of three snapshots and two of plans, a fourth and stale ones, the fourth corrected and a fifth."""
    root = tmp_path_factory.mktemp("snapshots")
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(root / "home")})
    contract = make_members(root / "club", PEOPLE)
    with Lane.take(settings.lake("club")) as lane:
        yield Desk(Application(settings, contract, Ledger.open(settings.ledger_url), lane, "desk"))


@pytest.fixture(scope="module")
def nights(desk: Desk) -> list[Run]:
    """The runs of the story."""
    desk.deliver(1, "ann,north,1", "bob,south,2", "cleo,,3", "dan,west,many", "ann,north,1")
    desk.deliver(2, "bob,south,2", "ann,north,1", "dan,west,many")
    desk.deliver(3, "ann,east,1", "bob,south,2", "cleo,,3", "dan,west,4")
    desk.deliver(2, "ann,2024-01-01,", PLANS[1], source="plans")
    desk.deliver(3, *PLANS, source="plans")
    runs = [desk.take_in(3)]
    desk.deliver(5, "ann,east,1", "bob,south,5", "cleo,,3", "dan,west,4")
    runs.append(desk.take_in(5, sealed=4))
    desk.deliver(2, "eve,north,9")
    desk.deliver(4, "ann,north,9")
    desk.deliver(5, "ann,east,1", "bob,south,6", "cleo,,3", "dan,west,4")
    desk.deliver(6, "ann,east,1", "bob,south,6", "dan,west,4")
    return [*runs, desk.take_in(6, sealed=5), desk.take_in(6, sealed=5)]


def test_the_newest_table_known_by_a_date_counts_and_nothing_but_it(desk: Desk, nights: list[Run]) -> None:
    """Before a newer snapshot was known the older values count; whoever is not in the newest has no attributes."""
    ann, bob, cleo, dan = ("north", 1.0), ("south", 2.0), (None, 3.0), ("west", 4.0)
    moved = {"ann": ("east", 1.0), "bob": bob, "cleo": cleo, "dan": dan}
    assert len(nights) == 4
    assert desk.attributes([day(number) for number in range(1, 7)]) == {
        day(1): {"ann": ann, "bob": bob, "cleo": cleo},
        day(2): {"ann": ann, "bob": bob},
        day(3): moved,
        day(4): moved,
        day(5): moved | {"bob": ("south", 5.0)},
        # The fifth was corrected when it was sealed, so this is known from the sixth on.
        day(6): {"ann": ("east", 1.0), "bob": ("south", 6.0), "dan": dan},
    }


def test_p4_rows_as_they_were_in_the_snapshot_before_are_unchanged(desk: Desk, nights: list[Run]) -> None:
    """P4: every raw row is in one bucket, only changes are facts, and what is gone or replaced is taken back."""
    names = ("raw", "unchanged", "accepted", "duplicate", "withdrawn")
    assert [(one.slot.day, *(one.counts[name] for name in names)) for one in desk.taken()] == [
        (1, 5, 0, 3, 1, 0),
        (2, 3, 3, 0, 0, 1),
        (3, 4, 1, 3, 0, 1),
        (5, 4, 3, 1, 0, 1),
        (5, 4, 3, 1, 0, 1),
        (6, 3, 3, 0, 0, 1),
    ]
    assert [sum(one.counts["quarantined"].values()) for one in desk.taken()] == [1, 0, 0, 0, 0, 0]
    held = desk.app.lake.read("quarantine").orderBy("known_date").collect()
    assert [(row.status, row.changed_by) for row in held] == [
        ("held", desk.taken()[0].delivery_id),
        ("withdrawn", desk.taken()[2].delivery_id),
    ]


def test_an_older_snapshot_that_comes_after_a_newer_one_is_stale(desk: Desk, nights: list[Run]) -> None:
    """New or corrected, it is counted and shown in the night that sees it first, never read, and no slot is missing."""
    stale = [one for one in desk.app.ledger.deliveries("club", "people") if one.state == "stale"]
    assert sorted(one.slot for one in stale) == [day(2), day(4)]
    (told, _) = desk.stale_checks(nights[2])
    assert told.observed == f"people/{day(2)}.csv came after the snapshot of {day(5)} and changes nothing"
    assert [len(desk.stale_checks(run)) for run in nights] == [0, 0, 2, 0]
    (stage,) = desk.app.ledger.stages(nights[2].run_id)
    assert stage.counts["stale"] == 2
    assert [check.name for check in desk.app.ledger.checks(nights[2].run_id) if check.name.startswith("delivery")] == [
        f"delivery.{day(4)}", f"delivery.{day(5)}", f"delivery.{day(6)}",
    ]  # fmt: skip


def test_two_snapshots_of_a_first_night_leave_the_newer_one(desk: Desk, nights: list[Run]) -> None:
    """None was in before them: what the first told and the second does not is taken back all the same."""
    facts = desk.app.lake.read("subscriptions").groupBy("customer_id", "started_on").agg(F.sum("sign").alias("net"))
    assert sorted((row.customer_id, row.started_on) for row in facts.filter("net > 0").collect()) == [
        ("ann", date(2025, 1, 1)),
        ("bob", date(2025, 2, 1)),
    ]


def test_a_snapshot_that_lacks_too_many_customers_stops_the_night(desk: Desk, nights: list[Run]) -> None:
    """Two of two members are gone from the plans: refused with both numbers, nothing is taken back."""
    desk.deliver(7, "cleo,2025-03-01,", source="plans")
    told = rf"plans/{day(7)}\.csv lacks 2 of 2 customers of the snapshot before it \(100%\)\n  next: deliver the whole"
    with pytest.raises(DataRefusedError, match=told):
        desk.take_in(7, sealed=6)
    signs = desk.app.lake.read("subscriptions").filter("sign < 0").count()
    failed = [check for check in desk.app.ledger.checks(desk.app.ledger.runs("club")[-1].run_id) if not check.passed]
    assert (signs, {check.name for check in failed} >= {f"disappeared.{day(7)}"}) == (1, True)
    assert {one.delivery_id for one in desk.app.ledger.deliveries("club", "plans") if one.state == "frozen"}
    desk.deliver(7, *PLANS, "cleo,2025-03-01,", source="plans")
    desk.take_in(7, sealed=6)
    facts = desk.app.lake.read("subscriptions").groupBy("customer_id").agg(F.sum("sign").alias("net"))
    assert {row.customer_id: row.net for row in facts.collect()} == {"ann": 1, "bob": 1, "cleo": 1}
