"""What `explain` tells is what a night and a training did, to the day, for one customer on one date."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from churnlake.contract import Contract
from churnlake.errors import UsageError
from churnlake.ledger import Ledger
from churnlake.settings import Settings
from jobs.content import Tiles
from jobs.explain import Maturity, explain, finished_versions, maturity_of

DAY = date(2026, 3, 1)
# The shop looks back 30 days and ahead 7, and waits one day: the label of DAY is known on 9 March.
MATURE = Maturity(complete=date(2026, 3, 9), judged_on=date(2026, 3, 9))
YOUNG = Maturity(complete=date(2026, 3, 8), judged_on=None)
ACTIVITY = (
    "source STRING, customer_id STRING, event_date DATE, known_date DATE, events BIGINT, activity BIGINT, "
    "amount BIGINT, quantity BIGINT, event_type_purchase BIGINT, event_type_purchase_amount BIGINT, "
    "event_type_purchase_quantity BIGINT, event_type_cancellation BIGINT, event_type_cancellation_amount BIGINT, "
    "event_type_cancellation_quantity BIGINT, event_type_other BIGINT, event_type_other_amount BIGINT, "
    "event_type_other_quantity BIGINT"
)
VALUES = (
    "source STRING, customer_id STRING, event_date DATE, known_date DATE, column STRING, value STRING, events BIGINT"
)
KNOWN = "source STRING, customer_id STRING, first_known_date DATE"
STATES = (
    "source STRING, customer_id STRING, started_on DATE, ended_on DATE, completes_on DATE, renews_on DATE, "
    "plan STRING, price BIGINT, event_date DATE, sign INT, known_date DATE, slot DATE"
)
MakeContract = Callable[..., Contract]
InFiles = Callable[..., Tiles]


def purchase(customer: str, day: date, known: date | None = None, sign: int = 1) -> tuple[Any, ...]:
    """A day with one purchase of 2 pieces for 10.50, or its withdrawal."""
    sums = (sign, sign, sign * 1_050, sign * 2, sign, sign * 1_050, sign * 2, *[0] * 6)
    return ("orders", customer, day, known or day, *sums)


def tiles_of(
    in_files: InFiles, spark: SparkSession, days: Sequence[tuple[Any, ...]], known: date = date(2026, 1, 5)
) -> Tiles:
    """Tiles of these days, whose customers are all known since one date."""
    customers = [("orders", customer, known) for customer in sorted({one[1] for one in days})]
    return in_files(
        spark.createDataFrame(customers, KNOWN),
        spark.createDataFrame(list(days), ACTIVITY).selectExpr("*", "CAST(known_date AS STRING) AS delivery_id"),
        spark.createDataFrame([], VALUES),
    )


@pytest.fixture
def shop(tmp_path: Path, make_contract: MakeContract) -> Contract:
    """A shop where 30 days of silence exclude, and 7 more are churn."""
    return make_contract(tmp_path)


def test_an_active_customer_who_stays_is_told_with_both_days_that_decide(
    in_files: InFiles, spark: SparkSession, shop: Contract
) -> None:
    """The last active day keeps a customer in, the first one inside the label window keeps it from churning."""
    days = [purchase("a", date(2026, 1, 5)), purchase("a", date(2026, 2, 20)), purchase("a", date(2026, 3, 8))]
    told = explain(tiles_of(in_files, spark, [*days, purchase("b", DAY)]), shop, "a", DAY, MATURE)
    assert (told["eligible"], told["reason"]) == (True, None)
    assert told["why_eligible"] == "last active on 2026-02-20, 9 days before: inside 2026-01-31 .. 2026-03-01"
    assert told["label"] == {
        "outcome": "stayed",
        "known_on": date(2026, 3, 9),
        "why": "active on 2026-03-08, inside 2026-03-02 .. 2026-03-08",
    }
    assert [(one["day"], one["decides"], one["standing"]) for one in told["facts"]] == [
        (date(2026, 3, 8), True, "counts for the label"),
        (date(2026, 2, 20), True, "counts"),
        (date(2026, 1, 5), True, "counts"),
    ]
    values = {one["feature"]: (one["value"], one["unit"]) for one in told["features"]}
    assert values["orders_amount_sum_30d"] == (10.5, "EUR")
    assert values["orders_activity_days_7d"] == (0.0, "days")
    assert values["orders_gap_mean_days"] == (46.0, "days")
    assert values["orders_cancellation_days_since_last"] == (None, "days")


def test_what_happened_but_was_not_yet_known_is_listed_and_does_not_count(
    in_files: InFiles, spark: SparkSession, shop: Contract
) -> None:
    """A file of 20 February that came on 5 March changes nothing on 1 March, and all on the 5th."""
    late, told_on = date(2026, 2, 20), date(2026, 3, 5)
    tiles = tiles_of(in_files, spark, [purchase("a", date(2026, 1, 30)), purchase("a", late, told_on)])
    told = explain(tiles, shop, "a", DAY, MATURE)
    assert (told["eligible"], told["reason"]) == (False, "inactive")
    assert told["why_eligible"] == "last active on 2026-01-30, 30 days before: not inside 2026-01-31 .. 2026-03-01"
    assert [(one["day"], one["standing"]) for one in told["not_yet_known"]] == [
        (late, "known from 2026-03-05: does not count")
    ]
    assert told["features"] == []
    assert told["label"]["why"] == "only an eligible customer has a label"
    assert explain(tiles, shop, "a", told_on, YOUNG)["eligible"]


def test_an_activity_that_was_taken_back_in_time_is_no_activity(
    in_files: InFiles, spark: SparkSession, shop: Contract
) -> None:
    """The sale of the 5th was withdrawn on the 7th, before the label was known: the customer left."""
    sale = date(2026, 3, 5)
    days = [purchase("a", DAY), purchase("a", sale), purchase("a", sale, date(2026, 3, 7), sign=-1)]
    told = explain(tiles_of(in_files, spark, days), shop, "a", DAY, MATURE)
    assert (told["label"]["outcome"], told["label"]["why"]) == ("churned", "no activity from 2026-03-02 to 2026-03-08")
    assert told["facts"][0]["told"] == "rows -1, activity -1, amount -10.50, quantity -2"


def test_a_label_that_is_not_mature_says_from_when_it_is_known(
    in_files: InFiles, spark: SparkSession, shop: Contract
) -> None:
    """Silence of yesterday is not churn yet."""
    told = explain(tiles_of(in_files, spark, [purchase("a", DAY)]), shop, "a", DAY, YOUNG)
    assert told["label"] == {
        "outcome": None,
        "known_on": None,
        "why": "not known before 2026-03-09; data are complete through 2026-03-08",
    }


def test_the_newest_ten_facts_are_shown_and_the_rest_counted(
    in_files: InFiles, spark: SparkSession, shop: Contract
) -> None:
    """The first day decides too, so it stands below the ten; a day beyond the span that is read is not looked at."""
    days = [purchase("a", DAY - timedelta(after)) for after in (*range(15), 59, 60)]
    told = explain(tiles_of(in_files, spark, days), shop, "a", DAY, YOUNG)
    assert [(DAY - one["day"]).days for one in told["facts"]] == [*range(11), 59]
    assert told["more_facts"] == 4


def test_nobody_by_that_id_is_answered_with_the_nearest_ones(
    in_files: InFiles, spark: SparkSession, shop: Contract
) -> None:
    """Ids that begin alike come first, then those that one letter tells apart; others are no help."""
    tiles = tiles_of(in_files, spark, [purchase(one, DAY) for one in ("0017850", "17850", "17851", "17858", "99")])
    with pytest.raises(UsageError) as refused:
        explain(tiles, shop, "1785", DAY, YOUNG)
    assert refused.value.message == "shop knows no customer '1785' among 5; nearest: 17850, 17851, 17858"
    assert refused.value.next_step == "--customer 17850"
    with pytest.raises(UsageError) as refused:
        explain(tiles, shop, "zzzzzz", DAY, YOUNG)
    assert refused.value.message == "shop knows no customer 'zzzzzz' among 5"


def test_a_customer_who_came_later_was_not_known(in_files: InFiles, spark: SparkSession, shop: Contract) -> None:
    """Neither eligible nor excluded for a reason of its own: there was nobody to judge."""
    told = explain(tiles_of(in_files, spark, [purchase("a", DAY)], known=date(2026, 3, 2)), shop, "a", DAY, YOUNG)
    assert (told["eligible"], told["reason"]) == (False, "not_known")
    assert told["why_eligible"] == "nobody knew of this customer on 2026-03-01; first known on 2026-03-02"


def states(spark: SparkSession, *told: tuple[date | None, date, int]) -> DataFrame:
    """A membership since 10 January, told with these ends, known on these dates."""
    start = date(2026, 1, 10)
    rows = [
        ("memberships", "m", start, ended, None, None, "basic", 999, known, sign, known, known)
        for ended, known, sign in told
    ]
    return spark.createDataFrame(rows, STATES)


def test_a_subscription_is_told_as_it_was_known_then_and_later(
    spark: SparkSession, tmp_path: Path, make_club: MakeContract
) -> None:
    """Open on 1 March; that it ended on the 20th was told on the 20th, so it counts for the label alone."""
    club, end = make_club(tmp_path), date(2026, 3, 20)
    told_of = states(spark, (None, date(2026, 1, 10), 1), (None, end, -1), (end, end, 1))
    tiles = Tiles(
        spark.createDataFrame([("memberships", "m", date(2026, 1, 10))], KNOWN), subscriptions=told_of
    )  # fmt: skip
    judged_on = date(2026, 4, 3)
    told = explain(tiles, club, "m", DAY, Maturity(judged_on, judged_on))
    assert told["why_eligible"] == "the subscription began on 2026-01-10, and on 2026-03-01 nobody knew of an end"
    assert told["label"] == {
        "outcome": "churned",
        "known_on": judged_on,
        "why": "the subscription ended on 2026-03-20, inside 2026-03-02 .. 2026-03-31",
    }
    assert [(one["told"], one["decides"], one["standing"]) for one in told["facts"]] == [
        ("started_on 2026-01-10, ended_on 2026-03-20, plan basic, price 9.99", True, "counts for the label"),
        ("started_on 2026-01-10, plan basic, price 9.99, taken back", False, "counts for the label"),
        ("started_on 2026-01-10, plan basic, price 9.99", True, "counts"),
    ]
    later = explain(tiles, club, "m", end, Maturity(judged_on, None))
    assert (later["reason"], later["why_eligible"]) == (
        "ended",
        "the subscription began on 2026-01-10 and ended on 2026-03-20, 0 days before",
    )


def test_paid_time_is_told_with_the_transactions_that_decide(
    spark: SparkSession, tmp_path: Path, make_gym: MakeContract
) -> None:
    """Paid until 10 March, renewed on its last day of grace; what was told of the past afterwards does not count."""
    gym, end, judged_on = make_gym(tmp_path), date(2026, 3, 10), date(2026, 3, 24)
    paid = (
        (date(2026, 1, 10), date(2026, 2, 9), date(2026, 1, 10)),
        (date(2026, 2, 9), end, date(2026, 2, 9)),
        (date(2026, 2, 1), date(2026, 2, 9), date(2026, 3, 30)),
        (date(2026, 3, 15), date(2026, 4, 14), date(2026, 3, 15)),
    )
    rows = [
        (
            "payments",
            "m",
            datetime(on.year, on.month, on.day, tzinfo=UTC),
            until,
            False,
            None,
            None,
            None,
            on,
            1,
            known,
            known,
        )
        for on, until, known in paid
    ]
    columns = (
        "source STRING, customer_id STRING, event_ts TIMESTAMP, paid_until DATE, cancels BOOLEAN, auto_renew BOOLEAN, "
        "plan STRING, price BIGINT, event_date DATE, sign INT, known_date DATE, slot DATE"
    )
    known = spark.createDataFrame([("payments", "m", date(2026, 1, 10))], KNOWN)
    tiles = Tiles(known, renewals=spark.createDataFrame(rows, columns))
    told = explain(tiles, gym, "m", DAY, Maturity(judged_on, judged_on))
    assert told["why_eligible"] == "by 2026-03-01 it was paid until 2026-03-10, inside 2026-03-05 .. 2026-03-18"
    assert told["label"] == {
        "outcome": "stayed",
        "known_on": judged_on,
        "why": "paid until 2026-03-10, and renewed on 2026-03-15",
    }
    assert [(one["day"].isoformat(), one["decides"], one["standing"]) for one in told["facts"]] == [
        ("2026-03-15", True, "counts for the label"),
        ("2026-02-09", True, "counts"),
        ("2026-01-10", False, "counts"),
    ]
    assert [one["day"].isoformat() for one in told["not_yet_known"]] == ["2026-02-01"]
    young = explain(tiles, gym, "m", date(2026, 3, 8), Maturity(judged_on, None))
    assert (young["reason"], young["label"]["outcome"]) == ("expires_in_gap", None)


def test_maturity_is_what_training_goes_by(shop: Contract) -> None:
    """No delivery came, so no slot is settled before it is given up, 11 days later."""
    assert maturity_of(shop, [], date(2026, 1, 2), date(2026, 1, 20)) == Maturity(date(2026, 1, 9), None)
    known = maturity_of(shop, [], date(2026, 1, 2), date(2026, 1, 21))
    assert known == Maturity(date(2026, 1, 10), date(2026, 1, 21))


def test_the_tables_are_those_a_run_finished_with(settings: Settings, shop: Contract) -> None:
    """A night at work has written some tables and not others; before any run there is nothing to explain."""
    now = datetime(2026, 3, 2, 6, tzinfo=UTC)
    ledger = Ledger.open(settings.ledger_url)
    ledger.remember_contract(name=shop.name, path=str(shop.path), digest=shop.digest, now=now)
    with pytest.raises(UsageError, match="shop has taken nothing in yet"):
        finished_versions(ledger, shop)
    for day, finishes in ((DAY, True), (DAY + timedelta(1), False)):
        run = ledger.start_run(
            contract=shop.name, kind="night", business_date=day, application=f"a{day}", contract_digest=shop.digest,
            code_revision="test", actor="tester", pid=1, lane_epoch=1, now=now,
        )  # fmt: skip
        counts = {"ingest": {}, "features": {"versions": {"known_customers": 3, "features": 9}}}
        for stage in ("ingest", "features") if finishes else ("ingest",):
            ledger.start_stage(run.run_id, stage, run.attempt, now=now)
            ledger.finish_stage(run.run_id, stage, run.attempt, counts=counts[stage], now=now)
    assert finished_versions(ledger, shop) == (DAY, {"known_customers": 3})
