"""Too few outcomes to learn from: said before anything is fitted, with what other horizons would give."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

from churnlake.calendar import Schedule
from churnlake.contract import Contract
from churnlake.errors import ModelRefusedError
from jobs.content import Tiles
from jobs.horizons import refuse_too_few

DAY = date(2026, 3, 1)
TILES = "source STRING, customer_id STRING, event_date DATE, known_date DATE, activity BIGINT"
InFiles = Callable[..., Tiles]
KNOWN = "source STRING, customer_id STRING, first_known_date DATE"


def labelled(spark: SparkSession, churned: int, stayed: int) -> DataFrame:
    """Labels of DAY, a customer each; one of a later date, which nothing is learnt from."""
    outcomes = [1] * churned + [0] * stayed
    rows = [(DAY, f"c{number}", outcome) for number, outcome in enumerate(outcomes)]
    later = (DAY + timedelta(8), "later", 1)
    return spark.createDataFrame([*rows, later], "business_date DATE, customer_id STRING, is_churned INT")


def test_too_few_churned_stop_the_training_with_the_counts_of_other_horizons(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Ninety-nine left and one at a date to try on: too few by one. A hundred of each pass without further counts."""
    contract = make_contract(tmp_path)
    days = [("orders", "a", DAY - timedelta(after)) for after in range(60)] + [("orders", "b", DAY - timedelta(59))]
    tiles = in_files(
        spark.createDataFrame([("orders", name, date(2026, 1, 1)) for name in "ab"], KNOWN),
        spark.createDataFrame([(*one, one[-1], 1) for one in days], TILES),
    )
    schedule = Schedule((DAY,), (DAY + timedelta(8),))
    with pytest.raises(ModelRefusedError) as refused:
        refuse_too_few(contract, tiles, labelled(spark, 99, 200), schedule)
    assert refused.value.message.startswith("too little to train on: ")
    assert "100 needed (with a horizon of 30 days 0, 60 days 0, 90 days 0)" in refused.value.message
    assert refused.value.exit_code == 4
    refuse_too_few(contract, tiles, labelled(spark, 100, 100), schedule)
