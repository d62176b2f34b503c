"""The publish protocol: one publication per date, whoever wakes when."""

import sqlite3
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from churnlake.errors import ConflictError, UnavailableError, UsageError
from churnlake.warehouse.duckdb import build_load, materialise
from churnlake.warehouse.publications import Publications

NOW = datetime(2011, 12, 1, 4, 0, tzinfo=UTC)
DAY = date(2011, 11, 28)
NEXT = DAY + timedelta(days=1)


def publish(publications: Publications, load_id: int, epoch: int, seen: int | None) -> Any:
    """Publish with the usual names."""
    return publications.publish(load_id, epoch=epoch, seen=seen, fingerprint="f", actor="tester", now=NOW)


def test_a_new_warehouse_has_published_nothing(shop: Any) -> None:
    """No seal, no pointer, nothing seen; and every view answers, with no row."""
    publications = shop.publications
    materialise(publications)
    assert (publications.newest("shop"), publications.current("shop", DAY), publications.seen("shop", DAY)) == (
        None,
    ) * 3
    assert shop.rows("SELECT count(*) FROM churn.scores_latest") == [(0,)]


def test_a_published_date_is_current_and_seals(shop: Any) -> None:
    """After publish the date shows the load, its run is known by it, and the newest date is the seal."""
    publication = shop.publish({"a": 0.5}, run_id="run-7")
    publications = shop.publications
    assert publications.current("shop", DAY) == publication
    assert publications.of_run("run-7") == [publication] == publications.published("shop")
    assert (publications.newest("shop"), publications.seen("shop", DAY), publication.restatement) == (DAY, 0, 0)


def test_rerunning_a_date_never_doubles_it(shop: Any) -> None:
    """A restatement replaces the date's rows; history keeps one row per customer and the log both publications."""
    shop.publish({"a": 0.5, "b": 0.1}, run_id="run-1")
    shop.publish({"a": 0.9}, run_id="run-2")
    assert shop.rows("SELECT customer_id, churn_probability, run_id FROM churn.scores_history") == [("a", 0.9, "run-2")]
    query = "SELECT restatement, state, run_id, customers_scored FROM churn.publications ORDER BY 1"
    assert shop.rows(query) == [(0, "replaced", "run-1", 2), (1, "current", "run-2", 1)]


def test_p7_two_runs_of_one_date_one_publishes(shop: Any) -> None:
    """The run that claimed first finds its epoch gone and stops, whichever of them loads or publishes first."""
    publications = shop.publications
    first, seen = publications.claim("shop"), publications.seen("shop", DAY)
    early = shop.load({"a": 0.1}, epoch=first, run_id="first")
    second = publications.claim("shop")
    with pytest.raises(ConflictError, match=r"claimed shop with epoch 1, .* \(epoch 2\)") as caught:
        publish(publications, early.load_id, first, seen)
    assert caught.value.exit_code == 5
    with pytest.raises(ConflictError):
        shop.load({"a": 0.1}, epoch=first, run_id="first")
    publish(publications, shop.load({"a": 0.2}, epoch=second, run_id="second").load_id, second, seen)
    assert [publication.run_id for publication in publications.published("shop")] == ["second"]


def test_p8_a_stale_pointer_under_the_same_epoch_is_refused(shop: Any) -> None:
    """Two attempts that share an epoch cannot both publish: the second sees that the date moved."""
    publications = shop.publications
    epoch, seen = publications.claim("shop"), publications.seen("shop", DAY)
    loads = [shop.load({"a": value}, epoch=epoch, run_id="run") for value in (0.1, 0.2)]
    publish(publications, loads[0].load_id, epoch, seen)
    with pytest.raises(ConflictError, match="published meanwhile: restatement was None, is 0"):
        publish(publications, loads[1].load_id, epoch, seen)
    with pytest.raises(sqlite3.IntegrityError):
        publish(publications, loads[0].load_id, epoch, 0)
    assert len(publications.of_run("run")) == 1


def test_only_an_audited_load_of_the_same_epoch_is_published(shop: Any) -> None:
    """A load that is open or failed, or built under another epoch, is refused."""
    publications = shop.publications
    first = publications.claim("shop")
    old = shop.load({"a": 0.1}, epoch=first)
    epoch = publications.claim("shop")
    facts = shop.request([], []).facts
    opened, failed = (publications.begin_load(facts, {}, epoch=epoch, now=NOW).load_id for _ in range(2))
    publications.mark_failed(failed, "broken")
    for load_id in (old.load_id, opened, failed):
        with pytest.raises(ConflictError):
            publish(publications, load_id, epoch, None)
    with pytest.raises(ConflictError, match="is failed already"):
        publications.mark_audited(failed, customers_scored=1, customers_not_scored=0)
    assert publications.newest("shop") is None


def test_two_contracts_share_a_warehouse_and_no_fence(shop: Any) -> None:
    """Each contract has its own epochs, dates and views; `churn` shows both."""
    shop.publish({"a": 0.5}, contract="shop", run_id="s")
    shop.publish({"a": 0.7}, contract="gym", run_id="g", day=NEXT)
    assert shop.rows("SELECT contract, churn_probability FROM churn.scores_latest ORDER BY 1") == [
        ("gym", 0.7),
        ("shop", 0.5),
    ]
    assert shop.rows("SELECT contract FROM churn_gym.scores_latest") == [("gym",)]
    assert shop.rows("SELECT run_id FROM churn_shop.publications") == [("s",)]
    assert shop.publications.claim("gym") == 2


def test_the_previous_load_is_the_newest_of_an_earlier_date(shop: Any) -> None:
    """It is taken as published when the load begins, and recorded with the publication."""
    first = shop.publish({"a": 0.5}, day=DAY, run_id="1")
    later = shop.publish({"a": 0.6}, day=NEXT + timedelta(days=3), run_id="2")
    between = shop.publish({"a": 0.7}, day=NEXT, run_id="3")
    assert (first.previous_load_id, later.previous_load_id, between.previous_load_id) == (
        None,
        first.load_id,
        first.load_id,
    )


@pytest.mark.parametrize("name", ["../shop", "Shop", "a-b", "a'b", "", "x" * 41, "a\n"])
def test_p15_a_contract_name_that_is_no_name_reaches_no_path(shop: Any, name: str) -> None:
    """A contract's name is the only given text that becomes a folder and a schema, so it is checked here too."""
    with pytest.raises(UsageError, match="a contract's name is"):
        shop.publications.claim(name)


def test_a_request_for_a_strange_contract_writes_nothing(shop: Any) -> None:
    """The name is checked before any folder is made."""
    request = shop.request([], [], contract="../../evil")
    with pytest.raises(UsageError):
        build_load(shop.publications, request, epoch=1, now=NOW)
    assert [path.name for path in shop.folder.iterdir()] == ["warehouse"]


def test_a_full_or_forbidden_disk_is_named(shop: Any) -> None:
    """A warehouse folder that became a file ends with exit code 6."""
    target = shop.folder / "file"
    target.write_text("")
    with pytest.raises(UnavailableError):
        Publications.open(target / "warehouse")
