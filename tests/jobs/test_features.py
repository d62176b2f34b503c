"""Features and population at cutoffs: small cases by hand, and seeded random shops against a plain Python oracle."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession

from churnlake.contract import Contract
from churnlake.features import Aggregate, build_catalogue
from jobs import tiles
from jobs.content import Tiles
from jobs.features import features_at
from jobs.population import population_at

FACTS = (
    "source STRING, customer_id STRING, event_date DATE, known_date DATE, amount BIGINT, product STRING, "
    "event_type STRING, sign INT, quantity BIGINT, is_activity BOOLEAN, delivery_id STRING"
)
STARTS_ON = date(2028, 1, 2)
CUTOFF = date(2028, 3, 31)  # history_days 90: every window is held; its span goes over a leap day
WINDOWS = (7, 30)
SPAN = 60
MakeContract = Callable[..., Contract]
InFiles = Callable[..., Tiles]
Value = float | str | None
Numbers = dict[tuple[date, str], dict[str, Value]]


class Fact(NamedTuple):
    """A signed fact; days count back from the cutoff, so 0 is the cutoff itself and -1 the day after."""

    customer: str
    days_ago: int
    known_days_ago: int | None = None  # as it happened when not given
    amount: int | None = 100
    product: str | None = "pen"
    event_type: str | None = "purchase"
    sign: int = 1
    source: str = "orders"

    @property
    def event_date(self) -> date:
        return CUTOFF - timedelta(days=self.days_ago)

    @property
    def known_date(self) -> date:
        return CUTOFF - timedelta(days=self.days_ago if self.known_days_ago is None else self.known_days_ago)

    @property
    def is_activity(self) -> bool:
        return self.event_type == "purchase" and (self.amount or 0) > 0


@pytest.fixture(scope="session")
def make_contract(make_contract: MakeContract) -> MakeContract:
    """The shop of all jobs' tests, opened two months before a leap day."""
    return lambda folder, *changes: make_contract(folder, ("2026-01-01", f"{STARTS_ON}"), *changes)


@pytest.fixture
def shop(tmp_path: Path, make_contract: MakeContract) -> Contract:
    """The shop as it is."""
    return make_contract(tmp_path / "shop")


def tiles_of(in_files: InFiles, spark: SparkSession, contract: Contract, facts: Sequence[Fact]) -> Tiles:
    """The tiles these facts become."""
    rows = [
        (
            one.source, one.customer, one.event_date, one.known_date, one.amount, one.product, one.event_type, one.sign,
            1, one.is_activity, f"delivery-{one.known_date}",
        )
        for one in facts
    ]  # fmt: skip
    frame = spark.createDataFrame(rows, FACTS)
    named = frame.selectExpr(
        "source", "customer_id", "greatest(known_date, event_date) AS usable_from", "known_date", "delivery_id"
    )
    activity = tiles.daily_activity(frame, contract.features)
    values = tiles.daily_values(frame, contract.features.distinct)
    return in_files(
        tiles.newly_known(named, None).localCheckpoint(), activity.localCheckpoint(), values.localCheckpoint()
    )


def numbers(frame: DataFrame) -> Numbers:
    """Every feature of every row, by cutoff and customer."""
    return {
        (row["business_date"], row["customer_id"]): {
            name: value for name, value in row.asDict().items() if name not in ("business_date", "customer_id")
        }
        for row in frame.collect()
    }


# One small case each, all in one shop: a customer's name says which case it is.
CASES = (
    # The edges of both windows; a row without amount and product on top.
    Fact("edges", 0), Fact("edges", 6, amount=30), Fact("edges", 7), Fact("edges", 29), Fact("edges", 30),
    Fact("edges", 1, amount=None, product=None),
    # The first day of the span, and the day before it.
    Fact("tenured", 5), Fact("tenured", 59), Fact("tenured", 60),
    Fact("tenured", 2, event_type="cancellation", amount=-5),
    # Activity days 20, 10, 8 (twice) and 2 days ago: gaps of 10, 2 and 6 days.
    Fact("rhythmic", 20), Fact("rhythmic", 10), Fact("rhythmic", 8), Fact("rhythmic", 8), Fact("rhythmic", 2),
    Fact("once", 3),
    # On the last day two values are as frequent as each other, and a third is not named; before it one prevails.
    Fact("tied", 4, event_type="gift"), Fact("tied", 5), Fact("tied", 5, event_type="cancellation"),
    Fact("prevailing", 4, event_type="cancellation"), Fact("prevailing", 4, event_type="cancellation"),
    Fact("prevailing", 4), Fact("prevailing", 3), Fact("prevailing", 3, 2, sign=-1),
    Fact("returning", 1), Fact("returning", 20, event_type="cancellation", amount=-300),
    Fact("paced", 1), Fact("paced", 2), Fact("paced", 20),
    # One row bought and one gift withdrawn: no row in all, so there is nothing to divide by.
    Fact("even", 29), Fact("even", 5, event_type="gift", sign=-1),
    Fact("sharing", 1), Fact("sharing", 2), Fact("sharing", 2, event_type="cancellation", amount=-100),
    Fact("sharing", 3, event_type=None),
    # Ink is withdrawn whole; of caps the later of two purchases is.
    Fact("corrected", 12), Fact("corrected", 3, product="ink"), Fact("corrected", 3, 1, product="ink", sign=-1),
    Fact("corrected", 20, product="cap"), Fact("corrected", 2, product="cap"),
    Fact("corrected", 2, 0, product="cap", sign=-1),
    # For cutoffs when 29 and 30 days of history were held.
    Fact("early bird", 61),
    # Long ago, now, or known from tomorrow in a second source.
    Fact("long ago", 1), Fact("long ago", 80, source="visits"),
    Fact("now", 1), Fact("now", 2, source="visits"),
    Fact("tomorrow", 1), Fact("tomorrow", 2, -1, source="visits"),
)  # fmt: skip
SECOND_SOURCE = """
[sources.visits]
role = "events"
path = "visits/{business_date}.csv"
types = { who = "text", at = "timestamp" }
columns = { customer_id = "who", event_ts = "at", event_type = "'purchase'", amount = "1.00" }

[churn]"""
HELD_29, HELD_30 = date(2028, 1, 30), date(2028, 1, 31)


@pytest.fixture(scope="module")
def cases(
    in_files: InFiles, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_contract: MakeContract
) -> dict[tuple[date, str], dict[str, Any]]:
    """The features of every case, worked out in one go."""
    contract = make_contract(tmp_path_factory.mktemp("cases"), ("\n[churn]", SECOND_SOURCE))
    held = tiles_of(in_files, spark, contract, CASES)
    return numbers(features_at(held, contract, build_catalogue(contract), [HELD_29, HELD_30, CUTOFF]))


Cases = dict[tuple[date, str], dict[str, Any]]


def chosen(found: dict[str, Any], *names: str) -> list[Any]:
    """The values of these features of orders."""
    return [found[f"orders_{name}"] for name in names]


def test_windows_end_on_the_cutoff_and_start_on_their_first_day(cases: Cases) -> None:
    """A window of 7 days holds the cutoff and the six days before it; a null amount and product add nothing."""
    found = cases[CUTOFF, "edges"]
    assert chosen(found, "rows_count_7d", "rows_count_30d") == [3.0, 5.0]
    assert chosen(found, "amount_sum_7d", "amount_sum_30d") == [130.0, 330.0]
    # A row without an amount is no activity, and one without a product no value.
    assert chosen(found, "activity_days_7d", "activity_days_30d", "activity_days_60d") == [2.0, 4.0, 5.0]
    assert chosen(found, "product_distinct_7d") == [1.0]
    assert found["history_days"] == 90


def test_recency_and_tenure_count_days_back_to_activity(cases: Cases) -> None:
    """Recency is 0 for activity on the cutoff; tenure reaches back to the first day of the span and no further."""
    names = ("activity_days_since_last", "cancellation_days_since_last", "purchase_days_since_last", "tenure_days")
    assert chosen(cases[CUTOFF, "tenured"], *names) == [5.0, 2.0, 5.0, 59.0]
    assert chosen(cases[CUTOFF, "edges"], *names) == [0.0, None, 0.0, 30.0]


def test_rhythm_is_made_of_the_gaps_between_activity_days(cases: Cases) -> None:
    """Gaps of 10, 2 and 6 days, oldest first; two purchases of one day are one day."""
    found = cases[CUTOFF, "rhythmic"]
    assert chosen(found, "gap_mean_days", "gap_last_days", "gap_longest_days", "recency_over_gap") == [
        6.0,
        6.0,
        10.0,
        2 / 6,
    ]
    assert found["orders_gap_spread_days"] == pytest.approx(math.sqrt((16 + 16 + 0) / 3), rel=1e-12)


def test_one_activity_day_has_no_rhythm(cases: Cases) -> None:
    """Without two days there is no gap: null, which is not zero."""
    names = ("gap_mean_days", "gap_spread_days", "gap_last_days", "gap_longest_days", "recency_over_gap")
    assert chosen(cases[CUTOFF, "once"], *names) == [None] * 5


def test_a_pace_compares_daily_rates(cases: Cases) -> None:
    """Two rows in 7 days and three in 30 are 2/7 against 3/30 a day; with no row in the long window there is none."""
    assert cases[CUTOFF, "paced"]["orders_rows_count_pace_7d_over_30d"] == pytest.approx((2 / 7) / (3 / 30), rel=1e-12)
    names = ("rows_count_30d", "rows_count_pace_7d_over_30d", "purchase_share_30d")
    assert chosen(cases[CUTOFF, "even"], *names) == [0.0, None, None]


def test_a_share_is_of_all_rows(cases: Cases) -> None:
    """One cancellation among four rows is a quarter; a kind the contract does not name counts among all rows only."""
    names = ("cancellation_share_30d", "purchase_share_30d", "cancellation_count_30d", "amount_sum_30d")
    assert chosen(cases[CUTOFF, "sharing"], *names) == [0.25, 0.5, 1.0, 200.0]


def test_a_mean_is_of_a_row_or_of_an_active_day(cases: Cases) -> None:
    """330 of five rows on four active days; where no row is left in all, there is nothing to divide by."""
    names = ("amount_mean_30d", "amount_day_mean_30d", "quantity_mean_7d")
    assert chosen(cases[CUTOFF, "edges"], *names) == [330 / 5, 330 / 4, 1.0]
    assert chosen(cases[CUTOFF, "even"], *names) == [None, 0.0, None]


def test_a_pace_of_money_needs_money_in_the_long_window(cases: Cases) -> None:
    """100 in the last week against 100 - 300 in the month: no pace can be told of a sum that is not positive."""
    names = ("amount_sum_pace_7d_over_30d", "quantity_sum_pace_7d_over_30d")
    assert chosen(cases[CUTOFF, "returning"], *names) == [None, pytest.approx((1 / 7) / (2 / 30))]


def test_the_last_value_is_the_prevailing_named_one_of_its_day(cases: Cases) -> None:
    """Ties take the value the contract names first; a day of other values is passed over, a withdrawn row is gone."""
    found = {who: cases[CUTOFF, who]["orders_event_type_last"] for who in ("tied", "prevailing", "tenured", "once")}
    assert found == {
        "tied": "purchase",
        "prevailing": "cancellation",
        "tenured": "cancellation",
        "once": "purchase",
    }
    assert cases[HELD_29, "early bird"]["orders_event_type_last"] == "purchase"


def test_a_correction_takes_back_the_whole_fact(cases: Cases) -> None:
    """A purchase withdrawn is no activity, no value and no money; a value counts on its last day that still stands."""
    names = ("activity_days_since_last", "amount_sum_30d", "product_distinct_7d", "product_distinct_30d")
    assert chosen(cases[CUTOFF, "corrected"], *names) == [12.0, 200.0, 0.0, 2.0]


def test_a_window_longer_than_history_is_null(cases: Cases) -> None:
    """With 29 days of history nothing is said about 30; on the day there are 30, zero means zero."""
    names = ("cancellation_count_30d", "rows_count_30d", "cancellation_count_7d", "activity_days_60d")
    for cutoff, days, expected in ((HELD_29, 29, [None, None, 0.0, 1.0]), (HELD_30, 30, [0.0, 1.0, 0.0, 1.0])):
        assert cases[cutoff, "early bird"]["history_days"] == days
        assert chosen(cases[cutoff, "early bird"], *names) == expected


def test_a_source_without_any_row_of_a_customer_is_null_not_zero(cases: Cases) -> None:
    """Who never appeared in a source is unknown to it, until a row is known; who appeared long ago counts zero."""
    found = {who: cases[CUTOFF, who] for who in ("once", "long ago", "now", "tomorrow")}
    assert {who: one["visits_rows_count_30d"] for who, one in found.items()} == {
        "once": None,
        "long ago": 0.0,
        "now": 1.0,
        "tomorrow": None,
    }
    assert {one["orders_rows_count_30d"] for one in found.values()} == {1.0}


def test_a_contract_without_measures_values_and_kinds_still_has_features(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """Rows alone tell recency, frequency, volume and rhythm; nothing else is asked for, nothing else is made."""
    contract = make_contract(
        tmp_path / "bare",
        ('measures = [{ name = "amount", scale = 2 }, { name = "quantity", scale = 0 }]\n', ""),
        ('distinct = ["product"]\n', ""),
        ('by = [{ column = "event_type", values = ["purchase", "cancellation"] }]\n', ""),
    )
    held = tiles_of(in_files, spark, contract, [Fact("ann", 0), Fact("ann", 4), Fact("ann", 1, event_type="gift")])
    found = numbers(features_at(held, contract, build_catalogue(contract), [CUTOFF]))
    assert {name: value for name, value in found[CUTOFF, "ann"].items() if value} == {
        "history_days": 90,
        "orders_activity_days_7d": 2.0,
        "orders_activity_days_30d": 2.0,
        "orders_activity_days_60d": 2.0,
        "orders_rows_count_7d": 3.0,
        "orders_rows_count_30d": 3.0,
        "orders_tenure_days": 4.0,
        "orders_gap_mean_days": 4.0,
        "orders_gap_last_days": 4.0,
        "orders_gap_longest_days": 4.0,
        "orders_activity_days_pace_7d_over_30d": pytest.approx(30 / 7),
        "orders_rows_count_pace_7d_over_30d": pytest.approx(30 / 7),
    }


def test_every_known_customer_is_eligible_or_excluded_with_a_reason(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """Eligible plus excluded are the known: by the last activity, then by the first; the unknown are no rows."""
    contract = make_contract(tmp_path / "tenure", ("min_tenure_days = 0", "min_tenure_days = 10"))
    facts = [
        Fact("last_day", 29), Fact("a_day_late", 30), Fact("gone", 200), Fact("never_active", 1, event_type="gift"),
        Fact("withdrawn", 20), Fact("withdrawn", 20, 5, sign=-1), Fact("new", 9), Fact("just_old_enough", 10),
        Fact("known_tomorrow", 20, -1), Fact("dated_ahead", -1, 0), Fact("known_today", 20, 0),
    ]  # fmt: skip
    found = population_at(tiles_of(in_files, spark, contract, facts), contract, [CUTOFF]).collect()
    assert {row.customer_id: (row.eligible, row.reason) for row in found} == {
        "last_day": (True, None),
        "a_day_late": (False, "inactive"),
        "gone": (False, "inactive"),
        "never_active": (False, "inactive"),
        "withdrawn": (False, "inactive"),
        "new": (False, "too_new"),
        "just_old_enough": (True, None),
        "known_today": (True, None),
    }


# ---- the oracle -----------------------------------------------------------------------------------------------------

# The last days of January, February (a leap day) and March, and days beside them.
CUTOFFS = [CUTOFF - timedelta(days=back) for back in (85, 62, 61, 60, 40, 31, 30, 14, 0)]


def random_facts(seed: int, customers: int = 80) -> list[Fact]:
    """Facts on time, late and dated ahead; some withdrawn later, some of kinds the contract does not name."""
    generator = random.Random(seed)  # noqa: S311 - made-up data
    facts = []
    for number in range(customers):
        for _ in range(generator.randrange(1, 14)):
            ago = generator.randrange(-3, 88)
            late = generator.choice([0, 0, 0, 0, 1, 7, 40, -2])
            kind = generator.choice(["purchase", "purchase", "purchase", "cancellation", "gift", None])
            amount = generator.choice([100, 250, 0, -100, None])
            fact = Fact(f"c{number:02}", ago, ago - late, amount, generator.choice(["pen", "ink", "cap", None]), kind)
            facts.append(fact)
            if generator.random() < 0.2:
                facts.append(fact._replace(sign=-1, known_days_ago=ago - late - generator.choice([0, 1, 10])))
    return facts


def expected_features(facts: Iterable[Fact], cutoff: date) -> dict[str, dict[str, Any]]:
    """The features of every eligible customer at one cutoff, worked out fact by fact."""
    by_customer: dict[str, list[Fact]] = defaultdict(list)
    for fact in facts:
        if max(fact.known_date, fact.event_date) <= cutoff:
            by_customer[fact.customer].append(fact)
    found = {}
    for customer, usable in by_customer.items():
        held = [fact for fact in usable if (cutoff - fact.event_date).days < SPAN]
        active = _net_days(held, lambda fact: fact.is_activity)
        if active and (cutoff - max(active)).days < 30:
            found[customer] = _features(held, active, cutoff)
    return found


def _net_days(facts: list[Fact], counts: Callable[[Fact], bool]) -> list[date]:
    net: dict[date, int] = defaultdict(int)
    for fact in facts:
        net[fact.event_date] += fact.sign * counts(fact)
    return sorted(day for day, total in net.items() if total > 0)


def _features(held: list[Fact], active: list[date], cutoff: date) -> dict[str, Any]:
    history = (cutoff - STARTS_ON).days + 1
    gaps = [(after - before).days for before, after in pairwise(active)]
    mean = sum(gaps) / len(gaps) if gaps else None
    since = (cutoff - active[-1]).days
    found: dict[str, Any] = {
        "history_days": history,
        "orders_activity_days_since_last": since,
        "orders_tenure_days": (cutoff - active[0]).days,
        "orders_activity_days_60d": len(active),
        "orders_gap_mean_days": mean,
        "orders_gap_spread_days": math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
        if mean is not None
        else None,
        "orders_gap_last_days": gaps[-1] if gaps else None,
        "orders_gap_longest_days": max(gaps) if gaps else None,
        "orders_recency_over_gap": since / mean if mean else None,
    }
    for kind in ("purchase", "cancellation"):
        days = _net_days(held, lambda fact, kind=kind: fact.event_type == kind)  # type: ignore[misc]
        found[f"orders_{kind}_days_since_last"] = (cutoff - days[-1]).days if days else None
    found["orders_event_type_last"] = _last_kind(held)
    for window in WINDOWS:
        inside = [fact for fact in held if (cutoff - fact.event_date).days < window]
        sums = {
            "activity_days": sum((cutoff - day).days < window for day in active),
            "rows_count": sum(fact.sign for fact in inside),
            "amount_sum": sum(fact.sign * (fact.amount or 0) for fact in inside),
            "quantity_sum": sum(fact.sign for fact in inside),
            "purchase_count": sum(fact.sign for fact in inside if fact.event_type == "purchase"),
            "cancellation_count": sum(fact.sign for fact in inside if fact.event_type == "cancellation"),
            "product_distinct": sum((cutoff - day).days < window for day in _last_live(held)),
        }
        found |= {f"orders_{name}_{window}d": value if history >= window else None for name, value in sums.items()}
    for what in ("activity_days", "rows_count", "amount_sum", "quantity_sum"):
        found[f"orders_{what}_pace_7d_over_30d"] = _over(found, f"{what}_7d", f"{what}_30d", 30 / 7)
    for window in WINDOWS:
        for measure in ("amount", "quantity"):
            for name, each in (("mean", "rows_count"), ("day_mean", "activity_days")):
                total, count = f"{measure}_sum_{window}d", f"{each}_{window}d"
                found[f"orders_{measure}_{name}_{window}d"] = _over(found, total, count, 1)
    for kind in ("purchase", "cancellation"):
        found[f"orders_{kind}_share_30d"] = _over(found, f"{kind}_count_30d", "rows_count_30d", 1)
    return found


def _last_kind(held: list[Fact]) -> str | None:
    net: dict[date, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for fact in held:
        if fact.event_type in ("purchase", "cancellation"):
            net[fact.event_date][fact.event_type] += fact.sign
    for day in sorted(net, reverse=True):
        most = max(net[day].values())
        if most > 0:
            return next(kind for kind in ("purchase", "cancellation") if net[day][kind] == most)
    return None


def _last_live(held: list[Fact]) -> list[date]:
    products = {fact.product for fact in held if fact.product is not None}
    live = [_net_days([fact for fact in held if fact.product == product], lambda _: True) for product in products]
    return [days[-1] for days in live if days]


def _over(found: dict[str, Any], one: str, other: str, factor: float) -> float | None:
    part, whole = found[f"orders_{one}"], found[f"orders_{other}"]
    return None if part is None or whole is None or whole <= 0 else part / whole * factor


@pytest.fixture(scope="module")
def random_shop(
    in_files: InFiles,
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
    make_contract: MakeContract,
) -> tuple[Contract, list[Fact], Tiles]:
    """A random shop with late, early and withdrawn facts, as facts and as tiles."""
    contract = make_contract(tmp_path_factory.mktemp("shop"))
    facts = random_facts(seed=3)
    return contract, facts, tiles_of(in_files, spark, contract, facts)


def test_features_of_many_cutoffs_are_those_of_an_oracle(random_shop: tuple[Contract, list[Fact], Tiles]) -> None:
    """Every feature of every customer at nine cutoffs equals what a plain reading of the facts gives."""
    contract, facts, held = random_shop
    found = numbers(features_at(held, contract, build_catalogue(contract), CUTOFFS))
    expected = {(cutoff, who): one for cutoff in CUTOFFS for who, one in expected_features(facts, cutoff).items()}
    assert set(found) == set(expected)
    assert len(found) > 100
    assert {name for one in found.values() for name in one} == {name for one in expected.values() for name in one}
    differing = [
        (key, name, value, expected[key][name])
        for key, one in found.items()
        for name, value in one.items()
        if not _same(value, expected[key][name])
    ]
    assert differing == []


def _same(one: Any, other: Any) -> bool:
    if one is None or other is None or isinstance(other, str):
        return bool(one == other)
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)


def test_one_cutoff_alone_gives_what_many_give(random_shop: tuple[Contract, list[Fact], Tiles]) -> None:
    """A night's features equal, to the last bit, those of the same date among many training cutoffs."""
    contract, _, held = random_shop
    catalogue = build_catalogue(contract)
    together = numbers(features_at(held, contract, catalogue, CUTOFFS))
    for cutoff in (CUTOFFS[3], CUTOFFS[5], CUTOFFS[-1]):
        alone = numbers(features_at(held, contract, catalogue, [cutoff]))
        assert alone == {key: one for key, one in together.items() if key[0] == cutoff}


def test_p10_facts_not_known_by_a_cutoff_change_nothing_of_it(
    in_files: InFiles, spark: SparkSession, random_shop: tuple[Contract, list[Fact], Tiles]
) -> None:
    """P10: facts that became known after D, or are dated after D, change no feature and nobody's eligibility at D."""
    contract, facts, held = random_shop
    catalogue, back = build_catalogue(contract), 30
    cutoff = CUTOFF - timedelta(days=back)
    later = [
        fact._replace(known_days_ago=min(fact.known_days_ago or 0, back - 1 - place % 5))
        for place, fact in enumerate(facts)
    ]
    ahead = [fact._replace(days_ago=back - 1, known_days_ago=back) for fact in facts[::3]]
    strangers = [Fact("stranger", back + 1, back - 1), Fact("dated ahead", back - 1, back + 2)]
    more = tiles_of(in_files, spark, contract, [*facts, *later, *ahead, *strangers])
    assert numbers(features_at(more, contract, catalogue, [cutoff])) == numbers(
        features_at(held, contract, catalogue, [cutoff])
    )
    before, after = ({tuple(row) for row in population_at(one, contract, [cutoff]).collect()} for one in (held, more))
    assert after == before


# ---- subscriptions, attributes and peers ----------------------------------------------------------------------------

CLUB = """
[sources.memberships]
role = "subscriptions"
path = "memberships/{business_date}.csv"
[sources.memberships.types]
who = "text"
begun = "date"
left = "date"
until = "date"
paid_to = "date"
level = "text"
fee = "decimal(8,2)"
[sources.memberships.columns]
customer_id = "who"
started_on = "begun"
ended_on = "left"
completes_on = "until"
renews_on = "paid_to"
plan = "level"
price = "fee"

[sources.members]
role = "customers"
path = "members/{business_date}.csv"
types = { who = "text", town = "text", age = "int", gender = "text" }
columns = { customer_id = "who", town = "town", age = "age", gender = "gender" }

[churn]"""
PEERS = ("windows_days = [7, 30]", 'windows_days = [7, 30]\nprotected = ["gender"]\npeer_group = ["town"]')
STATES = (
    "source STRING, customer_id STRING, started_on DATE, ended_on DATE, completes_on DATE, renews_on DATE, "
    "plan STRING, price BIGINT, sign INT, known_date DATE, slot DATE"
)
PROFILES = (
    "source STRING, customer_id STRING, town STRING, age DOUBLE, gender STRING, sign INT, known_date DATE, slot DATE"
)
OF_LIVES = ("tenure_days", "plan", "price", "days_to_renewal", "days_to_completion", "earlier_lives", "days_since_end")


def ago(days: int | None) -> date | None:
    """The date so many days before the cutoff."""
    return None if days is None else CUTOFF - timedelta(days=days)


class State(NamedTuple):
    """A signed state of a subscription; days count back from the cutoff."""

    customer: str
    started: int
    ended: int | None = None
    plan: str | None = "gold"
    price: int | None = 1999
    renews: int | None = None
    completes: int | None = None
    known: int | None = None  # on its start when not given
    sign: int = 1
    slot: int | None = None  # the day of its file, in which it is taken back too; when known where not given


class Profile(NamedTuple):
    """A signed state of a customer's attributes, known so many days before the cutoff."""

    customer: str
    town: str | None
    age: float | None = 40.0
    known: int = 80
    sign: int = 1
    slot: int | None = None


def of_file(profile: Profile) -> int:
    """The day of the file, so many days before the cutoff."""
    return profile.known if profile.slot is None else profile.slot


def club_tiles(held: Tiles, states: Sequence[State], profiles: Sequence[Profile]) -> Tiles:
    """The tiles, with these states of subscriptions and attributes beside them."""
    spark = held.known_customers.sparkSession
    subscriptions = [
        (
            "memberships", one.customer, ago(one.started), ago(one.ended), ago(one.completes), ago(one.renews),
            one.plan, one.price, one.sign, known, known if one.slot is None else ago(one.slot),
        )
        for one in states
        for known in [ago(one.started if one.known is None else one.known)]
    ]  # fmt: skip
    attributes = [
        ("members", one.customer, one.town, one.age, "f", one.sign, ago(one.known), ago(of_file(one)))
        for one in profiles
    ]
    return replace(
        held,
        subscriptions=spark.createDataFrame(subscriptions, STATES).localCheckpoint(),
        attributes=spark.createDataFrame(attributes, PROFILES).localCheckpoint(),
    )


def test_events_of_which_nothing_has_come_yet_tell_nothing(
    spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """A first night may lack them: nobody is known to be active, and every count is null, not zero."""
    contract = make_contract(tmp_path / "club", ("\n[churn]", CLUB))
    known = spark.createDataFrame(
        [("memberships", "ann", CUTOFF)], "source STRING, customer_id STRING, first_known_date DATE"
    )
    held = club_tiles(Tiles(known), [State("ann", 40)], [Profile("ann", "Ulm")])
    (person,) = population_at(held, contract, [CUTOFF]).collect()
    assert (person.customer_id, person.reason) == ("ann", "inactive")
    people = known.selectExpr("first_known_date AS business_date", "customer_id", "true AS eligible")
    (told,) = features_at(held, contract, build_catalogue(contract), [CUTOFF], people).collect()
    assert {value for name, value in told.asDict().items() if name.startswith("orders_")} == {None}
    assert told["memberships_tenure_days"] == 40


def test_a_subscription_is_told_as_known_at_the_cutoff(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """Age and what is left in a life, days since the end after it; an end on the cutoff is an end; plan and price stay.

    Who has no subscription, or one that has not begun, has nothing to tell: null, not zero.
    """
    contract = make_contract(tmp_path / "club", ("\n[churn]", CLUB))
    states = [
        State("member", 40, renews=-10, completes=-300),
        State("without plan", 0, plan=None, price=None, renews=2),
        State("back", 100, 60, plan="silver"), State("back", 20),
        State("leaving", 40, -3),
        State("left", 40, 5), State("left today", 40, 0),
        State("completed", 40, completes=2),
        State("known tomorrow", 40, known=-1), State("begins tomorrow", -1, known=3),
        State("withdrawn", 40), State("withdrawn", 40, known=7, sign=-1, slot=40),
    ]  # fmt: skip
    told = {
        "member": [40.0, "gold", 1999.0, 10.0, 300.0, 0.0, None],
        "without plan": [0.0, None, None, -2.0, None, 0.0, None],
        "back": [20.0, "gold", 1999.0, None, None, 1.0, None],
        "leaving": [40.0, "gold", 1999.0, None, None, 0.0, None],
        "left": [None, "gold", 1999.0, None, None, 0.0, 5.0],
        "left today": [None, "gold", 1999.0, None, None, 0.0, 0.0],
        "completed": [None, "gold", 1999.0, None, None, 0.0, 2.0],
        **dict.fromkeys(("known tomorrow", "begins tomorrow", "withdrawn", "stranger"), [None] * 7),
    }
    held = club_tiles(
        tiles_of(in_files, spark, contract, [Fact(who, 1) for who in told]), states, [Profile("member", "Ulm")]
    )
    found = numbers(features_at(held, contract, build_catalogue(contract), [CUTOFF]))
    assert {who: [found[CUTOFF, who][f"memberships_{name}"] for name in OF_LIVES] for who in told} == told


def test_attributes_are_those_known_at_the_cutoff_without_protected_ones(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """The newest state known counts, a null in it too; of whom nothing is known, nothing is told."""
    contract = make_contract(tmp_path / "club", ("\n[churn]", CLUB), PEERS)
    profiles = [
        Profile("moved", "Ulm", 40.0), Profile("moved", "Bonn", 41.0, known=0), Profile("moved", "Rome", known=-1),
        Profile("gone silent", "Ulm"), Profile("gone silent", None, None, known=3),
    ]  # fmt: skip
    facts = [Fact(who, 1) for who in ("moved", "gone silent", "stranger")]
    held = club_tiles(tiles_of(in_files, spark, contract, facts), [State("moved", 1)], profiles)
    found = numbers(features_at(held, contract, build_catalogue(contract), [CUTOFF]))
    assert {who: (one["members_town"], one["members_age"]) for (_, who), one in found.items()} == {
        "moved": ("Bonn", 41.0),
        "gone silent": (None, None),
        "stranger": (None, None),
    }
    assert not [name for one in found.values() for name in one if "gender" in name]


def test_a_place_is_among_eligible_peers_of_the_same_date(
    in_files: InFiles, spark: SparkSession, tmp_path: Path, make_contract: MakeContract
) -> None:
    """Ties share a place, one alone is in the middle, no value is the far end; who is not scored is nobody's peer."""
    contract = make_contract(
        tmp_path / "club", ("\n[churn]", CLUB.replace("[churn]", SECOND_SOURCE.strip("\n"))), PEERS
    )
    paid = {"low": 100, "same": 200, "as much": 200, "high": 400, "elsewhere": 900, "no town": 5, "no town either": 7}
    facts = [Fact(who, 1, amount=amount) for who, amount in paid.items()]
    facts += [Fact("inactive", 40), Fact("low", 2, source="visits", event_type="gift")]
    profiles = [Profile(who, "Ulm") for who in ("low", "same", "as much", "high", "inactive")]
    profiles += [Profile("elsewhere", "Bonn"), Profile("no town", None)]
    held = club_tiles(tiles_of(in_files, spark, contract, facts), [State("low", 1)], profiles)
    found = numbers(features_at(held, contract, build_catalogue(contract), [CUTOFF]))
    assert {who: one["orders_amount_sum_30d_in_group"] for (_, who), one in found.items()} == {
        "low": 1 / 8,
        "same": 4 / 8,
        "as much": 4 / 8,
        "high": 7 / 8,
        "elsewhere": 1 / 2,
        "no town": 1 / 4,
        "no town either": 3 / 4,
    }
    visits = {who: one for (_, who), one in found.items() if who in ("low", "same", "high")}
    assert {who: one["visits_rows_count_30d_in_group"] for who, one in visits.items()} == {
        "low": 7 / 8,
        "same": 3 / 8,
        "high": 3 / 8,
    }


def random_club(seed: int) -> tuple[list[Fact], list[State], list[Profile]]:
    """The random shop's facts, with lives one after the other and attributes that change and are taken back."""
    generator = random.Random(seed)  # noqa: S311 - made-up data
    facts = random_facts(seed)
    states, profiles = [], []
    for customer in sorted({fact.customer for fact in facts}):
        day = generator.randrange(60, 120)
        for _ in range(generator.randrange(4)):
            known, ended = day - generator.randrange(3), day - generator.randrange(1, 40)
            opened = State(
                customer, day, None, generator.choice(["gold", "silver", None]), generator.choice([500, 900, None]),
                renews=day - 30, completes=generator.choice([None, day - 25]), known=known,
            )  # fmt: skip
            told = min(known, ended - generator.choice([-5, 0, 3]))
            states += [
                opened,
                opened._replace(known=told, sign=-1, slot=known),
                opened._replace(known=told, ended=ended),
            ]
            day = ended - generator.randrange(4, 20)
        for known in generator.sample(range(-2, 88), generator.randrange(4)):
            town, age = generator.choice(["Ulm", "Bonn", None]), generator.choice([20.0, 30.0, None])
            profile = Profile(customer, town, age, known)
            profiles.append(profile)
            if generator.random() < 0.3:
                profiles.append(profile._replace(known=known - generator.randrange(1, 9), sign=-1, slot=known))
    return facts, states, profiles


def expected_life(states: Sequence[State], back: int) -> list[Value]:
    """The features of a customer's lives `back` days before the cutoff, where lives never meet."""
    standing = [
        one for one in states
        if one.sign > 0 and (one.known or 0) >= back
        and not any(
            other == one._replace(known=other.known, sign=-1, slot=one.known)
            for other in states
            if (other.known or 0) >= back
        )
    ]  # fmt: skip
    begun = sorted((one for one in standing if one.started >= back), key=lambda one: one.started)
    if not begun:
        return [None] * 7
    last = begun[0]
    ends = [end for end in (last.ended, last.completes) if end is not None]
    since = max(ends) - back if ends and max(ends) >= back else None
    inside = since is None
    return [
        last.started - back if inside else None,
        last.plan,
        last.price,
        back - last.renews if inside and last.renews is not None else None,
        back - last.completes if inside and last.completes is not None else None,
        len(begun) - 1,
        since,
    ]


def expected_profile(profiles: Sequence[Profile], back: int) -> tuple[str | None, float | None]:
    """Town and age as the newest state that still stood `back` days before the cutoff has them."""
    net: dict[tuple[int, str | None, float | None], int] = defaultdict(int)
    for one in profiles:
        if one.known >= back:
            net[of_file(one), one.town, one.age] += one.sign
    standing = [content for content, total in net.items() if total > 0]
    _, town, age = min(standing, key=lambda content: content[0], default=(0, None, None))
    return town, age


@pytest.fixture(scope="module")
def club(
    in_files: InFiles, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_contract: MakeContract
) -> tuple[Contract, Tiles, list[State], list[Profile]]:
    """A random club: its contract, its tiles, and what they were made of."""
    contract = make_contract(tmp_path_factory.mktemp("club"), ("\n[churn]", CLUB), PEERS)
    facts, states, profiles = random_club(seed=5)
    return contract, club_tiles(tiles_of(in_files, spark, contract, facts), states, profiles), states, profiles


Club = tuple[Contract, Tiles, list[State], list[Profile]]


def test_states_of_many_cutoffs_are_those_of_an_oracle(club: Club) -> None:
    """Lives and attributes of every customer at nine cutoffs equal what a plain reading of their states gives."""
    contract, held, states, profiles = club
    found = numbers(features_at(held, contract, build_catalogue(contract), CUTOFFS))
    assert len(found) > 100
    for (cutoff, who), one in found.items():
        back = (CUTOFF - cutoff).days
        lives = [one[f"memberships_{name}"] for name in OF_LIVES]
        assert lives == expected_life([state for state in states if state.customer == who], back), (cutoff, who)
        profile = (one["members_town"], one["members_age"])
        assert profile == expected_profile([one for one in profiles if one.customer == who], back), (cutoff, who)


def test_places_of_many_cutoffs_are_those_of_pandas(club: Club) -> None:
    """Places equal pandas' mean ranks within date and town, moved to the middle of their step; nothing is the end."""
    contract, held, _, _ = club
    catalogue = build_catalogue(contract)
    rows = pd.DataFrame(features_at(held, contract, catalogue, CUTOFFS).collect(), columns=None)
    rows.columns = ["business_date", "customer_id", "history_days", *(feature.name for feature in catalogue)]
    rows["members_town"] = rows["members_town"].fillna("nowhere")
    places = [feature for feature in catalogue if feature.aggregate is Aggregate.PLACE]
    assert len(places) == len(catalogue) - sum(feature.is_modelled for feature in catalogue)
    for feature in places:
        end = float("inf") if feature.operand.endswith("_days_since_last") else float("-inf")
        value = rows[feature.operand].astype(float).fillna(end)
        peers = value.groupby([rows["business_date"], rows["members_town"]])
        expected = (peers.rank(method="average") - 0.5) / peers.transform("count")
        assert rows[feature.name].to_numpy(float) == pytest.approx(expected.to_numpy(float)), feature.name
    assert rows.groupby(["business_date", "members_town"]).size().max() > 5


def test_one_cutoff_alone_gives_the_states_and_places_that_many_give(club: Club) -> None:
    """Nothing of one date reaches into another, peers neither: each alone equals itself among many, to the last bit."""
    contract, held, _, _ = club
    catalogue = build_catalogue(contract)
    together = numbers(features_at(held, contract, catalogue, CUTOFFS))
    for cutoff in (CUTOFFS[5], CUTOFFS[-1]):
        alone = numbers(features_at(held, contract, catalogue, [cutoff]))
        assert alone == {key: one for key, one in together.items() if key[0] == cutoff}


def test_every_way_of_computing_a_feature_is_used(club: Club) -> None:
    """The shop and the club of these tests have a feature of every aggregate, so the oracles cover them all.

    Those of renewals alone are tried beside the rules of renewals.
    """
    of_renewals = {Aggregate.LIFE_NOW, Aggregate.TRANSACTIONS}
    assert {feature.aggregate for feature in build_catalogue(club[0])} == set(Aggregate) - of_renewals
