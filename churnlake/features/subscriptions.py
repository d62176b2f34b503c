"""Features of the state of a customer's subscription, as known at the cutoff."""

from collections.abc import Iterator

from churnlake.contract.schema import Contract
from churnlake.features.feature import PRICE_SCALE, Aggregate, Family, Feature


def subscription_features(contract: Contract) -> Iterator[Feature]:
    """Age, plan, price, what is left and earlier lives. All sources of subscriptions tell of one life at a time.

    The features bear the name of the first such source; there are none of columns that no source maps.
    """
    sources = {name: source for name, source in contract.sources.items() if source.role == "subscriptions"}
    if not sources:
        return
    mapped = {column for source in sources.values() for column in source.columns}
    if contract.churn.definition != "cancellation":
        # Where leaving is cancelling, who has no subscription is not scored.
        mapped.add("life_ended_on")
    mapped |= {"life_started_on", "earlier_lives"}
    first = next(iter(sources))
    for feature in (
        _tenure(first),
        _plan(first),
        _price(first, contract.currency),
        _to_renewal(first),
        _to_completion(first),
        _earlier_lives(first),
        _since_end(first),
    ):
        if feature.operand in mapped:
            yield feature


def _tenure(source: str) -> Feature:
    return Feature(
        f"{source}_tenure_days",
        source,
        Family.PLAN,
        "Days since the current subscription started.",
        "days",
        "subscribed {value} day{s} ago",
        Aggregate.LIFE_AGE,
        "life_started_on",
        lite=True,
    )


def _plan(source: str) -> Feature:
    return Feature(
        f"{source}_plan",
        source,
        Family.PLAN,
        "Plan of the current subscription, or of the last one.",
        "category",
        "subscribed to the plan {value}",
        Aggregate.LIFE_STATE,
        "plan",
        kind="category",
    )


def _price(source: str, currency: str) -> Feature:
    return Feature(
        f"{source}_price",
        source,
        Family.PLAN,
        "Price of the current subscription, or of the last one.",
        f"10^-{PRICE_SCALE} {currency}",
        f"price of {{value}} {currency}",
        Aggregate.LIFE_STATE,
        "price",
        scale=PRICE_SCALE,
    )


def _to_renewal(source: str) -> Feature:
    return Feature(
        f"{source}_days_to_renewal",
        source,
        Family.PLAN,
        "Days until the current subscription renews; negative when the date has passed.",
        "days",
        "renews in {value} day{s}",
        Aggregate.LIFE_LEFT,
        "renews_on",
    )


def _to_completion(source: str) -> Feature:
    return Feature(
        f"{source}_days_to_completion",
        source,
        Family.PLAN,
        "Days until the planned end of the current subscription.",
        "days",
        "planned end in {value} day{s}",
        Aggregate.LIFE_LEFT,
        "completes_on",
    )


def _earlier_lives(source: str) -> Feature:
    return Feature(
        f"{source}_earlier_lives",
        source,
        Family.PLAN,
        "Subscriptions that ended before the current or last one.",
        "subscriptions",
        "{value} earlier subscription{s}",
        Aggregate.LIFE_STATE,
        "earlier_lives",
    )


def _since_end(source: str) -> Feature:
    return Feature(
        f"{source}_days_since_end",
        source,
        Family.PLAN,
        "Days since the last subscription ended; null in one.",
        "days",
        "last subscription ended {value} day{s} ago",
        Aggregate.LIFE_SINCE_END,
        "life_ended_on",
    )
