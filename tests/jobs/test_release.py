"""Rows let back in from quarantine, as one story of a small shop: each test goes on where the one before it ended."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.errors import DataRefusedError, UsageError
from churnlake.ledger import Delivery, Ledger
from churnlake.quarantine import Quarantine, Row, Wanted
from churnlake.repairs import repair_columns, write_repairs
from churnlake.settings import Settings
from churnlake.warehouse.publications import Publications
from flows.quarantine import Asked, Wish
from jobs import application, night, release

FIRST, SECOND, TONIGHT, AFTER, LATER = (date(2026, 3, day) for day in (1, 2, 3, 4, 6))
NOW = datetime(2026, 3, 3, 6, 0, tzinfo=UTC)
HEADER = "order_no,customer,at,price,pieces,item,kind"
GOOD = "1,ann,2026-03-01 10:00:00,5.00,1,pen,purchase"
BAD_PRICE = "2,bob,2026-03-01 11:00:00,1;5,1,pen,purchase"
NO_PIECES = "3,cid,2026-03-01 12:00:00,2.00,0,pen,purchase"
TWICE = "4,dan,2026-03-01 13:00:00,x,1,pen,purchase"
SHORT = "5,eve"
LAST = [GOOD, BAD_PRICE, NO_PIECES, TWICE, TWICE, SHORT]
SUITE = {
    "name": "orders",
    "expectations": [
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "pieces", "min_value": 1},
            "severity": "warning",
        }
    ],
}


class PowerCut(BaseException):
    """What a failpoint raises here instead of ending the process."""


@dataclass
class Shop:
    """The shop's contract and home, and a seal that the test moves as nights would."""

    contract: Contract
    settings: Settings
    sealed: date | None = None
    point: str | None = None

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.ledger_url)

    def deliver(self, day: date, *lines: str) -> None:
        """Puts the day's file into the shop's folder."""
        path = self.contract.folder / "orders" / f"{day}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join([HEADER, *lines]) + "\n")

    def load(self, through: date) -> None:
        """Takes in every file through a date."""
        assert night.run(night.Request(self.contract.path, "load", (), history_through=through), self.settings) == 0

    def release(
        self, *, contract: Path | None = None, repaired: Path | None = None, dry_run: bool = False, **wanted: Any
    ) -> int:
        """Lets rows back in."""
        chosen = Wanted("orders", **wanted)
        path = contract or self.contract.path
        return release.run(release.Request(path, "release", chosen, "by hand", repaired, dry_run), self.settings)

    @property
    def quarantine(self) -> Quarantine:
        return Quarantine.open(self.settings.lake("shop"), self.ledger.deliveries("shop"))

    def held(self, **wanted: Any) -> list[Row]:
        """The rows that are held now."""
        return self.quarantine.rows(Wanted("orders", **wanted))

    def held_orders(self) -> list[str | None]:
        """Order numbers of the rows that are held now."""
        return sorted(row.text["order_no"] or "" for row in self.held() if row.text)

    def releases(self) -> list[Delivery]:
        """The releases the ledger knows."""
        return [one for one in self.ledger.deliveries("shop") if one.kind == "release"]

    def table(self, spark: SparkSession, name: str) -> DataFrame:
        """A table of the lake as it is now."""
        return spark.read.format("delta").load(str(self.settings.lake("shop") / name))

    def facts(self, spark: SparkSession) -> list[tuple[Any, ...]]:
        """Customer, amount, slot, known date and net number of every fact that is live."""
        content = ["customer_id", "amount", "slot", "row_hash"]
        events = self.table(spark, "events").groupBy(*content).agg(F.sum("sign").alias("net"), F.max("known_date"))
        rows = events.filter("net <> 0").drop("row_hash").collect()
        return sorted((one[0], one[1], one[2], one[4], one[3]) for one in rows)

    def content_at(self, spark: SparkSession, day: date) -> list[tuple[Any, ...]]:
        """Every tile and customer that a date knows."""
        tiles = self.table(spark, "daily_activity").filter(F.col("known_date") <= day).collect()
        known = self.table(spark, "known_customers").filter(F.col("first_known_date") <= day).collect()
        return sorted(map(tuple, tiles), key=str) + sorted(map(tuple, known), key=str)

    def repairs(self, folder: Path, rows: list[Row], **changed: str) -> Path:
        """The file for repair of these rows, with these columns given another text in every line."""
        columns = repair_columns(self.contract.sources["orders"])
        mended = [replace(row, text={**(row.text or {}), **changed}) for row in rows]
        path = folder / f"{len(list(folder.iterdir()))}.csv"
        with path.open("wb") as file:
            write_repairs(file, columns, mended)
        return path


@pytest.fixture(scope="module")
def shop(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_contract: Callable[..., Contract]
) -> Iterator[Shop]:
    """Two days of files are in and sealed; five rows of the first day are held."""
    root = tmp_path_factory.mktemp("release")
    waits_for_nobody = ("max_early_days = 0", 'max_early_days = 0\non_missing = "warn"')
    contract = make_contract(root / "shop", ('starts_on = "2026-01-01"', 'starts_on = "2026-03-01"'), waits_for_nobody)
    contract.suites.mkdir()
    (contract.suites / "orders.json").write_text(json.dumps(SUITE))
    shop = Shop(contract, Settings.from_environment({"CHURNLAKE_HOME": str(root / "home")}))
    shop.deliver(FIRST, *LAST)
    shop.deliver(SECOND, "6,ann,2026-03-02 10:00:00,1.00,1,pen,purchase")

    def cut(point: str, _armed: str | None) -> None:
        if point == shop.point:
            raise PowerCut(point)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "code_revision", lambda: "0123456789ab")
        patch.setattr(application, "hit", cut)
        patch.setattr(Publications, "newest", lambda *_: shop.sealed)
        shop.load(SECOND)
        shop.sealed = SECOND
        yield shop


def test_rows_that_pass_no_rule_stay_held_and_nothing_is_written(shop: Shop, spark: SparkSession) -> None:
    """Rules as they are now judge: where all rows still break one, not even a table's version moves."""
    before = {table.name: shop.table(spark, table.name).inputFiles() for table in _tables(shop)}
    with pytest.raises(DataRefusedError, match="none of 5 rows passes"):
        shop.release()
    assert {table.name: shop.table(spark, table.name).inputFiles() for table in _tables(shop)} == before
    assert shop.held_orders() == ["2", "3", "4", "4", "5"]
    assert shop.releases() == []
    with pytest.raises(UsageError, match="no held row fits"):
        shop.release(reasons=("no such rule",))


def _tables(shop: Shop) -> list[Path]:
    return [path for path in shop.settings.lake("shop").iterdir() if (path / "_delta_log").is_dir()]


def test_a_dry_run_tells_and_writes_nothing(shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would become of each row, and which cells were changed."""
    mended = shop.repairs(tmp_path, shop.held(reasons=("bad_type.price",)), price="2.50")
    assert shop.release(repaired=mended, dry_run=True) == 0
    told = capsys.readouterr().out
    assert "3 rows of orders: 2 would become facts known from 2026-03-03, 1 duplicate, 0 ignored" in told
    assert "repaired cells: price 3" in told
    assert shop.held_orders() == ["2", "3", "4", "4", "5"]
    assert shop.releases() == []


def test_a_release_killed_at_every_point_in_turn_enters_its_rows_once(
    shop: Shop, spark: SparkSession, tmp_path: Path
) -> None:
    """Until it is ingested nobody sees what it wrote; the same command takes it up; it enters once, known from tonight.

    A repaired row keeps the hash of the row as delivered; its customer becomes known; earlier dates stay as they were.
    """
    before = shop.content_at(spark, SECOND)
    (held,) = shop.held(reasons=("bad_type.price",), row_hashes=(_hash_of(shop, "2"),))
    mended = shop.repairs(tmp_path, [held], price="1.50")
    for point in (one for one in application_points() if one != "release.recorded"):
        shop.point = point
        with pytest.raises(PowerCut, match=point):
            shop.release(repaired=mended)
        assert shop.held_orders() == ["2", "3", "4", "4", "5"]
        assert [one.state for one in shop.releases()] == ["frozen"]
    shop.point = "release.recorded"
    with pytest.raises(PowerCut):
        shop.release(repaired=mended)
    shop.point = None
    assert shop.release(repaired=mended) == 0  # nothing is left to do

    assert shop.held_orders() == ["3", "4", "4", "5"]
    assert shop.facts(spark) == [
        ("ann", 100, SECOND, SECOND, 1), ("ann", 500, FIRST, FIRST, 1), ("bob", 150, FIRST, TONIGHT, 1),
    ]  # fmt: skip
    (fact,) = shop.table(spark, "events").filter("customer_id = 'bob'").collect()
    assert (fact["row_hash"], fact["delivery_id"]) == (held.row_hash, shop.releases()[0].delivery_id)
    assert shop.content_at(spark, SECOND) == before
    known = shop.table(spark, "known_customers").filter("customer_id = 'bob'").collect()
    assert [one["first_known_date"] for one in known] == [TONIGHT]
    (entered,) = shop.quarantine.rows(Wanted("orders"), "released")
    assert (entered.key, entered.text and entered.text["price"]) == (held.key, "1.50")


def application_points() -> list[str]:
    """The failpoints of a release."""
    from churnlake.failpoints import POINTS

    return [point for point in POINTS if point.startswith("release.")]


def _hash_of(shop: Shop, order_no: str) -> str:
    (row,) = [row for row in shop.held() if row.text and row.text["order_no"] == order_no]
    return row.row_hash


def test_a_release_that_died_is_cleared_away_by_the_next_application(
    shop: Shop, spark: SparkSession, tmp_path: Path
) -> None:
    """Its rows are neither lost nor doubled: they are held as before, and nothing of it is left in any table."""
    mended = shop.repairs(tmp_path, shop.held(reasons=("bad_type.price",)), price="3.00")
    before = shop.facts(spark)
    shop.point = "release.typed"
    with pytest.raises(PowerCut):
        shop.release(repaired=mended)
    shop.point = None
    (died,) = [one for one in shop.releases() if one.state == "frozen"]

    shop.load(SECOND)

    assert shop.facts(spark) == before
    for path in _tables(shop):
        writer = "changed_by" if path.name == "quarantine" else "delivery_id"
        assert shop.table(spark, path.name).filter(F.col(writer) == died.delivery_id).count() == 0, path.name
    assert shop.held_orders() == ["3", "4", "4", "5"]
    assert [one.state for one in shop.releases()] == ["ingested"]


def test_equal_rows_are_told_apart_from_duplicates(shop: Shop, spark: SparkSession, tmp_path: Path) -> None:
    """Two lines repaired alike are one fact and a duplicate; one repaired to what is a fact already is a duplicate."""
    one, other = shop.held(reasons=("bad_type.price",))
    assert one.key == other.key
    (short,) = shop.held(reasons=("bad_shape",))
    like_bob = dict(zip(HEADER.split(","), BAD_PRICE.replace("1;5", "1.50").split(","), strict=True))
    columns = repair_columns(shop.contract.sources["orders"])
    mended = tmp_path / "mended.csv"
    texts = [(one, {"price": "3.00"}), (other, {"price": "3.00"}), (short, {**like_bob, "corrupt_record": None})]
    with mended.open("wb") as file:
        write_repairs(file, columns, [replace(row, text={**(row.text or {}), **text}) for row, text in texts])

    assert shop.release(repaired=mended) == 0

    assert shop.held_orders() == ["3"]
    counts = max(shop.releases(), key=lambda release: release.counts["raw"]).counts
    assert (counts["raw"], counts["accepted"], counts["duplicate"], counts["quarantined"]) == (3, 1, 2, {})
    assert [fact[:2] for fact in shop.facts(spark)] == [("ann", 100), ("ann", 500), ("bob", 150), ("dan", 300)]
    left = {row.row_hash: row.reasons for row in shop.quarantine.rows(Wanted("orders"), "released")}
    assert left[short.row_hash] == ("duplicate",)


def test_rows_pass_rules_that_were_corrected_but_not_into_columns_of_another_contract(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The suite of now judges; a row delivered with a column that was renamed since would enter with a null there."""
    suite = shop.contract.suites / "orders.json"
    suite.write_text(suite.read_text().replace('"min_value": 1', '"min_value": 0'))
    other = shop.contract.path.with_name("renamed.toml")
    text = shop.contract.path.read_text()
    other.write_text(text.replace('item = "text"', 'goods = "text"').replace('product = "item"', 'product = "goods"'))
    with pytest.raises(UsageError, match="raw_orders has no goods and also has item"):
        shop.release(contract=other)

    assert shop.release(reasons=("orders.pieces.be_between",), dry_run=True) == 0
    assert "1 row of orders: 1 would become facts" in capsys.readouterr().out
    assert shop.held_orders() == ["3"]


def test_a_corrected_file_withdraws_what_it_lacks_released_or_held(shop: Shop, spark: SparkSession) -> None:
    """A released fact whose row is gone is taken back, one that is still there stays; a withdrawn row stays out."""
    shop.sealed = TONIGHT
    shop.deliver(FIRST, GOOD, TWICE, TWICE)
    shop.load(SECOND)

    assert [fact[:2] for fact in shop.facts(spark)] == [("ann", 100), ("ann", 500), ("dan", 300)]
    assert shop.held() == []
    assert shop.release() == 0  # says that nothing is left

    assert [fact[:2] for fact in shop.facts(spark)] == [("ann", 100), ("ann", 500), ("dan", 300)]
    taken_back = shop.table(spark, "events").filter("sign = -1").collect()
    assert [(one["customer_id"], one["known_date"]) for one in taken_back] == [("bob", AFTER)]


def test_old_rows_expire_once_and_their_text_goes(shop: Shop, spark: SparkSession) -> None:
    """Rows older than quarantine_days can no longer be let in; a rerun tells the same number and changes nothing."""
    shop.deliver(AFTER, "7,fay,2026-03-04 09:00:00,?,1,pen,purchase", "8,ann,2026-03-04 09:00:00,1,1,pen,purchase")
    shop.deliver(LATER, "9,ann,2026-03-06 09:00:00,?,1,pen,purchase", "9,ann,2026-03-06 09:00:00,1,1,pen,purchase")
    contract = shop.contract.path
    contract.write_text(contract.read_text().replace("max_early_days = 0", "max_early_days = 0\nquarantine_days = 1"))
    shop.load(LATER)

    assert shop.held_orders() == ["9"]
    stages = [stage for run in shop.ledger.runs("shop") for stage in shop.ledger.stages(run.run_id)]
    assert [one.counts.get("expired") for one in stages if one.stage == "ingest"][-1] == 1
    table = shop.table(spark, "quarantine")
    assert [row["known_date"] for row in table.filter("raw_row IS NOT NULL").collect()] == [LATER]
    (ended,) = table.filter("status = 'expired'").collect()
    assert (ended["changed_by"], ended["known_date"]) == ("expiry-2026-03-06", LATER)
    rows = table.count()
    run = shop.ledger.runs("shop")[-1]
    assert [one.observed for one in shop.ledger.checks(run.run_id) if one.name == "expired"] == [
        "1 held for more than 1 days; their text is gone"
    ]
    shop.load(LATER)
    assert shop.table(spark, "quarantine").count() == rows
    assert shop.release(reasons=("bad_type.price",), slot=AFTER) == 0  # says that nothing is left


def test_released_rows_follow_a_contract_that_gives_rows_another_meaning(shop: Shop, spark: SparkSession) -> None:
    """Amounts are doubled, of facts let in by hand as well, each once and known since when it was; held rows stay."""
    facts, aside = shop.facts(spark), _statuses(shop, spark)
    accounts = {one.delivery_id: one.counts["accepted"] for one in shop.releases()}
    contract = shop.contract.path
    contract.write_text(contract.read_text().replace('amount = "price"', 'amount = "price * 2"'))
    with pytest.raises(UsageError, match="rows of orders another meaning"):
        shop.release(dry_run=True)
    shop.load(LATER)

    assert shop.facts(spark) == [(who, 2 * amount, *told) for who, amount, *told in facts]
    assert _statuses(shop, spark) == aside
    assert {one.delivery_id: one.counts["accepted"] for one in shop.releases()} == accounts
    assert accounts


def _statuses(shop: Shop, spark: SparkSession) -> list[tuple[Any, ...]]:
    rows = shop.table(spark, "quarantine").select("row_hash", "status", "changed_by", "known_date", "raw_row")
    return sorted(map(tuple, rows.collect()), key=str)


def test_a_release_is_known_after_a_night_that_died_with_its_features_made(
    settings: Settings, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """That night will not look at facts again when it is taken up; one that died in its ingest will."""
    ledger = Ledger.open(settings.ledger_url)
    app = application.Application(settings, make_contract(tmp_path), ledger, None, "release")  # type: ignore[arg-type]
    publications = Publications.open(settings.warehouse)
    assert release._sealed(app, publications) is None
    for day, stage in ((TONIGHT, "ingest"), (SECOND, "features")):
        run = ledger.start_run(
            contract="shop", kind="night", business_date=day, application="a", contract_digest="c", code_revision="r",
            actor="tester", reason=None, pid=1, lane_epoch=1, now=NOW,
        )  # fmt: skip
        ledger.start_stage(run.run_id, stage, 1, now=NOW)
        ledger.finish_stage(run.run_id, stage, 1, counts={}, now=NOW)
        ledger.finish_run(run.run_id, 1, "failed", exit_code=1, now=NOW)
    assert release._sealed(app, publications) == SECOND


def test_the_job_understands_what_the_command_tells_it() -> None:
    """Also values that look like options; a file's path is absolute, since the job runs in another folder."""
    asked = Asked("orders", FIRST, ("a b.csv",), ("-x", "--y"), ("d",), ("h",))
    options = Wish(asked, "--why not", Path("r.csv"), dry_run=True).options()
    request = release._parse(["--contract", "c.toml", "--application", "a", *options])
    wanted = Wanted("orders", FIRST, ("a b.csv",), ("-x", "--y"), ("d",), ("h",))
    path = Path("r.csv").absolute()
    assert request == release.Request(Path("c.toml"), "a", wanted, "--why not", path, dry_run=True)
