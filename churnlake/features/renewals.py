"""Features of what a customer has paid for, as known at the cutoff: the running life and the transactions before."""

from collections.abc import Iterator

from churnlake.contract.schema import Contract
from churnlake.features.events import main_window
from churnlake.features.feature import PRICE_SCALE, Aggregate, Family, Feature


def renewal_features(contract: Contract) -> Iterator[Feature]:
    """The life that was paid for and how it is paid. All sources of renewals tell of one life at a time.

    The features bear the name of the first such source; there are none of columns that no source maps.
    """
    sources = {name: source for name, source in contract.sources.items() if source.role == "renewals"}
    if not sources:
        return
    first, main = next(iter(sources)), main_window(contract)
    mapped = {column for source in sources.values() for column in source.columns}
    yield from _of_life(first, contract.currency, mapped)
    if contract.churn.definition != "expiry":
        # Where leaving is expiring, whose time has run out is not scored.
        yield _since_end(first)
    for window in contract.features.windows_days:
        yield _renewals(first, window, lite=window == main)
        if "cancels" in mapped:
            yield _cancels(first, window)


def _of_life(source: str, currency: str, mapped: set[str]) -> Iterator[Feature]:
    yield _to_expiry(source)
    yield _tenure(source, lite="auto_renew" not in mapped)
    yield _since_transaction(source)
    if "plan" in mapped:
        yield _plan(source)
    if "price" in mapped:
        yield _price(source, currency)
    if "auto_renew" in mapped:
        yield _auto_renew(source)
    if "cancels" in mapped:
        yield _cancelled(source)
    yield _earlier_lives(source)


def _to_expiry(source: str) -> Feature:
    return Feature(
        f"{source}_days_to_expiry",
        source,
        Family.PLAN,
        "Days until the first one that is not paid for.",
        "days",
        "paid for {value} more day{s}",
        Aggregate.LIFE_LEFT,
        "life_ended_on",
    )


def _tenure(source: str, *, lite: bool) -> Feature:
    return Feature(
        f"{source}_tenure_days",
        source,
        Family.PLAN,
        "Days since the current paid time began, without a break beyond the grace.",
        "days",
        "has paid without a break for {value} day{s}",
        Aggregate.LIFE_AGE,
        "life_started_on",
        lite=lite,
    )


def _since_transaction(source: str) -> Feature:
    return Feature(
        f"{source}_days_since_last",
        source,
        Family.RECENCY,
        f"Days since the last transaction of {source}.",
        "days",
        "last payment or cancellation {value} day{s} ago",
        Aggregate.LIFE_AGE,
        "transaction_on",
        lite=True,
    )


def _plan(source: str) -> Feature:
    return Feature(
        f"{source}_plan",
        source,
        Family.PLAN,
        "Plan of the current paid time, or of the last one.",
        "category",
        "paid for the plan {value}",
        Aggregate.LIFE_STATE,
        "plan",
        kind="category",
    )


def _price(source: str, currency: str) -> Feature:
    return Feature(
        f"{source}_price",
        source,
        Family.PLAN,
        "Price that was paid last.",
        f"10^-{PRICE_SCALE} {currency}",
        f"paid {{value}} {currency} last",
        Aggregate.LIFE_STATE,
        "price",
        scale=PRICE_SCALE,
    )


def _auto_renew(source: str) -> Feature:
    return Feature(
        f"{source}_auto_renew",
        source,
        Family.PLAN,
        "Whether the paid time will renew by itself: 1 or 0; null where the last transaction does not say.",
        "flag",
        "renews by itself (1 yes, 0 no): {value}",
        Aggregate.LIFE_NOW,
        "auto_renew",
        lite=True,
    )


def _cancelled(source: str) -> Feature:
    return Feature(
        f"{source}_cancelled",
        source,
        Family.PLAN,
        "Whether the last transaction cancelled: 1 or 0.",
        "flag",
        "cancelled (1 yes, 0 no): {value}",
        Aggregate.LIFE_NOW,
        "cancels",
    )


def _earlier_lives(source: str) -> Feature:
    return Feature(
        f"{source}_earlier_lives",
        source,
        Family.PLAN,
        "Paid times that ended before the current or last one.",
        "paid times",
        "{value} paid time{s} before",
        Aggregate.LIFE_STATE,
        "earlier_lives",
    )


def _since_end(source: str) -> Feature:
    return Feature(
        f"{source}_days_since_end",
        source,
        Family.PLAN,
        "Days since the last paid time ended; null in one.",
        "days",
        "last paid time ended {value} day{s} ago",
        Aggregate.LIFE_SINCE_END,
        "life_ended_on",
    )


def _renewals(source: str, window: int, *, lite: bool) -> Feature:
    return Feature(
        f"{source}_renewals_count_{window}d",
        source,
        Family.FREQUENCY,
        f"Transactions of {source} that paid for some day, in the last {window} days.",
        "transactions",
        f"paid {{value}} time{{s}} in the last {window} days",
        Aggregate.TRANSACTIONS,
        "renews",
        window_days=window,
        lite=lite,
    )


def _cancels(source: str, window: int) -> Feature:
    return Feature(
        f"{source}_cancels_count_{window}d",
        source,
        Family.RETURNS,
        f"Transactions of {source} that cancelled, in the last {window} days.",
        "transactions",
        f"cancelled {{value}} time{{s}} in the last {window} days",
        Aggregate.TRANSACTIONS,
        "cancels",
        window_days=window,
    )
