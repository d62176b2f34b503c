import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import SparkSession

from churnlake.contract import Contract
from jobs.content import Tiles
from jobs.labels import labels_at

CUTOFF = date(2026, 3, 1)
MATURED = date(2026, 3, 14)
TILES = "source STRING, customer_id STRING, event_date DATE, known_date DATE, activity BIGINT"
InFiles = Callable[..., Tiles]
MakeContract = Callable[..., Contract]
KNOWN = "source STRING, customer_id STRING, first_known_date DATE"


class Day(NamedTuple):
    """Net activity of a customer `after` days after the cutoff, known `late` days later."""

    customer: str
    after: int
    late: int = 0
    activity: int = 1


def tiles_of(in_files: InFiles, spark: SparkSession, days: Sequence[Day]) -> Tiles:
    """Tiles in which everybody is also active on the cutoff itself, so that all are eligible."""
    customers = {day.customer for day in days}
    dated = [
        (one.customer, CUTOFF + timedelta(one.after), CUTOFF + timedelta(one.after + one.late), one.activity)
        for one in days
    ]
    rows = [("orders", *one) for one in [*dated, *((customer, CUTOFF, CUTOFF, 1) for customer in customers)]]
    known = [("orders", customer, CUTOFF) for customer in customers]
    return in_files(spark.createDataFrame(known, KNOWN), spark.createDataFrame(rows, TILES))


def labels(tiles: Tiles, contract: Contract, matured_on: dict[date, date]) -> dict[tuple[date, str], int]:
    """is_churned by cutoff and customer."""
    return {
        (row.business_date, row.customer_id): row.is_churned for row in labels_at(tiles, contract, matured_on).collect()
    }


def test_the_label_window_starts_after_the_gap_and_ends_with_the_horizon(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """With a gap of 3 and a horizon of 7, activity on days 4 to 10 keeps a customer; the days beside do not."""
    contract = make_contract(tmp_path, ("gap_days = 0", "gap_days = 3"))
    cases = {"gap": 3, "first day": 4, "last day": 10, "after": 11}
    tiles = tiles_of(in_files, spark, [*(Day(name, after) for name, after in cases.items()), Day("before", -5)])
    assert labels(tiles, contract, {CUTOFF: MATURED}) == {
        (CUTOFF, "gap"): 1,
        (CUTOFF, "first day"): 0,
        (CUTOFF, "last day"): 0,
        (CUTOFF, "after"): 1,
        (CUTOFF, "before"): 1,
    }


def test_p10_a_label_never_changes_once_it_is_known(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """A fact counts when it was known on the day the label matured; a later one, or a later correction, does not."""
    contract = make_contract(tmp_path)
    in_time, too_late = (MATURED - CUTOFF).days - 5, (MATURED - CUTOFF).days - 4
    tiles = tiles_of(
        in_files,
        spark,
        [
            Day("known in time", 5, in_time),
            Day("known too late", 5, too_late),
            Day("withdrawn in time", 5),
            Day("withdrawn in time", 5, in_time, activity=-1),
            Day("withdrawn too late", 5),
            Day("withdrawn too late", 5, too_late, activity=-1),
            Day("one of two withdrawn", 5, activity=2),
            Day("one of two withdrawn", 5, 1, activity=-1),
            Day("no activity", 5, activity=0),
        ],
    )
    found = labels(tiles, contract, {CUTOFF: MATURED})
    assert {customer: churned for (_, customer), churned in found.items()} == {
        "known in time": 0,
        "known too late": 1,
        "withdrawn in time": 1,
        "withdrawn too late": 0,
        "one of two withdrawn": 0,
        "no activity": 1,
    }


def test_labels_of_many_cutoffs_are_those_of_an_oracle(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """Each cutoff has its own window, maturity and eligible customers; a plain reading of the days finds the same."""
    contract = make_contract(tmp_path, ("gap_days = 0", "gap_days = 2"))
    generator = random.Random(5)  # noqa: S311 - made-up data
    days = [
        Day(
            f"c{generator.randrange(40):02}",
            generator.randrange(-40, 40),
            generator.choice([0, 0, 3, 12]),
            generator.choice([1, 1, 2, -1]),
        )
        for _ in range(300)
    ]
    matured_on = {
        CUTOFF + timedelta(after): CUTOFF + timedelta(after + 10 + wait) for after, wait in ((0, 0), (9, 5), (20, 0))
    }
    expected = {}
    for cutoff, matured in matured_on.items():
        for customer in {day.customer for day in days}:
            if _has_activity(days, customer, cutoff - timedelta(29), cutoff, cutoff):
                stays = _has_activity(days, customer, cutoff + timedelta(3), cutoff + timedelta(9), matured)
                expected[cutoff, customer] = int(not stays)
    assert labels(tiles_of(in_files, spark, days), contract, matured_on) == expected
    assert 0.1 < sum(expected.values()) / len(expected) < 0.9


def _has_activity(days: Sequence[Day], customer: str, first: date, last: date, known_by: date) -> bool:
    net: dict[date, int] = defaultdict(int)
    net[CUTOFF] += first <= CUTOFF <= last
    for one in days:
        happened = CUTOFF + timedelta(one.after)
        if one.customer == customer and first <= happened <= last and happened + timedelta(one.late) <= known_by:
            net[happened] += one.activity
    return any(total > 0 for total in net.values())
