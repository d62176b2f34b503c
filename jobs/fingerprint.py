"""The fingerprint of a run: what it was made of, one short digest per part, so that a difference has a name."""

import hashlib
from collections.abc import Iterable
from datetime import date

from churnlake.ledger import Delivery, current_versions

_DIGITS = 12


def fingerprint(
    deliveries: Iterable[Delivery], business_date: date, contract_digest: str, model_digest: str, revision: str
) -> str:
    """`deliveries:... contract:... model:... code:...`.

    Of each slot the version counts that was in force on the date: what became known later, a correction as well,
    changes nothing of what the date was made of.
    """
    then = [one for one in deliveries if one.state == "ingested" and one.known_date <= business_date]
    known = sorted(
        (one.source, one.slot.isoformat(), one.sha256, one.known_date.isoformat()) for one in current_versions(then)
    )
    data = hashlib.sha256(repr(known).encode()).hexdigest()[:_DIGITS]
    return f"deliveries:{data} contract:{contract_digest[:_DIGITS]} model:{model_digest[:_DIGITS]} code:{revision}"


def differing_parts(one: str, other: str) -> list[str]:
    """Names of the parts in which two fingerprints differ."""
    left, right = (dict(part.split(":", 1) for part in text.split()) for text in (one, other))
    return [name for name in left if left[name] != right.get(name)]
