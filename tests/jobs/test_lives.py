"""Messy subscriptions, one rule each: spells become lives, and lives decide who is scored and who left."""

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.sql import DataFrame, SparkSession

from churnlake.contract import Contract
from jobs.content import Tiles
from jobs.labels import labels_at
from jobs.lives import lives_at
from jobs.population import population_at

CUTOFF = date(2026, 3, 1)
START = date(2026, 1, 10)
LATER = date(2026, 4, 1)
STATES = (
    "source STRING, customer_id STRING, started_on DATE, ended_on DATE, completes_on DATE, renews_on DATE, "
    "plan STRING, price BIGINT, sign INT, known_date DATE, slot DATE"
)
KNOWN = "source STRING, customer_id STRING, first_known_date DATE"

MakeClub = Callable[..., Contract]


class State(NamedTuple):
    """What was told of a membership on `known`."""

    customer: str
    started: date | None = START
    ended: date | None = None
    known: date = START
    completes: date | None = None
    plan: str = "basic"
    sign: int = 1
    source: str = "memberships"
    slot: date | None = None

    @property
    def row(self) -> tuple[Any, ...]:
        told = (self.source, self.customer, self.started, self.ended, self.completes, None, self.plan)
        return (*told, 999, self.sign, self.known, self.slot or self.known)


def states(spark: SparkSession, told: Sequence[State]) -> DataFrame:
    """The lake's table of what was told."""
    return spark.createDataFrame([one.row for one in told], STATES)


def tiles_of(spark: SparkSession, told: Sequence[State]) -> Tiles:
    """The tables of a club that has nothing but memberships; everybody is known from the start."""
    known = [("memberships", customer, date(2026, 1, 1)) for customer in sorted({one.customer for one in told})]
    return Tiles(spark.createDataFrame(known, KNOWN), subscriptions=states(spark, told))


@pytest.fixture
def club(tmp_path: Path, make_club: MakeClub) -> Contract:
    """A club that gives three days of grace."""
    return make_club(tmp_path)


def reasons(spark: SparkSession, club: Contract, told: Sequence[State], day: date = CUTOFF) -> dict[str, str | None]:
    """Why each member is excluded at a cutoff; None is eligible."""
    people = population_at(tiles_of(spark, told), club, [day]).collect()
    assert all(row.eligible == (row.reason is None) for row in people)
    return {row.customer_id: row.reason for row in people}


def test_who_is_scored_is_subscribed_at_the_end_of_the_date(spark: SparkSession, club: Contract) -> None:
    """A spell is [started, ended): its first day counts, the day of its end does not; a null end is open."""
    told = [
        State("open"),
        State("starts on the cutoff", started=CUTOFF),
        State("starts the day after", started=date(2026, 3, 2)),
        State("ends on the cutoff", ended=CUTOFF),
        State("notice was given", ended=date(2026, 3, 2)),
        State("no start", started=None),
        State("cancelled before it began", ended=START),
        State("course is over", completes=CUTOFF),
        State("course ends tomorrow", completes=date(2026, 3, 2)),
    ]
    assert reasons(spark, club, told) == {
        "open": None,
        "starts on the cutoff": None,
        "starts the day after": "not_started",
        "ends on the cutoff": "ended",
        "notice was given": "already_leaving",
        "no start": "missing_start",
        "cancelled before it began": "never_started",
        "course is over": "completed",
        "course ends tomorrow": None,
    }


def test_p10_an_end_counts_from_when_it_was_known(spark: SparkSession, club: Contract) -> None:
    """An end that was told after the cutoff is not known at it, whenever it was; one told on the cutoff is."""
    end = date(2026, 2, 20)
    told = [
        State("told later"),
        State("told later", ended=end, known=date(2026, 3, 2)),
        State("told in time"),
        State("told in time", ended=end, known=CUTOFF),
        State("taken back"),
        State("taken back", ended=end, known=date(2026, 2, 21)),
        State("taken back", ended=end, known=date(2026, 2, 25), sign=-1, slot=date(2026, 2, 21)),
    ]
    assert reasons(spark, club, told) == {"told later": None, "told in time": "ended", "taken back": None}


def test_spells_that_overlap_or_resume_within_the_grace_are_one_life(spark: SparkSession, club: Contract) -> None:
    """A break of three days is bridged, one of four days is not; of two sources that disagree the later end wins."""
    told = [
        State("within the grace", ended=date(2026, 2, 10)),
        State("within the grace", started=date(2026, 2, 13)),
        State("beyond the grace", ended=date(2026, 2, 10)),
        State("beyond the grace", started=date(2026, 2, 14), plan="gold"),
        State("overlap", ended=date(2026, 2, 10)),
        State("overlap", started=date(2026, 1, 20), ended=date(2026, 5, 1)),
        State("overlap", started=date(2026, 1, 25), ended=date(2026, 2, 1)),
        State("two sources", ended=date(2026, 2, 10)),
        State("two sources", source="portal"),
    ]
    lives = lives_at(states(spark, told), club, {CUTOFF: CUTOFF}).collect()
    found = {row.customer_id: (row.life_started_on, row.life_ended_on, row.earlier_lives) for row in lives}
    assert found == {
        "within the grace": (START, None, 0),
        "beyond the grace": (date(2026, 2, 14), None, 1),
        "overlap": (START, date(2026, 5, 1), 0),
        "two sources": (START, None, 0),
    }
    (gold,) = [row.plan for row in lives if row.customer_id == "beyond the grace"]
    assert gold == "gold"


def test_the_life_a_cutoff_lies_in_counts_else_the_newest_before_it(spark: SparkSession, club: Contract) -> None:
    """Of three lives each cutoff sees its own; between two of them the one that ended; before all of them the first."""
    told = [
        State("ann", started=date(2026, 1, 10), ended=date(2026, 1, 20)),
        State("ann", started=date(2026, 2, 10), ended=date(2026, 2, 20)),
        State("ann", started=date(2026, 3, 10)),
    ]
    days = [date(2026, 1, 15), date(2026, 1, 31), date(2026, 2, 10), date(2026, 3, 31)]
    rows = lives_at(states(spark, told), club, dict.fromkeys(days, LATER)).collect()
    assert {row.business_date: (row.life_started_on.month, row.earlier_lives) for row in rows} == {
        date(2026, 1, 15): (1, 0),
        date(2026, 1, 31): (1, 0),
        date(2026, 2, 10): (2, 1),
        date(2026, 3, 31): (3, 2),
    }


def test_churned_is_whose_life_ends_in_the_label_window(
    spark: SparkSession, tmp_path: Path, make_club: MakeClub
) -> None:
    """With a gap of 5 and a horizon of 30 an end on days 6 to 35 is churn; inside the gap there is no label at all."""
    club = make_club(tmp_path, ("horizon_days = 30", "horizon_days = 30\ngap_days = 5"))

    def ends(name: str, day: date) -> list[State]:
        return [State(name), State(name, sign=-1, known=day), State(name, ended=day, known=day)]

    told = [
        State("stays"),
        *ends("in the gap", date(2026, 3, 6)),
        *ends("first day", date(2026, 3, 7)),
        *ends("last day", date(2026, 4, 5)),
        *ends("day after", date(2026, 4, 6)),
        *ends("resumes", date(2026, 3, 10)),
        State("resumes", started=date(2026, 3, 13), known=date(2026, 3, 13)),
        *ends("comes back too late", date(2026, 3, 10)),
        State("comes back too late", started=date(2026, 3, 14), known=date(2026, 3, 14)),
        State("had left before"),
        State("had left before", ended=date(2026, 2, 20), known=date(2026, 3, 20)),
    ]
    found = labels_at(tiles_of(spark, told), club, {CUTOFF: date(2026, 4, 8)}).collect()
    assert {row.customer_id: row.is_churned for row in found} == {
        "stays": 0,
        "first day": 1,
        "last day": 1,
        "day after": 0,
        "resumes": 0,
        "comes back too late": 1,
    }
