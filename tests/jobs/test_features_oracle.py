"""Features of events against DuckDB, on seeded deliveries as they come: late, early, corrected, released, missed."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import NamedTuple

import duckdb
import pandas as pd
import pytest
from pyspark.sql import SparkSession

from churnlake.contract import Contract
from churnlake.features import build_catalogue
from jobs import ranges, tiles
from jobs.content import Tiles, required
from jobs.features import features_at

STARTS_ON = date(2027, 11, 15)
DAYS = 140
MISSED = (date(2028, 1, 29), date(2028, 1, 30), date(2028, 2, 27))
CUTOFFS = (
    date(2028, 1, 30),
    date(2028, 1, 31),
    date(2028, 2, 28),
    date(2028, 2, 29),
    date(2028, 3, 1),
    date(2028, 3, 31),
)
Numbers = dict[tuple[date, str], dict[str, float | str | None]]
InFiles = Callable[..., Tiles]

# Content is what was known and had happened by a cutoff; a day counts where its rows do not cancel out.
ORACLE = """
WITH usable AS (
    SELECT day, day - event_date AS age, facts.* FROM facts, cutoffs
    WHERE known_date <= day AND event_date <= day AND day - event_date < 60
), active AS (
    SELECT day, customer_id, age FROM usable WHERE is_activity GROUP BY ALL HAVING sum(sign) > 0
), gaps AS (
    SELECT *, age_before - age AS gap
    FROM (SELECT *, lag(age) OVER (PARTITION BY day, customer_id ORDER BY age DESC) AS age_before FROM active)
), rhythm AS (
    SELECT day, customer_id, min(age) AS activity_days_since_last, max(age) AS tenure_days,
        count_if(age < 7) AS activity_days_7d, count_if(age < 30) AS activity_days_30d, count(*) AS activity_days_60d,
        avg(gap) AS gap_mean_days, stddev_pop(gap) AS gap_spread_days, arg_min(gap, age) AS gap_last_days,
        max(gap) AS gap_longest_days
    FROM gaps GROUP BY ALL HAVING min(age) < 30
), sums AS (
    SELECT day, customer_id,
        sum(sign) FILTER (age < 7) AS rows_count_7d, sum(sign) FILTER (age < 30) AS rows_count_30d,
        sum(sign * amount) FILTER (age < 7) AS amount_sum_7d, sum(sign * amount) FILTER (age < 30) AS amount_sum_30d,
        sum(sign) FILTER (age < 7 AND event_type = 'purchase') AS purchase_count_7d,
        sum(sign) FILTER (age < 30 AND event_type = 'cancellation') AS cancellation_count_30d
    FROM usable GROUP BY ALL
), kinds AS (
    SELECT day, customer_id, event_type, age, sum(sign) AS net FROM usable
    WHERE event_type IN ('purchase', 'cancellation') GROUP BY ALL HAVING sum(sign) > 0
), last AS (
    SELECT day, customer_id, first(event_type ORDER BY age, net DESC, event_type DESC) AS event_type_last,
        min(age) FILTER (event_type = 'purchase') AS purchase_days_since_last,
        min(age) FILTER (event_type = 'cancellation') AS cancellation_days_since_last
    FROM kinds GROUP BY ALL
), live AS (
    SELECT day, customer_id, product, min(age) AS age
    FROM (SELECT day, customer_id, product, age FROM usable WHERE product IS NOT NULL GROUP BY ALL HAVING sum(sign) > 0)
    GROUP BY ALL
), products AS (
    SELECT day, customer_id, count_if(age < 7) AS product_distinct_7d, count_if(age < 30) AS product_distinct_30d
    FROM live GROUP BY ALL
)
SELECT * FROM rhythm LEFT JOIN sums USING (day, customer_id) LEFT JOIN last USING (day, customer_id)
LEFT JOIN products USING (day, customer_id)
"""
COUNTED = ("_7d", "_30d", "_60d")


class Fact(NamedTuple):
    """A signed fact, as ingest writes it."""

    customer_id: str
    event_date: date
    known_date: date
    delivery_id: str
    event_type: str | None
    amount: int
    product: str | None
    is_activity: bool
    sign: int = 1
    quantity: int = 1
    source: str = "orders"


FACTS = (
    "customer_id STRING, event_date DATE, known_date DATE, delivery_id STRING, event_type STRING, amount BIGINT, "
    "product STRING, is_activity BOOLEAN, sign INT, quantity BIGINT, source STRING"
)


def deliveries(seed: int, customers: int) -> list[Fact]:
    """Signed facts of a shop that delivers a day in up to three files.

    Some rows come late, early or released from quarantine weeks after; three nights were missed, and their files came
    together; of some rows a later file, or one of the same night, takes back what was told, whole or in part.
    """
    generator = random.Random(seed)  # noqa: S311 - made-up data
    facts: list[Fact] = []
    for number in range(customers):
        for _ in range(generator.randrange(1, generator.choice((4, 15, 60)))):
            fact = random_fact(generator, f"c{number:02}")
            facts += [fact] * generator.choice((1, 1, 1, 2, 4))
            if generator.random() < 0.15:
                known = fact.known_date + timedelta(days=generator.choice((0, 1, 3, 20)))
                facts.append(fact._replace(known_date=known, delivery_id=f"{known} again", sign=-1))
                if generator.random() < 0.5:
                    other = fact._replace(event_type="purchase", amount=70, is_activity=True)
                    facts.append(other._replace(known_date=known, delivery_id=f"{known} again"))
    return facts


def random_fact(generator: random.Random, customer: str) -> Fact:
    """A row of a customer, as one of the files of its night told it."""
    day = STARTS_ON + timedelta(days=generator.randrange(DAYS))
    known = day + timedelta(days=generator.choice((*[0] * 12, 1, 2, 9, 35, -3)))
    while known in MISSED:
        known += timedelta(days=1)
    kind = generator.choice(("purchase", "purchase", "cancellation", "gift", None))
    amount, product = generator.choice((100, 250, -30)), generator.choice(("pen", "ink", "cap", None))
    file = f"{known} {generator.randrange(3)}"
    return Fact(customer, day, known, file, kind, amount, product, kind == "purchase" and amount > 0)


@pytest.fixture(scope="module")
def shop(make_contract: Callable[..., Contract], tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The shop of all jobs' tests, opened before a leap year."""
    return make_contract(tmp_path_factory.mktemp("oracle"), ("2026-01-01", f"{STARTS_ON}"))


@pytest.fixture(scope="module")
def facts() -> list[Fact]:
    """What the shop's customers did, as it became known."""
    return deliveries(seed=11, customers=100)


@pytest.fixture(scope="module")
def held(in_files: InFiles, spark: SparkSession, shop: Contract, facts: list[Fact]) -> Tiles:
    """The shop's tiles."""
    return tiles_of(in_files, spark, shop, facts)


@pytest.fixture(scope="module")
def together(held: Tiles, shop: Contract) -> Numbers:
    """The features of all cutoffs, worked out at once."""
    return features_of(held, shop, CUTOFFS)


def tiles_of(in_files: InFiles, spark: SparkSession, shop: Contract, facts: list[Fact]) -> Tiles:
    """The tiles these facts become."""
    frame = spark.createDataFrame(facts, FACTS)
    named = frame.selectExpr(
        "source", "customer_id", "greatest(known_date, event_date) AS usable_from", "known_date", "delivery_id"
    )
    activity = tiles.daily_activity(frame, shop.features)
    values = tiles.daily_values(frame, shop.features.distinct)
    return in_files(
        tiles.newly_known(named, None).localCheckpoint(), activity.localCheckpoint(), values.localCheckpoint()
    )


def features_of(held: Tiles, shop: Contract, cutoffs: tuple[date, ...]) -> Numbers:
    """Every feature of every row, by cutoff and customer."""
    found = features_at(held, shop, build_catalogue(shop), cutoffs).collect()
    return {(row["business_date"], row["customer_id"]): row.asDict() for row in found}


def expected_features(facts: list[Fact]) -> Numbers:
    """What DuckDB makes of the same facts; zero where nothing is counted, null where there is nothing to tell."""
    frame = pd.DataFrame(facts)
    with duckdb.connect() as connection:
        connection.register("told", frame)
        connection.execute("""
            CREATE TABLE facts AS SELECT * REPLACE (event_date::DATE AS event_date, known_date::DATE AS known_date)
            FROM told""")
        connection.execute("CREATE TABLE cutoffs AS SELECT unnest(?)::DATE AS day", [list(CUTOFFS)])
        asked = connection.execute(ORACLE)
        names = [column[0] for column in asked.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in asked.fetchall()]
    return {
        (row.pop("day"), row.pop("customer_id")): {
            f"orders_{name}": 0 if value is None and name.endswith(COUNTED) else value for name, value in row.items()
        }
        for row in rows
    }


def near(value: float | str | None) -> object:
    """A number with room for the last digits, for two ways of computing it; all else as it is."""
    return pytest.approx(value, rel=1e-9, abs=1e-6) if isinstance(value, float) else value


def test_features_of_many_cutoffs_are_those_of_duckdb(together: Numbers, facts: list[Fact]) -> None:
    """Month ends and a leap day, files of several tellings a day, whatever of them was taken back."""
    expected = expected_features(facts)
    assert set(together) == set(expected)
    assert len(together) > 150
    for key, told in expected.items():
        found = {name: together[key][name] for name in told}
        assert found == {name: near(value) for name, value in told.items()}, key


def test_one_cutoff_alone_gives_what_many_give(held: Tiles, shop: Contract, together: Numbers) -> None:
    """A night's features equal those of the same date among training's, to the last bit."""
    day = CUTOFFS[3]
    alone = {key: told for key, told in together.items() if key[0] == day}
    assert features_of(held, shop, (day,)) == alone


def test_a_sample_of_customers_has_the_features_they_have_among_all(
    held: Tiles, shop: Contract, together: Numbers
) -> None:
    """The same customers in every table, about as many as were asked for, and nothing of anybody else."""
    sampled = held.sample(0.4)
    chosen = {row["customer_id"] for row in sampled.known_customers.collect()}
    assert 20 < len(chosen) < 60
    assert {row["customer_id"] for row in required(sampled.daily_activity).collect()} == chosen
    expected = {key: told for key, told in together.items() if key[1] in chosen}
    assert features_of(sampled, shop, CUTOFFS) == expected
    (one, *_) = sorted(chosen)
    assert features_of(held.of(one), shop, CUTOFFS) == {key: told for key, told in expected.items() if key[1] == one}


def test_facts_that_nobody_could_use_by_the_date_change_nothing_of_it(
    in_files: InFiles, spark: SparkSession, shop: Contract, facts: list[Fact], together: Numbers
) -> None:
    """Neither what happened after it nor what became known after it."""
    day = CUTOFFS[3]
    after = [fact for fact in deliveries(seed=12, customers=100) if max(fact.event_date, fact.known_date) > day]
    assert len(after) > 200
    more = features_of(tiles_of(in_files, spark, shop, [*facts, *after]), shop, (day,))
    assert more == {key: told for key, told in together.items() if key[0] == day}


def test_features_are_the_same_in_however_many_tasks_they_are_told(
    spark: SparkSession, shop: Contract, held: Tiles, together: Numbers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each task takes a range of hashes, in several goes where there are many; a customer's cutoffs may fall apart."""
    monkeypatch.setattr(ranges, "ROWS_AT_ONCE", 300)
    monkeypatch.setattr(ranges, "TOLD_AT_ONCE", 1)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 7)
    try:
        built = features_at(held, shop, build_catalogue(shop), CUTOFFS)
        assert built.rdd.getNumPartitions() > 3
        assert {(row["business_date"], row["customer_id"]): row.asDict() for row in built.collect()} == together
    finally:
        spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
