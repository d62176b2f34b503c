"""Features of the life of a subscription, told by its spells or by what was paid: age, plan, price, lives before."""

from churnlake.features.feature import Aggregate, Family, Feature

PRICE_SCALE = 2
"""Decimals of a price, which is kept as an integer of the currency's minor units."""


def tenure(source: str, *, lite: bool) -> Feature:
    """How long the life has lasted."""
    return Feature(
        f"{source}_tenure_days",
        source,
        Family.PLAN,
        "Days since the current subscription started.",
        "days",
        "subscribed {value} days ago",
        Aggregate.LIFE_AGE,
        "life_started_on",
        lite=lite,
    )


def plan(source: str) -> Feature:
    """Which plan it is."""
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


def price(source: str, currency: str) -> Feature:
    """What it costs."""
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


def earlier_lives(source: str) -> Feature:
    """How many lives went before it."""
    return Feature(
        f"{source}_earlier_lives",
        source,
        Family.PLAN,
        "Subscriptions that ended before the current or last one.",
        "subscriptions",
        "{value} earlier subscriptions",
        Aggregate.LIFE_STATE,
        "earlier_lives",
    )


def since_end(source: str) -> Feature:
    """How long it has been over."""
    return Feature(
        f"{source}_days_since_end",
        source,
        Family.PLAN,
        "Days since the last subscription ended; null in one.",
        "days",
        "last subscription ended {value} days ago",
        Aggregate.LIFE_SINCE_END,
        "life_ended_on",
    )
