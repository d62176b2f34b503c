"""Snapshots on their way in: which are new, which are stale, and which days are still waited for."""

import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from churnlake.contract import Contract
from churnlake.ledger import Delivery
from jobs.manifest import take_manifest, waits_for
from jobs.training import settled_slots

FIRST = date(2026, 1, 1)
AS_SNAPSHOT = (
    ('delivery = "history"', 'delivery = "snapshot"'),
    ("memberships*.csv", "memberships/{business_date}.csv"),
    ('through = "2026-12-31"\n', "max_late_days = 5\n"),
)

MakeClub = Callable[..., Contract]


def day(number: int) -> date:
    """A day of January 2026."""
    return FIRST + timedelta(days=number - 1)


@pytest.fixture
def club(tmp_path: Path, make_club: MakeClub) -> Contract:
    """A club that delivers all its memberships each day."""
    return make_club(tmp_path, *AS_SNAPSHOT)


def deliver(club: Contract, number: int, member: str = "m1") -> Delivery:
    """Puts the table of a day in its place; returns it as the ledger knows it once it is in."""
    path = club.folder / "memberships" / f"{day(number)}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"member,joined,left_on,paid_to,plan,fee\n{member},2025-02-01,,,basic,5\n")
    sha256, slot = hashlib.sha256(path.read_bytes()).hexdigest(), day(number)
    return Delivery(
        "memberships", f"{slot}-{sha256[:16]}", f"memberships/{slot}.csv", path.stat().st_size, sha256, slot, slot,
        slot, contract="club", run_id="run", state="ingested", counts={},
    )  # fmt: skip


def test_the_same_table_on_another_day_is_a_snapshot_of_its_own(club: Contract) -> None:
    """Nothing may have changed in a day: equal bytes are no copy that was left behind."""
    for number in (1, 2):
        deliver(club, number)
    assert [one.found.slot for one in take_manifest(club, [], day(2), None).new] == [day(1), day(2)]


def test_an_older_table_than_the_one_in_force_is_stale(club: Contract) -> None:
    """New or with other bytes it is told of once; the newest one may still be corrected."""
    held = [deliver(club, 1), deliver(club, 3)]
    for number in (1, 2, 3):
        deliver(club, number, "m9")
    manifest = take_manifest(club, held, day(3), day(2))
    assert [one.slot for one in manifest.stale] == [day(1), day(2)]
    assert [(one.found.slot, one.found.corrects) for one in manifest.new] == [(day(3), held[1].delivery_id)]
    assert [check.name for check in manifest.checks] == [f"stale.{day(1)}", f"stale.{day(2)}"]
    noted = [
        Delivery(**vars(one), contract="club", run_id="run", state="stale", counts={})  # type: ignore[arg-type]
        for one in manifest.stale
    ]
    again = take_manifest(club, [*held, *noted], day(9), day(8))
    assert (again.stale, again.checks) == ((), ())


def test_days_before_the_newest_table_are_not_waited_for(club: Contract) -> None:
    """A newer table tells all that theirs would have; after it each open day is due."""
    deliver(club, 3)
    told = waits_for(club, [], day(5))
    assert told is not None
    assert f"waits for 2 missing files: memberships/{day(4)}.csv (memberships), memberships/{day(5)}.csv" in told
    assert take_manifest(club, [], day(5), None).missing == (("memberships", day(4)), ("memberships", day(5)))


def test_a_day_is_settled_by_its_table_or_a_newer_one(club: Contract) -> None:
    """The second never came and needs none; the fourth is settled once it is given up."""
    held = [deliver(club, 1), deliver(club, 3)]
    assert settled_slots(club, held, day(4)) == {day(1): day(1), day(2): day(3), day(3): day(3), day(4): day(10)}
