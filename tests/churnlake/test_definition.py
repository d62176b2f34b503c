from collections.abc import Callable

from churnlake.contract import Contract
from churnlake.definition import definition_rows
from churnlake.tables import WAREHOUSE

LoadShop = Callable[..., Contract]


def test_the_definition_says_in_words_what_the_contract_says_in_keys(load_shop: LoadShop) -> None:
    """An analyst reads who is scored, what leaving means, and when the outcome is known."""
    shop = load_shop(("horizon_days = 30", "horizon_days = 30\ngap_days = 7\nmin_tenure_days = 10"))
    lines = {str(row["topic"]): (row["value"], row["explanation"]) for row in definition_rows(shop)}
    assert lines["definition"] == (
        "inactivity",
        "A customer has churned when no activity falls into days 8 to 37 after the business date.",
    )
    assert lines["eligible"] == (
        "90 days",
        "Scored is every customer with activity in the 90 days up to the business date.",
    )
    assert lines["minimum tenure"][0] == "10 days"
    assert lines["maturity"][0] == "39 days"
    assert lines["contract"][0] == f"version 1, digest {shop.digest[:12]}"


def test_shares_are_told_as_written(load_shop: LoadShop) -> None:
    """A share of an eighth is 12.5 %, not 12 %."""
    shop = load_shop(("[features]", "[decision]\nbands = { top = 0.07, high = 0.125 }\n\n[features]"))
    (bands,) = [row["value"] for row in definition_rows(shop) if row["topic"] == "risk bands"]
    assert bands == "top to 7%, high to 12.5%"


def test_the_rows_are_those_of_the_warehouse_table(load_shop: LoadShop) -> None:
    """Same columns as the registry, positions 1, 2, 3, nothing empty."""
    rows = definition_rows(load_shop())
    assert {tuple(row) for row in rows} == {WAREHOUSE["definition"].column_names}
    assert [row["position"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(row["value"] and row["explanation"] for row in rows)


def test_each_definition_has_words_of_its_own(load_shop: LoadShop) -> None:
    """Leaving a subscription is not the same as falling silent."""
    shop = load_shop()

    def told(**changes: object) -> dict[str, str]:
        changed = shop.model_copy(update={"churn": shop.churn.model_copy(update=changes)})
        return {str(row["topic"]): str(row["explanation"]) for row in definition_rows(changed)}

    cancelled = told(definition="cancellation", grace_days=5)
    assert cancelled["definition"] == (
        "A customer has churned when its subscription ends on days 1 to 30 after the business date and does not resume "
        "within 5 days."
    )
    assert cancelled["eligible"].startswith("Scored is every customer subscribed at the end of the business date")
    expiring = told(definition="expiry", gap_days=2, grace_days=5)
    assert expiring["definition"] == (
        "A customer whose paid time ends on days 3 to 32 after the business date has churned when it does not renew by "
        "then, or within 5 days after."
    )
    assert expiring["eligible"] == (
        "Scored is every customer whose paid time ends on days 3 to 32 after the business date, as far as known then."
    )
    assert told(definition="expiry")["definition"].endswith("has churned when it does not renew by then.")
    assert told(definition="label")["definition"] == "A customer has churned when the data set says so."
