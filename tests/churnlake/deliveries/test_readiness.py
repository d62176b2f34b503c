"""Files that somebody is still writing."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.contract import Contract
from churnlake.deliveries import content, find_files, inspect, inspection, unready

GOOD = b"id,at,price,kind\n7,2011-02-03 09:00:00,1.50,purchase\n"
LoadShop = Callable[..., Contract]


@pytest.fixture
def shop(load_shop: LoadShop, tmp_path: Path) -> Contract:
    """A shop that lets files rest for a second, with a file of yesteryear and one that is just there."""
    (tmp_path / "in").mkdir()
    for day in (3, 4):
        (tmp_path / "in" / f"2011-02-{day:02}.csv").write_bytes(GOOD)
    os.utime(tmp_path / "in" / "2011-02-03.csv", (1_300_000_000, 1_300_000_000))
    return load_shop(('role = "events"', 'role = "events"\nready = { stable_seconds = 1 }'))


def test_a_file_that_rests_is_whole(shop: Contract) -> None:
    """A young one is looked at again once it could have rested; what did not move counts."""
    old, young = find_files(shop, "sales")
    before = time.monotonic()
    assert unready(shop, [old]) == {}
    assert time.monotonic() - before < 0.5
    assert unready(shop, [old, young]) == {}


def test_a_file_of_the_future_is_looked_at_again_after_its_rest_and_no_later(shop: Contract) -> None:
    """The clock of a file server may be ahead of ours."""
    _, young = find_files(shop, "sales")
    os.utime(shop.folder / young.path, (time.time() + 3_600,) * 2)
    before = time.monotonic()
    assert unready(shop, [young]) == {}
    assert time.monotonic() - before < 5


def test_a_file_that_grows_or_goes_meanwhile_is_still_being_written(shop: Contract) -> None:
    """Each of them moved while we waited."""
    (shop.folder / "in" / "2011-02-07.csv").write_bytes(GOOD)
    _, growing, going = find_files(shop, "sales")

    def move() -> None:
        with (shop.folder / growing.path).open("ab") as file:
            file.write(b"8,2011-02-03,1,x\n")
        (shop.folder / going.path).unlink()

    threading.Timer(0.3, move).start()
    assert unready(shop, [growing, going]) == {growing: "is still being written", going: "is still being written"}


def test_a_marker_says_when_a_file_is_whole(load_shop: LoadShop, tmp_path: Path) -> None:
    """It stands beside the file, is no delivery itself, and nothing else is asked."""
    shop = load_shop(
        ('role = "events"', 'role = "events"\nready = "marker"'), ("{business_date}.csv", "{business_date}*")
    )
    (tmp_path / "in").mkdir()
    for name in ("2011-02-03.csv", "2011-02-03.csv.done", "2011-02-04.csv"):
        (tmp_path / "in" / name).write_bytes(GOOD)
    files = find_files(shop, "sales")
    assert [file.path for file in files] == ["in/2011-02-03.csv", "in/2011-02-04.csv"]
    assert unready(shop, files) == {files[1]: "has no marker (2011-02-04.csv.done)"}


def test_files_that_spark_would_pass_over_have_not_come(load_shop: LoadShop, tmp_path: Path) -> None:
    """Names of unfinished copies are no deliveries: Spark reads none of them and says nothing."""
    shop = load_shop(("in/{business_date}.csv", "in/*{business_date}*"))
    (tmp_path / "in").mkdir()
    for name in (".2011-02-03.csv.swp", "_2011-02-03.csv", "2011-02-03.csv._COPYING_"):
        (tmp_path / "in" / name).write_bytes(GOOD)
    assert find_files(shop, "sales") == ()


def test_a_file_that_changes_while_it_is_read_is_no_delivery(shop: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read belongs together only when size, time and place are the same before and after."""
    path = shop.folder / "in" / "2011-02-03.csv"

    def digest_then_grow(given: Path) -> content.Digest:
        digest = content.digest_of(given)
        with given.open("ab") as file:
            file.write(b"8,2011-02-03,1,x\n")
        return digest

    monkeypatch.setattr(inspection, "digest_of", digest_then_grow)
    (problem,) = inspect(path, shop.sources["sales"]).problems
    assert problem == (
        f"changed while it was read ({len(GOOD)} bytes, then {len(GOOD) + 17}): wait until it is written"
    )
