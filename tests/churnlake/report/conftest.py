"""A home with made-up nights: contract, ledger and warehouse, filled through their own doors and without Spark."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from churnlake.contract import load_contract
from churnlake.definition import definition_rows
from churnlake.intake import delivery_rows, measurement_rows, reason_rows
from churnlake.ledger import Delivery, Found, Ledger, Run
from churnlake.ledger.runs import RunKind
from churnlake.report import write_page
from churnlake.settings import Settings
from churnlake.tables import LAKE
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
        taken: Sequence[Delivery] = (),
        **facts: Any,
    ) -> str:
        """Publish 20 customers scored 0.025, 0.075, ... 0.975, one held and three excluded. Returns: the run id."""
        given = [(place + 0.5) / 20 for place in range(20)] if probabilities is None else probabilities
        run_id = run_id or f"{contract}-night-{day:%Y%m%d}-{len(list(self.settings.home.glob('*.parquet')))}"
        scores, population = self._files(run_id, day, given, excluded)
        documents = {
            "run_quality": [
                *_counts(COUNTS if counts is None else counts),
                *checks,
                *measurement_rows("orders", self.ledger.measurements("shop", "orders"), taken),
            ],
            "deliveries": list(delivery_rows(taken)),
            "quarantine_reasons": list(reason_rows(taken)),
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

    def run(self, day: date, *, kind: RunKind = "night", message: str | None = None) -> Run:
        """A run of the ledger that is published, or with a message refused in its ingest stage."""
        run = self.ledger.start_run(
            contract="shop", kind=kind, business_date=day, application="a1",
            contract_digest=load_contract(self.contract_file).digest, code_revision="4", actor="night", pid=1,
            lane_epoch=1, now=MORNING,
        )  # fmt: skip
        self.ledger.start_stage(run.run_id, "ingest", 1, now=MORNING)
        if message is None:
            self.ledger.finish_stage(run.run_id, "ingest", 1, counts={}, now=MORNING)
            return self.ledger.finish_run(run.run_id, 1, "published", exit_code=0, now=MORNING)
        self.ledger.fail_stage(run.run_id, "ingest", 1, message=message, now=MORNING)
        return self.ledger.finish_run(run.run_id, 1, "failed", exit_code=3, now=MORNING, message=message)

    def deliver(self, run: Run, *given: Mapping[str, Any], taken_in: bool = True) -> None:
        """Deliveries of orders in the ledger, by a run. Each is 130 rows of which 100 were accepted, unless it says so.

        Beside what is found of a file, `counts` are its buckets and `measured` its numbers.
        """
        files = [{"counts": {}, "measured": {}} | _file(one["slot"]) | dict(one) for one in given]
        counts = {one["delivery_id"]: DELIVERED | one.pop("counts") for one in files}
        measured = {one["delivery_id"]: one.pop("measured") for one in files}
        self.ledger.freeze_deliveries("shop", run.run_id, [Found(**one) for one in files])
        if taken_in:
            self.ledger.mark_ingested("shop", {("orders", name): buckets for name, buckets in counts.items()})
            self.ledger.record_measurements("shop", "orders", measured)

    def hold(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Rows of orders in the contract's quarantine, as the night of the slot leaves them."""
        types = {"text": pa.string(), "date": pa.date32(), "bigint": pa.int64(), "text[]": pa.list_(pa.string())}
        columns = LAKE["quarantine"].columns
        schema = pa.schema([(column.name, types[column.type]) for column in columns])
        whole = [_held(number, row) for number, row in enumerate(rows, start=1)]
        write_deltalake(str(self.settings.lake("shop") / "quarantine"), pa.Table.from_pylist(whole, schema=schema))

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
                None,
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


DELIVERED: dict[str, Any] = {
    "raw": 130,
    "accepted": 100,
    "unchanged": 0,
    "duplicate": 4,
    "ignored": {"anonymous": 20},
    "quarantined": {"bad_type.price": 6},
    "defects": {"ignored.anonymous": 20, "bad_type.price": 9, "duplicate": 4},
    "withdrawn": 0,
}


def _file(slot: date) -> dict[str, Any]:
    return {
        "source": "orders", "delivery_id": f"{slot}-0a", "path": f"data/{slot}.csv", "bytes": 2_000, "sha256": "0a",
        "slot": slot, "available_on": slot, "known_date": slot,
    }  # fmt: skip


def _held(number: int, row: Mapping[str, Any]) -> dict[str, Any]:
    slot = row["slot"]
    values = {
        "source": "orders", "delivery_id": f"{slot}-0a", "file": f"data/{slot}.csv", "record_number": number,
        "row_hash": f"hash-{number}", "reasons": ["bad_type.price"], "rule_digest": "r", "status": "held",
        "changed_by": f"{slot}-0a", "run_id": "r1", "known_date": slot, "known_month": f"{slot:%Y-%m}",
    }  # fmt: skip
    return {**values, **row, "raw_row": json.dumps(row["raw_row"])}


POPULATION = "business_date DATE, customer_id VARCHAR, eligible BOOLEAN, reason VARCHAR"
SCORES = (
    "business_date DATE, run_id VARCHAR, customer_id VARCHAR, churn_probability DOUBLE, reason_1_feature VARCHAR, "
    "reason_1_value DOUBLE, reason_1_direction VARCHAR, reason_1_level VARCHAR"
)
REASONS = "".join(
    f", NULL::VARCHAR AS reason_{place}_feature, NULL::DOUBLE AS reason_{place}_value, "
    f"NULL::VARCHAR AS reason_{place}_direction, NULL::VARCHAR AS reason_{place}_level"
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


NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
FLAGS = [
    "--no-sandbox",  # Chromium's own refuses to start as root, which containers run as
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The Chromium of this machine, without a window."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no Chromium on PATH (looked for {', '.join(NAMES)}): the pages were not opened in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, home: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page; at the end nothing but the pages themselves may have been asked for or complained of."""
    contexts, asked, complaints = [], [], []

    def open_page(address: str, width: int = 1200, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.goto((home.settings.reports / address).as_uri(), wait_until="load")
        return page

    yield open_page
    for context in contexts:
        context.close()
    own = home.settings.reports.as_uri()
    assert [url for url in asked if not url.startswith(own) or not url.endswith(".html")] == []
    assert complaints == []


@pytest.fixture(scope="session")
def weak_texts() -> str:
    """A script that lists texts which differ too little from what is behind them."""
    return WEAK_TEXTS


# Contrast by https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio, of each text against the nearest painted background.
WEAK_TEXTS = """() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const linear = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parts(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || ['STYLE', 'TITLE'].includes(element.tagName.toUpperCase())) continue;
    const style = getComputedStyle(element), inPicture = element.closest('svg');
    const [a, b] = [light(parts(inPicture ? style.fill : style.color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) weak.push([element.textContent.trim().slice(0, 40), ratio]);
  }
  return weak;
}"""
