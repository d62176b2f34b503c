"""A small warehouse and the means to publish made-up nights in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from churnlake.warehouse.duckdb import Answer, LoadRequest, build_load, materialise, query
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.records import Load, Publication

NOW = datetime(2011, 12, 1, 4, 0, tzinfo=UTC)
DAY = date(2011, 11, 28)
WORDING = {
    "days_since_order": ("last order {value} day{s} ago", 0),
    "spend_90d": ("spent {value} in 90 days", 2),
    "region": ("region: {value}", 0),
}

# A category is told by its text, a number by its value.
Reason = tuple[str, float | str | None, str]


@dataclass
class Shop:
    """One warehouse folder with short ways to fill it."""

    folder: Path
    publications: Publications

    def files(
        self,
        probabilities: Mapping[str, float | None],
        *,
        day: date = DAY,
        run_id: str = "run-1",
        reasons: Mapping[str, Sequence[Reason]] | None = None,
        excluded: Mapping[str, str] | None = None,
        held: Mapping[str, str] | None = None,
        eligible: Sequence[str] | None = None,
    ) -> tuple[list[Path], list[Path]]:
        """Score and population files as the night's earlier stages would leave them."""
        scores, population = self.folder / f"s-{run_id}-{day}.parquet", self.folder / f"p-{run_id}-{day}.parquet"
        people = [(day, name, True, None) for name in (probabilities if eligible is None else eligible)]
        people += [(day, name, False, reason) for name, reason in (excluded or {}).items()]
        people += [(day, name, True, reason) for name, reason in (held or {}).items()]
        rows = [
            (day, run_id, name, value, *_flat((reasons or {}).get(name, ()))) for name, value in probabilities.items()
        ]
        _write(scores, SCORES, rows)
        _write(population, POPULATION, people)
        return [scores], [population]

    def request(
        self,
        scores: Sequence[Path],
        population: Sequence[Path],
        *,
        day: date = DAY,
        run_id: str = "run-1",
        **given: Any,
    ) -> LoadRequest:
        values: dict[str, Any] = {
            "contract": "shop",
            "business_date": day,
            "data_through": day,
            "run_id": run_id,
            "attempt": 1,
            "horizon_days": 30,
            "gap_days": 0,
            "contract_version": 1,
            "model_version": 1,
            "scored_at": NOW,
            "is_retrospective": False,
            "bands": {"high": 0.10, "medium": 0.30},
            "wording": WORDING,
            "score_files": scores,
            "population_files": population,
            "documents": {},
        }
        return LoadRequest(**values | given)

    def load(
        self,
        probabilities: Mapping[str, float | None],
        *,
        epoch: int,
        day: date = DAY,
        run_id: str = "run-1",
        facts: Mapping[str, Any] | None = None,
        **people: Any,
    ) -> Load:
        scores, population = self.files(probabilities, day=day, run_id=run_id, **people)
        request = self.request(scores, population, day=day, run_id=run_id, **(facts or {}))
        return build_load(self.publications, request, epoch=epoch, now=NOW)

    def publish(
        self, probabilities: Mapping[str, float | None], *, day: date = DAY, contract: str = "shop", **given: Any
    ) -> Publication:
        """A whole publish: claim, load, publish, materialise."""
        epoch, seen = self.publications.claim(contract), self.publications.seen(contract, day)
        facts = {"contract": contract} | given.pop("facts", {})
        load = self.load(probabilities, epoch=epoch, day=day, facts=facts, **given)
        publication = self.publications.publish(
            load.load_id, epoch=epoch, seen=seen, fingerprint="f1", actor="tester", now=NOW
        )
        materialise(self.publications)
        return publication

    def show(self) -> None:
        materialise(self.publications)

    def ask(self, sql: str) -> Answer:
        return query(self.publications.root, sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.ask(sql).rows


POPULATION = "business_date DATE, customer_id VARCHAR, eligible BOOLEAN, reason VARCHAR"
SCORES = "business_date DATE, run_id VARCHAR, customer_id VARCHAR, churn_probability DOUBLE" + "".join(
    f", reason_{place}_feature VARCHAR, reason_{place}_value DOUBLE, reason_{place}_direction VARCHAR, "
    f"reason_{place}_level VARCHAR"
    for place in (1, 2, 3)
)


def _flat(reasons: Sequence[Reason]) -> list[Any]:
    told = [
        (feature, None, direction, value) if isinstance(value, str) else (feature, value, direction, None)
        for feature, value, direction in reasons
    ]
    return [part for reason in [*told, *[(None,) * 4] * (3 - len(told))] for part in reason]


def _write(path: Path, columns: str, rows: Sequence[Sequence[Any]]) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({columns})")
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO t VALUES ({marks})", rows)
        connection.execute("SET VARIABLE target = ?", [str(path)])
        connection.execute("COPY t TO (getvariable('target')) (FORMAT parquet)")


@pytest.fixture
def shop(tmp_path: Path, open_shop: Callable[[Path], Shop]) -> Shop:
    """An empty warehouse in a folder whose name has a space, a quote and pattern marks."""
    return open_shop(tmp_path / "it's a [shop] *")


@pytest.fixture(scope="session")
def open_shop() -> Callable[[Path], Shop]:
    """Opens a warehouse folder, new or old."""

    def opened(folder: Path) -> Shop:
        folder.mkdir(exist_ok=True)
        return Shop(folder, Publications.open(folder / "warehouse"))

    return opened
