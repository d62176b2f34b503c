from collections.abc import Callable
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession

from churnlake.contract import Contract
from jobs.content import Tiles
from jobs.labels import labels_at
from jobs.population import population_at

FIRST, SECOND = date(2026, 2, 28), date(2026, 3, 31)
TOLD = "source STRING, customer_id STRING, is_churned BOOLEAN, as_of DATE, sign INT, known_date DATE, slot DATE"
KNOWN = "source STRING, customer_id STRING, first_known_date DATE"
LABELS = """[sources.left]
role = "labels"
delivery = "history"
path = "left.csv"
through = "2026-12-31"
types = { id = "text", gone = "boolean", day = "date" }
columns = { customer_id = "id", is_churned = "gone"AS_OF }

[churn]"""
DATED = 'train_on = ["2026-02-28"]\ntest_on = ["2026-03-31"]'

MakeClub = Callable[..., Contract]


def tiles_of(spark: SparkSession, told: list[tuple[str, bool | None, date | None, int]]) -> Tiles:
    """Tables of a set that brings outcomes: (customer, churned, as of, sign). `cat` is known and has none."""
    rows = [("left", customer, churned, day, sign, FIRST, FIRST) for customer, churned, day, sign in told]
    known = [("left", customer, FIRST) for customer in sorted({row[1] for row in rows} | {"cat"})]
    return Tiles(spark.createDataFrame(known, KNOWN), outcomes_told=spark.createDataFrame(rows, TOLD))


def contract_of(make_club: MakeClub, folder: Path, *, dated: bool) -> Contract:
    """A club that is told who left."""
    labels = LABELS.replace("AS_OF", ', as_of = "day"' if dated else "")
    cutoffs = f"settle_days = 0\n\n[training]\n{DATED}" if dated else "settle_days = 0"
    return make_club(
        folder,
        ("[churn]", labels),
        ('definition = "cancellation"', 'definition = "label"'),
        ("settle_days = 0\ngrace_days = 3", cutoffs),
    )


def test_a_dated_outcome_belongs_to_its_date_alone(spark: SparkSession, tmp_path: Path, make_club: MakeClub) -> None:
    """Scored on a date is who has an outcome as of it; one that was taken back is none, a null one is no label."""
    contract = contract_of(make_club, tmp_path, dated=True)
    tiles = tiles_of(
        spark,
        [
            ("ann", True, FIRST, 1),
            ("ann", False, SECOND, 1),
            ("bob", False, FIRST, 1),
            ("bob", False, FIRST, -1),
            ("eve", None, SECOND, 1),
        ],
    )
    people = population_at(tiles, contract, [FIRST, SECOND]).collect()
    assert {(row.business_date, row.customer_id) for row in people if row.eligible} == {(FIRST, "ann"), (SECOND, "ann")}
    assert {row.reason for row in people if not row.eligible} == {"no_label"}
    labels = labels_at(tiles, contract, {FIRST: SECOND, SECOND: SECOND}).collect()
    assert {(row.business_date, row.customer_id, row.is_churned) for row in labels} == {
        (FIRST, "ann", 1),
        (SECOND, "ann", 0),
    }


def test_without_dates_everybody_is_scored_and_who_has_an_outcome_is_learnt_from(
    spark: SparkSession, tmp_path: Path, make_club: MakeClub
) -> None:
    """Of two outcomes of one customer the one that says churned decides."""
    contract = contract_of(make_club, tmp_path, dated=False)
    tiles = tiles_of(spark, [("ann", True, None, 1), ("ann", False, None, 1), ("bob", False, None, 1)])
    assert population_at(tiles, contract, [SECOND]).filter("eligible").count() == 3
    labels = labels_at(tiles, contract, {SECOND: SECOND}).collect()
    assert {(row.customer_id, row.is_churned) for row in labels} == {("ann", 1), ("bob", 0)}
