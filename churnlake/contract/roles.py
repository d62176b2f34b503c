"""What the parts of a contract ask of each other: columns of roles, keys of deliveries, roles of definitions."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from churnlake.contract.expressions import nearest
from churnlake.contract.values import landed_column, typed_column

Keys = Mapping[str, Any]


class _Columns(NamedTuple):
    """Canonical columns that a role needs, and those it also knows; None: any further ones."""

    needed: tuple[str, ...]
    known: tuple[str, ...] | None


COLUMNS_OF_ROLE = {
    "events": _Columns(("customer_id", "event_ts"), None),
    "customers": _Columns(("customer_id",), None),
    "subscriptions": _Columns(
        ("customer_id", "started_on"), ("ended_on", "completes_on", "renews_on", "plan", "price")
    ),
    "renewals": _Columns(("customer_id", "event_ts", "paid_until"), ("cancels", "auto_renew", "plan", "price")),
    "labels": _Columns(("customer_id", "is_churned"), ("as_of",)),
}
ROLE_OF_DEFINITION = {
    "inactivity": "events",
    "cancellation": "subscriptions",
    "expiry": "renewals",
    "label": "labels",
}
# Roles whose rows tell of something that happened at a time, which may lie ahead of its delivery.
HAPPENINGS = ("events", "renewals")
# Roles that may say which plan a customer is on; where both do, the first one counts.
ROLES_WITH_PLANS = ("subscriptions", "renewals")
_OF_HISTORY = ("through", "assumed_lag_days")
# A state is not dated ahead, and days of states are not compared as days of events are.
_OF_EVENTS = ("max_early_days", "gates")
# Keys that say when a delivery is due mean nothing where everything came at once.
_WITHOUT_MEANING = {
    "daily": (*_OF_HISTORY, "max_disappear"),
    "snapshot": (*_OF_HISTORY, *_OF_EVENTS),
    "history": ("closed", "on_missing", "max_late_days", *_OF_EVENTS, "max_disappear"),
}
# Whose rows are states, so that a whole table of them can take the place of the one before.
STATES = ("customers", "subscriptions", "labels")
_OF_INACTIVITY = ("activity", "active_within_days")


def role_problems(keys: Keys) -> list[str]:
    """What is wrong between the parts of a contract, given its raw keys."""
    sources = tables_in(keys, "sources")
    problems = [problem for name, source in sources.items() for problem in _of_source(name, source, sources)]
    return [*problems, *_of_definition(keys, sources), *_of_clock(keys, sources), *_of_cutoffs(keys)]


def expression_columns(name: str, sources: Mapping[str, Keys]) -> dict[str, str]:
    """Type of each column that a source's expressions may use: its own, and those its lookups bring."""
    source = sources[name]
    columns = {typed_column(one): str(kind) for one, kind in table_in(source, "types").items()}
    for lookup in table_in(source, "lookups"):
        brought = table_in(sources.get(lookup, {}), "types")
        columns |= {brought_column(lookup, one): str(kind) for one, kind in brought.items()}
    return columns


def brought_column(lookup: str, column: str) -> str:
    """The name that a lookup's column has in the expressions of the sources it is joined to."""
    return f"{lookup}_{landed_column(column)}"


def table_in(keys: Keys, name: str) -> dict[str, Any]:
    """The table `name`, empty where it is none."""
    value = keys.get(name)
    return value if isinstance(value, dict) else {}


def tables_in(keys: Keys, name: str) -> dict[str, dict[str, Any]]:
    """The tables below `name`; what is no table is left out."""
    return {one: value for one, value in table_in(keys, name).items() if isinstance(value, dict)}


def _of_source(name: str, source: Keys, sources: Mapping[str, Keys]) -> Iterator[str]:
    place, role = f"sources.{name}", source.get("role")
    yield from _columns(place, role, source)
    yield from _delivery(place, source)
    yield from _lookup_key(place, role, source)
    yield from _lookups(place, source, sources)


def _columns(place: str, role: object, source: Keys) -> Iterator[str]:
    if role == "lookup":
        if "columns" in source:
            yield f"{place}.columns: means nothing for a lookup: its own columns are joined; leave it out"
        return
    if "columns" not in source:
        yield f"{place}.columns: is missing"
        return
    mapped = table_in(source, "columns")
    rules = COLUMNS_OF_ROLE.get(str(role))
    if rules is None:
        return
    for column in rules.needed:
        if column not in mapped:
            yield f"{place}.columns.{column}: is missing; needed: {', '.join(rules.needed)}"
    if rules.known is not None:
        allowed = (*rules.needed, *rules.known)
        for column in mapped:
            if column not in allowed:
                yield (
                    f"{place}.columns.{column}: is no column of the role {role}{nearest(column, allowed)}; "
                    f"allowed: {', '.join(allowed)}"
                )


def _delivery(place: str, source: Keys) -> Iterator[str]:
    delivery, role = source.get("delivery", "daily"), source.get("role")
    for key in _WITHOUT_MEANING.get(str(delivery), ()):
        if key in source:
            yield f"{place}.{key}: means nothing for a {delivery} delivery; leave it out"
    if delivery == "history" and role != "lookup" and "through" not in source:
        yield f"{place}.through: is missing; give the last day that the history covers, such as '2011-12-09'"
    if role == "lookup" and delivery in ("daily", "snapshot"):
        yield f"{place}.delivery: must be 'history' for a lookup; got {delivery!r}"
    elif delivery == "snapshot" and role in COLUMNS_OF_ROLE and role not in STATES:
        yield (
            f"{place}.delivery: must be 'daily' or 'history' for the role {role}: whole tables are for states, such as "
            f"{', '.join(STATES)}; got 'snapshot'"
        )


def _lookup_key(place: str, role: object, source: Keys) -> Iterator[str]:
    key, types = source.get("key"), list(table_in(source, "types"))
    if role != "lookup":
        if key is not None:
            yield f"{place}.key: means nothing for the role {role}; leave it out"
        return
    if not key:
        yield f"{place}.key: is missing; name the columns that make a row of the lookup unique"
    for column in key if isinstance(key, list) else ():
        if column not in types:
            yield f"{place}.key: {column!r} is no column of it{nearest(str(column), types)}; known: {', '.join(types)}"


def _lookups(place: str, source: Keys, sources: Mapping[str, Keys]) -> Iterator[str]:
    known = [name for name, one in sources.items() if one.get("role") == "lookup"]
    types = table_in(source, "types")
    for lookup, columns in table_in(source, "lookups").items():
        here = f"{place}.lookups.{lookup}"
        if lookup not in known:
            yield f"{here}: is no lookup{nearest(lookup, known)}; known: {', '.join(known) or 'none'}"
            continue
        key = sources[lookup].get("key")
        if isinstance(columns, list) and isinstance(key, list) and len(columns) != len(key):
            yield f"{here}: must name {len(key)} columns, for {', '.join(map(str, key))}; got {', '.join(columns)}"
        for column in columns if isinstance(columns, list) else ():
            if column not in types:
                yield (
                    f"{here}: {column!r} is no column of this source{nearest(str(column), types)}; "
                    f"known: {', '.join(types)}"
                )
    yield from _one_name_each(place, source, sources)


def _one_name_each(place: str, source: Keys, sources: Mapping[str, Keys]) -> Iterator[str]:
    """What lookups bring must not be called like a column that is there; Spark tells no capitals apart."""
    taken = {typed_column(one).lower(): "a column of this source" for one in table_in(source, "types")}
    for lookup in table_in(source, "lookups"):
        brought = {brought_column(lookup, one): one for one in table_in(sources.get(lookup, {}), "types")}
        for name, column in brought.items():
            if name.lower() in taken:
                yield (
                    f"{place}.lookups.{lookup}: its column {column!r} would be named {name!r}, like "
                    f"{taken[name.lower()]}; give the lookup another name"
                )
        taken |= dict.fromkeys((name.lower() for name in brought), f"one that the lookup {lookup} brings")


def _of_definition(keys: Keys, sources: Mapping[str, Keys]) -> Iterator[str]:
    churn = table_in(keys, "churn")
    definition = str(churn.get("definition"))
    role = ROLE_OF_DEFINITION.get(definition)
    if role is None:
        return
    if all(source.get("role") != role for source in sources.values()):
        yield f"churn.definition: {definition} needs a source of the role {role}; there is none"
    if definition == "inactivity":
        yield from (f"churn.{key}: is missing" for key in _OF_INACTIVITY if key not in churn)
    elif "active_within_days" in churn:
        yield f"churn.active_within_days: means nothing for {definition}; leave it out"
    if definition == "label":
        yield from (
            f"churn.{key}: means nothing for label: the set brings its own outcome; leave it out"
            for key in ("grace_days", "gap_days")
            if key in churn
        )


def _of_clock(keys: Keys, sources: Mapping[str, Keys]) -> Iterator[str]:
    told = [source for source in sources.values() if source.get("role") != "lookup"]
    is_past = bool(told) and all(source.get("delivery") == "history" for source in told)
    if is_past and table_in(keys, "calendar").get("clock", "today") == "today":
        yield "calendar.clock: must be 'replay' where every source is a history: no further day will be delivered"


def _of_cutoffs(keys: Keys) -> Iterator[str]:
    training = table_in(keys, "training")
    told = [one for one in tables_in(keys, "sources").values() if one.get("role") == "labels"]
    dated = any("as_of" in table_in(one, "columns") for one in told)
    if table_in(keys, "churn").get("definition") == "label" and dated and "train_on" not in training:
        yield "training.train_on: is missing; name dates of `as_of` to learn from, and in test_on later ones"
    for one, other in (("train_on", "test_on"), ("test_on", "train_on")):
        if training.get(one) and not training.get(other):
            yield f"training.{other}: is missing; name the cutoffs of both, or leave both out to have them scheduled"
