"""The ledger: what it keeps, what it refuses, and many processes at once."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from churnlake.errors import ConflictError, DataRefusedError, ModelRefusedError, UnavailableError, UsageError
from churnlake.ledger import CheckResult, Found, Ledger, Measurement, Run, current_versions, taken_files
from churnlake.ledger.database import MIGRATIONS
from churnlake.ledger.schema import REVISION, metadata

NOW = datetime(2011, 11, 29, 4, 0, tzinfo=UTC)
DAY = date(2011, 11, 28)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A new ledger in a folder whose name has a space and a per cent sign."""
    return Ledger.open(f"sqlite:///{tmp_path}/my %home/ledger.sqlite")


def start(ledger: Ledger, **given: Any) -> Run:
    """A night run of the shop, with what is given in place of the usual."""
    values: dict[str, Any] = {
        "contract": "shop",
        "kind": "night",
        "business_date": DAY,
        "application": "app-1",
        "contract_digest": "c0",
        "code_revision": "r0",
        "actor": "tester",
        "pid": 11,
        "lane_epoch": 1,
        "now": NOW,
    }
    return ledger.start_run(**values | given)


def found(name: str = "a", **given: Any) -> Found:
    """A file of the shop as found on the disk."""
    values: dict[str, Any] = {"bytes": 3, "sha256": "aa", "slot": DAY, "available_on": DAY, "known_date": DAY}
    return Found(source="invoices", delivery_id=name, path=f"data/{name}.csv", **values | given)


def test_the_migrations_make_exactly_the_tables_the_code_uses(ledger: Ledger) -> None:
    """A migrated database and the declared tables do not differ, and the newest revision is the declared one."""
    with ledger._reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == REVISION
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [REVISION]


def test_an_older_ledger_is_brought_forward_with_all_it_holds(tmp_path: Path) -> None:
    """A ledger of the first release opens: its runs and deliveries are whole, and what is new has its first meaning."""
    path = tmp_path / "ledger.sqlite"
    engine = sa.create_engine(f"sqlite:///{path}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql(
            "INSERT INTO run (run_id, contract, kind, business_date, state, application, contract_digest,"
            " code_revision, actor, started_at)"
            " VALUES ('r1', 'shop', 'night', '2011-11-28', 'published', 'a', 'c', 'x', 'me',"
            f" '{NOW.isoformat()}')"
        )
        connection.exec_driver_sql(
            "INSERT INTO delivery VALUES ('shop', 'invoices', 'd1', 'data/d1.csv', 3, 'aa', '2011-11-28', '2011-11-28',"
            " '2011-11-28', 'r1', 'ingested', '{}')"
        )

    ledger = Ledger.open(f"sqlite:///{path}")

    assert ledger.run("r1").state == "published"
    (delivery,) = ledger.deliveries("shop")
    assert (delivery.delivery_id, delivery.kind, delivery.corrects) == ("d1", "file", None)
    with ledger._reading() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []
    ledger.freeze_deliveries("shop", start(ledger, kind="release").run_id, [found("b", kind="release")])


def test_measurements_count_once_their_delivery_is_taken_in(ledger: Ledger) -> None:
    """Numbers are kept under their delivery, all replaced when measured again, history only once the file is in."""
    run = start(ledger)
    ledger.freeze_deliveries("shop", run.run_id, [found("a")])
    ledger.record_measurements("shop", "invoices", {"a": {"volume": 3.0, "null_share.Country": 0.5}})
    assert ledger.measurements("shop", "invoices") == []

    ledger.record_measurements("shop", "invoices", {"a": {"volume": 4.0}})
    ledger.mark_ingested("shop", {("invoices", "a"): {"raw": 4}})

    assert ledger.measurements("shop", "invoices") == [Measurement("a", DAY, "volume", 4.0)]


def test_a_ledger_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """A ledger this code does not understand is not touched."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    with Ledger.open(url)._writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UsageError, match="newer Churnlake"):
        Ledger.open(url)


@pytest.mark.parametrize("url", ["postgresql://db/ledger", "sqlite://", "sqlite:///:memory:"])
def test_only_a_sqlite_file_is_a_ledger(url: str) -> None:
    """Another database, or one in memory, is refused by name."""
    with pytest.raises(UsageError, match="the ledger is a sqlite file"):
        Ledger.open(url)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be ends with exit code 6."""
    (tmp_path / "home").write_text("")
    with pytest.raises(UnavailableError) as caught:
        Ledger.open(f"sqlite:///{tmp_path}/home/ledger.sqlite")
    assert caught.value.exit_code == 6


def test_a_run_goes_from_start_to_published(ledger: Ledger) -> None:
    """A run keeps what it was started with, what it was pinned to and how it ended, in aware UTC moments."""
    run = start(ledger, now=NOW.astimezone(timezone(timedelta(hours=5))))
    ledger.pin_run(run.run_id, model_version=3, model_digest="m0")
    ledger.pin_run(run.run_id, fingerprint="f0")
    ended = ledger.finish_run(run.run_id, 1, "published", exit_code=0, now=NOW + timedelta(seconds=9))
    assert (ended.state, ended.attempt, ended.model_version, ended.fingerprint) == ("published", 1, 3, "f0")
    assert (ended.started_at, ended.finished_at) == (NOW, NOW + timedelta(seconds=9))
    assert ended.started_at.tzinfo is UTC or ended.started_at.utcoffset() == timedelta(0)
    assert ledger.runs("shop") == [ended] == ledger.runs_of_application("app-1")
    assert ledger.unfinished_run("shop", "night", DAY) is None
    assert [(attempt.pid, attempt.exit_code) for attempt in ledger.attempts(run.run_id)] == [(11, 0)]


def test_a_naive_moment_is_refused(ledger: Ledger) -> None:
    """A moment without a zone could mean any hour and is not stored."""
    with pytest.raises(sa.exc.StatementError, match="moments with a time zone"):
        start(ledger, now=datetime(2011, 11, 29, 4, 0))  # noqa: DTZ001


def test_a_crashed_run_is_adopted_and_its_finished_stages_stay(ledger: Ledger) -> None:
    """The next attempt keeps the run's name and what was done, and opens only what was not."""
    run = start(ledger)
    ledger.start_stage(run.run_id, "ingest", 1, now=NOW)
    ledger.finish_stage(run.run_id, "ingest", 1, counts={"raw": 7}, now=NOW + timedelta(seconds=2))
    ledger.start_stage(run.run_id, "features", 1, now=NOW + timedelta(seconds=2))
    ledger.report_progress(run.run_id, "features", 1, "half", {"rows": 3})

    assert ledger.unfinished_run("shop", "night", DAY) == run
    adopted = ledger.adopt_run(run.run_id, application="app-2", pid=12, lane_epoch=2, now=NOW + timedelta(minutes=1))
    assert (adopted.run_id, adopted.attempt, adopted.application) == (run.run_id, 2, "app-2")
    with pytest.raises(ConflictError, match=r"stage ingest .* is done"):
        ledger.start_stage(run.run_id, "ingest", 2, now=NOW)
    ledger.start_stage(run.run_id, "features", 2, now=NOW + timedelta(minutes=1))

    ingest, features = ledger.stages(run.run_id)
    assert (ingest.state, ingest.attempt, ingest.seconds, ingest.counts) == ("done", 1, 2.0, {"raw": 7})
    assert (features.state, features.attempt, features.progress, features.counts) == ("running", 2, None, {})


def test_p8_a_replaced_attempt_changes_nothing_any_more(ledger: Ledger) -> None:
    """The first attempt wakes after the second took the run up: each of its words is refused."""
    run = start(ledger)
    ledger.start_stage(run.run_id, "ingest", 1, now=NOW)
    ledger.adopt_run(run.run_id, application="app-2", pid=12, lane_epoch=2, now=NOW)
    ledger.start_stage(run.run_id, "ingest", 2, now=NOW)
    refused = [
        lambda: ledger.report_progress(run.run_id, "ingest", 1, "still here"),
        lambda: ledger.finish_stage(run.run_id, "ingest", 1, counts={}, now=NOW),
        lambda: ledger.fail_stage(run.run_id, "ingest", 1, message="late", now=NOW),
        lambda: ledger.start_stage(run.run_id, "score", 1, now=NOW),
        lambda: ledger.finish_run(run.run_id, 1, "done", exit_code=0, now=NOW),
    ]
    for word in refused:
        with pytest.raises(ConflictError):
            word()
    assert [(stage.attempt, stage.state) for stage in ledger.stages(run.run_id)] == [(2, "running")]
    assert not ledger.settle_run(run.run_id, 1, "failed", exit_code=1, reason="dead", now=NOW)


def test_a_finished_run_cannot_be_taken_up(ledger: Ledger) -> None:
    """Published is published; a failed run can be taken up."""
    run = start(ledger)
    ledger.start_stage(run.run_id, "ingest", 1, now=NOW)
    ledger.fail_stage(run.run_id, "ingest", 1, message="header", now=NOW)
    ledger.finish_run(run.run_id, 1, "failed", exit_code=3, now=NOW, message="header")
    again = ledger.adopt_run(run.run_id, application="app-2", pid=12, lane_epoch=2, now=NOW)
    assert (again.state, again.exit_code, again.message) == ("running", None, None)
    ledger.finish_run(run.run_id, 2, "published", exit_code=0, now=NOW)
    with pytest.raises(ConflictError, match="is published"):
        ledger.adopt_run(run.run_id, application="app-3", pid=13, lane_epoch=3, now=NOW)


def test_frozen_deliveries_pass_to_the_next_run_and_are_known_with_it(ledger: Ledger) -> None:
    """A file that was frozen but never taken in is known from the run that does; what is ingested keeps its date."""
    first, second = start(ledger), start(ledger)
    ledger.freeze_deliveries("shop", first.run_id, [found("a"), found("b")])
    buckets = {"raw": 5, "accepted": 4, "ignored": {"anonymous": 1}}
    ledger.mark_ingested("shop", {("invoices", "a"): buckets})
    later = DAY + timedelta(days=1)
    frozen = ledger.freeze_deliveries(
        "shop", second.run_id, [found("a", known_date=later), found("b", known_date=later)]
    )
    assert [(delivery.delivery_id, delivery.known_date) for delivery in frozen] == [("b", later)]
    held = ledger.deliveries("shop", "invoices")
    assert [(delivery.run_id, delivery.state, delivery.counts, delivery.known_date) for delivery in held] == [
        (first.run_id, "ingested", buckets, DAY),
        (second.run_id, "frozen", {}, later),
    ]
    assert ledger.deliveries("shop", "other") == []


def test_a_correction_keeps_its_id_and_what_it_corrects_when_a_run_is_taken_up(ledger: Ledger) -> None:
    """Frozen again it is the same delivery, wherever its file lies by now; other bytes are another one beside it."""
    run = start(ledger)
    ledger.freeze_deliveries("shop", run.run_id, [found("a")])
    ledger.mark_ingested("shop", {("invoices", "a"): {}})
    second = found("b-2", sha256="bb", corrects="a")
    ledger.freeze_deliveries("shop", run.run_id, [second])
    frozen = ledger.freeze_deliveries("shop", run.run_id, [replace(second, path="data/moved.csv")])
    assert [(one.delivery_id, one.corrects, one.path) for one in frozen] == [("b-2", "a", "data/moved.csv")]
    both = ledger.freeze_deliveries("shop", run.run_id, [found("c-2", sha256="cc", corrects="a")])
    assert [one.delivery_id for one in both] == ["b-2", "c-2"]
    ledger.forget_frozen("shop", "invoices", ["a", "b-2"])
    assert [(one.delivery_id, one.state) for one in ledger.deliveries("shop")] == [("a", "ingested"), ("c-2", "frozen")]


def test_the_version_in_force_is_the_one_that_no_other_corrects(ledger: Ledger) -> None:
    """By source; files that are not in yet and releases from quarantine are no versions of a file."""
    run = start(ledger)
    ledger.freeze_deliveries(
        "shop",
        run.run_id,
        [found("a"), found("b-2", corrects="a"), found("c-3", corrects="b-2"), found("release-d", kind="release")],
    )
    ledger.mark_ingested("shop", {("invoices", name): {} for name in ("a", "b-2", "release-d")})
    taken = taken_files(ledger.deliveries("shop"))
    assert [one.delivery_id for one in taken] == ["a", "b-2"]
    assert [one.delivery_id for one in current_versions(taken)] == ["b-2"]
    elsewhere = [replace(one, source="visits") for one in taken if one.corrects]
    assert [one.delivery_id for one in current_versions([*taken[:1], *elsewhere])] == ["a", "b-2"]


def test_a_stale_file_is_noted_once_and_is_never_taken_in(ledger: Ledger) -> None:
    """It belongs to the run that saw it first, and counts as no version of its slot."""
    first, second = start(ledger), start(ledger)
    for run in (first, second):
        ledger.record_stale("shop", run.run_id, [found("a")])
    (stale,) = ledger.deliveries("shop")
    assert (stale.state, stale.run_id, stale.counts) == ("stale", first.run_id, {})
    assert taken_files([stale]) == []


def test_a_delivery_keeps_by_which_rules_it_was_typed(ledger: Ledger) -> None:
    """While it is typed anew nobody knows; then it is in again, with its new account."""
    run = start(ledger)
    ledger.freeze_deliveries("shop", run.run_id, [found("a"), found("b")])
    ledger.mark_ingested("shop", {("invoices", name): {"raw": 1} for name in ("a", "b")}, "old")
    ledger.begin_typing("shop", "invoices", ["a"])
    assert [(one.state, one.typed_digest) for one in ledger.deliveries("shop")] == [
        ("ingested", None),
        ("ingested", "old"),
    ]
    ledger.mark_ingested("shop", {("invoices", "a"): {"raw": 2}}, "new")
    assert [(one.counts["raw"], one.typed_digest) for one in ledger.deliveries("shop")] == [(2, "new"), (1, "old")]


def test_a_file_changed_after_it_was_frozen_is_refused(ledger: Ledger) -> None:
    """Other bytes under a frozen name stop the night, and nothing of that list is frozen."""
    run = start(ledger)
    ledger.freeze_deliveries("shop", run.run_id, [found("a")])
    with pytest.raises(DataRefusedError, match="changed after it was frozen: sha256 was aa, is bb"):
        ledger.freeze_deliveries("shop", run.run_id, [found("z"), found("a", sha256="bb")])
    assert [delivery.delivery_id for delivery in ledger.deliveries("shop")] == ["a"]


def test_marking_unknown_deliveries_marks_none(ledger: Ledger) -> None:
    """All or none: one delivery that was never frozen leaves the others as they were."""
    run = start(ledger)
    ledger.freeze_deliveries("shop", run.run_id, [found("a")])
    with pytest.raises(UsageError, match=r"'ghost' of shop.invoices was never frozen"):
        ledger.mark_ingested("shop", {("invoices", "a"): {}, ("invoices", "ghost"): {}})
    assert [delivery.state for delivery in ledger.deliveries("shop")] == ["frozen"]


def test_a_check_made_again_replaces_its_result(ledger: Ledger) -> None:
    """A retried stage leaves one result per check."""
    run = start(ledger)
    first = CheckResult("floor", "invoices", "rows", "critical", passed=False, observed="1", expected=">= 2")
    second = CheckResult("floor", "invoices", "rows", "critical", passed=True, observed="2", expected=">= 2")
    ledger.record_checks(run.run_id, [first])
    ledger.record_checks(run.run_id, [second])
    assert ledger.checks(run.run_id) == [second]


def test_one_champion_at_a_time(ledger: Ledger) -> None:
    """Promotion moves the mark; a refused or unknown version never gets it; a version never changes its digest."""
    run = start(ledger, kind="training")
    judged: dict[str, Any] = {
        "trained_through": DAY,
        "label_data_through": DAY,
        "metrics": {"auc": 0.7},
        "gate": [],
        "now": NOW,
    }
    for version, state in ((1, "registered"), (2, "held"), (3, "refused")):
        ledger.record_model(
            contract="shop", version=version, digest=f"d{version}", state=state, run_id=run.run_id, **judged
        )
    assert ledger.champion("shop") is None
    ledger.set_champion("shop", 1, actor="gate", reason="all checks passed", now=NOW)
    ledger.set_champion("shop", 2, actor="ann", reason="a person decided", now=NOW)
    for version in (3, 4):
        with pytest.raises(ModelRefusedError):
            ledger.set_champion("shop", version, actor="ann", reason="", now=NOW)
    with pytest.raises(ModelRefusedError, match="recorded with digest d1; got other"):
        ledger.record_model(contract="shop", version=1, digest="other", state="registered", run_id=run.run_id, **judged)
    champion = ledger.champion("shop")
    assert champion is not None
    assert (champion.version, champion.reason, champion.metrics) == (2, None, {"auc": 0.7})
    assert [model.is_champion for model in ledger.models("shop")] == [False, True, False]


def test_every_promotion_is_kept_with_who_and_why(ledger: Ledger) -> None:
    """A version that becomes champion again has both promotions on record, each with the one before it."""
    run = start(ledger, kind="training")
    for version in (1, 2):
        ledger.record_model(
            contract="shop", version=version, digest=f"d{version}", state="held", run_id=run.run_id, metrics={},
            gate=[], trained_through=DAY, label_data_through=DAY, now=NOW,
        )  # fmt: skip
    for place, version in enumerate((1, 2, 1)):
        ledger.set_champion("shop", version, actor="ann", reason=f"why {place}", now=NOW + timedelta(hours=place))
    kept = ledger.promotions("shop")
    assert [(one.version, one.previous_version, one.actor, one.reason) for one in kept] == [
        (1, None, "ann", "why 0"), (2, 1, "ann", "why 1"), (1, 2, "ann", "why 2"),
    ]  # fmt: skip
    assert [one.promoted_at for one in kept] == [NOW + timedelta(hours=place) for place in range(3)]
    assert ledger.promotions("another") == []


def test_contracts_and_skipped_dates_are_remembered_once(ledger: Ledger) -> None:
    """A contract keeps its last place; a skipped date keeps its first reason."""
    for path in ("old.toml", "new.toml"):
        ledger.remember_contract(name="shop", path=path, digest="c0", now=NOW)
    ledger.record_skipped("shop", [DAY], reason="too old", now=NOW)
    ledger.record_skipped("shop", [DAY, DAY + timedelta(days=1)], reason="later", now=NOW)
    assert [known.path for known in ledger.contracts()] == ["new.toml"]
    assert [(skip.business_date, skip.reason) for skip in ledger.skipped("shop")] == [
        (DAY, "too old"),
        (DAY + timedelta(days=1), "later"),
    ]


WRITER = """
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from churnlake.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
now = datetime(2011, 11, 29, tzinfo=UTC)
for n in range(15):
    run = ledger.start_run(contract="shop", kind="night", business_date=date(2011, 11, 28), application=sys.argv[2],
        contract_digest="c", code_revision="r", actor="a", pid=1, lane_epoch=1, now=now)
    ledger.start_stage(run.run_id, "ingest", 1, now=now)
    ledger.finish_stage(run.run_id, "ingest", 1, counts={"n": n}, now=now)
    ledger.finish_run(run.run_id, 1, "done", exit_code=0, now=now)
"""


def test_four_processes_open_and_write_a_new_ledger_at_once(tmp_path: Path) -> None:
    """They migrate one after the other and lose no row."""
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, f"app-{n}"]) for n in range(4)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0, 0]
    runs = Ledger.open(url).runs("shop")
    assert len(runs) == 60
    assert {run.state for run in runs} == {"done"}
