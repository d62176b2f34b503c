"""Whole nights and a training in this process, on a made shop of 400 customers and 170 days.

The fixtures tell one story, each from where the one before it ended: history and training, a first night that is fenced
off and taken up again, a second night whose file is replaced after a power cut, with a late file beside it.
"""

import ast
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.calendar import DayRange
from churnlake.contract import load_contract
from churnlake.errors import ChurnlakeError, ConflictError, UsageError
from churnlake.failpoints import POINTS
from churnlake.features import build_catalogue
from churnlake.ledger import Lane, Ledger, Run, Stage
from churnlake.model.registry import resolve_champion
from churnlake.settings import Settings
from churnlake.warehouse.duckdb import query
from churnlake.warehouse.publications import Publications
from jobs import application, night, training
from jobs.application import Application
from jobs.features import features_at
from jobs.snapshot import read_tiles, tile_versions

START = date(2026, 1, 1)
TRAINED = START + timedelta(days=169)
FIRST, SECOND, AFTER = (TRAINED + timedelta(days=ahead) for ahead in (1, 2, 3))
MATURED = SECOND + timedelta(days=8)
LATE = FIRST - timedelta(days=2)  # the day whose file comes after the first night
HEADER = "order_no,customer,at,price,pieces,item,kind"
KINDS = ["purchase"] * 9 + ["cancellation"]


def made_days(seed: int) -> dict[date, list[str]]:
    """Lines of each day. Customers buy at rates of their own and leave for good, one in a hundred a day."""
    generator = random.Random(seed)  # noqa: S311 - made-up data
    days = {START + timedelta(days=offset): [] for offset in range(173)}
    for number in range(400):
        rate, born = generator.choice([0.04, 0.1, 0.25, 0.5]), generator.randrange(-60, 150)
        for offset, day in enumerate(days):
            if offset < born:
                continue
            if generator.random() < 0.01:
                born = offset + generator.randrange(20, 90)  # gone, until perhaps somebody with the same id comes
            elif generator.random() < rate:
                kind, price = generator.choice(KINDS), f"{generator.uniform(1, 90):.3f}"
                item = f"item {generator.randrange(30)}"
                days[day].append(f"{number}-{offset},{number:04},{day} 12:00:00,{price},1,{item},{kind}")
    for day, lines in days.items():  # what every file has: one without a customer, a repeated line, a broken price
        lines += [f"x-{day},,{day},1,1,pen,purchase", lines[0], f"y-{day},0001,{day},1;5,1,pen,purchase"]
    return days


@dataclass
class Shop:
    """A shop's folder and home, and what was seen while its nights ran."""

    contract: Path
    settings: Settings
    days: dict[date, list[str]]
    reached: list[str] = field(default_factory=list)

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.ledger_url)

    @property
    def publications(self) -> Publications:
        return Publications.open(self.settings.warehouse)

    def deliver(self, day: date, lines: list[str]) -> None:
        """Puts the day's file into the shop's folder."""
        path = self.contract.parent / "orders" / f"{day}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([HEADER, *lines]) + "\n")

    def run(self, *dates: date, name: str = "night", contract: Path | None = None, **wish: Any) -> int:
        """Runs the nightly application for these dates, in this process."""
        return night.run(night.Request(contract or self.contract, name, dates, **wish), self.settings)

    def run_of(self, day: date, kind: str = "night") -> tuple[Run, dict[str, Stage]]:
        """The newest run of a date, with its stages by name."""
        run = [run for run in self.ledger.runs("shop") if (run.business_date, run.kind) == (day, kind)][-1]
        return run, {stage.stage: stage for stage in self.ledger.stages(run.run_id)}

    def table(self, spark: SparkSession, name: str) -> DataFrame:
        """A table of the lake as it is now."""
        return spark.read.format("delta").load(str(self.settings.lake("shop") / name))

    def scores(self, day: date) -> list[tuple[Any, ...]]:
        """What analysts see of a date."""
        columns = "customer_id, churn_probability, risk_rank, reason_1_feature, reason_1_value, run_id"
        return query(
            self.settings.warehouse,
            f"SELECT {columns} FROM churn.scores_history WHERE business_date = '{day}' ORDER BY ALL",
        ).rows


@pytest.fixture(scope="module")
def module_patch() -> Iterator[pytest.MonkeyPatch]:
    """A monkeypatch for the whole story."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def shop(
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    make_contract: Callable[..., Any],
    module_patch: pytest.MonkeyPatch,
) -> Shop:
    """Every file up to the day after the second night, but for the late one."""
    root = tmp_path_factory.mktemp("nights")
    waits_for_nobody = ("max_late_days = 10", 'max_late_days = 10\non_missing = "warn"')
    contract = make_contract(
        root / "shop", waits_for_nobody, ("max_cutoffs = 6", "max_cutoffs = 6\nminimum_outcomes = 50")
    )
    shop = Shop(contract.path, Settings.from_environment({"CHURNLAKE_HOME": str(root / "home")}), made_days(seed=11))
    for day, lines in shop.days.items():
        if day != LATE:
            shop.deliver(day, lines)
    hit = application.hit

    def note(point: str, armed: str | None) -> None:
        shop.reached.append(point)
        hit(point, armed)

    module_patch.setattr(application, "hit", note)
    # The story must not depend on who edits the code meanwhile.
    module_patch.setattr(application, "code_revision", lambda: "0123456789ab")
    return shop


@pytest.fixture(scope="module")
def trained(shop: Shop) -> Shop:
    """History loaded and a champion trained on it."""
    assert shop.run(name="history", history_through=TRAINED) == 0
    assert training.run(shop.contract, "training", TRAINED, shop.settings) == 0
    return shop


@dataclass
class FirstNight:
    """The first night: how its first attempt ended, and the table versions around the second one."""

    shop: Shop
    refusal: ChurnlakeError
    published_before: list[Any]
    attempt: Run
    versions_before: dict[str, int]
    versions_after: dict[str, int]


@pytest.fixture(scope="module")
def first_night(trained: Shop) -> FirstNight:
    """The first night, whose first attempt lost the right to publish; a second application takes it up."""
    publications = trained.publications
    note = application.hit

    def overtaken(point: str, armed: str | None) -> None:
        note(point, armed)
        if point == "publish.loaded":
            publications.claim("shop")  # another application takes the next epoch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "hit", overtaken)
        refusal = refused_with(ConflictError, lambda: trained.run(FIRST, name="overtaken"))
    attempt, _ = trained.run_of(FIRST)
    published = publications.published("shop")
    versions = lake_versions(trained)
    assert trained.run(FIRST, name="first") == 0
    return FirstNight(trained, refusal, published, attempt, versions, lake_versions(trained))


def refused_with(kind: type[ChurnlakeError], work: Callable[[], int]) -> ChurnlakeError:
    """The refusal that the work ends with."""
    with pytest.raises(kind) as refused:
        work()
    return refused.value


@dataclass
class SecondNight:
    """The second night: what was held and seen before it."""

    shop: Shop
    scores_of_first: list[tuple[Any, ...]]
    features_of_first: list[tuple[Any, ...]]


@pytest.fixture(scope="module")
def second_night(spark: SparkSession, first_night: FirstNight, tmp_path_factory: pytest.TempPathFactory) -> SecondNight:
    """The second night: power fails after its facts were written; then its file is replaced and a late file comes."""
    shop = first_night.shop
    copy_home(shop, tmp_path_factory.getbasetemp() / "home-without-future")
    before = shop.scores(FIRST)
    features = sorted(map(tuple, shop.table(spark, "features").filter(F.col("business_date") == FIRST).collect()))
    shop.deliver(SECOND, [*shop.days[SECOND][:20], f"wrong,9999,{SECOND},1,1,pen,purchase"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "hit", fail_at("ingest.typed"))
        with pytest.raises(RuntimeError, match="power cut"):
            shop.run(SECOND, name="cut")
    shop.deliver(
        SECOND, [*shop.days[SECOND], f"ahead,0002,{AFTER},1,1,pen,purchase", f"ahead,8888,{AFTER},1,1,pen,purchase"]
    )
    shop.deliver(LATE, shop.days[LATE])
    assert shop.run(SECOND, name="second") == 0
    return SecondNight(shop, before, features)


def fail_at(point: str) -> Callable[[str, str | None], None]:
    """Fails where a power cut would; unlike one it leaves this process alive."""

    def hit(reached: str, _: str | None) -> None:
        if reached == point:
            raise RuntimeError("power cut")

    return hit


def copy_home(shop: Shop, home: Path) -> None:
    """The home as it is now."""
    shutil.copytree(shop.settings.home, home, symlinks=True)


def lake_versions(shop: Shop) -> dict[str, int]:
    """The newest version of every table of the lake."""
    tables = [path for path in shop.settings.lake("shop").iterdir() if path.is_dir()]
    return {path.name: len(list((path / "_delta_log").glob("*.json"))) for path in tables}


def test_a_model_is_trained_on_the_lake_and_passes_the_gate(trained: Shop) -> None:
    """Training leaves a champion in the ledger, with the cutoffs it learnt from and every check of the gate."""
    run, stages = trained.run_of(TRAINED, "training")
    assert (run.state, run.exit_code, list(stages)) == ("done", 0, list(training.STAGES))
    assert {stage.state for stage in stages.values()} == {"done"}
    (model,) = trained.ledger.models("shop")
    assert (model.version, model.state, model.is_champion, model.run_id) == (1, "registered", True, run.run_id)
    # Data are complete up to the day before the missing file. The newest mature cutoff lies 8 days back from there, and
    # the last one to train on 8 days before it.
    complete = LATE - timedelta(days=1)
    assert (model.trained_through, model.label_data_through) == (complete - timedelta(days=16), complete)
    assert stages["rows"].counts["cutoffs"] == 7
    assert resolve_champion(trained.settings.mlflow_url, "shop").digest == model.digest


def test_permuted_labels_teach_nothing(trained: Shop) -> None:
    """G8: with labels dealt at random among customers the whole protocol finds an AUC of about a half."""
    (model,) = trained.ledger.models("shop")
    (permuted,) = [check for check in model.gate if check["name"] == "permuted labels"]
    assert permuted["passed"]
    assert 0.44 <= permuted["value"] <= 0.56
    assert model.metrics["auc"] > 0.6  # with the true labels there is something to find


def test_p8_an_application_that_was_overtaken_cannot_publish(first_night: FirstNight) -> None:
    """P8: with an older epoch everything up to the load is done, and then refused: readers see nothing of it."""
    assert first_night.refusal.exit_code == 5
    assert first_night.published_before == []
    assert (first_night.attempt.state, first_night.attempt.exit_code) == ("failed", 5)


def test_a_run_is_taken_up_after_its_last_stage(first_night: FirstNight) -> None:
    """The next application adopts the run and passes over its done stages: no table of the lake is written again."""
    assert first_night.versions_after == first_night.versions_before
    run, stages = first_night.shop.run_of(FIRST)
    assert (run.run_id, run.attempt, run.state) == (first_night.attempt.run_id, 2, "published")
    assert [(stage.stage, stage.attempt, stage.state) for stage in stages.values()] == [
        ("ingest", 1, "done"), ("features", 1, "done"), ("score", 1, "done"), ("publish", 2, "done"),
    ]  # fmt: skip
    assert [one.application for one in first_night.shop.ledger.runs("shop") if one.kind == "night"][:1] == ["first"]


def test_the_ledger_accounts_for_every_row_and_customer(spark: SparkSession, first_night: FirstNight) -> None:
    """P3 and P4: the counts of the stages add up, and each equals what lies in the lake and the warehouse."""
    shop = first_night.shop
    lines = shop.days[FIRST]
    _, stages = shop.run_of(FIRST)
    counts = {name: stage.counts for name, stage in stages.items()}
    assert counts["ingest"] == {
        "files": 1, "corrections": 0, "raw": len(lines), "accepted": len(set(lines)) - 2, "unchanged": 0,
        "ignored": {"anonymous": 1},
        "quarantined": {"bad_type.price": 1}, "duplicate": len(lines) - len(set(lines)), "withdrawn": 0,
        "defects": {
            "bad_type.price": 1, "ignored.anonymous": 1, "events.customer_id.not_be_null": 1,
            "duplicate": len(lines) - len(set(lines)),
        },
    }  # fmt: skip
    features, scored, published = (counts[name] for name in ("features", "score", "publish"))
    assert features["known"] == features["eligible"] + sum(features["excluded"].values())
    assert scored["scored"] == scored["eligible"] == features["eligible"] == published["scored"]
    customers = [row[0] for row in shop.scores(FIRST)]
    eligible = shop.table(spark, "population").filter((F.col("business_date") == FIRST) & F.col("eligible"))
    assert Counter(customers) == Counter(row.customer_id for row in eligible.collect())
    assert max(Counter(customers).values()) == 1
    assert all(
        check.passed for check in shop.ledger.checks(first_night.attempt.run_id) if check.kind == "reconciliation"
    )


def test_p7_a_rerun_publishes_nothing_and_says_so(first_night: FirstNight, capsys: pytest.CaptureFixture[str]) -> None:
    """P7: the same files, contract, model and code again: exit 0, no new load, no new run, not a file of the lake."""
    shop = first_night.shop
    before = (lake_versions(shop), shop.publications.published("shop"), shop.ledger.runs("shop"))
    assert shop.run(FIRST, name="again") == 0
    run_id = first_night.attempt.run_id
    assert (
        f"shop {FIRST}: already published as {run_id}, from the same files, contract, model and code"
        in capsys.readouterr().out
    )
    assert (lake_versions(shop), shop.publications.published("shop"), shop.ledger.runs("shop")) == before


def test_p7_a_rerun_under_another_contract_says_what_differs(first_night: FirstNight) -> None:
    """P7: with another band in the contract the date stays as published, and the refusal names the contract alone."""
    shop = first_night.shop
    changed = shop.contract.with_name("changed.toml")
    changed.write_text(shop.contract.read_text() + "\n[decision]\nbands = { high = 0.2 }\n")
    before = shop.publications.published("shop")
    with pytest.raises(
        ConflictError, match=rf"{FIRST} is published as {first_night.attempt.run_id} from other contract\n"
    ) as refused:
        shop.run(FIRST, name="changed", contract=changed)
    assert refused.value.exit_code == 5
    assert shop.publications.published("shop") == before


def test_a_date_before_the_seal_that_never_ran_is_refused(first_night: FirstNight) -> None:
    """A published date seals all before it; restating needs a publication to restate."""
    for wish, kind in (({}, ConflictError), ({"restate": True}, UsageError)):
        with pytest.raises(kind, match=r"sealed|never published") as refused:
            first_night.shop.run(TRAINED, name="past", **wish)
        assert isinstance(refused.value, ChurnlakeError)


def test_a_second_application_meets_a_busy_lane(first_night: FirstNight) -> None:
    """P7: while one application holds the lake, another one ends at once with exit code 5 and says who holds it."""
    shop = first_night.shop
    with Lane.take(shop.settings.lake("shop")), pytest.raises(ConflictError) as refused:
        shop.run(SECOND, name="other")
    assert refused.value.exit_code == 5


def test_p5_a_late_file_changes_nothing_that_was_published(spark: SparkSession, second_night: SecondNight) -> None:
    """P5: a file of an earlier day, delivered after the first night, is known from the second night on."""
    shop = second_night.shop
    (late,) = [one for one in shop.ledger.deliveries("shop") if one.slot == LATE]
    assert (late.state, late.known_date) == ("ingested", SECOND)
    assert late.counts["accepted"] == len(set(shop.days[LATE])) - 2
    assert shop.scores(FIRST) == second_night.scores_of_first
    assert shop.run(FIRST, name="once more") == 0
    known = {row.known_date for row in shop.table(spark, "events").filter(F.col("event_date") == LATE).collect()}
    assert known == {SECOND}


def test_every_delivery_is_told_once_with_the_numbers_of_its_run(second_night: SecondNight) -> None:
    """History falls to the first night; what a night took in itself adds up to what its run counted."""
    shop = second_night.shop

    def ask(sql: str) -> list[tuple[Any, ...]]:
        return query(shop.settings.warehouse, sql).rows

    held = [(one.source, one.delivery_id) for one in shop.ledger.deliveries("shop") if one.state == "ingested"]
    assert ask("SELECT source, delivery_id FROM churn.deliveries ORDER BY ALL") == sorted(held)
    for number in ("raw", "accepted", "unchanged", "duplicate", "withdrawn"):
        own = f"SELECT business_date, sum({number})::VARCHAR FROM churn.deliveries JOIN churn.publications "
        counted = "SELECT business_date, observed FROM churn.run_quality WHERE (kind, source, name) = "
        assert ask(f"{own} USING (contract, business_date, run_id) GROUP BY ALL ORDER BY ALL") == ask(
            f"{counted} ('count', 'ingest', '{number}') ORDER BY ALL"
        )
    of_first = f"business_date = '{FIRST}'"
    late = [day for (day,) in ask("SELECT business_date FROM churn.deliveries WHERE known_date > slot")]
    assert late == [SECOND]
    assert ask(f"SELECT count(*) > 30, count(DISTINCT run_id) FROM churn.deliveries WHERE {of_first}") == [(True, 2)]
    reasons = "SELECT sum(rows) FROM churn.quarantine_reasons WHERE bucket = 'quarantined'"
    assert ask(reasons) == ask("SELECT sum(quarantined) FROM churn.deliveries")
    measured = "FROM churn.run_quality WHERE kind = 'measurement'"
    assert ask(f"SELECT count(*) {measured} AND name LIKE 'bin.%'") == [(0,)]
    assert ask(f"SELECT count(DISTINCT delivery_id) {measured} AND business_date = '{SECOND}'") == [(2,)]


def test_p21_a_row_trained_on_is_the_row_that_was_scored(spark: SparkSession, second_night: SecondNight) -> None:
    """P21: past features, worked out again with all that came since and among other cutoffs, are those scored then."""
    shop = second_night.shop
    contract = load_contract(shop.contract)
    with Lane.take(shop.settings.lake("shop")) as lane:
        lake = Application(shop.settings, contract, shop.ledger, lane, "reader").lake
        tiles = read_tiles(lake, tile_versions(lake))
        built = features_at(tiles, contract, build_catalogue(contract), [FIRST - timedelta(days=16), FIRST, SECOND])
        again = sorted(map(tuple, built.filter(F.col("business_date") == FIRST).collect()))
    columns = shop.table(spark, "features").columns
    assert columns == built.columns
    assert again == second_night.features_of_first


def test_a_file_replaced_after_a_power_cut_leaves_no_trace(spark: SparkSession, second_night: SecondNight) -> None:
    """P4: facts written from the first version of a file are gone when its second version is taken in."""
    shop = second_night.shop
    run, stages = shop.run_of(SECOND)
    assert (run.attempt, run.state) == (2, "published")
    lines = {SECOND: len(shop.days[SECOND]) + 2, LATE: len(shop.days[LATE])}
    assert (stages["ingest"].counts["files"], stages["ingest"].counts["raw"]) == (2, sum(lines.values()))
    ingested = {one.slot: one for one in shop.ledger.deliveries("shop") if one.state == "ingested"}
    events = shop.table(spark, "events").filter(F.col("known_date") == SECOND)
    assert {row.delivery_id for row in events.select("delivery_id").distinct().collect()} == {
        ingested[SECOND].delivery_id,
        ingested[LATE].delivery_id,
    }
    assert events.count() == ingested[SECOND].counts["accepted"] + ingested[LATE].counts["accepted"]
    assert shop.table(spark, "known_customers").filter(F.col("customer_id") == "9999").count() == 0
    landed = shop.table(spark, "raw_orders").filter(F.col("known_date") == SECOND)
    assert landed.count() == sum(lines.values())


def test_rows_and_files_of_the_future_change_no_score(
    second_night: SecondNight, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Rows dated after D inside the files up to D, and a file dated after D, leave every score of D as it is."""
    shop = second_night.shop
    home = tmp_path_factory.getbasetemp() / "home-without-future"
    folder = tmp_path / "shop"
    shutil.copytree(shop.contract.parent, folder)
    other = Shop(folder / "contract.toml", replace(shop.settings, home=home), shop.days)
    other.deliver(SECOND, shop.days[SECOND])
    (folder / "orders" / f"{AFTER}.csv").unlink()
    assert other.run(SECOND, name="without") == 0
    assert [row[:-1] for row in other.scores(SECOND)] == [row[:-1] for row in shop.scores(SECOND)]
    aside = shop.run_of(SECOND)[1]["ingest"].counts["quarantined"]
    assert aside == {"bad_type.price": 2, "too_early": 2}


def test_p2_a_restated_night_has_the_same_rows(second_night: SecondNight) -> None:
    """P2: the same date from the same inputs once more, published on purpose: a new run, equal rows."""
    shop = second_night.shop
    before, first = shop.scores(FIRST), shop.publications.current("shop", FIRST)
    assert shop.run(FIRST, name="restated", restate=True, reason="an analyst asked") == 0
    now = shop.publications.current("shop", FIRST)
    assert first is not None
    assert now is not None
    assert (now.restatement, now.reason) == (first.restatement + 1, "an analyst asked")
    assert now.run_id != first.run_id
    assert [row[:-1] for row in shop.scores(FIRST)] == [row[:-1] for row in before]


@pytest.fixture(scope="module")
def matured_night(second_night: SecondNight) -> Shop:
    """The night on which both nights before have matured, eight days after the second; quiet days lie between."""
    shop = second_night.shop
    for ahead in range(2, 9):
        day = SECOND + timedelta(days=ahead)
        shop.days[day] = [f"q-{day}-{who},{who:04},{day} 12:00:00,5,1,pen,purchase" for who in range(ahead, 400, 40)]
        shop.deliver(day, shop.days[day])
    assert shop.run(MATURED, name="matured") == 0
    return shop


def bought(shop: Shop, days: DayRange) -> dict[str, date]:
    """The last day of the range on which each customer bought for more than nothing, from the lines themselves."""
    found: dict[str, date] = {}
    for day in days.days():
        for line in shop.days[day]:
            _, customer, _, price, *_, kind = line.split(",")
            if customer and kind == "purchase" and ";" not in price and float(price) > 0:
                found[customer] = day
    return found


def told(shop: Shop) -> list[tuple[Any, ...]]:
    """All outcomes that analysts see."""
    columns = "business_date, customer_id, churned, churned_on, matured_on"
    return query(shop.settings.warehouse, f"SELECT {columns} FROM churn.outcomes ORDER BY ALL").rows


def test_outcomes_of_matured_nights_are_what_the_files_say(matured_night: Shop) -> None:
    """Each customer scored on both nights is told once, as stayed or with the day after the last purchase."""
    expected = []
    for day in (FIRST, SECOND):
        window = DayRange(day + timedelta(days=1), day + timedelta(days=7))
        stayed = bought(matured_night, window)
        before = bought(matured_night, DayRange(day - timedelta(days=29), day))
        for customer in sorted(row[0] for row in matured_night.scores(day)):
            left_on = None if customer in stayed else before[customer] + timedelta(days=1)
            expected.append((day, customer, customer not in stayed, left_on, day + timedelta(days=8)))
    assert told(matured_night) == expected
    assert {row[2] for row in expected} == {True, False}
    counts = matured_night.run_of(MATURED)[1]["publish"].counts["outcomes"]
    scored = {day: len(matured_night.scores(day)) for day in (FIRST, SECOND)}
    assert (counts["cohorts"], counts["waiting"], counts["other_definition"]) == (2, 0, 0)
    assert {day: counts[f"{day}"]["told"] for day in scored} == scored


def test_a_night_told_again_tells_the_same_outcomes(spark: SparkSession, matured_night: Shop) -> None:
    """P2: restated, the night writes the same labels into the same slice, and readers see each customer once."""
    before = told(matured_night)
    assert matured_night.run(MATURED, name="told again", restate=True, reason="an analyst asked") == 0
    assert told(matured_night) == before
    assert matured_night.table(spark, "labels").count() == len(before)


def test_every_failpoint_is_reached_by_a_night(second_night: SecondNight) -> None:
    """Where a test may end the process the code says; a night passes all places but those of releases and rebuilds."""
    named = set()
    for path in Path(night.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "reach":
                named |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    assert named == set(POINTS)
    assert set(second_night.shop.reached) == {
        point for point in POINTS if not point.startswith(("release.", "rebuild."))
    }
