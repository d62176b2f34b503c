"""A home with made-up nights: contract, ledger and warehouse, filled through their own doors and without Spark."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from churnlake.contract import load_contract
from churnlake.definition import definition_rows
from churnlake.ledger import Ledger
from churnlake.report import write_page
from churnlake.settings import Settings
from churnlake.warehouse.duckdb import LoadRequest, build_load, materialise, query
from churnlake.warehouse.publications import Publications

DAY, NEXT_DAY = date(2026, 3, 9), date(2026, 3, 10)
MORNING = datetime(2026, 3, 10, 4, 30, tzinfo=UTC)  # expected by 05:00 in London, so in time

CONTRACT = """
[contract]
name = "shop"
version = 1
timezone = "Europe/London"
currency = "GBP"
unit = "customer"

[calendar]
starts_on = "2025-01-01"
expected_by = "05:00"

[sources.orders]
role = "events"
delivery = "daily"
path = "data/{business_date}.csv"
format = "csv"
types = { id = "text", at = "timestamp", price = "decimal(12,2)" }

[sources.orders.columns]
customer_id = "id"
event_ts = "at"
event_type = "'purchase'"
amount = "price"

[churn]
definition = "inactivity"
activity = "amount > 0"
active_within_days = 90
horizon_days = 30

[features]
windows_days = [30, 90]
measures = [{ name = "amount", scale = 2 }]

[decision]
bands = { high = 0.10, medium = 0.30 }
"""

COUNTS = {
    "ingest": {"raw": 130, "accepted": 100, "ignored.anonymous": 20, "duplicate": 4, "quarantined.bad_type.price": 6},
    "features": {"known": 24, "eligible": 21, "excluded.inactive": 3},
    "score": {"eligible": 21, "scored": 20, "held": 1},
}
SECONDS = {"ingest": 40.1, "features": 15.7, "score": 7.6}

MODEL = {
    "model_version": 1,
    "state": "registered",
    "is_champion": True,
    "candidate": "lite, C=0.01",
    "trained_through": date(2025, 12, 1),
    "label_data_through": date(2026, 3, 1),
    "auc": 0.7327149606013346,
    "auc_low": 0.7178,
    "auc_high": 0.7479,
    "log_loss": 0.6008,
    "brier": 0.2043,
    "calibration_error": 0.0767,
    "lift_top_decile": 1.3747,
    "base_rate": 0.5872,
    "training_rows": 24728,
    "test_rows": 4671,
    "digest": "d" * 64,
    "reason": "all 8 checks passed",
    "created_at": MORNING,
    "promoted_at": MORNING,
}
FEATURE = {
    "table_name": "features",
    "column_name": "orders_activity_days_since_last",
    "position": 1,
    "type": "days",
    "description": "Days since the last activity in orders.",
    "contract": "shop",
}


def _check(name: str, *, passed: bool | None = True, severity: str = "critical", **given: Any) -> dict[str, Any]:
    row = {"kind": "expectation", "source": "orders", "name": name, "severity": severity, "passed": passed}
    return row | {"observed": "0 of 100 rows do not", "expected": "not be null"} | given


PASSED = (_check("id.not_be_null"), _check("raw", kind="reconciliation", observed="130", expected="130"))


@dataclass(frozen=True)
class Home:
    """A Churnlake home, and short ways to publish nights into it."""

    settings: Settings
    ledger: Ledger
    publications: Publications
    contract_file: Path

    def publish(
        self,
        day: date = DAY,
        *,
        contract: str = "shop",
        at: datetime = MORNING,
        probabilities: Sequence[float] | None = None,
        counts: Mapping[str, Mapping[str, int]] | None = None,
        checks: Sequence[Mapping[str, Any]] = PASSED,
        models: Sequence[Mapping[str, Any]] = (MODEL,),
        excluded: str = "inactive",
        fingerprint: str = "deliveries:1 contract:2 model:3 code:4",
        actor: str = "night",
        reason: str | None = None,
        run_id: str | None = None,
        **facts: Any,
    ) -> str:
        """Publish 20 customers scored 0.025, 0.075, ... 0.975, one held and three excluded. Returns: the run id."""
        given = [(place + 0.5) / 20 for place in range(20)] if probabilities is None else probabilities
        run_id = run_id or f"{contract}-night-{day:%Y%m%d}-{len(list(self.settings.home.glob('*.parquet')))}"
        scores, population = self._files(run_id, day, given, excluded)
        documents = {
            "run_quality": [*_counts(COUNTS if counts is None else counts), *checks],
            "definition": definition_rows(load_contract(self.contract_file)),
            "models": models,
            "data_dictionary": [FEATURE],
        }
        values: dict[str, Any] = {
            "contract": contract,
            "business_date": day,
            "data_through": day,
            "run_id": run_id,
            "attempt": 1,
            "horizon_days": 30,
            "gap_days": 0,
            "contract_version": 1,
            "model_version": 1,
            "scored_at": at,
            "is_retrospective": False,
            "bands": {"high": 0.10, "medium": 0.30},
            "wording": {FEATURE["column_name"]: ("last order {value} days ago", 0)},
            "score_files": [scores],
            "population_files": [population],
            "documents": documents,
        }
        epoch, seen = self.publications.claim(contract), self.publications.seen(contract, day)
        load = build_load(self.publications, LoadRequest(**values | facts), epoch=epoch, now=at)
        self.publications.publish(
            load.load_id, epoch=epoch, seen=seen, fingerprint=fingerprint, actor=actor, now=at, reason=reason
        )
        materialise(self.publications)
        return run_id

    @property
    def model(self) -> dict[str, Any]:
        """A row of models: version 1, which passed its gate."""
        return MODEL

    def check(self, name: str, **given: Any) -> dict[str, Any]:
        """A row of run_quality about a check: a critical expectation that passed, where nothing else is given."""
        return _check(name, **given)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """An answer of the warehouse."""
        return query(self.settings.warehouse, sql).rows

    def _files(self, run_id: str, day: date, probabilities: Sequence[float], excluded: str) -> tuple[Path, Path]:
        scored = [
            (
                day,
                run_id,
                f"secret-{place}",
                value,
                FEATURE["column_name"],
                3.0 * place,
                "raises" if value > 0.5 else "lowers",
            )
            for place, value in enumerate(probabilities)
        ]
        people = [
            *((day, f"secret-{place}", True, None) for place in range(len(probabilities))),
            (day, "secret-held", True, "no_history"),
            *((day, f"secret-out-{place}", False, excluded) for place in range(3)),
        ]
        scores, population = self.settings.home / f"s-{run_id}.parquet", self.settings.home / f"p-{run_id}.parquet"
        _write(scores, SCORES, scored, REASONS)
        _write(population, POPULATION, people, "")
        return scores, population


POPULATION = "business_date DATE, customer_id VARCHAR, eligible BOOLEAN, reason VARCHAR"
SCORES = (
    "business_date DATE, run_id VARCHAR, customer_id VARCHAR, churn_probability DOUBLE, reason_1_feature VARCHAR, "
    "reason_1_value DOUBLE, reason_1_direction VARCHAR"
)
REASONS = "".join(
    f", NULL::VARCHAR AS reason_{place}_feature, NULL::DOUBLE AS reason_{place}_value, "
    f"NULL::VARCHAR AS reason_{place}_direction"
    for place in (2, 3)
)


def _counts(counts: Mapping[str, Mapping[str, int]]) -> list[dict[str, Any]]:
    empty = {"severity": None, "passed": None, "expected": None}
    rows: list[dict[str, Any]] = []
    for stage, numbers in counts.items():
        rows += [
            {"kind": "count", "source": stage, "name": name, "observed": str(value), **empty}
            for name, value in numbers.items()
        ]
        rows.append({"kind": "stage", "source": stage, "name": "seconds", "observed": str(SECONDS[stage]), **empty})
    return rows


def _write(path: Path, columns: str, rows: Sequence[Sequence[Any]], more: str) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE made ({columns})")
        if rows:
            connection.executemany(f"INSERT INTO made VALUES ({', '.join('?' * len(rows[0]))})", rows)
        connection.execute("SET VARIABLE target = ?", [str(path)])
        connection.execute(f"COPY (SELECT *{more} FROM made) TO (getvariable('target')) (FORMAT parquet)")


class _Names(HTMLParser):
    """Collects data-name and its value of every element that has one."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the parser's own signature
        given = dict(attrs)
        if name := given.get("data-name"):
            self.found[name] = given.get("value") or given.get("data-value") or given.get("datetime")


@pytest.fixture(scope="session")
def named() -> Callable[[Path], dict[str, str | None]]:
    """Reads a page's named values as a program would."""

    def read(page: Path) -> dict[str, str | None]:
        names = _Names()
        names.feed(page.read_text(encoding="utf-8"))
        return names.found

    return read


@pytest.fixture(scope="session")
def open_home() -> Callable[[Path], Home]:
    """Makes a home in a folder: the contract is known to the ledger, and nothing is published."""

    def opened(folder: Path) -> Home:
        settings = Settings.from_environment({"CHURNLAKE_HOME": str(folder)})
        settings.home.mkdir(parents=True)
        contract_file = folder / "contract.toml"
        contract_file.write_text(CONTRACT)
        ledger = Ledger.open(settings.ledger_url)
        ledger.remember_contract(name="shop", path=str(contract_file), digest="2", now=MORNING)
        return Home(settings, ledger, Publications.open(settings.warehouse), contract_file)

    return opened


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory, open_home: Callable[[Path], Home]) -> tuple[Home, Path]:
    """A home with one published night as `publish` makes it, and its page: to be read, not changed."""
    made = open_home(tmp_path_factory.mktemp("plain") / "home")
    made.publish()
    return made, write_page(made.settings, "shop", DAY)


@pytest.fixture
def home(tmp_path: Path, open_home: Callable[[Path], Home]) -> Home:
    """An empty home in a folder with a space in its name."""
    return open_home(tmp_path / "a home")
