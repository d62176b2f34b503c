"""Histories: files without a day, taken in once, each by itself."""

import hashlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from churnlake.contract import Contract
from churnlake.due import complete_through, newest_date, training_schedule
from churnlake.errors import DataRefusedError
from churnlake.ledger import Delivery
from jobs.manifest import take_manifest, waits_for

STARTS_ON, THROUGH = date(2026, 1, 1), date(2026, 12, 31)
HEADER = "member,joined,left_on,paid_to,plan,fee"

MakeClub = Callable[..., Contract]


@pytest.fixture
def club(tmp_path: Path, make_club: MakeClub) -> Contract:
    """A club whose members came in two files."""
    club = make_club(tmp_path)
    for number in (1, 2):
        (tmp_path / f"memberships{number}.csv").write_text(f"{HEADER}\nm{number},2026-02-01,,,basic,5\n")
    return club


def taken(club: Contract, number: int) -> Delivery:
    """What the ledger knows of a file that is in."""
    path = club.folder / f"memberships{number}.csv"
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Delivery(
        "memberships", f"{STARTS_ON}-{sha256[:16]}", path.name, path.stat().st_size, sha256, STARTS_ON, STARTS_ON,
        STARTS_ON, contract="club", run_id="run", state="ingested", counts={},
    )  # fmt: skip


def test_every_file_of_a_history_is_taken_in_on_any_date(club: Contract) -> None:
    """Its files have no day of their own: they are known from the first day of data, on each date that asks."""
    for day in (STARTS_ON, date(2026, 6, 30), THROUGH):
        found = [one.found for one in take_manifest(club, [], day, None).new]
        assert [(one.path, one.slot, one.known_date, one.corrects) for one in found] == [
            ("memberships1.csv", STARTS_ON, STARTS_ON, None),
            ("memberships2.csv", STARTS_ON, STARTS_ON, None),
        ]


def test_p5_a_history_that_comes_after_a_publication_is_known_from_the_next_night(club: Contract) -> None:
    """What was published did not know it."""
    assert [one.found.known_date for one in take_manifest(club, [], THROUGH, date(2026, 6, 30)).new] == [
        date(2026, 7, 1),
        date(2026, 7, 1),
    ]


def test_the_same_bytes_again_are_nothing_new_and_other_bytes_are_refused(club: Contract) -> None:
    """A history cannot be corrected file by file: its facts are known from the days they happened."""
    both = [taken(club, 1), taken(club, 2)]
    assert take_manifest(club, both, THROUGH, None).new == ()
    (club.folder / "memberships2.csv").write_text(f"{HEADER}\nm2,2026-02-02,,,basic,5\n")
    with pytest.raises(DataRefusedError, match=r"memberships2.csv: has other bytes .* a history is taken in once"):
        take_manifest(club, both, THROUGH, None)


def test_two_files_of_one_content_are_a_stale_copy(club: Contract) -> None:
    """Every member would be in twice."""
    (club.folder / "memberships2.csv").write_bytes((club.folder / "memberships1.csv").read_bytes())
    with pytest.raises(DataRefusedError, match=r"memberships2.csv: has the same bytes as memberships1.csv"):
        take_manifest(club, [], THROUGH, None)


def test_a_history_without_any_file_is_waited_for(tmp_path: Path, make_club: MakeClub) -> None:
    """Without it there is nobody to score."""
    club = make_club(tmp_path)
    assert waits_for(club, [], THROUGH) == f"{THROUGH} waits for 1 missing file: memberships*.csv (memberships)"


def test_a_history_ends_where_the_contract_says(club: Contract) -> None:
    """Under the replay clock its last day is the newest date, and nothing after it is complete."""
    assert newest_date(club, datetime(2027, 5, 1, tzinfo=UTC)) == THROUGH
    assert complete_through(club, {STARTS_ON: STARTS_ON}, date(2027, 5, 1)) == THROUGH
    assert complete_through(club, {STARTS_ON: STARTS_ON}, date(2026, 5, 1)) == date(2026, 5, 1)


def test_named_cutoffs_take_the_place_of_scheduled_ones_once_they_are_mature(
    tmp_path: Path, make_club: MakeClub
) -> None:
    """A horizon of 30 days and 3 of grace: a cutoff is mature 33 days later, on the day itself."""
    named = '\n[training]\ntrain_on = ["2026-02-28"]\ntest_on = ["2026-06-30", "2026-05-31"]\n'
    club = make_club(tmp_path, ("grace_days = 3", f"grace_days = 3\n{named}"))
    schedule = training_schedule(club, date(2026, 8, 2))
    assert schedule.train == (date(2026, 2, 28),)
    assert schedule.test == (date(2026, 5, 31), date(2026, 6, 30))
    assert training_schedule(club, date(2026, 8, 1)).test == (date(2026, 5, 31),)
