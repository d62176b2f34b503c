"""The catalogue of a contract: the features of all its sources, in the order of the table's columns."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from churnlake.contract.schema import Contract
from churnlake.errors import ContractError
from churnlake.features.events import events_features
from churnlake.features.feature import Aggregate, Feature, said
from churnlake.features.profile import profile_features
from churnlake.features.renewals import renewal_features
from churnlake.features.subscriptions import subscription_features

# Columns that stand beside the features in their table and in the rows that a model is trained on.
TAKEN = frozenset({"business_date", "customer_id", "history_days", "is_churned"})


def build_catalogue(contract: Contract) -> tuple[Feature, ...]:
    """Every feature of the contract, in the order of the table's columns.

    Raises:
        ContractError: Two features would have one name, or one would have that of another column.
    """
    features = [
        feature
        for name, source in contract.sources.items()
        if source.role == "events"
        for feature in events_features(name, contract)
    ]
    if contract.features.peer_group:
        features = list(_among_peers(features))
    features += [*subscription_features(contract), *renewal_features(contract), *profile_features(contract)]
    problems = _name_problems([feature.name for feature in features])
    if problems:
        raise ContractError(str(contract.path), problems)
    return tuple(features)


def _among_peers(features: Sequence[Feature]) -> Iterator[Feature]:
    """Features of events, each number followed by where the customer stands with it among its peers.

    A contract that names peers says that only they can be compared: a course with an exam next week and one without
    mean different things by the same silence. So models see the place alone, people also the number behind it.
    """
    for feature in features:
        if feature.kind != "number":
            yield feature
            continue
        yield replace(feature, is_modelled=False)
        what = _plainly(feature.description)
        yield replace(
            feature,
            name=f"{feature.name}_in_group",
            description=f"Place among the peer group, from 0 to 1, by {what}.",
            unit="share",
            wording=f"place among its group, from 0 to 1, by {what}: {{value}}",
            aggregate=Aggregate.PLACE,
            operand=feature.name,
            other=None,
            window_days=None,
            scale=0,
        )


def _plainly(description: str) -> str:
    told = said(description.rstrip(".").partition(";")[0]).replace(" = ", " ")
    return told[0].lower() + told[1:]


def _name_problems(names: Sequence[str]) -> list[str]:
    twice = sorted({name for name in names if names.count(name) > 1})
    return [f"two features would be called {name}; rename a source, or a value of features.by" for name in twice] + [
        f"a feature would be called {name}, which is another column of its table; rename the source or its column"
        for name in names
        if name in TAKEN
    ]
