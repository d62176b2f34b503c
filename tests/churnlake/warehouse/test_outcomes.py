"""Outcomes: which published dates are due, and what readers see of them whatever is published again."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from churnlake.contract import Contract, load_contract
from churnlake.errors import DataRefusedError
from churnlake.warehouse.outcomes import COHORTS_A_NIGHT, MaturedCohort, due_cohorts, untold_cohorts

DAY = date(2011, 11, 28)
LATER = DAY + timedelta(days=40)
KNOWN = DAY + timedelta(days=32)

# customer, churned, churned_on
Told = tuple[str | None, bool | None, date | None]

CONTRACT = """
[contract]
name = "shop"
timezone = "Europe/London"
currency = "GBP"
[calendar]
starts_on = "2011-01-01"
[sources.orders]
role = "events"
path = "{business_date}.csv"
[sources.orders.types]
who = "text"
at = "timestamp"
[sources.orders.columns]
customer_id = "who"
event_ts = "at"
[churn]
definition = "inactivity"
activity = "event_ts IS NOT NULL"
active_within_days = 90
horizon_days = 30
settle_days = 2
"""


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """Horizon 30, settle 2: a date matures 32 days later."""
    path = tmp_path_factory.mktemp("contract") / "contract.toml"
    path.write_text(CONTRACT)
    return load_contract(path)


def label_file(shop: Any, rows: Sequence[Told], day: date, known: date | None = KNOWN) -> Path:
    """A file as the lake's table `labels` has them, with a row of another date beside."""
    path: Path = shop.folder / f"labels-{day}-{len(rows)}.parquet"
    made = [(day, *row, known) for row in rows] + [(day - timedelta(days=1), "other", True, None, known)]
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE t (business_date DATE, customer_id VARCHAR, is_churned BOOLEAN, churned_on DATE, "
            "matured_on DATE)"
        )
        connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", made)
        connection.table("t").write_parquet(str(path))
    return path


def tell(shop: Any, rows: Sequence[Told], *, night: date = LATER, cohort: date = DAY, **given: Any) -> None:
    """Publishes a night that tells what became of a cohort's customers."""
    load_id = shop.publications.current("shop", cohort).load_id
    cohorts = [MaturedCohort(cohort, load_id, (label_file(shop, rows, cohort, **given),))]
    shop.publish({"z": 0.5}, day=night, run_id=f"night-{night}", facts={"cohorts": cohorts})


def shown(shop: Any) -> list[tuple[Any, ...]]:
    """All outcomes that readers see."""
    rows: list[tuple[Any, ...]] = shop.rows("SELECT * FROM churn.outcomes ORDER BY ALL")
    return rows


def settled(through: date) -> Mapping[date, date]:
    """Every slot of the year came on its own day, up to one that never did."""
    first = date(2011, 1, 1)
    days = [first + timedelta(days=place) for place in range(400)]
    return {day: day if day <= through else date(2012, 12, 31) for day in days}


def untold_days(shop: Any, night: date) -> list[date]:
    """Dates whose outcomes are not told yet."""
    return [load.business_date for load in untold_cohorts(shop.publications, "shop", night)]


def test_readers_see_who_left_and_who_stayed_beside_the_scores(shop: Any) -> None:
    """Outcomes join with the scores of their date; who stayed has no day of churn, and another date's rows stay out."""
    shop.publish({"a": 0.9, "b": 0.2, "c": 0.5})
    tell(shop, [("a", True, DAY - timedelta(days=3)), ("b", False, None), ("c", True, None)])
    assert shown(shop) == [
        ("shop", DAY, "a", True, DAY - timedelta(days=3), KNOWN),
        ("shop", DAY, "b", False, None, KNOWN),
        ("shop", DAY, "c", True, None, KNOWN),
    ]
    joined = """SELECT count(*), sum(churn_probability)::DECIMAL(4, 1), count(*) FILTER (churned)
        FROM churn.scores_history JOIN churn.outcomes USING (contract, business_date, customer_id)"""
    assert [tuple(map(float, row)) for row in shop.rows(joined)] == [(3, 1.6, 2)]
    assert shop.rows("SELECT count(*) FROM churn_shop.outcomes") == [(3,)]


def test_a_date_is_told_once_and_again_by_the_night_that_told_it(shop: Any) -> None:
    """Told by one night it is untold for no other; the same night published anew tells it again."""
    shop.publish({"a": 0.9})
    assert untold_days(shop, LATER) == [DAY]
    tell(shop, [("a", True, None)])
    assert untold_days(shop, LATER + timedelta(days=1)) == [LATER]
    assert untold_days(shop, LATER) == [DAY]
    tell(shop, [("a", True, None)])
    assert [row[:4] for row in shown(shop)] == [("shop", DAY, "a", True)]


def test_a_cohort_published_anew_is_told_anew(shop: Any) -> None:
    """P1: outcomes of scores that nobody sees any more go with them; a later night tells those of the new ones."""
    shop.publish({"a": 0.9, "b": 0.1})
    tell(shop, [("a", True, None), ("b", False, None)])
    shop.publish({"a": 0.8}, run_id="again")
    assert shown(shop) == []
    night = LATER + timedelta(days=1)
    assert untold_days(shop, night) == [DAY, LATER]
    tell(shop, [("a", True, None)], night=night)
    assert [row[:4] for row in shown(shop)] == [("shop", DAY, "a", True)]


def test_scores_made_with_hindsight_are_never_measured(shop: Any) -> None:
    """A retrospective date has no outcomes, however old it is."""
    shop.publish({"a": 0.9}, facts={"is_retrospective": True})
    shop.publish({"a": 0.9}, day=DAY + timedelta(days=1), run_id="next")
    assert untold_days(shop, LATER) == [DAY + timedelta(days=1)]


@pytest.mark.parametrize(("through", "told"), [(KNOWN - timedelta(days=1), {}), (KNOWN, {DAY: KNOWN})])
def test_a_date_matures_by_the_data_and_not_by_the_clock(
    shop: Any, contract: Contract, through: date, told: dict[date, date]
) -> None:
    """Complete through D + 32 the date is due; a day less and it waits, although the night is much later."""
    shop.publish({"a": 0.9})
    due = due_cohorts(contract, untold_cohorts(shop.publications, "shop", LATER), settled(through), LATER)
    assert {load.business_date: known for load, known in due.known_on.items()} == told
    assert (due.waiting, due.other_definition) == (0, 0)


def test_a_slot_that_came_late_is_the_day_the_label_became_known(shop: Any, contract: Contract) -> None:
    """L is the first date on which every slot of the window had come, not D + M."""
    shop.publish({"a": 0.9})
    late = {**settled(LATER), DAY + timedelta(days=5): KNOWN + timedelta(days=3)}
    due = due_cohorts(contract, untold_cohorts(shop.publications, "shop", LATER), late, LATER)
    assert list(due.known_on.values()) == [KNOWN + timedelta(days=3)]


@pytest.mark.parametrize("fact", [{"contract_version": 2}, {"horizon_days": 60}, {"gap_days": 7}])
def test_scores_of_another_definition_are_counted_and_left_alone(
    shop: Any, contract: Contract, fact: dict[str, int]
) -> None:
    """What was predicted under another version, horizon or gap is not answered by tonight's rules."""
    shop.publish({"a": 0.9}, facts=fact)
    due = due_cohorts(contract, untold_cohorts(shop.publications, "shop", LATER), settled(LATER), LATER)
    assert (dict(due.known_on), due.other_definition) == ({}, 1)


def test_a_long_gap_is_made_up_over_several_nights(shop: Any, contract: Contract) -> None:
    """At most a month of dates in one night, the oldest first; the rest is counted as waiting."""
    shop.publish({"a": 0.9})
    (load,) = untold_cohorts(shop.publications, "shop", LATER)
    many = [_moved(load, place) for place in range(COHORTS_A_NIGHT + 2)]
    due = due_cohorts(contract, many, settled(LATER), LATER + timedelta(days=60))
    assert ([one.load_id for one in due.known_on], due.waiting) == (list(range(COHORTS_A_NIGHT)), 2)


def _moved(load: Any, place: int) -> Any:
    from dataclasses import replace

    return replace(load, load_id=place, business_date=date(2011, 6, 1) + timedelta(days=place))


@pytest.mark.parametrize(
    ("rows", "given", "fault"),
    [
        ([("a", True, None), ("a", True, None)], {}, "1 customer ids more than once"),
        ([("a", None, None)], {}, "1 rows without a customer, an outcome or the day it was known"),
        ([("a", False, DAY)], {}, "1 rows with a day of churn that fits no churn of theirs"),
        ([("a", True, DAY + timedelta(days=31))], {}, "1 rows with a day of churn that fits no churn of theirs"),
        ([("stranger", True, None)], {}, "1 customers who had no score that date"),
        ([("a", True, None)], {"known": DAY + timedelta(days=29)}, "1 rows known before the last day they are about"),
    ],
)
def test_outcomes_that_fail_their_audit_are_never_published(
    shop: Any, rows: list[Told], given: dict[str, Any], fault: str
) -> None:
    """P12: one odd row and neither the outcomes nor the scores of the night are shown."""
    shop.publish({"a": 0.9})
    with pytest.raises(DataRefusedError) as refused:
        tell(shop, rows, **given)
    assert f"outcomes of {DAY}: {fault}" in str(refused.value)
    assert (shown(shop), shop.rows("SELECT DISTINCT business_date FROM churn.scores_latest")) == ([], [(DAY,)])


def test_the_last_day_of_the_horizon_is_a_day_of_churn(shop: Any) -> None:
    """A subscription may end on the last day that the probability is about."""
    shop.publish({"a": 0.9})
    tell(shop, [("a", True, DAY + timedelta(days=30))], known=DAY + timedelta(days=30))
    assert len(shown(shop)) == 1


def test_a_warehouse_of_before_outcomes_is_opened_as_it_is(shop: Any) -> None:
    """An older warehouse gets the table it lacks and keeps what it shows."""
    shop.publish({"a": 0.9})
    with shop.publications.writing() as connection:
        connection.execute("DROP TABLE outcome")
    reopened = type(shop.publications).open(shop.publications.root)
    assert [load.business_date for load in untold_cohorts(reopened, "shop", LATER)] == [DAY]
    assert reopened.current("shop", DAY) is not None
