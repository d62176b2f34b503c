"""Sentences of `explain`: every reason and every outcome has its own, with the days that decide it."""

from collections.abc import Callable
from datetime import date

import pytest

from churnlake.contract import Contract
from churnlake.explanation import Evidence, Life, Outcome, standing, why_eligible, why_label, windows

LoadShop = Callable[..., Contract]
DAY = date(2024, 2, 28)
BEFORE = date(2023, 11, 1)


def changed(shop: Contract, **churn: object) -> Contract:
    """The shop with another [churn]."""
    return shop.model_copy(update={"churn": shop.churn.model_copy(update=churn)})


def test_windows_follow_each_other_without_a_day_between(load_shop: LoadShop) -> None:
    """Over a leap day: gap, label, grace and settling are the days after the date, and then it is mature."""
    shop = changed(load_shop(), gap_days=1, horizon_days=7, grace_days=3, settle_days=2, active_within_days=30)
    found = {one.name: (one.first, one.last) for one in windows(shop, DAY, date(2024, 3, 11))}
    assert found["active within"] == (date(2024, 1, 30), DAY)
    assert found["gap"] == (date(2024, 2, 29), date(2024, 2, 29))
    assert found["label"] == (date(2024, 3, 1), date(2024, 3, 7))
    assert found["grace"] == (date(2024, 3, 8), date(2024, 3, 10))
    assert found["settling"] == (date(2024, 3, 11), date(2024, 3, 12))
    assert found["matured on"] == (date(2024, 3, 12), date(2024, 3, 12))


@pytest.mark.parametrize(("complete", "told"), [(date(2024, 3, 7), "not reached yet"), (date(2024, 3, 8), "reached")])
def test_maturity_goes_by_how_far_data_are_complete(load_shop: LoadShop, complete: date, told: str) -> None:
    """The day itself is enough; the one before is not. Without gap and grace there is no such window."""
    shop = changed(load_shop(), gap_days=0, horizon_days=7, settle_days=2)
    last = list(windows(shop, DAY, complete))[-1]
    assert last.told == f"{told}: data are complete through {complete}"
    assert not {"gap", "grace"} & {one.name for one in windows(shop, DAY, complete)}


@pytest.mark.parametrize(
    ("reason", "life", "told"),
    [
        (None, Life(BEFORE), "the subscription began on 2023-11-01, and on 2024-02-28 nobody knew of an end"),
        ("ended", Life(BEFORE, DAY), "the subscription began on 2023-11-01 and ended on 2024-02-28, 0 days before"),
        ("already_leaving", Life(BEFORE, date(2024, 3, 1)), "that it ends on 2024-03-01 was known by 2024-02-28"),
        ("completed", Life(BEFORE, None, DAY), "was complete on 2024-02-28, as planned"),
        ("not_started", Life(date(2024, 3, 1)), "the subscription began on 2024-03-01, after 2024-02-28"),
        ("too_new", Life(date(2024, 2, 27)), "1 day before; min_tenure_days is 14"),
        ("missing_start", Life(oddity="missing_start"), "every subscription lacks its start"),
        ("never_started", Life(oddity="never_started"), "every subscription ends on or before its start"),
        ("no_subscription", None, "no subscription was known by 2024-02-28"),
    ],
)
def test_each_reason_of_a_subscription_names_its_days(
    load_shop: LoadShop, reason: str | None, life: Life | None, told: str
) -> None:
    """The reason alone would leave people asking since when."""
    club = changed(load_shop(), definition="cancellation", min_tenure_days=14)
    assert told in why_eligible(club, DAY, reason, Evidence(BEFORE, life=life))


def test_silence_and_newness_are_told_by_the_days_of_activity(load_shop: LoadShop) -> None:
    """Nothing at all differs from nothing lately."""
    shop = changed(load_shop(), active_within_days=30, min_tenure_days=14)
    found = Evidence(BEFORE, first_active=date(2024, 2, 20), last_active=DAY)
    assert why_eligible(shop, DAY, "too_new", found) == (
        "first active on 2024-02-20, 8 days before; min_tenure_days is 14"
    )
    silent = why_eligible(shop, DAY, "inactive", Evidence(BEFORE))
    assert silent == f"no activity in the {shop.features.span_days} days that are read"


@pytest.mark.parametrize(
    ("outcome", "later", "told"),
    [
        (
            "churned",
            Life(BEFORE, date(2024, 3, 1)),
            "the subscription ended on 2024-03-01, inside 2024-02-29 .. 2024-03-29",
        ),
        ("stayed", Life(BEFORE), "no end was known: the subscription goes on"),
        ("stayed", Life(BEFORE, date(2024, 3, 30)), "the subscription ended on 2024-03-30, after 2024-03-29"),
        (None, Life(BEFORE, DAY), "the subscription ended on 2024-02-28, before the label window: nobody could act on"),
    ],
)
def test_a_label_of_a_subscription_is_told_by_its_end(
    load_shop: LoadShop, outcome: Outcome | None, later: Life, told: str
) -> None:
    """An end on the last day of the window is churn, one on the day after is not."""
    club = changed(load_shop(), definition="cancellation", gap_days=0, horizon_days=30)
    assert told in why_label(club, DAY, outcome, Evidence(BEFORE, later_life=later))


@pytest.mark.parametrize(
    ("reason", "life", "told"),
    [
        (
            None,
            Life(BEFORE, date(2024, 3, 3)),
            "by 2024-02-28 it was paid until 2024-03-03, inside 2024-03-03 .. 2024-03-09",
        ),
        ("not_expiring", Life(BEFORE, date(2024, 3, 10)), "paid until 2024-03-10, after 2024-03-09"),
        ("not_expiring", Life(BEFORE), "it was paid for ever, after 2024-03-09"),
        ("expires_in_gap", Life(BEFORE, date(2024, 3, 2)), "paid until 2024-03-02, inside the gap: nobody could act"),
        ("ended", Life(BEFORE, DAY), "paid until 2024-02-28, 0 days before"),
        (
            "too_new",
            Life(date(2024, 2, 27), date(2024, 3, 3)),
            "paid since 2024-02-27, 1 day before; min_tenure_days is 14",
        ),
        ("missing_end", Life(oddity="missing_end"), "no transaction says until when it pays"),
        ("never_started", Life(oddity="never_started"), "every transaction pays until its own day or before"),
        ("no_subscription", None, "no transaction was known by 2024-02-28"),
    ],
)
def test_each_reason_of_paid_time_names_its_days(
    load_shop: LoadShop, reason: str | None, life: Life | None, told: str
) -> None:
    """With a gap of 3 days and a horizon of 7 the label window goes over the leap day to 9 March."""
    gym = changed(load_shop(), definition="expiry", gap_days=3, horizon_days=7, min_tenure_days=14)
    assert told in why_eligible(gym, DAY, reason, Evidence(BEFORE, life=life))


@pytest.mark.parametrize(
    ("later", "renewed_on", "told"),
    [
        (Life(BEFORE, date(2024, 3, 9)), None, "paid until 2024-03-09, and not renewed by 2024-03-14"),
        (Life(BEFORE, date(2024, 3, 9)), date(2024, 3, 14), "paid until 2024-03-09, and renewed on 2024-03-14"),
        (Life(BEFORE, date(2024, 3, 10)), None, "as it turned out it was paid until 2024-03-10, outside 2024-03-03 .."),
        (Life(BEFORE, date(2024, 3, 2)), None, "as it turned out it was paid until 2024-03-02, outside"),
        (None, None, "as it turned out it was paid until no certain day, outside"),
    ],
)
def test_a_label_of_paid_time_is_told_by_its_end_and_the_renewal(
    load_shop: LoadShop, later: Life | None, renewed_on: date | None, told: str
) -> None:
    """The last day of the window is one of it; the grace of five days begins with it."""
    gym = changed(load_shop(), definition="expiry", gap_days=3, horizon_days=7, grace_days=5)
    evidence = Evidence(BEFORE, stayed_on=renewed_on, later_life=later)
    assert told in why_label(gym, DAY, "stayed" if renewed_on else "churned", evidence)


@pytest.mark.parametrize(
    ("outcome", "told"),
    [("churned", "says churned"), ("stayed", "says stayed"), (None, "tells no outcome for this date")],
)
def test_an_outcome_that_the_data_set_brings_is_its_word(
    load_shop: LoadShop, outcome: Outcome | None, told: str
) -> None:
    """There is no fact behind it."""
    assert told in why_label(changed(load_shop(), definition="label"), DAY, outcome, Evidence(BEFORE))


def test_a_fact_counts_from_the_day_it_was_known() -> None:
    """On the day itself it counts; a day later it does not, and for the label the day it became known decides."""
    after, judged_on = date(2024, 2, 29), date(2024, 3, 10)
    assert standing(DAY, DAY, DAY, None) == "counts"
    assert standing(DAY, after, DAY, None) == "known from 2024-02-29: does not count"
    assert standing(after, judged_on, DAY, judged_on) == "counts for the label"
    assert standing(after, date(2024, 3, 11), DAY, judged_on) == "known from 2024-03-11: too late for the label"
    assert standing(after, after, DAY, None) == "after 2024-02-28"
