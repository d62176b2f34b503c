"""A small contract for the tests of the domain."""

from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.contract import Contract, load_contract

SHOP = """
[contract]
name = "shop"
timezone = "Europe/London"
currency = "GBP"

[calendar]
starts_on = "2011-01-01"
clock = "replay"

[sources.sales]
role = "events"
path = "in/{business_date}.csv"
closed = { weekdays = ["sunday"] }
types = { id = "text", at = "timestamp", price = "decimal(12,2)", kind = "text" }
ignore = [{ when = "id IS NULL", reason = "anonymous" }]

[sources.sales.columns]
customer_id = "id"
event_ts = "at"
amount = "price"
event_type = "kind"

[churn]
definition = "inactivity"
activity = "amount > 0"
active_within_days = 90
horizon_days = 30

[features]
windows_days = [30, 90]
measures = [{ name = "amount", scale = 2 }]
by = [{ column = "event_type", values = ["purchase", "cancellation"] }]
"""

Edit = tuple[str, str]


@pytest.fixture
def write_shop(tmp_path: Path) -> Callable[..., Path]:
    """Writes the shop's contract with some pieces of its text replaced; returns its path."""

    def write(*edits: Edit) -> Path:
        text = SHOP
        for before, after in edits:
            assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in the contract"
            text = text.replace(before, after)
        path = tmp_path / "contract.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def load_shop(write_shop: Callable[..., Path]) -> Callable[..., Contract]:
    """The shop's contract, read and checked, with some pieces of its text replaced."""
    return lambda *edits: load_contract(write_shop(*edits))
