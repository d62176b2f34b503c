from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from churnlake.contract import Contract
from churnlake.deliveries import Field
from churnlake.ledger import Delivery
from jobs import rows
from jobs.attributes import attributes_at
from jobs.facts import facts_of, named_customers
from jobs.landing import read_landing

STARTS_ON = date(2026, 1, 1)
HEADER = "member,joined,left_on,paid_to,plan,fee"

MakeClub = Callable[..., Contract]


def classified(spark: SparkSession, contract: Contract, source: str, lines: Sequence[str]) -> DataFrame:
    """The lines of one file of a source, sorted into buckets by no rule but its types."""
    (contract.folder / "rows.csv").write_text("\n".join(lines) + "\n")
    one = Delivery(
        source, "d1", "rows.csv", 1, "0" * 64, STARTS_ON, STARTS_ON, STARTS_ON,
        contract=contract.name, run_id="run", state="frozen", counts={},
    )  # fmt: skip
    layout = tuple(Field(name, name) for name in contract.sources[source].types)
    return rows.classify(read_landing(spark, contract, [one], {"d1": layout}), contract, source, (), ())


def told(facts: DataFrame, *columns: str) -> set[tuple[Any, ...]]:
    """These columns of facts; a list among them as a tuple."""
    rows_ = facts.select(*columns).collect()
    return {tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in rows_}


def test_p10_a_history_tells_of_an_end_only_on_its_day(
    spark: SparkSession, tmp_path: Path, make_club: MakeClub
) -> None:
    """What a history knows of an end was not known before: until then the state without it holds, lag included."""
    club = make_club(tmp_path, ('through = "2026-12-31"', 'through = "2026-12-31"\nassumed_lag_days = 2'))
    lines = [HEADER, "ann,2026-02-01,2026-03-10,,gold,9.99", "bob,2026-02-28,,,basic,5", "cat,,2026-03-10,,basic,"]
    facts = facts_of(classified(spark, club, "memberships", lines), club, "memberships")
    assert told(facts, "customer_id", "ended_on", "sign", "known_date", "price") == {
        ("ann", None, 1, date(2026, 2, 3), 999),
        ("ann", None, -1, date(2026, 3, 12), 999),
        ("ann", date(2026, 3, 10), 1, date(2026, 3, 12), 999),
        ("bob", None, 1, date(2026, 3, 2), 500),
        ("cat", None, 1, STARTS_ON, None),
        ("cat", None, -1, date(2026, 3, 12), None),
        ("cat", date(2026, 3, 10), 1, date(2026, 3, 12), None),
    }
    named = named_customers(classified(spark, club, "memberships", lines), club, "memberships")
    assert told(named, "customer_id", "usable_from") == {
        ("ann", date(2026, 2, 3)),
        ("bob", date(2026, 3, 2)),
        ("cat", STARTS_ON),
    }


def test_cancelled_before_the_start_is_one_state(spark: SparkSession, tmp_path: Path, make_club: MakeClub) -> None:
    """An end that lies before its start is known with it: nothing was ever open."""
    club = make_club(tmp_path)
    lines = [HEADER, "ann,2026-02-01,2026-01-15,,gold,9.99"]
    facts = facts_of(classified(spark, club, "memberships", lines), club, "memberships")
    assert told(facts, "started_on", "ended_on", "sign", "known_date") == {
        (date(2026, 2, 1), date(2026, 1, 15), 1, date(2026, 2, 1))
    }


def test_rows_of_a_history_are_held_from_its_last_day(spark: SparkSession, tmp_path: Path, make_club: MakeClub) -> None:
    """Counted from its first day they would have expired before anybody could look at them."""
    club = make_club(tmp_path)
    judged = classified(spark, club, "memberships", [HEADER, "ann,2026-13-01,,,gold,1", "bob,2026-02-01,,,gold,1"])
    aside = rows.set_aside(
        judged, "memberships", "digest", "run", {"d1": rows.Place("rows.csv", 0)}, date(2026, 12, 31)
    )
    assert told(aside, "reasons", "known_date", "known_month") == {
        (("bad_type.joined",), date(2026, 12, 31), "2026-12")
    }


PEOPLE = """[sources.people]
role = "customers"
delivery = "history"
path = "people.csv"
through = "2026-12-31"

[sources.people.types]
id = "text"
region = "text"
visits = "int"

[sources.people.columns]
customer_id = "id"
region = "region"
visits = "visits"

[churn]"""


def test_p10_what_changes_is_unknown_before_a_history_saw_it(
    spark: SparkSession, tmp_path: Path, make_club: MakeClub
) -> None:
    """Attributes without dates are null before the last day of the history; only immutable ones were so before."""
    club = make_club(
        tmp_path, ("[churn]", PEOPLE), ("grace_days = 3", 'grace_days = 3\n\n[features]\nimmutable = ["region"]')
    )
    facts = facts_of(classified(spark, club, "people", ["id,region,visits", "ann,North,3", "bob,,"]), club, "people")
    days = [date(2026, 6, 30), date(2026, 12, 30), date(2026, 12, 31)]
    assert told(attributes_at(facts, club, days), "business_date", "customer_id", "region", "visits") == {
        *((day, "ann", "North", None) for day in days[:2]),
        (days[2], "ann", "North", 3.0),
        *((day, "bob", None, None) for day in days),
    }


def test_the_newest_state_known_by_a_cutoff_counts(spark: SparkSession, tmp_path: Path, make_club: MakeClub) -> None:
    """A later row replaces the one before it whole; one that was known only after the cutoff does not."""
    club = make_club(tmp_path, ("[churn]", PEOPLE))
    columns = "source STRING, customer_id STRING, region STRING, visits DOUBLE, sign INT, known_date DATE, slot DATE"
    one, two, three = date(2026, 2, 1), date(2026, 2, 2), date(2026, 2, 3)
    states = [
        ("people", "ann", "North", 1.0, 1, one, one),
        ("people", "ann", "South", None, 1, two, two),
        ("people", "ann", "East", 2.0, 1, two, two),
        ("people", "ann", "East", 2.0, -1, two, two),
        ("people", "ann", "West", 3.0, 1, three, one),  # of an older slot: stale
    ]
    frame = spark.createDataFrame(states, columns)
    found = told(attributes_at(frame, club, [one, two, three]), "business_date", "region", "visits")
    assert found == {(one, "North", 1.0), (two, "South", None), (three, "South", None)}
