"""Features that are attributes of the customer, as known at the cutoff."""

from collections.abc import Iterator

from churnlake.contract.schema import Contract
from churnlake.features.feature import Aggregate, Family, Feature, said


def profile_features(contract: Contract) -> Iterator[Feature]:
    """Every attribute that is not protected, under the name of the first source that maps it."""
    kinds = {name: kind for name, kind in contract.attributes.items() if name not in contract.features.protected}
    firsts = {kind: name for name, kind in reversed(kinds.items())}
    for name, kind in kinds.items():
        source = next(key for key, one in contract.sources.items() if one.role == "customers" and name in one.columns)
        yield Feature(
            f"{source}_{name}",
            source,
            Family.PROFILE,
            f"Attribute {name} of {source}, as known at the cutoff.",
            "category" if kind == "category" else "units",
            f"{said(name)}: {{value}}",
            Aggregate.ATTRIBUTE,
            name,
            lite=firsts[kind] == name,
            kind=kind,
        )
