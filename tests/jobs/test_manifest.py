import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from churnlake.contract import Contract, load_contract
from churnlake.errors import DataRefusedError
from churnlake.ledger import Delivery
from jobs.manifest import redigest, take_manifest, waits_for

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
ready = { stable_seconds = 0 }
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


def deliver(shop: Contract, number: int, rows: str | None = None) -> str:
    """Puts the file of a day in its place; returns its sha256."""
    text = f"id,at\n{rows or f'7,{day(number)}'}\n"
    (shop.folder / "in box" / f"{day(number)}.csv").write_text(text)
    return hashlib.sha256(text.encode()).hexdigest()


def held(
    number: int,
    sha256: str,
    state: str = "ingested",
    *,
    version: int = 1,
    corrects: str | None = None,
    size: int = 19,
) -> Delivery:
    """What the ledger knows of the file of a day; `corrects` is the sha256 of its first version."""
    slot = day(number)
    before = None if corrects is None else f"{slot}-{corrects[:16]}"
    suffix = "" if version == 1 else f"-{version}"
    return Delivery(
        "sales", f"{slot}-{sha256[:16]}{suffix}", f"in box/{slot}.csv", size, sha256, slot, slot, slot,
        contract="shop", run_id="r", state=state, counts={}, corrects=before,
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


def test_p5_other_bytes_of_an_ingested_day_correct_it(shop: Contract) -> None:
    """The new version names the one it replaces, keeps its day, and is known from the first date that is not sealed."""
    before, after = deliver(shop, 1), deliver(shop, 1, "8,2011-02-01")
    (arrival,) = take_manifest(shop, [held(1, before)], day(3), sealed=day(2)).new
    assert arrival.found.delivery_id == f"2011-02-01-{after[:16]}-2"
    assert arrival.found.corrects == f"2011-02-01-{before[:16]}"
    assert (arrival.found.slot, arrival.found.known_date) == (day(1), day(3))


def test_p5_bytes_that_come_back_are_a_version_of_their_own(shop: Contract) -> None:
    """First version, second, first again: the third has an id of its own and corrects the second."""
    first, second = deliver(shop, 1, "8,2011-02-01"), deliver(shop, 1, "9,2011-02-01")
    versions = [held(1, first), held(1, second, version=2, corrects=first)]
    assert take_manifest(shop, versions, day(1), None).new == ()
    deliver(shop, 1, "8,2011-02-01")
    (third,) = take_manifest(shop, versions, day(1), None).new
    assert third.found.delivery_id == f"2011-02-01-{first[:16]}-3"
    assert third.found.corrects == f"2011-02-01-{second[:16]}-2"


def test_a_frozen_correction_keeps_its_id_and_a_replaced_one_gives_it_up(shop: Contract) -> None:
    """A run taken up again finds the same delivery; other bytes under it are another one, for the same version."""
    first, second = deliver(shop, 1), deliver(shop, 1, "8,2011-02-01")
    versions = [held(1, first), held(1, second, "frozen", version=2, corrects=first)]
    assert [one.found.delivery_id for one in take_manifest(shop, versions, day(1), None).new] == [
        versions[1].delivery_id
    ]
    third = deliver(shop, 1, "9,2011-02-01")
    (arrival,) = take_manifest(shop, versions, day(1), None).new
    assert arrival.found.delivery_id == f"2011-02-01-{third[:16]}-2"
    assert arrival.found.corrects == f"2011-02-01-{first[:16]}"


def test_a_stale_copy_of_another_day_is_refused_by_name(shop: Contract) -> None:
    """The bytes of another day, in the lake or beside it, are no delivery of this one."""
    first = deliver(shop, 1)
    deliver(shop, 2, f"7,{day(1)}")
    for versions in ([held(1, first)], []):
        with pytest.raises(DataRefusedError) as caught:
            take_manifest(shop, versions, day(2), None)
        assert caught.value.message.endswith(
            "in box/2011-02-02.csv: has the same bytes as in box/2011-02-01.csv: it is a stale copy; "
            "deliver the day's own file"
        )


def test_two_days_that_were_swapped_can_be_put_right(shop: Contract) -> None:
    """Each has the bytes that the other had before, and none is a copy of what is there now."""
    first, second = deliver(shop, 1), deliver(shop, 2)
    manifest = take_manifest(shop, [held(1, second), held(2, first)], day(2), None)
    assert [(one.found.slot, one.found.sha256) for one in manifest.new] == [(day(1), first), (day(2), second)]


def test_a_file_that_changes_after_it_was_given_up_stays_as_it_was_taken_in(shop: Contract) -> None:
    """Nothing of it is read; another size alone is a warning that says what to do."""
    first = deliver(shop, 1)
    assert take_manifest(shop, [held(1, first)], day(7), day(6)).checks == ()
    deliver(shop, 1, "88888,2011-02-01")
    (check,) = take_manifest(shop, [held(1, first)], day(7), day(6)).checks
    assert (check.name, check.severity, check.passed) == ("too_late.2011-02-01", "warning", False)
    assert check.observed == (
        "in box/2011-02-01.csv changed more than 5 days late (19 bytes, now 23) and stays as it was taken in"
    )


def test_a_file_that_somebody_writes_has_not_come_yet(tmp_path: Path, shop: Contract) -> None:
    """It is waited for by name; where nothing waits, a warning shows it and a later run takes it up."""
    (tmp_path / "contract.toml").write_text(SHOP.replace("{ stable_seconds = 0 }", '"marker"'))
    marked = load_contract(tmp_path / "contract.toml")
    deliver(marked, 1)
    assert waits_for(marked, [], day(1)) == (
        "2011-02-01 waits for 1 missing file: in box/2011-02-01.csv (sales, has no marker (2011-02-01.csv.done))"
    )
    with pytest.raises(DataRefusedError, match=r"2011-02-01\.csv: has no marker .*: wait for it, then run again"):
        take_manifest(marked, [], day(1), None)
    first = deliver(marked, 1, "8,2011-02-01")
    (check,) = take_manifest(marked, [held(1, "aa")], day(1), None).checks
    assert (check.name, check.severity) == ("unready.2011-02-01", "warning")
    (tmp_path / "in box" / "2011-02-01.csv.done").touch()
    assert waits_for(marked, [], day(1)) is None
    assert [one.found.sha256 for one in take_manifest(marked, [], day(1), None).new] == [first]


def test_drift_that_the_contract_lets_pass_is_shown(tmp_path: Path, shop: Contract) -> None:
    """Accepted differences are recorded, those to be warned of are warnings; both name the file and what differs."""
    (tmp_path / "contract.toml").write_text(f'{SHOP}drift = {{ extra = "warn" }}\n')
    lenient = load_contract(tmp_path / "contract.toml")
    (tmp_path / "in box" / "2011-02-01.csv").write_text("at,id,note\n2011-02-01,7,x\n")
    manifest = take_manifest(lenient, [], day(1), None)
    assert [(field.name, field.column) for field in manifest.new[0].layout] == [
        ("at", "at"),
        ("id", "id"),
        ("note", None),
    ]
    assert [(one.kind, one.name, one.severity, one.passed, one.observed) for one in manifest.checks] == [
        (
            "drift", "extra.2011-02-01", "warning", False,
            "in box/2011-02-01.csv: column 'note' is not in the contract; known: id, at",
        ),
        (
            "drift", "reordered.2011-02-01", "info", False,
            "in box/2011-02-01.csv: columns are in another order: at, id; the contract says id, at",
        ),
    ]  # fmt: skip


def test_a_file_that_changed_since_it_was_frozen_is_refused_with_both_digests(shop: Contract) -> None:
    """What was read is what was frozen, or the night stops; a file that is gone says so."""
    first = deliver(shop, 1)
    manifest = take_manifest(shop, [], day(1), None)
    redigest(shop, manifest.new)
    second = deliver(shop, 1, "8,2011-02-01")
    with pytest.raises(DataRefusedError, match=f"2011-02-01.csv: sha256 was {first}, is {second}"):
        redigest(shop, manifest.new)
    (shop.folder / "in box" / "2011-02-01.csv").unlink()
    with pytest.raises(DataRefusedError, match="now it cannot be read"):
        redigest(shop, manifest.new)


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
