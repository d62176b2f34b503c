"""Rows of the table `labels`: who left, on which day, by what was known when the date matured."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from churnlake.contract import Contract
from churnlake.warehouse.outcomes import DueCohorts
from churnlake.warehouse.records import Load
from jobs.cohorts import label_rows
from jobs.content import Tiles

CUTOFF = date(2026, 3, 1)
KNOWN = date(2026, 3, 14)
TILES = "source STRING, customer_id STRING, event_date DATE, known_date DATE, activity BIGINT"
InFiles = Callable[..., Tiles]
CUSTOMERS = "source STRING, customer_id STRING, first_known_date DATE"
STATES = (
    "source STRING, customer_id STRING, started_on DATE, ended_on DATE, completes_on DATE, renews_on DATE, "
    "plan STRING, price BIGINT, sign INT, known_date DATE, slot DATE"
)
NOW = datetime(2026, 3, 15, 4, 0, tzinfo=UTC)


def day(after: int) -> date:
    """So many days after the cutoff."""
    return CUTOFF + timedelta(days=after)


def due(cutoffs: Mapping[date, date]) -> DueCohorts:
    """Published dates that have matured, each on its day."""
    loads = {
        Load("shop", day, day, f"run-{day}", 1, 7, 0, 1, 1, False, 1, 1, "audited", None, 1, 0, None, NOW): known
        for day, known in cutoffs.items()
    }
    return DueCohorts(loads, 0, 0)


def scored(spark: SparkSession, *customers: str, cutoff: date = CUTOFF) -> DataFrame:
    """Who had a score that date."""
    rows = [(cutoff, customer, f"run-{cutoff}") for customer in customers]
    return spark.createDataFrame(rows, "business_date DATE, customer_id STRING, scored_by STRING")


def tiles(in_files: InFiles, spark: SparkSession, days: Sequence[tuple[str, int, int, int]]) -> Tiles:
    """Net activity: customer, days after the cutoff, days until it was known, and how much."""
    rows = [("orders", who, day(after), day(after + late), activity) for who, after, late, activity in days]
    known = [("orders", who, day(-90)) for who in sorted({who for who, *_ in days})]
    return in_files(spark.createDataFrame(known, CUSTOMERS), spark.createDataFrame(rows, TILES))


def told(rows: DataFrame) -> dict[tuple[date, str], tuple[bool, date | None]]:
    """Whether and when each customer churned."""
    return {(row.business_date, row.customer_id): (row.is_churned, row.churned_on) for row in rows.collect()}


def test_silence_is_told_from_the_day_after_the_last_activity(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """With a gap of 3 and a horizon of 7: active in the gap is the last of it, on days 4 and 10 it is staying."""
    contract = make_contract(tmp_path, ("gap_days = 0", "gap_days = 3"))
    cases = {"before": -5, "on the day": 0, "in the gap": 3, "first day": 4, "last day": 10, "after": 11}
    days = [(who, after, 0, 1) for who, after in cases.items()]
    days += [(who, -29, 0, 1) for who in cases]
    days += [
        ("known too late", -2, 0, 1),
        ("known too late", 5, 9, 1),
        ("none left", -4, 0, 1),
        ("none left", -4, 8, -1),
    ]
    days += [("none left", -4, 8, -1)]
    people = scored(spark, *cases, "known too late", "none left")
    rows = label_rows(tiles(in_files, spark, days), contract, due({CUTOFF: day(13)}), people, "run-7")
    assert told(rows) == {
        (CUTOFF, "before"): (True, day(-4)),
        (CUTOFF, "on the day"): (True, day(1)),
        (CUTOFF, "in the gap"): (True, day(4)),
        (CUTOFF, "first day"): (False, None),
        (CUTOFF, "last day"): (False, None),
        (CUTOFF, "after"): (True, day(-28)),
        (CUTOFF, "known too late"): (True, day(-1)),
        # What made it eligible was taken back since: nobody can tell when it ended.
        (CUTOFF, "none left"): (True, None),
    }


def test_only_who_had_a_score_is_told_and_each_date_by_its_own_knowledge(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Two dates in one go: a fact known between their days of maturity counts for the later one alone."""
    contract = make_contract(tmp_path)
    days = [("a", 0, 0, 1), ("a", 6, 4, 1), ("unscored", 0, 0, 1)]
    people = scored(spark, "a").union(scored(spark, "a", cutoff=day(1)))
    rows = label_rows(tiles(in_files, spark, days), contract, due({CUTOFF: day(8), day(1): day(10)}), people, "run-7")
    assert told(rows) == {(CUTOFF, "a"): (True, day(1)), (day(1), "a"): (False, None)}
    (row,) = rows.filter(f"business_date = '{CUTOFF}'").collect()
    assert (row.cohort_month, row.matured_on, row.scored_by, row.run_id) == (
        "2026-03", day(8), f"run-{CUTOFF}", "run-7",
    )  # fmt: skip


def test_a_cancellation_is_told_with_the_first_day_without(
    spark: SparkSession, tmp_path: Path, make_club: Callable[..., Contract]
) -> None:
    """The horizon's last day counts; a null end stays; who turned out to have left before the date has no outcome."""
    club = make_club(tmp_path)
    ends = {"stays": None, "first day": day(1), "last day": day(30), "later": day(31), "left before": day(-1)}
    states = [
        ("memberships", who, day(-60), ended, None, None, "basic", 999, 1, day(-60), day(-60))
        for who, ended in ends.items()
    ]
    known = [("memberships", who, day(-60)) for who in ends]
    held = Tiles(spark.createDataFrame(known, CUSTOMERS), subscriptions=spark.createDataFrame(states, STATES))
    rows = label_rows(held, club, due({CUTOFF: day(33)}), scored(spark, *ends), "run-7")
    assert told(rows) == {
        (CUTOFF, "stays"): (False, None),
        (CUTOFF, "first day"): (True, day(1)),
        (CUTOFF, "last day"): (True, day(30)),
        (CUTOFF, "later"): (False, None),
    }
