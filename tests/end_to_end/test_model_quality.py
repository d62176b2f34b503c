"""How good the demo's model is, computed again from the predictions that were logged with it."""

import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(1000)]

TESTS = ["2011-10-11", "2011-10-26"]


@pytest.fixture(scope="module")
def predictions(demo_home: Path) -> pd.DataFrame:
    """The logged test predictions of the champion."""
    files = list((demo_home / "mlflow-artifacts").rglob("*predictions*.parquet"))
    assert len(files) == 1, files
    return pd.read_parquet(files[0])


def test_the_out_of_time_auc_is_good_and_not_too_good(predictions: pd.DataFrame, demo_home: Path) -> None:
    """At least 0.72, below 0.85 where a leak would begin, and the number the ledger tells."""
    auc = roc_auc_score(predictions["is_churned"], predictions["churn_probability"])

    assert 0.72 <= auc < 0.85
    (told,) = (
        sqlite3.connect(demo_home / "ledger.sqlite")
        .execute("SELECT json_extract(metrics, '$.auc') FROM model")
        .fetchone()
    )
    assert told == pytest.approx(auc, abs=1e-9)


def test_the_protocol_is_the_reference_split(predictions: pd.DataFrame, demo_home: Path) -> None:
    """Tests are the two newest mature cutoffs, and thirteen training cutoffs lie a whole maturity before them."""
    assert sorted(predictions["business_date"].astype(str).unique()) == TESTS
    counted = "SELECT json_extract(counts, '$.train'), json_extract(counts, '$.test') FROM stage WHERE stage = 'rows'"
    trained = "SELECT trained_through, label_data_through FROM model"
    ledger = sqlite3.connect(demo_home / "ledger.sqlite")
    assert ledger.execute(counted).fetchone() == (13, 2)
    assert ledger.execute(trained).fetchone() == ("2011-09-09", "2011-11-27")


def test_no_customer_is_predicted_twice_at_one_cutoff(predictions: pd.DataFrame) -> None:
    """One row per customer and cutoff, each with a probability inside 0 and 1."""
    assert not predictions.duplicated(["business_date", "customer_id"]).any()
    assert predictions["churn_probability"].between(0, 1, inclusive="neither").all()
