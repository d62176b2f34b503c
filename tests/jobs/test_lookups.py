from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from churnlake.contract import Contract
from churnlake.deliveries import Field
from churnlake.errors import DataRefusedError
from churnlake.ledger import Delivery, Lane
from jobs import rows
from jobs.facts import facts_of
from jobs.lake import Lake
from jobs.landing import read_landing
from jobs.lookups import read_lookups

DAY = date(2026, 1, 1)
PLANS = """[sources.plans]
role = "lookup"
delivery = "history"
path = "plans.csv"
key = ["plan"]
types = { plan = "text", "months" = "int" }

[churn]"""

MakeClub = Callable[..., Contract]


@pytest.fixture
def club(tmp_path: Path, make_club: MakeClub) -> Contract:
    """A club whose plans say in a table of their own how many months they run."""
    return make_club(
        tmp_path / "club",
        ("[churn]", PLANS),
        ('through = "2026-12-31"', 'through = "2026-12-31"\nlookups = { plans = ["plan"] }'),
        ('completes_on = "paid_to"', 'completes_on = "DATE_ADD(joined, 30 * plans_months)"'),
    )  # fmt: skip


def landed(spark: SparkSession, contract: Contract, source: str, text: str) -> Any:
    """The rows of a file of a source."""
    (contract.folder / "rows.csv").write_text(text)
    one = Delivery(
        source, "d1", "rows.csv", 1, "0" * 64, DAY, DAY, DAY,
        contract="club", run_id="run", state="frozen", counts={},
    )  # fmt: skip
    layout = tuple(Field(name, name) for name in contract.sources[source].types)
    return read_landing(spark, contract, [one], {"d1": layout})


def put_plans(spark: SparkSession, contract: Contract, lake: Lake, text: str) -> None:
    """Lands the table of plans as it is delivered."""
    lake.replace("raw_plans", landed(spark, contract, "plans", text), {"delivery_id": "d1"}, "run")


def test_a_lookup_brings_its_columns_to_expressions(
    spark: SparkSession, club: Contract, lake: Path, lane: Lane
) -> None:
    """Joined on its key before columns are mapped; without a match, or where its value does not fit, they are null."""
    held = Lake(spark, lake, "club", lane)
    put_plans(spark, club, held, "plan,months\ngold,2\nodd,two\n")
    text = "member,joined,left_on,paid_to,plan,fee\na,2026-02-01,,,gold,1\nb,2026-02-01,,,odd,1\nc,2026-02-01,,,,1\n"
    lookups = read_lookups(held, club, "memberships")
    sorted_rows = rows.classify(landed(spark, club, "memberships", text), club, "memberships", (), (), lookups=lookups)
    found = facts_of(sorted_rows, club, "memberships").select("customer_id", "completes_on", "plan").collect()
    assert {tuple(row) for row in found} == {("a", date(2026, 4, 2), "gold"), ("b", None, "odd"), ("c", None, None)}


def test_two_rows_of_one_key_are_refused(spark: SparkSession, club: Contract, lake: Path, lane: Lane) -> None:
    """They would make two rows of each row they are joined to."""
    held = Lake(spark, lake, "club", lane)
    put_plans(spark, club, held, "plan,months\ngold,2\ngold,3\nbasic,1\n")
    with pytest.raises(DataRefusedError, match="the lookup plans has 2 rows with plan = gold; one is allowed"):
        read_lookups(held, club, "memberships")


def test_a_lookup_that_never_came_is_named(spark: SparkSession, club: Contract, lake: Path, lane: Lane) -> None:
    """Its columns would all be null."""
    with pytest.raises(DataRefusedError, match=r"the lookup plans was never delivered"):
        read_lookups(Lake(spark, lake, "club", lane), club, "memberships")
