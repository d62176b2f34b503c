"""Loads and publications as `publications.sqlite` holds them."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

Row = Mapping[str, Any]
LoadState = Literal["loading", "audited", "failed"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS fence (contract TEXT PRIMARY KEY, epoch INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS load (
  load_id INTEGER PRIMARY KEY AUTOINCREMENT, contract TEXT NOT NULL, business_date TEXT NOT NULL, run_id TEXT NOT NULL,
  attempt INTEGER NOT NULL, epoch INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('loading', 'audited', 'failed')),
  previous_load_id INTEGER REFERENCES load, data_through TEXT NOT NULL, horizon_days INTEGER NOT NULL,
  gap_days INTEGER NOT NULL, contract_version INTEGER NOT NULL, model_version INTEGER NOT NULL,
  is_retrospective INTEGER NOT NULL, customers_scored INTEGER, customers_not_scored INTEGER, message TEXT,
  started_at TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS document (
  load_id INTEGER NOT NULL REFERENCES load, table_name TEXT NOT NULL, rows TEXT NOT NULL,
  PRIMARY KEY (load_id, table_name)) STRICT;
CREATE TABLE IF NOT EXISTS outcome (
  load_id INTEGER NOT NULL REFERENCES load, cohort_load_id INTEGER NOT NULL REFERENCES load,
  PRIMARY KEY (load_id, cohort_load_id)) STRICT;
CREATE TABLE IF NOT EXISTS publication (
  contract TEXT NOT NULL, business_date TEXT NOT NULL, restatement INTEGER NOT NULL,
  load_id INTEGER NOT NULL UNIQUE REFERENCES load,
  run_id TEXT NOT NULL, epoch INTEGER NOT NULL, fingerprint TEXT NOT NULL, previous_load_id INTEGER, reason TEXT,
  actor TEXT NOT NULL, published_at TEXT NOT NULL, PRIMARY KEY (contract, business_date, restatement)) STRICT;
CREATE TABLE IF NOT EXISTS current (
  contract TEXT NOT NULL, business_date TEXT NOT NULL,
  load_id INTEGER REFERENCES publication (load_id),
  state TEXT NOT NULL CHECK (state IN ('published', 'withdrawn')), changed_at TEXT NOT NULL, changed_by TEXT NOT NULL,
  reason TEXT,
  PRIMARY KEY (contract, business_date), CHECK ((state = 'published') = (load_id IS NOT NULL))) STRICT;
CREATE TABLE IF NOT EXISTS pointer_log (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, contract TEXT NOT NULL, business_date TEXT NOT NULL, load_id INTEGER,
  state TEXT NOT NULL, changed_at TEXT NOT NULL, changed_by TEXT NOT NULL, reason TEXT) STRICT;
CREATE TABLE IF NOT EXISTS generation (
  only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL, root TEXT NOT NULL, layout TEXT NOT NULL) STRICT;
INSERT INTO generation VALUES (1, 0, '', '') ON CONFLICT DO NOTHING;
"""


@dataclass(frozen=True)
class LoadFacts:
    """What a load is, beside its rows: all that `materialise` needs to show it."""

    contract: str
    business_date: date
    data_through: date
    run_id: str
    attempt: int
    horizon_days: int
    gap_days: int
    contract_version: int
    model_version: int
    is_retrospective: bool


@dataclass(frozen=True)
class Load(LoadFacts):
    """One copy in the warehouse. It is immutable once audited, and visible only when published."""

    load_id: int
    epoch: int
    state: LoadState
    previous_load_id: int | None
    customers_scored: int | None
    customers_not_scored: int | None
    message: str | None
    started_at: datetime

    @property
    def folder(self) -> Path:
        """Its folder, relative to the warehouse."""
        return Path("scores", self.contract, f"business_date={self.business_date}", f"load_{self.load_id}")

    def outcomes_of(self, cohort: date) -> Path:
        """The file of the outcomes it tells of an earlier date, relative to the warehouse."""
        return self.folder / f"outcomes_{cohort}.parquet"


@dataclass(frozen=True)
class Publication:
    """A load that was made visible."""

    contract: str
    business_date: date
    restatement: int
    load_id: int
    run_id: str
    epoch: int
    fingerprint: str
    previous_load_id: int | None
    reason: str | None
    actor: str
    published_at: datetime


def as_load(row: sqlite3.Row) -> Load:
    """A row of `load` as a record."""
    values = dict(row)
    values["business_date"] = date.fromisoformat(values["business_date"])
    values["data_through"] = date.fromisoformat(values["data_through"])
    values["is_retrospective"] = bool(values["is_retrospective"])
    values["started_at"] = datetime.fromisoformat(values["started_at"])
    return Load(**values)


def as_publication(row: sqlite3.Row | Row) -> Publication:
    """A row of `publication` as a record."""
    values = dict(row)
    values["business_date"] = date.fromisoformat(values["business_date"])
    values["published_at"] = datetime.fromisoformat(values["published_at"])
    return Publication(**values)


def as_text(moment: datetime) -> str:
    """An instant as ISO text in UTC, so that text order is time order."""
    if moment.tzinfo is None:
        raise ValueError(f"the warehouse takes moments with a time zone; got {moment!r}")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def as_json(rows: Sequence[Row]) -> str:
    """Rows of a document; moments and dates become ISO text, a number that is not finite is refused."""
    return json.dumps([dict(row) for row in rows], default=_plain, allow_nan=False)


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return as_text(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a document holds texts, numbers, booleans, dates and moments; got {value!r}")
