"""Fixtures of the Spark jobs' tests."""

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deltalake import write_deltalake
from pyspark.sql import DataFrame

from churnlake.contract import Contract, load_contract
from churnlake.ledger import Lane
from jobs.content import Tiles
from jobs.lake import StoredTable
from jobs.tiles import customer_hash

# A made shop, small enough that its numbers can be followed by hand: windows of 7 and 30 days, so a span of 60.
SHOP = """
[contract]
name = "shop"
timezone = "Europe/Berlin"
currency = "EUR"

[calendar]
starts_on = "2026-01-01"
clock = "replay"

[sources.orders]
role = "events"
path = "orders/{business_date}.csv"
max_late_days = 10
max_early_days = 0
ready = { stable_seconds = 0 }
ignore = [{ when = "customer IS NULL", reason = "anonymous" }]
duplicates = "drop"

[sources.orders.types]
order_no = "text"
customer = "text"
at = "timestamp"
price = "decimal(12,4)"
pieces = "int"
item = "text"
kind = "text"

[sources.orders.columns]
customer_id = "customer"
event_ts = "at"
event_type = "kind"
amount = "price"
quantity = "pieces"
product = "item"

[churn]
definition = "inactivity"
activity = "event_type = 'purchase' AND amount > 0"
active_within_days = 30
min_tenure_days = 0
gap_days = 0
horizon_days = 7
settle_days = 1

[features]
windows_days = [7, 30]
measures = [{ name = "amount", scale = 2 }, { name = "quantity", scale = 0 }]
distinct = ["product"]
by = [{ column = "event_type", values = ["purchase", "cancellation"] }]

[training]
max_cutoffs = 6
"""

# Known by whole tables, of which the newest counts.
MEMBERS = """
[contract]
name = "club"
timezone = "Europe/London"
currency = "GBP"

[calendar]
starts_on = "2026-01-01"
clock = "replay"

[churn]
definition = "cancellation"
horizon_days = 30

[sources.plans]
role = "subscriptions"
delivery = "snapshot"
path = "plans/{business_date}.csv"
ready = { stable_seconds = 0 }
on_missing = "warn"
types = { id = "text", since = "date", until = "date" }
columns = { customer_id = "id", started_on = "since", ended_on = "until" }
"""

CLUB = """
[contract]
name = "club"
timezone = "Europe/London"
currency = "GBP"
unit = "member"

[calendar]
starts_on = "2026-01-01"
clock = "replay"

[sources.memberships]
role = "subscriptions"
delivery = "history"
path = "memberships*.csv"
through = "2026-12-31"
ready = { stable_seconds = 0 }

[sources.memberships.types]
member = "text"
joined = "date"
left_on = "date"
paid_to = "date"
plan = "text"
fee = "decimal(8,2)"

[sources.memberships.columns]
customer_id = "member"
started_on = "joined"
ended_on = "left_on"
completes_on = "paid_to"
plan = "plan"
price = "fee"

[churn]
definition = "cancellation"
horizon_days = 30
settle_days = 0
grace_days = 3
"""

GYM = """
[contract]
name = "gym"
timezone = "Europe/London"
currency = "GBP"
unit = "member"

[calendar]
starts_on = "2026-01-01"
clock = "replay"

[sources.payments]
role = "renewals"
path = "payments/{business_date}.csv"
on_missing = "warn"
max_late_days = 10
ready = { stable_seconds = 0 }

[sources.payments.types]
member = "text"
at = "timestamp"
paid_to = "date"
kind = "text"
by_itself = "boolean"
pass = "text"
fee = "decimal(8,2)"

[sources.payments.columns]
customer_id = "member"
event_ts = "at"
paid_until = "paid_to"
cancels = "kind = 'cancel'"
auto_renew = "by_itself"
plan = "pass"
price = "fee"

[churn]
definition = "expiry"
gap_days = 3
horizon_days = 14
grace_days = 5
settle_days = 1

[features]
windows_days = [30, 90]

[training]
max_cutoffs = 6
"""

MakeContract = Callable[..., Contract]


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """An empty lake root of one contract, alone for one test."""
    root = tmp_path / "lake" / "example"
    root.mkdir(parents=True)
    return root


@pytest.fixture
def lane(lake: Path) -> Iterator[Lane]:
    """The lane of that lake, held by this test."""
    with Lane.take(lake) as taken:
        yield taken


@pytest.fixture(scope="session")
def make_contract() -> MakeContract:
    """Writes the shop's contract into a folder and loads it; each (old, new) pair replaces a piece of its text."""
    return functools.partial(_write, SHOP)


@pytest.fixture(scope="session")
def make_club() -> MakeContract:
    """Writes the club's contract into a folder and loads it, as `make_contract` does the shop's."""
    return functools.partial(_write, CLUB)


@pytest.fixture(scope="session")
def make_gym() -> MakeContract:
    """Writes the gym's contract into a folder and loads it, as `make_contract` does the shop's."""
    return functools.partial(_write, GYM)


def _write(text: str, folder: Path, *changes: tuple[str, str]) -> Contract:
    for old, new in changes:
        assert old in text, f"{old!r} is not in the contract"
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "contract.toml").write_text(text)
    return load_contract(folder / "contract.toml")


@pytest.fixture(scope="session")
def make_members() -> Callable[..., Contract]:
    """Writes the contract of a club whose plans come as whole tables, with further sources, into a folder."""

    def written(folder: Path, further: str = "") -> Contract:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "contract.toml").write_text(MEMBERS + further)
        return load_contract(folder / "contract.toml")

    return written


@pytest.fixture(scope="session")
def in_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Tiles]:
    """Tiles of events as the lake holds them: known customers, the daily tiles, and where those lie in files."""

    def tiles(known: DataFrame, daily_activity: DataFrame, daily_values: DataFrame | None = None) -> Tiles:
        lake, stored = tmp_path_factory.mktemp("lake"), {}
        for name, frame in (("daily_activity", daily_activity), ("daily_values", daily_values)):
            if frame is not None:
                write_deltalake(lake / name, frame.withColumn("customer_hash", customer_hash()).toArrow())
                stored[name] = StoredTable(lake / name, 0)
        return Tiles(known, daily_activity, stored=stored)

    return tiles
