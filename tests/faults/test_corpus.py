"""The corruption corpus: whatever a delivery looks like, what was stated beside it is what comes of it."""

import os
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.deliveries import inspect
from churnlake.errors import ChurnlakeError, DataRefusedError
from churnlake.gates import Night, Rules, judge_in_order
from churnlake.ledger import Delivery, Lane
from churnlake.settings import Settings
from churnlake.warehouse.duckdb import materialise, query
from churnlake.warehouse.publications import Publications
from jobs import gates, rows
from jobs.application import Application, exit_code_of
from jobs.ingest import accounts, read_suites
from jobs.landing import read_landing
from jobs.manifest import take_manifest
from jobs.night import Request, run
from jobs.profile import Past, measure
from tests.faults.corpus import days, headers, lines
from tests.faults.corpus import formats as files
from tests.faults.corpus.delivery import (
    BY_DAY,
    DAY,
    YESTERDAY,
    Accepts,
    Corrects,
    Day,
    Duplicates,
    Format,
    Ignores,
    Moment,
    Quarantines,
    Recipe,
    Stops,
    Warns,
)
from tests.faults.corpus.shop import SOURCES, Shop, Taken, contract_of_all_formats, example_contract
from tests.faults.corpus.table import PAGE, RECIPES, WRITE, page

pytestmark = pytest.mark.faults

OBSERVED: dict[str, str] = {}
SHAPES = (*headers.RECIPES, *files.RECIPES)
REFUSED = [one for one in SHAPES if isinstance(one.outcome, Stops)]
SORTED = [one for one in (*SHAPES, *lines.RECIPES) if not isinstance(one.outcome, Stops)]
BY_GATES = [one for one in days.RECIPES if one.moment is Moment.ON_TIME]
(COPIES,) = [one for one in BY_GATES if isinstance(one.outcome, Duplicates)]
VERSIONS = [one for one in days.RECIPES if one.moment is Moment.AGAIN and not isinstance(one.outcome, Stops)]
# Versions come for days of the weeks before, one each, so that one night takes them all.
VERSION_SLOTS = dict(
    zip([one.name for one in VERSIONS], (date(2011, 2, day) for day in (20, 18, 17, 16, 15, 14, 13, 11)), strict=False)
)
WHOLE_NIGHTS = (
    "a column is renamed",
    "no file on an open day",
    "a gzip cut at its end",
    "the first twentieth of the day",
    "prices in pence",
)


@cache
def real(day: date) -> Day:
    """The rows of a real day, read once."""
    return Day.read(day)


def named(recipes: list[Recipe]) -> pytest.MarkDecorator:
    """One test for each recipe, called as it is."""
    return pytest.mark.parametrize("recipe", recipes, ids=[one.name for one in recipes])


def assert_told(recipe: Recipe, refused: ChurnlakeError, *also: str) -> None:
    """The refusal is exit code 3 and holds the words that the recipe states, and says what to do next."""
    told = str(refused)
    OBSERVED[recipe.name] = f"exit {refused.exit_code}: {_reason(told)}"
    assert refused.exit_code == 3, told
    assert isinstance(recipe.outcome, Stops)
    missing = [word for word in (*recipe.outcome.words, *also, "next: ") if word.lower() not in told.lower()]
    assert not missing, f"{missing} not in: {told}"


def _reason(told: str) -> str:
    """The first reason of a message, without what differs from machine to machine."""
    lines = told.splitlines()
    reason = (lines[1] if len(lines) > 2 else lines[0]).strip().removeprefix("- ")
    return re.sub(r"[0-9a-f]{12,}", "...", reason.split("; expected")[0])[:150]


# Files that are not what the contract says: refused before any engine reads them.


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with a source for each format and no file."""
    return Shop.open(tmp_path_factory.mktemp("bench"), contract_of_all_formats())


@named(REFUSED)
def test_a_file_that_is_not_what_the_contract_says_is_refused_by_name(recipe: Recipe, bench: Shop) -> None:
    """P6: before any engine reads it, with the file's name and the fault."""
    content = recipe.spoil(real(DAY))
    assert content is not None
    file = bench.deliver(content, DAY, recipe.format)
    try:
        with pytest.raises(DataRefusedError) as refused:
            take_manifest(bench.contract, [], DAY, None)
    finally:
        file.unlink()
    assert_told(recipe, refused.value, file.name)


# Rows: a file for each recipe, all of a format read and sorted in one pass.


@dataclass(frozen=True)
class Shelf:
    """What became of the rows of every recipe, and of the clean day in each format."""

    clean: dict[Format, Counter[str]]
    spoilt: dict[str, Counter[str]]


@pytest.fixture(scope="module")
def shelf(spark: SparkSession, bench: Shop) -> Shelf:
    """Every file of a format landed, typed and judged row by row, as the ingest stage does."""
    clean: dict[Format, Counter[str]] = {}
    found: dict[str, Counter[str]] = {}
    for kind, untouched in CLEAN.items():
        recipes = [Recipe("clean", Accepts(), untouched, kind), *(one for one in SORTED if one.format is kind)]
        deliveries = [laid_out(one, bench) for one in recipes]
        counted = rows.counted(sorted_rows(spark, bench, deliveries)).collect()
        told = accounts(counted, [one.delivery_id for one in deliveries])
        clean[kind] = buckets(told.pop("clean"))
        found |= {name: buckets(counts) for name, counts in told.items()}
    return Shelf(clean, found)


CLEAN: dict[Format, Callable[[Day], bytes]] = {
    Format.CSV: Day.csv,
    Format.JSON: lambda day: files.json_lines(day.records()),
    Format.PARQUET: Day.parquet,
}


def laid_out(recipe: Recipe, shop: Shop) -> Delivery:
    """The recipe's file beside the shop's own, as a delivery of the day that is named like the recipe."""
    content = recipe.spoil(real(DAY))
    assert content is not None
    endings = "".join(shop.path(DAY, recipe.format).suffixes)
    path = Path("spoilt") / recipe.format / f"{re.sub('[^a-z0-9]+', '-', recipe.name.lower())}{endings}"
    (shop.folder / path).parent.mkdir(parents=True, exist_ok=True)
    (shop.folder / path).write_bytes(content)
    return Delivery(
        SOURCES[recipe.format], recipe.name, str(path), len(content), "0" * 64, DAY, DAY, DAY,
        contract="online_retail", run_id="corpus", state="frozen", counts={},
    )  # fmt: skip


def sorted_rows(spark: SparkSession, shop: Shop, deliveries: list[Delivery]) -> DataFrame:
    """The rows of deliveries of one source with their buckets, cached."""
    contract, name = shop.contract, deliveries[0].source
    source = contract.sources[name]
    inspected = {one.delivery_id: inspect(shop.folder / one.path, source) for one in deliveries}
    assert not [(name, one.problems) for name, one in inspected.items() if one.problems]
    own, canonical = read_suites(contract, name)
    landed = read_landing(spark, contract, deliveries, {key: one.layout for key, one in inspected.items()})
    return rows.classify(landed, contract, name, own.row_rules if own else (), canonical.row_rules, None).persist()


def buckets(counts: dict[str, Any]) -> Counter[str]:
    """Rows by where they ended: `accepted`, `quarantined.<reason>` and so on."""
    told: Counter[str] = Counter({name: counts[name] for name in ("accepted", "duplicate", "unchanged")})
    for name in ("ignored", "quarantined"):
        told.update({f"{name}.{reason}": count for reason, count in counts[name].items()})
    assert sum(told.values()) == counts["raw"]
    return told


@named(SORTED)
def test_every_row_ends_where_it_is_stated(recipe: Recipe, shelf: Shelf) -> None:
    """P4: exactly so many rows more in the stated bucket than of the clean day, and so many fewer accepted."""
    moved = Counter(shelf.spoilt[recipe.name])
    moved.subtract(shelf.clean[recipe.format])
    differing = {name: count for name, count in sorted(moved.items()) if count}
    OBSERVED[recipe.name] = (
        ", ".join(f"{count:+} {name}" for name, count in differing.items()) or "all as the clean day"
    )
    wanted: dict[str, int] = {}
    match recipe.outcome:
        case Quarantines(count, reason, records):
            names = [name for name in differing if f"{name}.".startswith(f"quarantined.{reason}.")]
            assert len(names) == 1, differing
            wanted = {"accepted": -(records or count), names[0]: count}
        case Ignores(count, reason):
            wanted = {"accepted": -count, f"ignored.{reason}": count}
    assert differing == wanted


# Days that are too small, too large, old, late or early: the gates judge them against the weeks before.


@pytest.fixture(scope="module")
def weeks(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with every day up to the one before taken in."""
    shop = Shop.open(tmp_path_factory.mktemp("weeks"), example_contract())
    for path in sorted(BY_DAY.iterdir()):
        slot = date.fromisoformat(path.name.removesuffix(".csv.gz"))
        if slot < DAY:
            shop.deliver(real(slot).csv(), slot)
    shop.take_in(YESTERDAY, None)
    return shop


@dataclass(frozen=True)
class Said:
    """What the gates said of a recipe's day: the failed checks, and the refusal where the night would stop."""

    failed: list[str]
    refusal: DataRefusedError | None


@pytest.fixture(scope="module")
def gated(spark: SparkSession, weeks: Shop) -> dict[str, Said]:
    """Every spoilt day held against the weeks before, each as if it alone had come: measured in one pass."""
    contract, ledger = weeks.contract, weeks.ledger
    deliveries = [laid_out(one, weeks) for one in BY_GATES]
    classified = sorted_rows(spark, weeks, deliveries)
    held = gates._current(ledger.deliveries(contract.name, "invoices"), [])
    with Lane.take(weeks.settings.lake(contract.name)) as lane:
        lake = Application(weeks.settings, contract, ledger, lane, "corpus").lake
        yesterday = lake.read("raw_invoices").filter(F.col("delivery_id") == held[-1].delivery_id)
        before = {one.delivery_id: held[-1].delivery_id for one in deliveries}
        past = Past(before, yesterday, lake.read("known_customers"))
        measured = measure(classified, past, gates._named_columns(contract, "invoices"))
    classified.unpersist()
    history = gates._history(ledger.measurements(contract.name, "invoices"), held)
    rules = gates.rules_of(contract, "invoices")
    return {one.delivery_id: _said(Night(DAY, measured[one.delivery_id]), history, rules) for one in deliveries}


def _said(night: Night, history: list[Night], rules: Rules) -> Said:
    judged = {one.night.slot: one for one in judge_in_order([night], history, rules)}
    checks = gates.checks_of("invoices", judged, DAY, rules)
    failed = [one.name for one in checks if not one.passed]
    try:
        gates.refuse_broken("invoices", checks, DAY)
    except DataRefusedError as refusal:
        return Said(failed, refusal)
    return Said(failed, None)


@named(BY_GATES)
def test_a_day_is_held_against_the_weeks_before(recipe: Recipe, gated: dict[str, Said]) -> None:
    """P12: what cannot be right stops the night by name, what may be right is shown, a clean day passes."""
    said = gated[recipe.name]
    if isinstance(recipe.outcome, Stops):
        assert said.refusal is not None, said.failed
        assert_told(recipe, said.refusal, str(DAY))
        return
    OBSERVED[recipe.name] = f"goes on; failed checks: {', '.join(said.failed) or 'none'}"
    assert said.refusal is None, str(said.refusal)
    match recipe.outcome:
        case Warns(check) | Duplicates(_, check):
            assert check in said.failed
        case _:
            assert said.failed == []


def spoilt(recipe: Recipe, shop: Shop) -> Path:
    """The recipe's file in its place."""
    content = recipe.spoil(real(DAY))
    assert content is not None
    return shop.deliver(content, DAY)


@pytest.fixture(scope="module")
def refusing(weeks: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A copy in which nights stop one after the other: each takes up what the one before left."""
    return weeks.copy(tmp_path_factory.mktemp("refusing"))


def test_a_day_that_breaks_an_expectation_is_not_taken_in(refusing: Shop) -> None:
    """The ingest stage stops before the gates are asked; nothing of the day counts as taken in."""
    (recipe,) = [one for one in BY_GATES if one.name == "no time in any row"]
    file = spoilt(recipe, refusing)
    with pytest.raises(DataRefusedError, match=r"events\.event_ts\.not_be_null"):
        refusing.take_in(DAY, YESTERDAY)
    assert all(one.state == "frozen" for one in refusing.ledger.deliveries("online_retail") if one.slot == DAY)
    file.unlink()


# Later versions of days that are in.


@pytest.fixture(scope="module")
def versions(weeks: Shop, tmp_path_factory: pytest.TempPathFactory) -> tuple[Taken, Taken]:
    """The deliveries before and after a night: later versions of several days, and the day's own with copies in it."""
    shop = weeks.copy(tmp_path_factory.mktemp("versions"))
    before = Taken((), tuple(shop.ledger.deliveries("online_retail")))
    for recipe in VERSIONS:
        content = recipe.spoil(real(VERSION_SLOTS[recipe.name]))
        assert content is not None
        shop.deliver(content, VERSION_SLOTS[recipe.name])
    spoilt(COPIES, shop)
    return before, shop.take_in(DAY, YESTERDAY)


def test_copies_are_dropped_and_shown(versions: tuple[Taken, Taken]) -> None:
    """The day is taken in without them, and a warning stands in the run's checks."""
    assert isinstance(COPIES.outcome, Duplicates)
    (delivery,) = [one for one in versions[1].deliveries if one.slot == DAY]
    named_rows = [row for row in real(DAY).rows if row[6]]
    assert delivery.state == "ingested"
    assert delivery.counts["duplicate"] == COPIES.outcome.rows + len(named_rows) - len(set(named_rows))
    assert COPIES.outcome.warns in versions[1].failed


@named(VERSIONS)
def test_a_later_version_of_a_day_changes_what_is_stated(recipe: Recipe, versions: tuple[Taken, Taken]) -> None:
    """P5: facts that are gone are withdrawn, new ones added, known from tonight; the rest is unchanged."""
    before, after = versions
    slot = VERSION_SLOTS[recipe.name]
    (first,) = [one for one in before.deliveries if one.slot == slot]
    later = [one for one in after.deliveries if one.slot == slot and one != first]
    match recipe.outcome:
        case Corrects(withdrawn, added):
            (second,) = later
            found = (second.counts["withdrawn"], second.counts["accepted"])
            OBSERVED[recipe.name] = f"-{found[0]} +{found[1]}, {second.counts['unchanged']} rows unchanged"
            assert found == (withdrawn, added)
            assert (second.corrects, second.state, second.known_date) == (first.delivery_id, "ingested", DAY)
        case Warns(check):
            (second,) = later
            failed = [name for name in after.failed if check in name]
            OBSERVED[recipe.name] = f"-{second.counts['withdrawn']} +{second.counts['accepted']}; failed: {failed}"
            assert failed
        case _:
            OBSERVED[recipe.name] = f"{len(later)} new deliveries"
            assert later == []


# Files that come at the wrong time.


def only(moment: Moment) -> Iterator[Recipe]:
    """The recipes of a moment that stop the night."""
    return (one for one in days.RECIPES if one.moment is moment and isinstance(one.outcome, Stops))


def stopped(recipe: Recipe, shop: Shop, *also: str) -> None:
    """The night refuses, as the recipe states."""
    with pytest.raises(DataRefusedError) as refused:
        shop.take_in(DAY, YESTERDAY)
    assert_told(recipe, refused.value, *also)


def test_a_file_that_never_comes_is_waited_for(refusing: Shop) -> None:
    """With its path."""
    (recipe,) = only(Moment.ABSENT)
    assert recipe.spoil(real(DAY)) is None
    stopped(recipe, refusing, f"{DAY}.csv.gz")


def test_a_copy_of_another_day_is_refused(refusing: Shop) -> None:
    """The same bytes cannot be two days; both files are named."""
    (recipe,) = only(Moment.COPIED)
    file = spoilt(recipe, refusing)
    stopped(recipe, refusing, file.name)
    file.unlink()


def test_a_file_that_still_grows_has_not_come(refusing: Shop) -> None:
    """Somebody writes to it while the night looks."""
    (recipe,) = only(Moment.GROWING)
    file, done = spoilt(recipe, refusing), threading.Event()
    text = file.read_bytes()

    def write_on() -> None:
        while not done.wait(0.05):
            write_a_piece()

    def write_a_piece() -> None:
        with file.open("ab") as growing:
            growing.write(text[:100])

    write_a_piece()
    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        stopped(recipe, refusing, file.name)
    finally:
        done.set()
        writer.join()
        file.unlink()


def test_a_file_without_its_marker_has_not_come(weeks: Shop, tmp_path: Path) -> None:
    """Where the source says that a marker tells when a file is whole; with the marker it counts."""
    (recipe,) = only(Moment.NO_MARKER)
    shop = weeks.copy(tmp_path)
    contract = shop.folder / "contract.toml"
    contract.write_text(contract.read_text().replace('on_missing = "wait"', 'on_missing = "wait"\nready = "marker"'))
    for path in (shop.folder / "data" / "by_day").glob("*.gz"):
        path.with_name(path.name + ".done").touch()
    file = spoilt(recipe, shop)
    stopped(recipe, shop, file.name)


def test_a_file_that_changes_while_it_is_read_is_refused(
    refusing: Shop, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is another file than the one that was looked at; nothing of it counts as taken in."""
    (recipe,) = only(Moment.READING)
    file = refusing.deliver(real(DAY).csv(), DAY)
    other = recipe.spoil(real(DAY))
    assert other is not None
    reach = Application.reach

    def change(app: Application, point: str) -> None:
        if point == "ingest.frozen":
            file.write_bytes(other)
        reach(app, point)

    monkeypatch.setattr(Application, "reach", change)
    stopped(recipe, refusing, file.name)
    assert all(one.state == "frozen" for one in refusing.ledger.deliveries("online_retail") if one.slot == DAY)
    file.unlink()


def test_an_empty_second_version_leaves_the_first(refusing: Shop) -> None:
    """It is refused by name, and the facts of the first version stay."""
    (recipe,) = only(Moment.AGAIN)
    content = refusing.path(YESTERDAY).read_bytes()
    file = refusing.deliver(real(DAY).csv(), DAY)
    refusing.deliver(b"", YESTERDAY)
    stopped(recipe, refusing, f"{YESTERDAY}.csv.gz")
    refusing.deliver(content, YESTERDAY)
    file.unlink()


@pytest.mark.parametrize(
    ("moment", "slot"), [(Moment.CLOSED, date(2011, 2, 19)), (Moment.TOO_LATE, DAY - timedelta(days=36))]
)
def test_a_file_that_nobody_expects_is_named(moment: Moment, slot: date, weeks: Shop, tmp_path: Path) -> None:
    """On a closed day it is taken in, after max_late_days it is not; both stand among the night's checks."""
    (recipe,) = [one for one in days.RECIPES if one.moment is moment]
    held = [one for one in weeks.ledger.deliveries("online_retail") if one.slot != slot]
    content = recipe.spoil(real(DAY).on(slot))
    assert content is not None
    before = weeks.path(slot).read_bytes() if weeks.path(slot).exists() else None
    weeks.deliver(content, slot)
    try:
        manifest = take_manifest(weeks.contract, held, YESTERDAY if moment is Moment.CLOSED else DAY, YESTERDAY)
    finally:
        if before is None:
            weeks.path(slot).unlink()
        else:
            weeks.deliver(before, slot)
    failed = [check.name for check in manifest.checks if not check.passed]
    OBSERVED[recipe.name] = f"failed checks: {', '.join(failed)}"
    assert isinstance(recipe.outcome, Warns)
    assert failed == [f"{recipe.outcome.check}.{slot}"]
    assert bool(manifest.new) is (moment is Moment.CLOSED)


# Whole nights: what analysts read does not change when a night stops.


def test_when_a_night_stops_the_published_scores_do_not_change(
    after_demo: Settings, shop: Path, spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    """P1: exit 3, one message, nothing published, and the score table holds the very rows it held before."""
    night = date(2011, 12, 1)
    file = shop.parent / "data" / "by_day" / f"{night}.csv.gz"
    publications = Publications.open(after_demo.warehouse)
    materialise(publications)
    everything = "SELECT * FROM churn.scores_history ORDER BY ALL"
    before = query(after_demo.warehouse, everything).rows
    for recipe in [one for one in RECIPES if one.name in WHOLE_NIGHTS]:
        content = recipe.spoil(real(night))
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
            os.utime(file, (1_300_000_000, 1_300_000_000))
        code = exit_code_of(lambda name=recipe.name: run(Request(shop, name.replace(" ", "-"), (night,)), after_demo))
        error = capsys.readouterr().err
        assert code == 3, error
        assert error.count("error: ") == 1
        assert isinstance(recipe.outcome, Stops)
        assert all(word.lower() in error.lower() for word in (*recipe.outcome.words, "next: ")), error
        assert publications.newest("online_retail") == date(2011, 11, 30)
        assert query(after_demo.warehouse, everything).rows == before


# The page.


def test_the_corpus_has_no_recipe_twice_and_enough_of_them() -> None:
    """At least sixty, each with a name of its own."""
    names = [one.name for one in RECIPES]
    assert len(names) == len(set(names)) >= 60


def test_the_table_of_recipes_is_kept_in_the_docs() -> None:
    """What was stated and what was observed, for every recipe: the page is what this run would print."""
    if os.environ.get(WRITE):
        PAGE.write_text(page(OBSERVED), encoding="utf-8")
    print(page(OBSERVED))
    missing = [one.name for one in RECIPES if one.name not in OBSERVED]
    if missing:
        pytest.skip(f"{len(missing)} recipes were not tried in this run, such as {missing[0]!r}")
    assert page(OBSERVED) == PAGE.read_text(encoding="utf-8")
