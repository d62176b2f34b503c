"""Transactions that move the end of what is paid for, one rule each: they decide who is scored and who left."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pyspark.sql import DataFrame, SparkSession

from churnlake.contract import Contract
from churnlake.deliveries import Field
from churnlake.features import build_catalogue
from churnlake.ledger import Delivery
from jobs import rows
from jobs.content import Tiles
from jobs.facts import facts_of, named_customers
from jobs.features import features_at
from jobs.labels import labels_at
from jobs.landing import read_landing
from jobs.population import population_at
from jobs.quality import built_in_suite
from jobs.renewals import paid_lives_at

# With a gap of 3 and a horizon of 14, those are scored at the cutoff whose time ends on 5 to 18 March.
CUTOFF = date(2026, 3, 1)
FIRST, LAST = date(2026, 3, 5), date(2026, 3, 18)
BEGUN = date(2026, 2, 10)
MATURED = date(2026, 3, 24)
FACTS = (
    "source STRING, customer_id STRING, event_ts TIMESTAMP, event_date DATE, paid_until DATE, cancels BOOLEAN, "
    "auto_renew BOOLEAN, plan STRING, price BIGINT, sign INT, known_date DATE, slot DATE"
)
KNOWN = "source STRING, customer_id STRING, first_known_date DATE"

MakeContract = Callable[..., Contract]


class Paid(NamedTuple):
    """A transaction of `on` at an hour, in the file of that day, known on it if nothing else is said."""

    customer: str
    until: date | None
    on: date = BEGUN
    cancels: bool = False
    known: date | None = None
    sign: int = 1
    hour: int = 0
    plan: str | None = "month"
    price: int | None = 2500
    auto_renew: bool | None = True

    @property
    def row(self) -> tuple[Any, ...]:
        known, at = self.known or self.on, datetime.combine(self.on, time(self.hour))
        told = (at, self.on, self.until, self.cancels, self.auto_renew, self.plan, self.price)
        return ("payments", self.customer, *told, self.sign, known, self.on)


def cancelled(customer: str, on: date, until: date | None, **more: Any) -> Paid:
    """A transaction that cancels; it tells of no plan and no price."""
    return Paid(customer, until, on, cancels=True, plan=None, price=None, auto_renew=None, **more)


def facts(spark: SparkSession, told: Sequence[Paid]) -> DataFrame:
    """The lake's table of what was told."""
    return spark.createDataFrame([one.row for one in told], FACTS)


def tiles_of(spark: SparkSession, told: Sequence[Paid], *others: str) -> Tiles:
    """The tables of a gym that has nothing but payments; everybody is known from the start."""
    known = [
        ("payments", customer, date(2026, 1, 1)) for customer in sorted({one.customer for one in told} | {*others})
    ]
    return Tiles(spark.createDataFrame(known, KNOWN), renewals=facts(spark, told))


@pytest.fixture
def gym(tmp_path: Path, make_gym: MakeContract) -> Contract:
    """A gym that gives five days of grace."""
    return make_gym(tmp_path)


def reasons(
    spark: SparkSession, gym: Contract, told: Sequence[Paid], *others: str, day: date = CUTOFF
) -> dict[str, str | None]:
    """Why each member is excluded at a cutoff; None is eligible."""
    people = population_at(tiles_of(spark, told, *others), gym, [day]).collect()
    assert all(row.eligible == (row.reason is None) for row in people)
    return {row.customer_id: row.reason for row in people}


def ends(spark: SparkSession, gym: Contract, told: Sequence[Paid], day: date = CUTOFF) -> dict[str, date | None]:
    """The first day not paid for, as known at a cutoff."""
    lives = paid_lives_at(facts(spark, told), gym, {day: day}).collect()
    return {row.customer_id: row.life_ended_on for row in lives}


def churned(spark: SparkSession, gym: Contract, told: Sequence[Paid]) -> dict[str, int]:
    """The labels of the cutoff, as known when it matured."""
    found = labels_at(tiles_of(spark, told), gym, {CUTOFF: MATURED}).collect()
    return {row.customer_id: row.is_churned for row in found}


def test_who_is_scored_has_paid_until_a_day_of_the_label_window(spark: SparkSession, gym: Contract) -> None:
    """The first and the last day of the window count; inside the gap nobody could act, after it there is time."""
    told = [
        Paid("first day", FIRST),
        Paid("last day", LAST),
        Paid("last day of the gap", FIRST - timedelta(1)),
        Paid("first day of the gap", CUTOFF + timedelta(1)),
        Paid("day after", LAST + timedelta(1)),
        Paid("ends on the cutoff", CUTOFF),
        Paid("for ever", date(9999, 12, 31)),
        Paid("has cancelled", LAST),
        cancelled("has cancelled", CUTOFF, FIRST),
        Paid("pays on the cutoff", LAST, CUTOFF),
        Paid("pays the day after", LAST, CUTOFF + timedelta(1)),
        Paid("says no end", None),
        Paid("ends before it begins", BEGUN),
    ]
    assert reasons(spark, gym, told, "never paid") == {
        "first day": None,
        "last day": None,
        "last day of the gap": "expires_in_gap",
        "first day of the gap": "expires_in_gap",
        "day after": "not_expiring",
        "ends on the cutoff": "ended",
        "for ever": "not_expiring",
        "has cancelled": None,
        "pays on the cutoff": None,
        "pays the day after": "no_subscription",
        "says no end": "missing_end",
        "ends before it begins": "never_started",
        "never paid": "no_subscription",
    }


def test_the_end_moves_with_each_transaction(spark: SparkSession, gym: Contract) -> None:
    """The newest one decides, back too; what pays for no day moves nothing; no cancellation ends a day before it."""
    day = timedelta(1)
    told = [
        Paid("renewed", FIRST), Paid("renewed", LAST, CUTOFF),
        Paid("moved to a shorter plan", LAST), Paid("moved to a shorter plan", FIRST, CUTOFF),
        Paid("cancelled", LAST), cancelled("cancelled", CUTOFF - day, FIRST),
        Paid("cancelled at once", LAST), cancelled("cancelled at once", CUTOFF - day, CUTOFF - day),
        Paid("refunded back to January", LAST), cancelled("refunded back to January", CUTOFF - day, date(2026, 1, 15)),
        Paid("took auto renewal back", LAST), cancelled("took auto renewal back", CUTOFF, None),
        Paid("cancelled nothing", None), cancelled("cancelled nothing", CUTOFF - day, None),
        cancelled("paid before the data", CUTOFF - day, LAST),
        Paid("then one without an end", LAST), Paid("then one without an end", None, CUTOFF),
        Paid("then one that ends before it begins", LAST), Paid("then one that ends before it begins", BEGUN, CUTOFF),
        Paid("cancelled and came back", LAST), cancelled("cancelled and came back", CUTOFF - day, CUTOFF - day),
        Paid("cancelled and came back", LAST + day, CUTOFF),
    ]  # fmt: skip
    assert ends(spark, gym, told) == {
        "renewed": LAST,
        "moved to a shorter plan": FIRST,
        "cancelled": FIRST,
        "cancelled at once": CUTOFF - day,
        "refunded back to January": CUTOFF - day,
        "took auto renewal back": LAST,
        "cancelled nothing": None,
        "paid before the data": LAST,
        "then one without an end": LAST,
        "then one that ends before it begins": LAST,
        "cancelled and came back": LAST + day,
    }


def test_transactions_of_one_day_are_in_the_order_of_their_times(spark: SparkSession, gym: Contract) -> None:
    """At one instant a cancelling one is the newest, else the one that pays for longest, however they were told."""
    told = [
        Paid("at one instant", LAST), Paid("at one instant", FIRST),
        cancelled("cancelled at one instant", BEGUN, FIRST), Paid("cancelled at one instant", LAST),
        Paid("the later time", LAST, hour=9), Paid("the later time", FIRST, hour=10),
        cancelled("came back the same day", BEGUN, FIRST, hour=9), Paid("came back the same day", LAST, hour=10),
        Paid("told twice", LAST), Paid("told twice", LAST),
    ]  # fmt: skip
    assert ends(spark, gym, told) == {
        "at one instant": LAST,
        "cancelled at one instant": FIRST,
        "the later time": FIRST,
        "came back the same day": LAST,
        "told twice": LAST,
    }


def test_p10_a_transaction_counts_from_when_it_was_known(spark: SparkSession, gym: Contract) -> None:
    """Known after the cutoff, or dated ahead of it, it moves no end; nor does what was taken back by then."""
    after = CUTOFF + timedelta(1)
    told = [
        Paid("known later", FIRST), Paid("known later", LAST, CUTOFF, known=after),
        Paid("known in time", FIRST), Paid("known in time", LAST, BEGUN + timedelta(1), known=CUTOFF),
        Paid("dated ahead", FIRST), Paid("dated ahead", LAST, after, known=CUTOFF),
        Paid("taken back", FIRST), Paid("taken back", LAST, CUTOFF), Paid("taken back", LAST, CUTOFF, sign=-1),
        Paid("taken back later", FIRST), Paid("taken back later", LAST, CUTOFF),
        Paid("taken back later", LAST, CUTOFF, sign=-1, known=after),
    ]  # fmt: skip
    assert ends(spark, gym, told) == {
        "known later": FIRST,
        "known in time": LAST,
        "dated ahead": FIRST,
        "taken back": FIRST,
        "taken back later": LAST,
    }


def test_churned_is_who_does_not_pay_beyond_the_end_within_the_grace(spark: SparkSession, gym: Contract) -> None:
    """The last day of the grace still counts; what does not pay beyond the end, or cancels, renews nothing."""
    end = date(2026, 3, 10)
    next_end, last_day = end + timedelta(30), end + timedelta(5)

    def expiring(name: str, *then: Paid) -> list[Paid]:
        return [Paid(name, end), *(one._replace(customer=name) for one in then)]

    told = [
        *expiring("does nothing"),
        *expiring("renews the day after", Paid("", next_end, CUTOFF + timedelta(1))),
        *expiring("renews on the last day of grace", Paid("", next_end, last_day)),
        *expiring("renews after the grace", Paid("", next_end, last_day + timedelta(1))),
        *expiring("pays up to the end again", Paid("", end, CUTOFF + timedelta(1))),
        *expiring("pays without an end", Paid("", None, CUTOFF + timedelta(1))),
        *expiring("pays for the past", Paid("", last_day, last_day)),
        *expiring("cancels", cancelled("", CUTOFF + timedelta(1), end)),
        *expiring("cancels to a later end", cancelled("", CUTOFF + timedelta(1), next_end)),
        *expiring("cancelled, then renews", cancelled("", CUTOFF, end), Paid("", next_end, end)),
        *expiring("known in time", Paid("", next_end, end, known=MATURED)),
        *expiring("known too late", Paid("", next_end, end, known=MATURED + timedelta(1))),
        *expiring("taken back in time", Paid("", next_end, end), Paid("", next_end, end, sign=-1, known=MATURED)),
        Paid("not expiring", LAST + timedelta(1)),
        Paid("inside the gap", CUTOFF + timedelta(3)),
    ]
    assert churned(spark, gym, told) == {
        "does nothing": 1,
        "renews the day after": 0,
        "renews on the last day of grace": 0,
        "renews after the grace": 1,
        "pays up to the end again": 1,
        "pays without an end": 1,
        "pays for the past": 1,
        "cancels": 1,
        "cancels to a later end": 1,
        "cancelled, then renews": 0,
        "known in time": 0,
        "known too late": 1,
        "taken back in time": 1,
    }


def test_who_had_another_end_as_it_turned_out_is_not_learnt_from(spark: SparkSession, gym: Contract) -> None:
    """A payment of before the cutoff that was told after it moves the end: beyond the window there is no label."""
    told = [
        Paid("had renewed", FIRST), Paid("had renewed", date(2026, 4, 20), BEGUN, hour=5, known=MATURED),
        Paid("had cancelled", FIRST), cancelled("had cancelled", BEGUN, CUTOFF, known=MATURED),
        Paid("ends later in the window", FIRST), Paid("ends later in the window", LAST, BEGUN, hour=5, known=MATURED),
        Paid("ends later in the window", LAST, LAST), Paid("turns out too late", FIRST),
        Paid("turns out too late", LAST + timedelta(9), BEGUN, hour=5, known=MATURED + timedelta(1)),
    ]  # fmt: skip
    assert set(reasons(spark, gym, told).values()) == {None}
    assert churned(spark, gym, told) == {"ends later in the window": 1, "turns out too late": 1}


def test_paid_spells_within_the_grace_are_one_life(spark: SparkSession, tmp_path: Path, make_gym: MakeContract) -> None:
    """Who pays again five days after the end goes on; after six days a new life begins, too new to be scored."""
    gym = make_gym(tmp_path, ("grace_days = 5", "grace_days = 5\nmin_tenure_days = 10"))
    ended = date(2026, 2, 18)
    told = [
        Paid("pays in the grace", ended, date(2026, 1, 18)), Paid("pays in the grace", LAST, date(2026, 2, 23)),
        Paid("pays after it", ended, date(2026, 1, 18)), Paid("pays after it", LAST, date(2026, 2, 24)),
    ]  # fmt: skip
    lives = paid_lives_at(facts(spark, told), gym, {CUTOFF: CUTOFF}).collect()
    assert {row.customer_id: (row.life_started_on, row.earlier_lives) for row in lives} == {
        "pays in the grace": (date(2026, 1, 18), 0),
        "pays after it": (date(2026, 2, 24), 1),
    }
    assert reasons(spark, gym, told) == {"pays in the grace": None, "pays after it": "too_new"}


def test_features_tell_of_the_paid_time_and_of_the_transactions(spark: SparkSession, gym: Contract) -> None:
    """A cancellation keeps plan and price, and takes auto renewal back; 90 days are longer than the history is."""
    told = [
        Paid("ann", date(2026, 2, 9), date(2026, 1, 10), plan="week", price=700),
        Paid("ann", FIRST, BEGUN, auto_renew=None),
        cancelled("ben", date(2026, 1, 20), date(2026, 1, 25)),
        Paid("ben", LAST, date(2026, 2, 1)),
        cancelled("ben", date(2026, 2, 27), FIRST),
    ]
    built = features_at(tiles_of(spark, told), gym, build_catalogue(gym), [CUTOFF]).collect()
    found = {row.customer_id: row.asDict() for row in built}
    told_of_both = [
        ("days_to_expiry", 4.0, 4.0), ("tenure_days", 50.0, 28.0), ("days_since_last", 19.0, 2.0),
        ("plan", "month", "month"), ("price", 2500.0, 2500.0), ("auto_renew", None, 0.0), ("cancelled", 0.0, 1.0),
        ("earlier_lives", 0.0, 1.0), ("renewals_count_30d", 1.0, 1.0), ("cancels_count_30d", 0.0, 1.0),
        ("renewals_count_90d", None, None), ("cancels_count_90d", None, None),
    ]  # fmt: skip
    assert [name for name in found["ann"] if name.startswith("payments_")] == [
        f"payments_{one[0]}" for one in told_of_both
    ]
    assert told_of_both == [
        (name, *(found[who][f"payments_{name}"] for who in ("ann", "ben"))) for name, *_ in told_of_both
    ]


HEADER = "member,at,paid_to,kind,by_itself,pass,fee"


def test_rows_become_transactions_on_the_day_of_the_zone(
    spark: SparkSession, tmp_path: Path, make_gym: MakeContract
) -> None:
    """Times of the hour that is skipped or comes twice stay on their day; what is dated after its file is too early."""
    gym = make_gym(tmp_path, ('starts_on = "2026-01-01"', 'starts_on = "2024-01-01"'))
    lines = [
        HEADER,
        "ann,2024-03-31 01:30:00,2024-04-30,paid,true,month,19.995",
        "ben,2024-03-30 23:59:59,,cancel,,,",
        "cat,2024-03-31 00:00:00,2024-03-31,,false,,",
        "dan,2024-04-01 00:00:00,2024-04-30,paid,true,month,20",
        "eve,,2024-04-30,paid,true,month,20",
    ]
    (tmp_path / "day.csv").write_text("\n".join(lines) + "\n")
    slot = date(2024, 3, 31)
    one = Delivery(
        "payments", "d1", "day.csv", 1, "0" * 64, slot, slot, slot,
        contract="gym", run_id="run", state="frozen", counts={},
    )  # fmt: skip
    layout = tuple(Field(name, name) for name in gym.sources["payments"].types)
    rules = built_in_suite("renewals", list(gym.sources["payments"].columns)).row_rules
    judged = rows.classify(read_landing(spark, gym, [one], {"d1": layout}), gym, "payments", (), rules)
    columns = ("customer_id", "event_date", "paid_until", "cancels", "auto_renew", "plan", "price", "known_date")
    assert {tuple(row) for row in facts_of(judged, gym, "payments").select(*columns).collect()} == {
        ("ann", slot, date(2024, 4, 30), False, True, "month", 2000, slot),
        ("ben", slot - timedelta(1), None, True, None, None, None, slot),
        ("cat", slot, slot, False, False, None, None, slot),
    }
    aside = {row.canonical.customer_id: row.reasons for row in judged.filter("bucket = 'quarantined'").collect()}
    assert aside == {"dan": ["too_early"], "eve": ["renewals.event_ts.not_be_null"]}
    named = named_customers(judged, gym, "payments").select("customer_id", "usable_from").collect()
    assert {tuple(row) for row in named} == {
        ("ann", slot),
        ("ben", slot),
        ("cat", slot),
        ("dan", date(2024, 4, 1)),
        ("eve", slot),
    }
