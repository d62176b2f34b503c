"""What the label canary counts in the lake."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from churnlake.canary import Cutoff, Labels, Level, Rule
from churnlake.contract import Contract
from churnlake.ledger import Lane, Ledger
from jobs.canary import churn_rule, count_labels, last_training
from jobs.content import Tiles
from jobs.lake import Lake

ONE, TWO = date(2026, 3, 1), date(2026, 4, 1)
TILES = (
    "source STRING, customer_id STRING, event_date DATE, known_date DATE, events BIGINT, activity BIGINT, "
    "event_type_purchase BIGINT, event_type_cancellation BIGINT"
)
EVENTS = (
    "source STRING, delivery_id STRING, slot DATE, event_date DATE, known_date DATE, event_type STRING, "
    "known_month STRING, off_day BOOLEAN"
)
STATES = (
    "source STRING, customer_id STRING, started_on DATE, ended_on DATE, completes_on DATE, renews_on DATE, "
    "plan STRING, price BIGINT, sign INT, known_date DATE, slot DATE"
)


def people(spark: SparkSession) -> tuple[DataFrame, DataFrame]:
    """Population and labels: two cutoffs, of whom one customer each is left out or has no label."""
    population = [(ONE, "a", True), (ONE, "b", True), (ONE, "c", False), (TWO, "a", True), (TWO, "b", True)]
    labels = [(ONE, "a", 1), (ONE, "b", 0), (TWO, "a", 1)]
    return (
        spark.createDataFrame(population, "business_date DATE, customer_id STRING, eligible BOOLEAN"),
        spark.createDataFrame(labels, "business_date DATE, customer_id STRING, is_churned INT"),
    )


def write_events(spark: SparkSession, lake: Lake, types: list[str | None]) -> None:
    """A lake that holds events of these types."""
    rows = [("orders", "d1", ONE, ONE, ONE, kind, "2026-03", False) for kind in types]
    lake.replace("events", spark.createDataFrame(rows, EVENTS), {"source": "orders"}, "run-1")


def shop_tiles(spark: SparkSession, purchases: int, cancellations: int, activity: int) -> Tiles:
    """All that a shop's canary reads of its tiles."""
    row = ("orders", "a", ONE, ONE, purchases + cancellations, activity, purchases, cancellations)
    known = spark.createDataFrame([("a",)], "customer_id STRING")
    return Tiles(known, spark.createDataFrame([row], TILES))


def test_labels_are_counted_by_cutoff_and_every_named_value_is_looked_for(
    spark: SparkSession, tmp_path: Path, lake: Path, lane: Lane, make_contract: Callable[..., Contract]
) -> None:
    """Eligible, labelled and churned apart; a value that tiles hold costs no look at events, another shows all."""
    contract = make_contract(tmp_path)
    held = Lake(spark, lake, "shop", lane)
    write_events(spark, held, ["purchase"] * 3 + ["refund"] * 2 + ["gift", None])
    counted = count_labels(held, contract, shop_tiles(spark, 3, 0, 2), *people(spark))
    assert counted.cutoffs == (Cutoff(ONE, 2, 2, 1, {}), Cutoff(TWO, 2, 1, 1, {}))
    assert (counted.event_rows, counted.activity_rows) == (3, 2)
    levels = (Level("purchase", 3), Level("refund", 2), Level("gift", 1))
    assert counted.rules == (
        Rule("[features] by", "event_type: purchase", "event_type", "purchase", 3),
        Rule("[features] by", "event_type: cancellation", "event_type", "cancellation", 0, levels),
        Rule("[churn] activity", contract.churn.activity or "", "event_type", "purchase", 3),
    )


def test_a_value_that_only_activity_names_is_looked_for_in_events(
    spark: SparkSession, tmp_path: Path, lake: Path, lane: Lane, make_contract: Callable[..., Contract]
) -> None:
    """`by` names other values: what activity asks for is counted, with what there is instead."""
    contract = make_contract(tmp_path, ("event_type = 'purchase' AND", "event_type IN ('purchse', 'gift') AND"))
    held = Lake(spark, lake, "shop", lane)
    write_events(spark, held, ["purchase"] * 3 + ["gift"])
    counted = count_labels(held, contract, shop_tiles(spark, 3, 1, 0), *people(spark))
    found = {(rule.value, rule.matched) for rule in counted.rules if rule.key == "[churn] activity"}
    assert found == {("purchse", 0), ("gift", 1)}
    assert counted.activity_rows == 0


def test_plans_are_counted_as_they_were_at_each_cutoff(
    spark: SparkSession, tmp_path: Path, lake: Path, lane: Lane, make_club: Callable[..., Contract]
) -> None:
    """A customer whose plan nobody knows is counted apart; the churn rule is the line that maps the end."""
    club = make_club(tmp_path)
    start = date(2026, 1, 10)
    told = [("memberships", "a", start, None, None, None, "pro", 999, 1, start, start)]
    tiles = Tiles(
        spark.createDataFrame([("a",)], "customer_id STRING"), subscriptions=spark.createDataFrame(told, STATES)
    )
    counted = count_labels(Lake(spark, lake, "club", lane), club, tiles, *people(spark))
    assert [one.segments for one in counted.cutoffs] == [{"plan": {"pro": 1, "(none)": 1}}, {"plan": {"pro": 1}}]
    assert counted.activity_rows is None
    assert churn_rule(club) == ("[sources.memberships.columns] ended_on", "left_on")


def test_the_last_training_is_the_newest_that_its_canary_let_pass(
    tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """One that was stopped left no numbers, and one of another version of the contract is passed over."""
    contract = make_contract(tmp_path / "shop")
    ledger = Ledger.open(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    now = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
    kept = Labels((Cutoff(ONE, 20, 20, 6, {}),), "[churn] activity", "TRUE", 9, 9, (), 1).to_counts()
    numbers = ({"canary": kept}, {"canary": kept | {"contract_version": 2}}, {}, {})
    runs = []
    for place, counts in enumerate(numbers):
        run = ledger.start_run(
            contract="shop", kind="training", business_date=TWO, application=f"a{place}", pid=1, lane_epoch=1,
            contract_digest="c", code_revision="test", actor="tester", now=now + timedelta(hours=place),
        )  # fmt: skip
        ledger.start_stage(run.run_id, "rows", 1, now=now)
        if counts:
            ledger.finish_stage(run.run_id, "rows", 1, counts=counts, now=now)
        runs.append(run)
    earlier = [last_training(ledger, contract, run) for run in runs]
    of_version_1 = (Cutoff(ONE, 20, 20, 6, {}),)
    assert [one and one.cutoffs for one in earlier] == [None, of_version_1, of_version_1, of_version_1]
