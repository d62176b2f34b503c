"""A draft of a contract: every choice that the samples allow, with its reason."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from churnlake.starter import words
from churnlake.starter.columns import SIGNS, Table
from churnlake.starter.delivery import Delivery, decide_delivery, visits
from churnlake.starter.rhythm import DEFAULT_HORIZON, Rhythm, measure_rhythm, windows_for
from churnlake.starter.roles import Part

NO_CURRENCY = "XXX"
"""ISO 4217 for no currency: better than a guess that looks like knowledge."""
# Files this old are an archive: nothing new is expected every night.
_ARCHIVE_DAYS = 14
_MARK = "CHECK"
_HORIZON_OF = {
    "label": "the span its outcome is about",
    "cancellation": "how far ahead a cancellation is foretold",
    "expiry": "scored is whose paid time ends in so many days",
}
_NAMED = {"dollar": "USD", "usd": "USD", "eur": "EUR", "euro": "EUR", "gbp": "GBP", "pound": "GBP", "chf": "CHF"}


@dataclass(frozen=True)
class Choice:
    """A value of the contract, and why it is this one. `check` marks what only a person can confirm."""

    value: str
    why: str
    check: bool = False


@dataclass(frozen=True)
class Source:
    """A source of the contract and how its files come. `through` is the last day that a history covers."""

    part: Part
    delivery: Delivery
    through: Choice | None


@dataclass(frozen=True)
class Draft:
    """All of a contract but the place of its files."""

    name: str
    timezone: Choice
    currency: Choice
    starts_on: Choice
    clock: Choice
    sources: tuple[Source, ...]
    definition: Choice
    activity: Choice | None
    rhythm: Rhythm | None
    horizon_days: Choice
    windows_days: tuple[int, ...]
    values: tuple[str, ...]

    def mapping(self, column: str) -> list[Source]:
        """The events sources that map a canonical column."""
        return [one for one in self.sources if one.part.role == "events" and column in one.part.columns]

    @property
    def checks(self) -> Iterator[str]:
        """What only a person can confirm, by key."""
        named = {
            "timezone": self.timezone,
            "currency": self.currency,
            "starts_on": self.starts_on,
            "activity": self.activity,
            "horizon_days": self.horizon_days,
        }
        for key, choice in named.items():
            if choice is not None and choice.check:
                yield f"{key} = {choice.value}: {_without_mark(choice.why)}"
        for one in self.sources:
            if one.through is not None and one.through.check:
                yield f"{one.part.name}.through = {one.through.value}: {_without_mark(one.through.why)}"
            mapped = {column: told.why for column, told in one.part.columns.items()}
            seen = {f"types.{column}": told.why for column, told in one.part.table.columns.items()}
            for place, why in (mapped | seen).items():
                if _MARK in why:
                    yield f"{one.part.name}.{place}: {_without_mark(why)}"
            if one.part.role == "events" and one.part.table.rows.copies:
                copies = one.part.table.rows.copies
                yield f"{one.part.name}.duplicates = drop: {copies:,} rows are the same as another in every column"
            if one.delivery.missing:
                yield f"{one.part.name}.closed: no file came on {len(one.delivery.missing)} days; were they closed?"
            if not one.delivery.waits:
                yield f"{one.part.name}.on_missing = warn: too many days have no file"

    def attributes(self, known: frozenset[str]) -> list[str]:
        """Attributes whose names speak of what is known."""
        customers = [one.part for one in self.sources if one.part.role == "customers"]
        names = (name for part in customers for name in part.columns if name != "customer_id")
        return list(dict.fromkeys(name for name in names if words.speaks_of(name, known)))


def _without_mark(why: str) -> str:
    return why.replace(f"{_MARK}: ", "").replace(f"; {_MARK}", "").replace(f": {_MARK}", "")


def draft_contract(name: str, parts: Sequence[Part], timezone: str, today: date) -> Draft:
    """The draft for these sources, as somebody would write it on `today`, where nothing but `timezone` is known."""
    deliveries = [decide_delivery(part, today) for part in parts]
    definition = _definition(parts)
    firsts = [one.first for one in deliveries if one.first is not None]
    lasts = [one.last for one in deliveries if one.last is not None]
    yesterday = today - timedelta(days=1)
    first, last = min(firsts, default=yesterday), max(lasts, default=yesterday)
    sources = tuple(
        Source(part, delivery, _through(delivery, last, has_days=bool(lasts)))
        for part, delivery in zip(parts, deliveries, strict=True)
    )
    rhythm = _rhythm(sources) if definition.value == "inactivity" else None
    horizon = _horizon(definition.value, rhythm)
    within = rhythm.active_within_days if rhythm is not None else 0
    return Draft(
        name,
        _zone(parts, timezone),
        _currency([part.table for part in parts]),
        Choice(str(first), "the first day seen" if firsts else "no dates in the data: CHECK", check=not firsts),
        _clock(deliveries, last, today),
        sources,
        definition,
        _activity(parts) if definition.value == "inactivity" else None,
        rhythm,
        horizon,
        windows_for((last - first).days, within),
        tuple(dict.fromkeys(value for part in parts for value in part.values))[:20],
    )


def _definition(parts: Sequence[Part]) -> Choice:
    roles = {part.role: part.name for part in reversed(parts)}
    if "labels" in roles:
        return Choice("label", f"{roles['labels']} brings the outcome itself")
    if "subscriptions" in roles:
        return Choice("cancellation", f"{roles['subscriptions']} says when each one ends")
    if "renewals" in roles:
        return Choice("expiry", f"{roles['renewals']} says until when each one has paid")
    return Choice("inactivity", "nobody cancels here: who stays away for the horizon counts as gone")


def _through(delivery: Delivery, last: date, *, has_days: bool) -> Choice | None:
    if delivery.kind != "history":
        return None
    if delivery.last is not None and delivery.is_last_certain:
        return Choice(str(delivery.last), "the newest day seen")
    if delivery.last is not None:
        return Choice(
            str(delivery.last), "CHECK: only part of the files was read; the newest day may be later", check=True
        )
    told = (
        "CHECK: no dates in it; the newest day of the other sources"
        if has_days
        else "CHECK: no dates in the data; yesterday"
    )
    return Choice(str(last), told, check=True)


def _clock(deliveries: Sequence[Delivery], last: date, today: date) -> Choice:
    if all(one.kind == "history" for one in deliveries):
        return Choice("replay", "all files are past ones: the newest day in them is yesterday")
    if (today - last).days > _ARCHIVE_DAYS:
        return Choice("replay", f"the newest file is of {last}: an archive; set to today once files come every day")
    return Choice("today", "files come every day: yesterday is the newest date")


def _rhythm(sources: Sequence[Source]) -> Rhythm | None:
    told = [one for one in sources if one.part.role == "events" and one.delivery.first and one.delivery.last]
    days = [(one.delivery.first, one.delivery.last) for one in told]
    if not days:
        return None
    first = min(day for day, _ in days if day is not None)
    last = max(day for _, day in days if day is not None)
    return measure_rhythm((visit for one in told for visit in visits(one.part)), first, last)


def _horizon(definition: str, rhythm: Rhythm | None) -> Choice:
    if rhythm is not None:
        return Choice(str(rhythm.horizon_days), rhythm.why, check=_MARK in rhythm.why)
    told = _HORIZON_OF[definition]
    return Choice(str(DEFAULT_HORIZON), f"CHECK: {told}; the data cannot tell what you can act on", check=True)


def _activity(parts: Sequence[Part]) -> Choice:
    """What every events source can answer."""
    events = [part for part in parts if part.role == "events"]
    shared = set.intersection(*(set(part.columns) for part in events))
    tests, reasons = [], []
    bought = [
        value
        for value in dict.fromkeys(v for part in events for v in part.values)
        if words.speaks_of(value, words.PURCHASE)
    ]
    if "event_type" in shared and bought:
        tests.append(
            f"event_type = '{bought[0]}'" if len(bought) == 1 else f"event_type IN ({', '.join(map(repr, bought))})"
        )
        reasons.append("what they buy")
    if "amount" in shared:
        tests.append("amount > 0")
        reasons.append("what they pay for")
    if not tests:
        return Choice("TRUE", "every row counts: CHECK which ones show that a customer is still there", check=True)
    return Choice(" AND ".join(tests), f"counts as activity: {' and '.join(reasons)}")


def _zone(parts: Sequence[Part], timezone: str) -> Choice:
    if any(part.time is not None and part.time.is_utc and part.time.type == "bigint" for part in parts):
        return Choice("UTC", "its times are seconds since 1970, which are UTC")
    return Choice(timezone, "CHECK: this machine's; the files name none", check=True)


def _currency(tables: Sequence[Table]) -> Choice:
    columns = [column for table in tables for column in table.columns.values()]
    headers = [name for table in tables for name in (*table.columns, *table.rows.unnameable)]
    found = {column.currency: column.name for column in columns if column.currency}
    if len(found) == 1:
        return Choice(next(iter(found)), f"its sign stands in {next(iter(found.values()))}")
    named = {_NAMED[word]: name for name in headers for word in words.words(name) if word in _NAMED}
    named |= {code: name for name in headers for sign, code in SIGNS.items() if sign in name}
    if len(named) == 1:
        return Choice(next(iter(named)), f"CHECK: guessed from the name {next(iter(named.values()))}", check=True)
    return Choice(NO_CURRENCY, "CHECK: no sign of one in the files; write yours, such as EUR", check=True)
