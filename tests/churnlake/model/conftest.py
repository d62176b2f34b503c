"""Synthetic customers with a known truth, and the models trained on them."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from churnlake.features import Aggregate, Family, Feature
from churnlake.model.split import Protocol
from churnlake.model.train import TrainedModel, train

RowsBuilder = Callable[..., pd.DataFrame]


Kind = Literal["number", "category"]


def _feature(name: str, family: Family, *, lite: bool = False, kind: Kind = "number") -> Feature:
    return Feature(
        name=name,
        source="shop",
        family=family,
        description=name,
        unit="",
        wording=f"{name} {{value}}",
        aggregate=Aggregate.SUM,
        operand="events",
        lite=lite,
        kind=kind,
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """As training runs: on small matrices two threads mostly wait for each other."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def catalogue() -> tuple[Feature, ...]:
    """Four useful features, one that is constant, one that is never known, and one of noise."""
    return (
        _feature("days_since_last", Family.RECENCY, lite=True),
        _feature("active_days", Family.FREQUENCY, lite=True),
        _feature("spend", Family.SPEND, lite=True),
        _feature("gap_mean", Family.RHYTHM, lite=True),
        _feature("constant", Family.VOLUME),
        _feature("never_known", Family.TREND),
        _feature("noise", Family.VARIETY),
    )


@pytest.fixture(scope="session")
def protocol() -> Protocol:
    """Ten training cutoffs every 15 days, an embargo of 32 days, two test cutoffs."""
    train_cutoffs = tuple(date(2024, 1, 1) + timedelta(days=15 * step) for step in range(10))
    first_test = train_cutoffs[-1] + timedelta(days=32)
    return Protocol(train_cutoffs, (first_test, first_test + timedelta(days=15)), maturity_days=32)


@pytest.fixture(scope="session")
def build_rows(protocol: Protocol) -> RowsBuilder:
    """Rows of so many customers at every cutoff; `signal` scales the truth's log-odds, 0 leaves pure noise."""

    def build(customers: int = 400, signal: float = 1.0, seed: int = 7) -> pd.DataFrame:
        generator = np.random.default_rng(seed)
        cutoffs = [*protocol.train_cutoffs, *protocol.test_cutoffs]
        habit = generator.normal(size=customers)
        frames = []
        for cutoff in cutoffs:
            recency = np.exp(generator.normal(3.0 - 0.3 * habit, 0.8))
            active = generator.poisson(np.exp(1 + 0.5 * habit)).astype(float)
            truth = 0.3 + 0.9 * (np.log1p(recency) - 3) - 0.8 * (np.log1p(active) - 1)
            frames.append(
                pd.DataFrame(
                    {
                        "customer_id": [f"c{number:05d}" for number in range(customers)],
                        "business_date": cutoff,
                        "is_churned": (generator.random(customers) < 1 / (1 + np.exp(-signal * truth))).astype(int),
                        "days_since_last": recency,
                        "active_days": active,
                        "spend": active * generator.lognormal(8, 1, customers) - 500,
                        "gap_mean": np.where(active > 1, recency / 2 + generator.random(customers), np.nan),
                        "constant": 3.0,
                        "never_known": np.nan,
                        "noise": generator.normal(size=customers),
                    }
                )
            )
        return pd.concat(frames, ignore_index=True)

    return build


@pytest.fixture(scope="session")
def trained(build_rows: RowsBuilder, catalogue: tuple[Feature, ...], protocol: Protocol) -> TrainedModel:
    """An honest model of an honest signal."""
    return train(build_rows(), catalogue, protocol)


@pytest.fixture(scope="session")
def mixed_catalogue(catalogue: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """The features of the catalogue, and three that are text, between and before them."""
    return (
        _feature("region", Family.PROFILE, lite=True, kind="category"),
        *catalogue[:3],
        _feature("plan", Family.PLAN, kind="category"),
        *catalogue[3:],
        _feature("email", Family.PROFILE, kind="category"),
    )


@pytest.fixture(scope="session")
def build_mixed_rows(build_rows: RowsBuilder) -> RowsBuilder:
    """The same rows with a region that tells much, a plan that tells nothing and an address that is nearly an id."""

    def build(customers: int = 400, seed: int = 7) -> pd.DataFrame:
        rows = build_rows(customers=customers, seed=seed)
        generator = np.random.default_rng(seed + 1)
        regions = np.array(["islands", "north", "south", None, "ship"], dtype=object)
        ids = rows["customer_id"].str[1:].astype(int)
        rows["region"] = generator.choice(regions, customers, p=[0.2, 0.4, 0.28, 0.1, 0.02])[ids]
        rows["plan"] = generator.choice(np.array(["basic", "full"], dtype=object), len(rows))
        rows["email"] = "c" + rows["customer_id"]
        goes = (rows["region"] == "islands") & (generator.random(len(rows)) < 0.6)
        return rows.assign(is_churned=rows["is_churned"].where(~goes, 1))

    return build


@pytest.fixture(scope="session")
def mixed(build_mixed_rows: RowsBuilder, mixed_catalogue: tuple[Feature, ...], protocol: Protocol) -> TrainedModel:
    """An honest model with categories."""
    return train(build_mixed_rows(), mixed_catalogue, protocol)


@pytest.fixture(scope="session")
def told_once(build_mixed_rows: RowsBuilder, protocol: Protocol) -> pd.DataFrame:
    """3,000 customers with one outcome each and no date of it."""
    rows = build_mixed_rows(customers=3_000)
    return rows[rows["business_date"] == protocol.train_cutoffs[0]]


@pytest.fixture(scope="session")
def undated(told_once: pd.DataFrame, mixed_catalogue: tuple[Feature, ...], protocol: Protocol) -> TrainedModel:
    """A model of outcomes without dates."""
    return train(told_once, mixed_catalogue, Protocol.undated(protocol.train_cutoffs[0]))
