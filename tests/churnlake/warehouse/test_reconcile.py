"""Reconciling the ledger with the warehouse after a crash."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from churnlake.ledger import Lane, Ledger, Run
from churnlake.warehouse.reconcile import reconcile

NOW = datetime(2011, 12, 1, 4, 0, tzinfo=UTC)
DAY = date(2011, 11, 28)


@pytest.fixture
def ledger(shop: Any) -> Ledger:
    """A ledger beside the warehouse."""
    return Ledger.open(f"sqlite:///{shop.folder}/ledger.sqlite")


def start(ledger: Ledger, kind: Any = "night") -> Run:
    """A run that is recorded as running, with its publish stage open."""
    run = ledger.start_run(
        contract="shop",
        kind=kind,
        business_date=DAY,
        application="app",
        contract_digest="c",
        code_revision="r",
        actor="a",
        pid=1,
        lane_epoch=1,
        now=NOW,
    )
    ledger.start_stage(run.run_id, "publish", 1, now=NOW)
    return run


def test_a_dead_run_whose_load_is_shown_is_published(shop: Any, ledger: Ledger) -> None:
    """The symlink moved, then the process died before its last word: the warehouse decides."""
    run = start(ledger)
    shop.publish({"a": 0.5}, run_id=run.run_id)
    settled = reconcile(ledger, shop.publications, shop.folder / "lake", "shop", now=NOW)
    assert (settled.published, settled.failed) == ((run.run_id,), ())
    after = ledger.run(run.run_id)
    assert (after.state, after.exit_code, [stage.state for stage in ledger.stages(run.run_id)]) == (
        "published",
        0,
        ["done"],
    )


def test_a_dead_run_that_committed_is_published_and_then_shown(shop: Any, ledger: Ledger) -> None:
    """It died between the commit and the generation: reconcile tells the ledger and the readers."""
    run, epoch = start(ledger), shop.publications.claim("shop")
    load = shop.load({"a": 0.5}, epoch=epoch, run_id=run.run_id)
    shop.publications.publish(load.load_id, epoch=epoch, seen=None, fingerprint="f", actor="a", now=NOW)
    reconcile(ledger, shop.publications, shop.folder / "lake", "shop", now=NOW)
    assert ledger.run(run.run_id).state == "published"
    assert shop.rows("SELECT run_id FROM churn.scores_latest") == [(run.run_id,)]


def test_a_dead_run_that_published_nothing_failed_with_a_reason(shop: Any, ledger: Ledger) -> None:
    """Its open stage failed too, and the run can be taken up."""
    run = start(ledger)
    settled = reconcile(ledger, shop.publications, shop.folder / "lake", "shop", now=NOW)
    assert settled.failed == (run.run_id,)
    after = ledger.unfinished_run("shop", "night", DAY)
    assert after is not None
    assert (after.state, after.exit_code) == ("failed", 1)
    assert after.message is not None
    assert "its process ended" in after.message
    assert [(stage.state, stage.message) for stage in ledger.stages(run.run_id)] == [("failed", after.message)]
    assert reconcile(ledger, shop.publications, shop.folder / "lake", "shop", now=NOW).failed == ()


def test_a_run_whose_lane_is_held_is_left_alone(shop: Any, ledger: Ledger) -> None:
    """A living night goes on; a dead training beside it, with a lane of its own, is settled."""
    night, training = start(ledger), start(ledger, "training")
    with Lane.take(shop.folder / "lake"):
        settled = reconcile(ledger, shop.publications, shop.folder / "lake", "shop", now=NOW)
    assert settled.failed == (training.run_id,)
    assert ledger.run(night.run_id).state == "running"


def test_a_replaced_publication_was_published_all_the_same(shop: Any, ledger: Ledger) -> None:
    """A run that published and was restated before anyone looked did not fail."""
    run = start(ledger)
    shop.publish({"a": 0.5}, run_id=run.run_id)
    shop.publish({"a": 0.6}, run_id="restated")
    reconcile(ledger, shop.publications, shop.folder / "lake", "shop", now=NOW + timedelta(hours=1))
    assert ledger.run(run.run_id).state == "published"
