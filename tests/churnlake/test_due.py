from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from churnlake.calendar import Due
from churnlake.contract import Contract
from churnlake.due import newest_date, what_is_due

LoadShop = Callable[..., Contract]
NOON = datetime(2011, 2, 10, 12, tzinfo=UTC)


@pytest.fixture
def shop(load_shop: LoadShop, tmp_path: Path) -> Contract:
    """The replaying shop with files of 3, 4 and 7 February."""
    contract = load_shop()
    (tmp_path / "in").mkdir()
    for day in (3, 4, 7):
        (tmp_path / "in" / f"2011-02-{day:02}.csv").write_text("id,at,price,kind\n1,2011-02-01,1,x\n")
    return contract


def test_under_the_replay_clock_the_newest_file_is_yesterday(shop: Contract) -> None:
    """Historical examples have no today: their newest delivered date is the newest business date."""
    assert newest_date(shop, NOON) == date(2011, 2, 7)
    assert what_is_due(shop, None, NOON) == Due((date(2011, 2, 7),), ())


def test_without_any_file_nothing_is_due_in_a_replay(load_shop: LoadShop) -> None:
    """An empty folder is no date, and no error."""
    contract = load_shop()
    assert newest_date(contract, NOON) is None
    assert what_is_due(contract, None, NOON) == Due((), ())


def test_under_todays_clock_yesterday_of_the_zone_is_newest(load_shop: LoadShop) -> None:
    """Half past twelve at night in UTC is still the evening before in New York; files have no say."""
    contract = load_shop(('clock = "replay"', 'clock = "today"'), ("Europe/London", "America/New_York"))
    assert newest_date(contract, datetime(2011, 2, 10, 0, 30, tzinfo=UTC)) == date(2011, 2, 8)
    assert newest_date(contract, datetime(2011, 2, 10, 5, 0, tzinfo=UTC)) == date(2011, 2, 9)


def test_after_the_seal_every_date_is_due_also_closed_ones(shop: Contract) -> None:
    """5 February has no file and 6 February is a closed Sunday: both run, since nothing arrived is a fact."""
    due = what_is_due(shop, date(2011, 2, 4), NOON)
    assert due == Due((date(2011, 2, 5), date(2011, 2, 6), date(2011, 2, 7)), ())


def test_what_is_sealed_is_not_due_again(shop: Contract) -> None:
    """Once the newest date is published nothing is due until a newer file comes."""
    assert what_is_due(shop, date(2011, 2, 7), NOON) == Due((), ())


def test_an_asked_date_brings_what_was_missed_before_it(shop: Contract) -> None:
    """`until` names the last date to run, and nothing after it."""
    assert what_is_due(shop, date(2011, 2, 4), NOON, until=date(2011, 2, 6)).dates == (
        date(2011, 2, 5),
        date(2011, 2, 6),
    )
    assert what_is_due(shop, None, NOON, until=date(2011, 2, 4)) == Due((date(2011, 2, 4),), ())


def test_what_is_older_than_max_catchup_days_is_skipped_by_name(load_shop: LoadShop) -> None:
    """A contract away for long runs its newest dates and says which it leaves out."""
    contract = load_shop(('clock = "replay"', 'clock = "today"\nmax_catchup_days = 2'))
    due = what_is_due(contract, date(2011, 2, 5), NOON)
    assert due == Due((date(2011, 2, 8), date(2011, 2, 9)), (date(2011, 2, 6), date(2011, 2, 7)))
