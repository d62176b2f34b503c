import random
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from churnlake.model.plan import CategoryTerm, Scored, ScoringPlan, Term
from jobs.score import REASONS, score_features

NAMES = ("recency", "money", "days")
ROWS = 3_000  # more than one block of the plan and more than one batch of Arrow


def term(name: str, weight: float, family: str) -> Term:
    """A term with numbers that are no round ones in binary."""
    return Term(name, family, 0.3, 1.7, 0.9, weight, 0.1, 0.3, 0.21, usual=weight * 0.07)


@pytest.fixture(scope="module")
def plan() -> ScoringPlan:
    """Three features of three families."""
    return ScoringPlan(
        -0.4, (term("recency", 0.83, "recency"), term("money", -0.61, "spend"), term("days", -0.37, "frequency"))
    )


def made_rows() -> list[tuple[Any, ...]]:
    """Customers with ordinary, negative, huge and absent values; the columns stand in another order than the plan's."""
    generator = random.Random(7)  # noqa: S311 - made-up data
    values = [None, 0.0, -0.0, -3.5, 1e300, 5e-324]
    rows = []
    for number in range(ROWS):
        days, money, recency = (
            generator.choice(values) if generator.random() < 0.2 else generator.expovariate(0.05) for _ in NAMES
        )
        rows.append((f"{number:05}", days, money, recency))
    return rows


SCHEMA = "customer_id STRING, days DOUBLE, money DOUBLE, recency DOUBLE"


def in_numpy(plan: ScoringPlan, rows: list[tuple[Any, ...]]) -> Scored:
    """The plan's own answer for these rows."""
    columns = {
        name: [np.nan if row[place] is None else row[place] for row in rows]
        for place, name in ((3, "recency"), (2, "money"), (1, "days"))
    }
    return plan.score(np.column_stack([columns[name] for name in NAMES]))


def test_scores_in_spark_are_the_plans_to_the_last_bit(spark: SparkSession, plan: ScoringPlan) -> None:
    """Probability and reasons of every customer equal the plan's in numpy, however Spark cuts the rows into batches."""
    rows = made_rows()
    frame = spark.createDataFrame(rows, SCHEMA).repartition(3, F.col("customer_id"))
    found = {row.customer_id: row for row in score_features(frame, plan).collect()}
    expected = in_numpy(plan, rows)
    differing = []
    for place, (customer, *_) in enumerate(rows):
        wanted = [float(expected.probability[place]).hex()]
        for reason in range(REASONS):
            wanted += _reason(expected, place, reason)
        row = found[customer]
        told = [row.churn_probability.hex()]
        for reason in range(1, REASONS + 1):
            told += [row[f"reason_{reason}_{part}"] for part in ("feature", "value", "direction")]
        if told != wanted:
            differing.append((customer, told, wanted))
    assert differing == []


def _reason(scored: Scored, row: int, place: int) -> list[Any]:
    feature, value = int(scored.reason_feature[row, place]), float(scored.reason_value[row, place])
    if feature < 0:
        return [None, None, None]
    direction = "raises" if scored.reason_direction[row, place] > 0 else "lowers"
    return [NAMES[feature], None if np.isnan(value) else value, direction]


def test_p3_every_row_is_scored_once(spark: SparkSession, plan: ScoringPlan) -> None:
    """P3: no customer twice, none missing, ids as they came; an empty snapshot gives no score."""
    rows = made_rows()
    frame = spark.createDataFrame(rows, SCHEMA)
    assert sorted(row.customer_id for row in score_features(frame, plan).select("customer_id").collect()) == [
        row[0] for row in rows
    ]
    assert score_features(frame.limit(0), plan).collect() == []


def test_a_customer_of_whom_nothing_is_known_still_has_a_score(spark: SparkSession, plan: ScoringPlan) -> None:
    """All features absent: a probability, and reasons whose value is null rather than not a number."""
    (row,) = score_features(spark.createDataFrame([("nobody", None, None, None)], SCHEMA), plan).collect()
    assert 0 < row.churn_probability < 1
    assert row.churn_probability == in_numpy(plan, [("nobody", None, None, None)]).probability[0]
    assert row.reason_1_feature in NAMES
    assert (row.reason_1_value, row.reason_2_value, row.reason_3_value) == (None, None, None)
    assert (row.reason_1_level, row.reason_2_level, row.reason_3_level) == (None, None, None)


def test_an_infinite_feature_is_refused(spark: SparkSession, plan: ScoringPlan) -> None:
    """A number that is none is no score: the message names the feature."""
    frame = spark.createDataFrame([("ann", 1.0, float("inf"), 1.0)], SCHEMA)
    with pytest.raises(Exception, match="infinite values in money"):
        score_features(frame, plan).collect()


def test_categories_are_scored_by_their_texts(spark: SparkSession) -> None:
    """A level, a text never seen, an empty and an absent one, over several batches; told without a value."""
    region = CategoryTerm("region", "profile", ("north", ""), (0.7, -0.3), other=0.11, absent=-0.2, usual=0.05)
    plan = ScoringPlan(-0.4, (term("money", -0.61, "spend"),), (region,))
    texts = ["north", "atlantis", "", None]
    rows = [(f"{number:05}", texts[number % 4], float(number % 7)) for number in range(ROWS)]
    frame = spark.createDataFrame(rows, "customer_id STRING, region STRING, money DOUBLE").repartition(3)

    found = {row.customer_id: row for row in score_features(frame, plan).collect()}

    codes = region.category.encode([text for _, text, _ in rows])
    expected = plan.score(np.column_stack([[money for *_, money in rows], codes]))
    assert [found[row[0]].churn_probability.hex() for row in rows] == [one.hex() for one in expected.probability]
    strongest = [
        ("region", None) if first == 1 else ("money", value)
        for first, value in zip(expected.reason_feature[:, 0], expected.reason_value[:, 0], strict=True)
    ]
    assert [(found[row[0]].reason_1_feature, found[row[0]].reason_1_value) for row in rows] == strongest
    levels = [text if name == "region" else None for (name, _), (_, text, _) in zip(strongest, rows, strict=True)]
    assert [found[row[0]].reason_1_level for row in rows] == levels
    assert set(levels) == {"north", "atlantis", "", None}


def test_a_batch_without_any_text_is_scored(spark: SparkSession) -> None:
    """All absent: nothing to look up."""
    region = CategoryTerm("region", "profile", ("north",), (0.7,), other=0.11, absent=-0.2, usual=0.05)
    frame = spark.createDataFrame([("ann", None)], "customer_id STRING, region STRING")

    (row,) = score_features(frame, ScoringPlan(0.2, (), (region,))).collect()

    assert row.churn_probability == 0.5
