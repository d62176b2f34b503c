"""Features of the state of a customer's subscription, as known at the cutoff."""

from collections.abc import Iterator

from churnlake.contract.schema import Contract
from churnlake.features import lives
from churnlake.features.feature import Aggregate, Family, Feature


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
        lives.tenure(first, lite=True),
        lives.plan(first),
        lives.price(first, contract.currency),
        _to_renewal(first),
        _to_completion(first),
        lives.earlier_lives(first),
        lives.since_end(first),
    ):
        if feature.operand in mapped:
            yield feature


def _to_renewal(source: str) -> Feature:
    return Feature(
        f"{source}_days_to_renewal",
        source,
        Family.PLAN,
        "Days until the current subscription renews; negative when the date has passed.",
        "days",
        "renews in {value} days",
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
        "planned end in {value} days",
        Aggregate.LIFE_LEFT,
        "completes_on",
    )
