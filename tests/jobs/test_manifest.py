import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from churnlake.contract import Contract, load_contract
from churnlake.errors import DataRefusedError
from churnlake.ledger import Delivery
from jobs.manifest import take_manifest, waits_for

SHOP = """
contract = { name = "shop", timezone = "UTC", currency = "GBP" }
calendar = { starts_on = "2011-02-01", clock = "replay" }
churn = { definition = "inactivity", activity = "true", active_within_days = 90, horizon_days = 30 }

[sources.sales]
role = "events"
path = "in box/{business_date}.csv"
closed = { dates = ["2011-02-03"] }
max_late_days = 5
on_missing = "wait"
types = { id = "text", at = "timestamp" }
columns = { customer_id = "id", event_ts = "at" }
"""
Deliver = Callable[..., str]


def day(number: int) -> date:
    """A day of February 2011."""
    return date(2011, 2, 1) + timedelta(days=number - 1)


@pytest.fixture
def shop(tmp_path: Path) -> Contract:
    """A shop from 1 February, closed on the 3rd, that waits five days for a late file."""
    (tmp_path / "contract.toml").write_text(SHOP)
    (tmp_path / "in box").mkdir()
    return load_contract(tmp_path / "contract.toml")


def deliver(shop: Contract, number: int, rows: str = "7,2011-02-01\n") -> str:
    """Puts the file of a day in its place; returns its sha256."""
    text = f"id,at\n{rows}"
    (shop.folder / "in box" / f"{day(number)}.csv").write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def held(number: int, sha256: str, state: str = "ingested") -> Delivery:
    """What the ledger knows of the file of a day."""
    slot = day(number)
    return Delivery(
        "sales", f"{slot}-{sha256[:16]}", f"in box/{slot}.csv", 1, sha256, slot, slot, slot,
        contract="shop", run_id="r", state=state, counts={},
    )  # type: ignore[arg-type]  # fmt: skip


def test_the_first_night_takes_everything_up_to_its_date(shop: Contract) -> None:
    """History is only the first such night: all files from the start through the date, none after it, none before."""
    for number in (-2, 1, 2, 4, 5):
        deliver(shop, number)
    manifest = take_manifest(shop, [], day(4), None)
    assert [(one.found.slot, one.found.available_on, one.found.known_date) for one in manifest.new] == [
        (day(1), day(1), day(1)),
        (day(2), day(2), day(2)),
        (day(4), day(4), day(4)),
    ]
    assert manifest.missing == ()
    assert manifest.checks == ()


def test_an_identical_redelivery_is_nothing_new(shop: Contract) -> None:
    """The same bytes for the same day, delivered again, change nothing."""
    sha256 = deliver(shop, 1)
    assert take_manifest(shop, [held(1, sha256)], day(1), None).new == ()


def test_a_file_frozen_by_a_killed_run_is_taken_again(shop: Contract) -> None:
    """Only what was taken in whole counts as held."""
    sha256 = deliver(shop, 1)
    (arrival,) = take_manifest(shop, [held(1, sha256, "frozen")], day(1), None).new
    assert arrival.found.delivery_id == f"2011-02-01-{sha256[:16]}"


def test_p5_changed_bytes_of_an_ingested_day_are_refused_by_name(shop: Contract) -> None:
    """What was known stays known: other bytes under the same day stop the night and name the file and both digests."""
    before = deliver(shop, 1)
    after = deliver(shop, 1, "8,2011-02-01\n")
    with pytest.raises(DataRefusedError) as caught:
        take_manifest(shop, [held(1, before)], day(1), None)
    assert str(caught.value) == (
        "deliveries cannot be used:\n"
        f"  - in box/2011-02-01.csv: was taken in with other bytes (sha256 {before[:12]}..., now {after[:12]}...); "
        "put the first version back\n"
        "  next: repair or replace these files and run again; last scores stay"
    )


def test_p5_a_late_file_is_known_from_the_first_night_that_can_use_it(shop: Contract) -> None:
    """A file for a sealed day keeps its day and is known on the day after the seal, never on a sealed one."""
    first = deliver(shop, 1)
    deliver(shop, 2)
    manifest = take_manifest(shop, [held(1, first)], day(5), sealed=day(4))
    assert [(one.found.slot, one.found.known_date) for one in manifest.new] == [(day(2), day(5))]
    assert manifest.missing == (("sales", day(4)), ("sales", day(5)))


def test_p5_a_file_that_comes_too_late_is_refused_by_name(shop: Contract) -> None:
    """After max_late_days its slot was given up; the file is not taken in, and a warning names it."""
    first = deliver(shop, 1)
    deliver(shop, 2)
    on_time = take_manifest(shop, [held(1, first)], day(7), day(6))
    assert [one.found.slot for one in on_time.new] == [day(2)]
    too_late = take_manifest(shop, [held(1, first)], day(8), day(7))
    assert too_late.new == ()
    (check,) = too_late.checks
    assert (check.name, check.severity, check.passed) == ("too_late.2011-02-02", "warning", False)
    assert check.observed == "in box/2011-02-02.csv came more than 5 days late and was refused"


def test_a_file_on_a_closed_day_is_taken_in_and_shown(shop: Contract) -> None:
    """No file is right that day, but its facts are not lost: they are taken in, and a warning says so, once."""
    first, third = deliver(shop, 1), deliver(shop, 3)
    manifest = take_manifest(shop, [held(1, first)], day(3), None)
    assert [one.found.slot for one in manifest.new] == [day(3)]
    assert [(check.name, check.passed) for check in manifest.checks] == [("closed_day.2011-02-03", False)]
    assert take_manifest(shop, [held(1, first), held(3, third)], day(3), None).checks == ()


def test_a_missing_file_on_an_open_day_is_waited_for(shop: Contract) -> None:
    """Open days without a file are named with their path; the closed third is none of them."""
    deliver(shop, 1)
    assert waits_for(shop, [], day(4)) == (
        "2011-02-04 waits for 2 missing files: in box/2011-02-02.csv (sales), in box/2011-02-04.csv (sales)"
    )
    deliver(shop, 2)
    assert waits_for(shop, [], day(3)) is None


def test_what_the_lake_holds_is_not_waited_for(shop: Contract) -> None:
    """A file that was taken in may be cleared away."""
    assert waits_for(shop, [held(1, "aa"), held(2, "bb")], day(3)) is None


def test_a_slot_is_waited_for_only_as_long_as_it_may_come(shop: Contract) -> None:
    """Older than max_late_days is given up."""
    for number in (4, 5, 6, 7, 8):
        deliver(shop, number)
    waited = waits_for(shop, [], day(7))
    assert waited == "2011-02-07 waits for 1 missing file: in box/2011-02-02.csv (sales)"
    assert waits_for(shop, [], day(8)) is None


def test_with_on_missing_warn_a_date_goes_on(shop: Contract, tmp_path: Path) -> None:
    """The missing file is in the manifest, so that the run shows it, and nothing waits."""
    (tmp_path / "contract.toml").write_text(SHOP.replace('"wait"', '"warn"'))
    warned = load_contract(tmp_path / "contract.toml")
    deliver(warned, 1)
    assert waits_for(warned, [], day(2)) is None
    assert take_manifest(warned, [], day(2), None).missing == (("sales", day(2)),)


def test_many_missing_files_are_counted_and_five_are_named(shop: Contract) -> None:
    """A message stays readable when a whole week is missing."""
    waited = waits_for(shop, [], day(9))
    assert waited is not None
    assert waited.startswith("2011-02-09 waits for 6 missing files: ")
    assert waited.count("(sales)") == 5
    assert waited.endswith(" ...")


def test_p6_every_unfit_file_of_a_date_is_named_together(shop: Contract) -> None:
    """One look at the message is enough to ask for all repairs at once."""
    deliver(shop, 1)
    (shop.folder / "in box" / "2011-02-02.csv").write_bytes(b"")
    (shop.folder / "in box" / "2011-02-04.csv").write_text("id,when\n7,2011-02-04\n")
    with pytest.raises(DataRefusedError) as caught:
        take_manifest(shop, [], day(4), None)
    assert caught.value.message == (
        "deliveries cannot be used:\n"
        "  - in box/2011-02-02.csv: is empty (0 bytes): deliver it again\n"
        "  - in box/2011-02-04.csv: column 'at' is missing\n"
        "  - in box/2011-02-04.csv: column 'when' is not in the contract; known: id, at"
    )
    assert caught.value.exit_code == 3
