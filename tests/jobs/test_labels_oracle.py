"""Populations and labels of every definition against a plain reading of the contract's page, day by day.

Random customers around month ends, a leap day and both days on which clocks change. Their rows are text, typed as the
intake types them; the oracle reads that text with Python's own calendar and shares no code with the jobs.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake import calendar
from churnlake.contract import Contract
from churnlake.features import build_catalogue
from jobs import rows, tiles
from jobs.content import Tiles
from jobs.facts import facts_of, named_customers
from jobs.features import features_at
from jobs.labels import labels_at
from jobs.population import population_at

LONDON = ZoneInfo("Europe/London")
# Month ends, the days around the leap day, and the days on which an hour is missing (31 March) or doubled (27 October).
CUTOFFS = tuple(
    date.fromisoformat(day)
    for day in ("2024-01-31", "2024-02-28", "2024-02-29", "2024-03-30", "2024-03-31", "2024-10-26", "2024-10-27",
                "2024-11-30")
)  # fmt: skip
ONE = timedelta(days=1)
FIRST, LAST = CUTOFFS[0] - 150 * ONE, CUTOFFS[-1] + 150 * ONE
SPAN = 60  # twice the longest window of the shop
MAX_EARLY = 2
LATENESS = (0, 0, 0, 0, 0, 1, 3, 12, -1, -2, -3)

MakeContract = Callable[..., Contract]
InFiles = Callable[..., Tiles]
Keyed = dict[tuple[date, str], Any]


class Rules(NamedTuple):
    """The numbers of `[churn]`."""

    gap: int
    horizon: int
    grace: int
    settle: int
    tenure: int

    @property
    def matures_after(self) -> int:
        return self.gap + self.horizon + self.grace + self.settle


class Line(NamedTuple):
    """A row of a file as text, the day it became known, and the day it was taken back."""

    number: int
    customer: str
    values: Mapping[str, str | None]
    known: date
    withdrawn: date | None

    @property
    def local(self) -> datetime:
        """The time on the clocks of London; texts with a zone are moved there."""
        told = datetime.fromisoformat(str(self.values["at"]))
        return told if told.tzinfo is None else told.astimezone(LONDON).replace(tzinfo=None)

    @property
    def on(self) -> date:
        return self.local.date()

    @property
    def is_accepted(self) -> bool:
        """Whether it is dated no further ahead than the contract allows; what has no time is not dated."""
        return "at" not in self.values or (self.on - self.known).days <= MAX_EARLY

    def day(self, column: str) -> date | None:
        text = self.values[column]
        return None if text is None else date.fromisoformat(text)


@dataclass(frozen=True)
class Case:
    """One definition with its numbers, its rows, and the tables that were made of them."""

    definition: str
    rules: Rules
    contract: Contract
    lines: Sequence[Line]
    tiles: Tiles

    @property
    def matured_on(self) -> dict[date, date]:
        """When labels are known, as the calendar says it."""
        settled = settled_slots()
        return {day: calendar.label_known_on(day, self.rules.matures_after, settled) for day in CUTOFFS}


def settled_slots() -> dict[date, date]:
    """Slots of every day, some of them settled late."""
    generator = random.Random("slots")  # noqa: S311 - made-up data
    days = [FIRST + offset * ONE for offset in range((LAST - FIRST).days)]
    return {day: day + generator.choice((0, 0, 0, 0, 1, 4)) * ONE for day in days}


# ---- made rows -------------------------------------------------------------------------------------------------------


def near_a_cutoff(generator: random.Random, before: int, after: int) -> date:
    """A day, often of those that matter, within so many days of some cutoff."""
    cutoff = generator.choice(CUTOFFS)
    return cutoff + generator.choice((0, 0, 1, generator.randrange(-before, after))) * ONE


def a_time(generator: random.Random, day: date) -> str:
    """A time of that day as files tell it, often in the hour that clocks skip or strike twice, some with a zone."""
    hour, minute = generator.choice(((0, 0), (0, 30), (1, 30), (1, 30), (12, 0), (23, 59)))
    zone = generator.choice(("", "", "", "Z", "+05:30", "-11:00"))
    return f"{day}{'T' if zone else ' '}{hour:02}:{minute:02}:00{zone}"


def lines_of(generator: random.Random, rows_: Iterator[tuple[str, dict[str, str | None], date]]) -> list[Line]:
    """Lines known on a day or some days beside it; of ten one is taken back later."""
    made = []
    for number, (customer, values, day) in enumerate(rows_):
        known = day + generator.choice(LATENESS) * ONE
        is_withdrawn = generator.random() < 0.1
        withdrawn = known + generator.choice((0, 1, 5, 30)) * ONE if is_withdrawn else None
        made.append(Line(number, customer, values, known, withdrawn))
    return made


def shop_rows(generator: random.Random) -> Iterator[tuple[str, dict[str, str | None], date]]:
    """Sales that count as activity, and others."""
    for number in range(1_500):
        day = near_a_cutoff(generator, 60, 50)
        kind = generator.choice(("purchase", "purchase", "purchase", "cancellation", None))
        price = generator.choice(("5.00", "5.00", "0", None))
        fixed = {"order_no": str(number), "pieces": "1", "item": f"item {number % 5}"}
        yield (
            f"c{generator.randrange(100):02}",
            fixed | {"at": a_time(generator, day), "price": price, "kind": kind},
            day,
        )


def club_rows(generator: random.Random) -> Iterator[tuple[str, dict[str, str | None], date]]:
    """Spells of which the end is told at once or later, messy ones among them."""
    for number in range(150):
        for _ in range(generator.randrange(1, 4)):
            start = near_a_cutoff(generator, 100, 20)
            end = start + generator.randrange(-3, 120) * ONE
            completes = end + 10 * ONE if generator.random() < 0.15 else None
            begun = None if generator.random() < 0.05 else str(start)
            state = {"joined": begun, "paid_to": completes and str(completes), "plan": "basic", "fee": None}
            if generator.random() < 0.8:
                yield f"c{number:02}", state | {"left_on": None}, start
            if generator.random() < 0.7:
                yield (
                    f"c{number:02}",
                    state | {"left_on": str(end)},
                    max(end - generator.choice((0, 0, 0, 9)) * ONE, start),
                )


def gym_rows(generator: random.Random) -> Iterator[tuple[str, dict[str, str | None], date]]:
    """Payments ahead around the ends of those before, cancellations, and what pays for no day."""
    for number in range(200):
        day = near_a_cutoff(generator, 120, 0)
        for _ in range(generator.randrange(1, 9)):
            until = day + generator.choice((31, 31, 31, 31, 30, 30, 14, 1, 0, -2)) * ONE
            kind = generator.choice(("paid", "paid", "paid", "paid", "paid", "paid", "cancel"))
            told = None if generator.random() < 0.07 else str(until)
            fixed = {"pass": "month", "fee": "20", "by_itself": "true"}
            yield f"c{number:02}", fixed | {"at": a_time(generator, day), "paid_to": told, "kind": kind}, day
            day += generator.choice((0, 1, 14, 28, 30, 30, 31, 31, 31, 33, 36, 40)) * ONE


# ---- the tables made of them -----------------------------------------------------------------------------------------

EVERY = {
    "inactivity": ("orders", "customer"),
    "cancellation": ("memberships", "member"),
    "expiry": ("payments", "member"),
}
NUMBERS = {1: Rules(gap=1, horizon=14, grace=1, settle=2, tenure=4), 2: Rules(4, 31, 5, 0, 9)}
LOOKED_AT = {NUMBERS[1]: date(2024, 2, 29), NUMBERS[2]: date(2024, 10, 27)}
ROWS = {"inactivity": shop_rows, "cancellation": club_rows, "expiry": gym_rows}


def landed(spark: SparkSession, contract: Contract, definition: str, lines: Sequence[Line]) -> DataFrame:
    """The lines as the raw table of their source holds them."""
    source, customer = EVERY[definition]
    names = list(contract.sources[source].types)
    columns = ", ".join(f"`{name}` STRING" for name in names)
    told = [
        (
            f"d{one.known}", one.known, *(one.values.get(name) if name != customer else one.customer for name in names),
            None, one.number, str(one.number), one.known,
        )
        for one in lines
    ]  # fmt: skip
    keys = "corrupt_record STRING, position BIGINT, row_hash STRING, known_date DATE"
    return spark.createDataFrame(told, f"delivery_id STRING, slot DATE, {columns}, {keys}")


def tables_of(
    in_files: InFiles, spark: SparkSession, contract: Contract, definition: str, lines: Sequence[Line]
) -> Tiles:
    """What the intake makes of the lines, and of taking some of them back."""
    source, _ = EVERY[definition]
    judged = rows.classify(landed(spark, contract, definition, lines), contract, source, (), ()).localCheckpoint()
    told = facts_of(judged, contract, source)
    ends = [(str(one.number), one.withdrawn) for one in lines if one.withdrawn]
    withdrawn = told.join(spark.createDataFrame(ends, "row_hash STRING, on DATE"), "row_hash")
    taken_back = withdrawn.withColumns({"sign": F.lit(-1), "known_date": F.col("on")}).select(*told.columns)
    facts = told.unionByName(taken_back).localCheckpoint()
    known = tiles.newly_known(named_customers(judged, contract, source), None).localCheckpoint()
    return tiles_of(in_files, known, facts, contract, definition)


def tiles_of(in_files: InFiles, known: DataFrame, facts: DataFrame, contract: Contract, definition: str) -> Tiles:
    """The facts in the tables that populations, labels and features read."""
    match definition:
        case "inactivity":
            daily = tiles.daily_activity(facts, contract.features)
            return in_files(known, daily, tiles.daily_values(facts, contract.features.distinct))
        case "cancellation":
            return Tiles(known, subscriptions=facts)
        case _:
            return Tiles(known, renewals=facts)


@pytest.fixture(
    scope="module",
    params=[("inactivity", 2), ("cancellation", 1), ("expiry", 2)],
    ids=lambda one: one[0],
)
def case(  # noqa: PLR0917 - a contract for each definition
    request: pytest.FixtureRequest,
    in_files: InFiles,
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    make_contract: MakeContract,
    make_club: MakeContract,
    make_gym: MakeContract,
) -> Case:
    """Random customers under one definition."""
    definition, seed = request.param
    generator = random.Random(f"{definition} {seed}")  # noqa: S311 - made-up data
    rules = NUMBERS[seed]
    make = {"inactivity": make_contract, "cancellation": make_club, "expiry": make_gym}[definition]
    contract = make(tmp_path_factory.mktemp(definition), *_edits(definition, rules))
    lines = lines_of(generator, ROWS[definition](generator))
    return Case(definition, rules, contract, lines, tables_of(in_files, spark, contract, definition, lines))


def _edits(definition: str, rules: Rules) -> list[tuple[str, str]]:
    numbers = (
        f"min_tenure_days = {rules.tenure}\ngap_days = {rules.gap}\nhorizon_days = {rules.horizon}\n"
        f"settle_days = {rules.settle}\ngrace_days = {rules.grace}\n"
    )
    early = f"max_early_days = {MAX_EARLY}"
    since = ('starts_on = "2026-01-01"', f'starts_on = "{FIRST}"')
    match definition:
        case "inactivity":
            written = "min_tenure_days = 0\ngap_days = 0\nhorizon_days = 7\nsettle_days = 1\n"
            return [since, ("Europe/Berlin", "Europe/London"), ("max_early_days = 0", early), (written, numbers)]
        case "cancellation":
            daily = 'delivery = "history"\npath = "memberships*.csv"\nthrough = "2026-12-31"'
            written = "horizon_days = 30\nsettle_days = 0\ngrace_days = 3\n"
            return [since, (daily, 'path = "memberships/{business_date}.csv"'), (written, numbers)]
        case _:
            written = "gap_days = 3\nhorizon_days = 14\ngrace_days = 5\nsettle_days = 1\n"
            return [since, ("max_late_days = 10", f"max_late_days = 10\n{early}"), (written, numbers)]


# ---- the oracle ------------------------------------------------------------------------------------------------------


def net(lines: Sequence[Line], known_by: date) -> Iterator[Line]:
    """Each fact that stands by a date once: told on a day more often than what was told on that day was taken back."""
    count: Counter[Any] = Counter()
    told: dict[Any, Line] = {}
    for one in lines:
        content = (one.known, tuple(sorted(one.values.items(), key=str)))
        if one.is_accepted and one.known <= known_by:
            count[content] += 1
            told[content] = one
        if one.is_accepted and one.withdrawn is not None and one.withdrawn <= known_by:
            count[content] -= 1
    return (told[content] for content, number in count.items() if number > 0)


def first_known(lines: Sequence[Line]) -> date:
    """The first day on which anything told that the customer exists; what is dated ahead does on its own day."""
    return min(max(one.known, one.on) if "at" in one.values else one.known for one in lines)


def matured(cutoff: date, rules: Rules) -> date:
    """The first day from the cutoff's maturity on when every slot up to it is settled."""
    matures, settled = cutoff + rules.matures_after * ONE, settled_slots()
    day = matures
    while any(settled[slot] > day for slot in settled if slot <= matures):
        day += ONE
    return day


class Outcome(NamedTuple):
    """What the oracle says of a customer at a cutoff; `churned` None is no label."""

    reason: str | None
    churned: int | None


def silent(lines: Sequence[Line], cutoff: date, rules: Rules) -> Outcome:
    """Inactivity: who was active in the 30 days up to the cutoff, and is not in the label window."""

    def active(known_by: date) -> set[date]:
        sums: Counter[date] = Counter()
        for one in lines:
            is_activity = one.values["kind"] == "purchase" and one.values["price"] == "5.00" and one.is_accepted
            sums[one.on] += is_activity and one.known <= known_by
            sums[one.on] -= is_activity and one.withdrawn is not None and one.withdrawn <= known_by
        return {day for day, number in sums.items() if number > 0}

    seen = [day for day in active(cutoff) if cutoff - SPAN * ONE < day <= cutoff]
    if not seen or (cutoff - max(seen)).days >= 30:
        return Outcome("inactive", None)
    if (cutoff - min(seen)).days < rules.tenure:
        return Outcome("too_new", None)
    window = {cutoff + (rules.gap + ahead) * ONE for ahead in range(1, rules.horizon + 1)}
    return Outcome(None, int(not window & active(matured(cutoff, rules))))


def runs(days: set[date], grace: int) -> list[tuple[date, date]]:
    """First day and first day after of each life: days with no more than the grace between them."""
    found: list[tuple[date, date]] = []
    for day in sorted(days):
        if found and (day - found[-1][1]).days <= grace:
            found[-1] = (found[-1][0], day + ONE)
        else:
            found.append((day, day + ONE))
    return found


FOR_EVER = LAST + 200 * ONE


def subscribed(lines: Sequence[Line], known_by: date) -> tuple[list[tuple[date, date, date | None]], set[date], bool]:
    """Spells with their planned ends, the days they cover, and whether any state has a start. The newest ones count."""
    newest: dict[date, tuple[Any, ...]] = {}
    starts = set()
    for one in net(lines, known_by):
        start, end, completes = one.day("joined"), one.day("left_on"), one.day("paid_to")
        starts.add(start)
        if start is not None:
            # Of two told on one day the open one counts, else the later end, else the earlier planned end.
            rank = (one.known, end or date.max, -(completes or date.min).toordinal(), start, end or FOR_EVER, completes)
            newest[start] = max(newest.get(start, rank), rank, key=lambda one: one[:3])
    spells = [(start, end, completes) for *_, start, end, completes in newest.values() if start < end]
    covered = {start + ahead * ONE for start, end, _ in spells for ahead in range((end - start).days)}
    return spells, covered, bool(starts - {None})


def cancelled(lines: Sequence[Line], cutoff: date, rules: Rules) -> Outcome:
    """Cancellation: who is subscribed at the end of the cutoff with no end known, and whose life ends in the window."""
    spells, covered, has_start = subscribed(lines, cutoff)
    if not any(True for _ in net(lines, cutoff)):
        return Outcome("no_subscription", None)
    if not covered:
        return Outcome("never_started" if has_start else "missing_start", None)
    lives = runs(covered, rules.grace)
    start, end = next((one for one in reversed(lives) if one[0] <= cutoff), lives[0])
    completes = max((one for one in spells if start <= one[0] < end), key=lambda one: one[0])[-1]
    reasons = {
        "not_started": start > cutoff,
        "ended": end <= cutoff,
        "completed": completes is not None and completes <= cutoff,
        "already_leaving": end < FOR_EVER,
        "too_new": (cutoff - start).days < rules.tenure,
    }
    reason = next((name for name, holds in reasons.items() if holds), None)
    return Outcome(reason, None if reason else _ended(lines, cutoff, rules))


def _ended(lines: Sequence[Line], cutoff: date, rules: Rules) -> int | None:
    _, covered, _ = subscribed(lines, matured(cutoff, rules))
    begun = [end for start, end in runs(covered, rules.grace) if start <= cutoff]
    if not begun or (begun[-1] - cutoff).days <= rules.gap:
        return None
    return int((begun[-1] - cutoff).days <= rules.gap + rules.horizon)


class Payment(NamedTuple):
    """A transaction in the order of time; ties are in the order of the fields."""

    on: date
    at: datetime
    cancels: bool
    until: date

    @property
    def pays(self) -> bool:
        return not self.cancels and self.until > self.on


def payments(lines: Sequence[Line], known_by: date) -> list[Payment]:
    """Every transaction known by a date; `date.min` is no end. An hour that comes twice is the first one."""
    return sorted(
        Payment(one.on, one.local.replace(tzinfo=LONDON).astimezone(UTC), one.values["kind"] == "cancel",
                one.day("paid_to") or date.min)
        for one in net(lines, known_by)
    )  # fmt: skip


def paid(told: Sequence[Payment], cutoff: date) -> tuple[set[date], date]:
    """The days up to the cutoff that were paid for when they came, and the end as the newest transaction says it.

    Every day asks the newest transaction up to it whether it lies before the end.
    """
    chain = [one for one in told if one.on <= cutoff and (one.cancels or one.pays)]
    end, ends = date.min, {}
    for one in chain:
        end = one.until if one.until > date.min else end
        ends[one.on] = end
    days, now = set(), date.min
    for ahead in range((cutoff - FIRST).days + 1):
        day = FIRST + ahead * ONE
        now = ends.get(day, now)
        if day < now:
            days.add(day)
    return days, now


def expired(lines: Sequence[Line], cutoff: date, rules: Rules) -> Outcome:
    """Expiry: whose paid time ends in the label window, and who does not renew by the end of the grace."""
    told = [one for one in payments(lines, cutoff) if one.on <= cutoff]
    days, end = paid(told, cutoff)
    if not told:
        return Outcome("no_subscription", None)
    if not days:
        return Outcome("never_started" if any(one.until > date.min for one in told) else "missing_end", None)
    left, start = (end - cutoff).days, runs(days, rules.grace)[-1][0]
    reasons = {
        "ended": left <= 0,
        "expires_in_gap": left <= rules.gap,
        "not_expiring": left > rules.gap + rules.horizon,
        "too_new": (cutoff - start).days < rules.tenure,
    }
    reason = next((name for name, holds in reasons.items() if holds), None)
    return Outcome(reason, None if reason else _not_renewed(lines, cutoff, rules))


def _not_renewed(lines: Sequence[Line], cutoff: date, rules: Rules) -> int | None:
    told = payments(lines, matured(cutoff, rules))
    days, end = paid(told, cutoff)
    if not days or not rules.gap < (end - cutoff).days <= rules.gap + rules.horizon:
        return None
    last = end + rules.grace * ONE
    return int(not any(one.pays and cutoff < one.on <= last and one.until > end for one in told))


ORACLES = {"inactivity": silent, "cancellation": cancelled, "expiry": expired}


def outcomes(case: Case) -> dict[tuple[date, str], Outcome]:
    """What the oracle says of every customer known at every cutoff."""
    by_customer: dict[str, list[Line]] = {}
    for one in case.lines:
        by_customer.setdefault(one.customer, []).append(one)
    return {
        (cutoff, customer): ORACLES[case.definition](mine, cutoff, case.rules)
        for customer, mine in by_customer.items()
        for cutoff in CUTOFFS
        if first_known(mine) <= cutoff
    }


# ---- what must hold --------------------------------------------------------------------------------------------------


def test_populations_and_labels_are_those_of_the_oracle(case: Case) -> None:
    """Every customer at every cutoff has the reason, and every eligible one the label, that a plain reading gives."""
    expected = outcomes(case)
    people = population_at(case.tiles, case.contract, CUTOFFS).localCheckpoint()
    assert {(row.business_date, row.customer_id): row.reason for row in people.collect()} == {
        key: one.reason for key, one in expected.items()
    }
    labels = labels_at(case.tiles, case.contract, case.matured_on, people).collect()
    assert {(row.business_date, row.customer_id): row.is_churned for row in labels} == {
        key: one.churned for key, one in expected.items() if one.churned is not None
    }


def test_the_random_customers_meet_every_rule(case: Case) -> None:
    """What the oracle is asked holds nearly every reason of its definition, and outcomes of both kinds."""
    found = outcomes(case).values()
    reasons = {
        "inactivity": {"inactive", "too_new"},
        "cancellation": {"no_subscription", "missing_start", "not_started", "ended", "completed", "already_leaving"},
        "expiry": {"no_subscription", "missing_end", "never_started", "ended", "expires_in_gap", "too_new"},
    }
    assert reasons[case.definition] <= {one.reason for one in found}
    labels = Counter(one.churned for one in found if one.reason is None)
    assert min(labels[0], labels[1]) >= 5, labels


def test_p10_facts_that_were_not_usable_change_nothing(in_files: InFiles, case: Case) -> None:
    """P10: without all that became known or happened after the cutoff, its population and features are the same."""
    contract, catalogue, cutoff = case.contract, build_catalogue(case.contract), LOOKED_AT[case.rules]
    facts = {"inactivity": "daily_activity", "cancellation": "subscriptions", "expiry": "renewals"}[case.definition]
    usable = F.col("known_date") <= F.lit(cutoff)
    usable &= F.lit(case.definition == "cancellation") | (F.col("event_date") <= F.lit(cutoff))
    known = case.tiles.known_customers.filter(F.col("first_known_date") <= F.lit(cutoff))
    told = getattr(case.tiles, facts).filter(usable)
    assert told.count() < getattr(case.tiles, facts).count()
    if case.definition == "inactivity":
        values = known.sparkSession.read.format("delta").load(str(case.tiles.stored["daily_values"].path))
        less = in_files(known, told, values.filter(usable))
    else:
        less = Tiles(known, **{facts: told})
    of_all, of_less = (
        sorted(map(tuple, features_at(one, contract, catalogue, [cutoff]).collect())) for one in (case.tiles, less)
    )
    assert of_all == of_less
    assert of_all
