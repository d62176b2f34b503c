"""What roles and definitions ask of a contract, at the example of a gym whose members pay ahead."""

from pathlib import Path

import pytest

from churnlake.contract import load_contract
from churnlake.errors import ContractError

GYM = """[contract]
name = "gym"
timezone = "Europe/London"
currency = "GBP"
[calendar]
starts_on = "2026-01-01"
[sources.payments]
role = "renewals"
path = "payments/{business_date}.csv"
types = { member = "text", at = "timestamp", paid_to = "date", kind = "text", pass = "text" }
[sources.payments.columns]
customer_id = "member"
event_ts = "at"
paid_until = "paid_to"
cancels = "kind = 'cancel'"
plan = "pass"
[churn]
definition = "expiry"
grace_days = 30
horizon_days = 31
[features]
peer_group = ["plan"]
"""


def problems_of(folder: Path, *edits: tuple[str, str]) -> list[str]:
    """What is wrong with the gym's contract once some pieces of its text are replaced, each with its line."""
    text = GYM
    for before, after in edits:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (folder / "contract.toml").write_text(text)
    try:
        load_contract(folder / "contract.toml")
    except ContractError as refused:
        start = "  - contract.toml:"
        return [line.removeprefix(start) for line in str(refused).splitlines() if line.startswith(start)]
    return []


def test_who_pays_ahead_has_a_contract_of_expiry(tmp_path: Path) -> None:
    """Transactions alone are enough: no activity, no window of activity; groups of peers may be those of a plan."""
    assert problems_of(tmp_path) == []
    contract = load_contract(tmp_path / "contract.toml")
    assert (contract.churn.activity, contract.churn.active_within_days) == ("TRUE", None)
    assert contract.churn.maturity_days == 63


@pytest.mark.parametrize(
    ("edit", "problems"),
    [
        (
            ('paid_until = "paid_to"', 'paid_util = "paid_to"'),
            [
                "11: sources.payments.columns.paid_until: is missing; needed: customer_id, event_ts, paid_until",
                ("14: sources.payments.columns.paid_util: is no column of the role renewals, did you mean "
                 "'paid_until'?; allowed: customer_id, event_ts, paid_until, cancels, auto_renew, plan, price"),
            ],
        ),
        (
            ('role = "renewals"', 'role = "renewal"'),
            [
                ("8: sources.payments.role: must be 'events', 'customers', 'subscriptions', 'renewals', 'labels' or "
                 "'lookup'; got 'renewal', did you mean 'renewals'?"),
                "18: churn.definition: expiry needs a source of the role renewals; there is none",
                ("22: features.peer_group.0: 'plan' is no attribute of any source of the role customers; "
                 "known: none"),
            ],
        ),
        (
            ('"expiry"', '"expire"'),
            [
                ("18: churn.definition: must be 'inactivity', 'cancellation', 'expiry' or 'label'; got 'expire', "
                 "did you mean 'expiry'?"),
            ],
        ),
        (
            ('"expiry"', '"cancellation"'),
            ["18: churn.definition: cancellation needs a source of the role subscriptions; there is none"],
        ),
        (
            ("grace_days = 30", "grace_days = 30\nactive_within_days = 30"),
            ["20: churn.active_within_days: means nothing for expiry; leave it out"],
        ),
    ],
)  # fmt: skip
def test_a_mistake_about_renewals_is_told_with_its_line(
    tmp_path: Path, edit: tuple[str, str], problems: list[str]
) -> None:
    """Each is told once, where it stands, with what is allowed and the nearest match."""
    assert problems_of(tmp_path, edit) == problems
