import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from churnlake.contract import Contract, load_contract
from churnlake.errors import ContractError
from churnlake.features import Aggregate, Family, Feature, build_catalogue, main_window, tile_columns

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "online_retail" / "contract.toml"
CATALOGUE = build_catalogue(load_contract(EXAMPLE))

LoadShop = Callable[..., Contract]

# Members of a club: what they do there, what they pay for, who they are.
CLUB_CONTRACT = """
[contract]
name = "club"
timezone = "UTC"
currency = "EUR"

[calendar]
starts_on = "2026-01-01"

[sources.web_visits]
role = "events"
path = "visits/{business_date}.csv"
types = { id = "text", at = "timestamp", minutes = "int", kind = "text" }
columns = { customer_id = "id", event_ts = "at", duration = "minutes", visit_kind = "kind" }

[sources.bar_orders]
role = "events"
path = "orders/{business_date}.csv"
types = { id = "text", at = "timestamp", price = "decimal(8,2)" }
columns = { customer_id = "id", event_ts = "at", amount = "price" }

[sources.memberships]
role = "subscriptions"
path = "memberships/{business_date}.csv"
types = { id = "text", begun = "date", left = "date", paid_to = "date", level = "text", fee = "decimal(8,2)" }
[sources.memberships.columns]
customer_id = "id"
started_on = "begun"
ended_on = "left"
renews_on = "paid_to"
plan = "level"
price = "fee"

[sources.members]
role = "customers"
path = "members/{business_date}.csv"
types = { id = "text", sex = "text", town = "text", age = "int", code = "text" }
columns = { customer_id = "id", gender = "sex", home_town = "town", age = "age", branch = "CAST(code AS int)" }

[churn]
definition = "inactivity"
activity = "customer_id IS NOT NULL"
active_within_days = 30
horizon_days = 30

[features]
windows_days = [7, 30]
measures = [{ name = "amount", scale = 2 }, { name = "duration" }]
by = [{ column = "visit_kind", values = ["swim", "sauna_day"] }]
protected = ["gender"]
peer_group = ["home_town", "plan"]
"""


def load_club(folder: Path, *edits: tuple[str, str]) -> Contract:
    """The club's contract with some pieces of its text replaced."""
    text = CLUB_CONTRACT
    for before, after in edits:
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    (folder / "contract.toml").write_text(text)
    return load_contract(folder / "contract.toml")


# A second club of people who pay ahead, in place of the definition by visits.
PAYMENTS = """[sources.payments]
role = "renewals"
path = "payments/{business_date}.csv"
types = { id = "text", at = "timestamp", paid_to = "date", kind = "text", by_itself = "boolean", fee = "int" }
[sources.payments.columns]
customer_id = "id"
event_ts = "at"
paid_until = "paid_to"
cancels = "kind = 'cancel'"
auto_renew = "by_itself"
plan = "kind"
price = "fee"

[churn]"""

with TemporaryDirectory() as _folder:
    CLUB = build_catalogue(load_club(Path(_folder)))
    PAYING_CLUB = build_catalogue(load_club(Path(_folder), ("[churn]", PAYMENTS)))
CLUB_BY_NAME = {feature.name: feature for feature in CLUB}


def test_names_are_unique_and_say_source_what_and_window() -> None:
    """A name is all that a model and a reason keep of a feature, so it says source, what, aggregate and window."""
    names = [feature.name for feature in CATALOGUE]
    assert len(set(names)) == len(names) == 69
    windowed = re.compile(r"invoices_[a-z_]+_(?:days|count|sum|distinct)_\d+d")
    for feature in CATALOGUE:
        assert re.fullmatch(r"invoices_[a-z0-9_]+", feature.name)
        assert feature.window_days is None or windowed.fullmatch(feature.name), feature.name
        assert feature.window_days is None or feature.name.endswith(f"_{feature.window_days}d"), feature.name


def test_eight_lite_features_speak_for_the_eight_families() -> None:
    """The smallest model sees one feature of every family, each of the main window where it has one."""
    lite = [feature for feature in CATALOGUE if feature.lite]
    told_by_events = set(Family) - {Family.PLAN, Family.PROFILE}
    assert Counter(feature.family for feature in lite) == dict.fromkeys(told_by_events, 1)
    assert {feature.window_days for feature in lite} == {90, None}
    assert {feature.family for feature in CATALOGUE} == told_by_events


@pytest.mark.parametrize("feature", [*CATALOGUE, *PAYING_CLUB], ids=lambda feature: feature.name)
def test_every_wording_is_a_plain_phrase_with_its_value(feature: Feature) -> None:
    """A reason reads as English: the value once, no code words, no full stop, the description a sentence."""
    assert feature.wording.count("{value}") == 1
    assert not re.search(r"[_%=<>]|\bnull\b|\d+d\b", feature.wording.replace("{value}", "5"))
    assert feature.wording[0].islower() or feature.wording.startswith("{value}")
    assert not feature.wording.endswith(".")
    assert feature.description[0].isupper()
    assert feature.description.endswith(".")
    assert feature.unit


@pytest.mark.parametrize(
    ("name", "phrase"),
    [
        ("invoices_activity_days_since_last", "last activity 5 days ago"),
        ("invoices_cancellation_days_since_last", "last cancellation 5 days ago"),
        ("invoices_activity_days_30d", "active on 5 days in the last 30 days"),
        ("invoices_rows_count_90d", "5 rows of invoices in the last 90 days"),
        ("invoices_amount_sum_90d", "amount of 5 GBP in the last 90 days"),
        ("invoices_quantity_sum_90d", "quantity of 5 in the last 90 days"),
        ("invoices_purchase_count_7d", "5 purchase rows in the last 7 days"),
        ("invoices_product_distinct_90d", "5 different values of product in the last 90 days"),
        ("invoices_tenure_days", "first seen 5 days ago"),
        ("invoices_gap_longest_days", "longest pause between activity days: 5"),
        ("invoices_recency_over_gap", "silent for 5 times the usual pause"),
        ("invoices_event_type_last", "last event type: 5"),
        ("invoices_amount_mean_30d", "amount of 5 GBP a row in the last 30 days"),
        ("invoices_quantity_day_mean_7d", "quantity of 5 an active day in the last 7 days"),
        ("web_visits_activity_days_since_last", "last activity in web visits 5 days ago"),
        ("web_visits_sauna_day_count_7d", "5 sauna day rows in web visits in the last 7 days"),
        ("bar_orders_amount_sum_7d", "amount in bar orders of 5 EUR in the last 7 days"),
        ("memberships_tenure_days", "subscribed 5 days ago"),
        ("memberships_plan", "subscribed to the plan 5"),
        ("memberships_price", "price of 5 EUR"),
        ("memberships_days_to_renewal", "renews in 5 days"),
        ("memberships_earlier_lives", "5 earlier subscriptions"),
        ("payments_days_to_expiry", "paid for 5 more days"),
        ("payments_cancels_count_30d", "cancelled 5 times in the last 30 days"),
        ("memberships_days_since_end", "last subscription ended 5 days ago"),
        ("members_home_town", "home town: 5"),
        (
            "web_visits_rows_count_30d_in_group",
            "place among its group, from 0 to 1, by rows of web visits in the last 30 days: 5",
        ),
        (
            "invoices_amount_sum_pace_7d_over_30d",
            "amount of the last 7 days came at 5 times the pace of the last 30",
        ),
        (
            "invoices_activity_days_pace_30d_over_90d",
            "active days of the last 30 days came at 5 times the pace of the last 90",
        ),
        ("invoices_cancellation_share_90d", "share of cancellation rows in the last 90 days: 5"),
    ],
)
def test_a_reason_reads_as_said_aloud(name: str, phrase: str) -> None:
    """One phrase of each kind, its value put in."""
    (feature,) = [one for one in (*CATALOGUE, *PAYING_CLUB) if one.name == name]
    assert feature.wording.replace("{value}", "5").replace("{s}", "s") == phrase


@pytest.mark.parametrize("catalogue", [CATALOGUE, PAYING_CLUB], ids=["one source", "several"])
def test_no_two_features_are_worded_alike(catalogue: tuple[Feature, ...]) -> None:
    """A reader of reasons can tell any two features apart, also those of two sources."""
    wordings = Counter(feature.wording for feature in catalogue)
    assert [wording for wording, count in wordings.items() if count > 1] == []


def test_amounts_are_scaled_to_peoples_units() -> None:
    """Pence are stored, pounds are told; pieces need no scale."""
    by_name = {feature.name: feature for feature in CATALOGUE}
    amount, quantity = by_name["invoices_amount_sum_90d"], by_name["invoices_quantity_sum_90d"]
    assert (amount.scale, amount.unit) == (2, "10^-2 GBP")
    assert (quantity.scale, quantity.unit) == (0, "units")


@pytest.mark.parametrize("catalogue", [CATALOGUE, CLUB], ids=["shop", "club"])
def test_what_is_made_of_features_comes_after_them(catalogue: tuple[Feature, ...]) -> None:
    """Ratios, paces and places stand after the features they are made of."""
    seen: set[str] = set()
    for feature in catalogue:
        if feature.aggregate in (Aggregate.RATIO, Aggregate.PACE, Aggregate.PLACE):
            assert {feature.operand, feature.other or feature.operand} <= seen, feature.name
        seen.add(feature.name)


def test_sums_and_days_are_of_tile_columns() -> None:
    """What is counted over days exists as a column of the daily tile."""
    tiles = set(tile_columns(load_contract(EXAMPLE).features))
    over_days = (Aggregate.SUM, Aggregate.DAYS, Aggregate.SINCE_LAST, Aggregate.SINCE_FIRST)
    assert {feature.operand for feature in CATALOGUE if feature.aggregate in over_days} <= tiles


def test_tiles_hold_a_column_for_each_sum(load_shop: LoadShop) -> None:
    """Rows, activity and measures, then each named value and all others, alone and by measure."""
    assert tile_columns(load_shop().features) == (
        "events",
        "activity",
        "amount",
        "event_type_purchase",
        "event_type_purchase_amount",
        "event_type_cancellation",
        "event_type_cancellation_amount",
        "event_type_other",
        "event_type_other_amount",
    )


@pytest.mark.parametrize(("active_within", "main"), [(90, 90), (30, 30), (59, 30), (60, 90), (180, 90)])
def test_the_main_window_is_the_nearest_to_the_activity_window(
    load_shop: LoadShop, active_within: int, main: int
) -> None:
    """Single numbers are told for the window nearest to who is eligible; between two, for the longer."""
    assert main_window(load_shop(("active_within_days = 90", f"active_within_days = {active_within}"))) == main


def test_a_source_yields_features_only_of_what_it_maps(load_shop: LoadShop) -> None:
    """A second source without an amount has rows and activity, and nothing about money."""
    shop = load_shop(
        ('activity = "amount > 0"', 'activity = "event_ts IS NOT NULL"'),
        (
            "[churn]",
            (
                '[sources.visits]\nrole = "events"\npath = "v/{business_date}.csv"\n'
                'types = { id = "text", at = "timestamp" }\n'
                'columns = { customer_id = "id", event_ts = "at" }\n\n[churn]'
            ),
        ),
    )
    names = [feature.name for feature in build_catalogue(shop) if feature.source == "visits"]
    assert "visits_rows_count_30d" in names
    assert not [name for name in names if "amount" in name or "purchase" in name]


def test_two_features_of_one_name_are_refused(load_shop: LoadShop) -> None:
    """Source `sales` with value `web_sale` and source `sales_web` with value `sale` would name the same feature."""
    second = (
        '[sources.sales_web]\nrole = "events"\npath = "w/{business_date}.csv"\n'
        'types = { id = "text", at = "timestamp", price = "int", kind = "text" }\n'
        'columns = { customer_id = "id", event_ts = "at", amount = "price", event_type = "kind" }\n\n[churn]'
    )
    shop = load_shop(("[churn]", second), ('["purchase", "cancellation"]', '["web_sale", "sale"]'))
    with pytest.raises(ContractError, match="two features would be called sales_web_sale_count_30d; rename a source"):
        build_catalogue(shop)


def test_a_subscription_tells_its_plan_price_age_and_ends() -> None:
    """Of a subscription the model sees what is mapped; the planned end is not, so there is nothing of it."""
    assert [name for name in CLUB_BY_NAME if name.startswith("memberships_")] == [
        "memberships_tenure_days",
        "memberships_plan",
        "memberships_price",
        "memberships_days_to_renewal",
        "memberships_earlier_lives",
        "memberships_days_since_end",
    ]
    plan, price = CLUB_BY_NAME["memberships_plan"], CLUB_BY_NAME["memberships_price"]
    assert (plan.kind, price.kind) == ("category", "number")
    assert (price.unit, price.scale) == ("10^-2 EUR", 2)
    assert {feature.family for feature in CLUB if feature.source == "memberships"} == {Family.PLAN}


def test_where_leaving_is_cancelling_nobody_scored_has_left(tmp_path: Path) -> None:
    """Days since the last subscription ended would be null in every row, so there are none."""
    leaving = 'definition = "inactivity"\nactivity = "customer_id IS NOT NULL"\nactive_within_days = 30\n'
    contract = load_club(tmp_path, (leaving, 'definition = "cancellation"\n'))
    names = [feature.name for feature in build_catalogue(contract) if feature.source == "memberships"]
    assert "memberships_earlier_lives" in names
    assert "memberships_days_since_end" not in names


def test_what_was_paid_for_tells_the_days_left_and_the_transactions() -> None:
    """All columns of payments are mapped; where leaving is something else, the days since the end are told too."""
    of_payments = {feature.name: feature for feature in PAYING_CLUB if feature.source == "payments"}
    assert list(of_payments) == [
        "payments_days_to_expiry", "payments_tenure_days", "payments_days_since_last", "payments_plan",
        "payments_price", "payments_auto_renew", "payments_cancelled", "payments_earlier_lives",
        "payments_days_since_end", "payments_renewals_count_7d", "payments_cancels_count_7d",
        "payments_renewals_count_30d", "payments_cancels_count_30d",
    ]  # fmt: skip
    assert [name for name, feature in of_payments.items() if feature.kind == "category"] == ["payments_plan"]
    assert {name for name, feature in of_payments.items() if feature.lite} == {
        "payments_days_since_last",
        "payments_auto_renew",
        "payments_renewals_count_30d",
    }


def test_where_leaving_is_expiring_only_what_is_mapped_is_told(tmp_path: Path) -> None:
    """Scored is who has paid time left, so nothing is told of the days since it ended, nor of columns not mapped."""
    bare = PAYMENTS.split("cancels =", maxsplit=1)[0] + "\n[churn]"
    leaving = 'definition = "inactivity"\nactivity = "customer_id IS NOT NULL"\nactive_within_days = 30\n'
    contract = load_club(tmp_path, ("[churn]", bare), (leaving, 'definition = "expiry"\n'))
    assert [feature.name for feature in build_catalogue(contract) if feature.source == "payments"] == [
        "payments_days_to_expiry",
        "payments_tenure_days",
        "payments_days_since_last",
        "payments_earlier_lives",
        "payments_renewals_count_7d",
        "payments_renewals_count_30d",
    ]


def test_every_attribute_is_a_feature_unless_protected() -> None:
    """Gender is protected; age is a bare number; a code made a number by an expression stays a category."""
    profile = {feature.name: feature.kind for feature in CLUB if feature.family is Family.PROFILE}
    assert profile == {"members_home_town": "category", "members_age": "number", "members_branch": "category"}
    assert [feature.name for feature in CLUB if feature.family is Family.PROFILE and feature.lite] == [
        "members_home_town",
        "members_age",
    ]


def test_every_number_of_events_has_a_place_among_peers_that_speaks_for_it_in_models() -> None:
    """Numbers of events stay for people; models see their places, and all that is no event as it is."""
    numbers = [one for one in CLUB if one.source in ("web_visits", "bar_orders") and one.kind == "number"]
    raw = [one for one in numbers if one.aggregate is not Aggregate.PLACE]
    places = [one for one in numbers if one.aggregate is Aggregate.PLACE]
    assert [one.operand for one in places] == [one.name for one in raw]
    assert [one for one in CLUB if not one.is_modelled] == raw
    assert [one.lite for one in places] == [one.lite for one in raw]
    rows = CLUB_BY_NAME["web_visits_rows_count_30d_in_group"]
    assert (rows.operand, rows.unit, rows.family) == ("web_visits_rows_count_30d", "share", Family.VOLUME)
    assert CLUB_BY_NAME["web_visits_swim_count_7d_in_group"].description == (
        "Place among the peer group, from 0 to 1, by rows of web visits with visit kind swim in the last 7 days."
    )


def test_without_a_peer_group_nobody_is_compared(tmp_path: Path) -> None:
    """Places cost a sort each and helped only some data, so they are made where they are asked for."""
    contract = load_club(tmp_path, ('peer_group = ["home_town", "plan"]\n', ""))
    alone = build_catalogue(contract)
    assert [feature for feature in alone if feature.aggregate is Aggregate.PLACE] == []
    assert all(feature.is_modelled for feature in alone)


def test_one_named_value_alone_has_no_last_value(load_shop: LoadShop) -> None:
    """Where a contract names one value, the last named one is always that."""
    assert "sales_event_type_last" in {feature.name for feature in build_catalogue(load_shop())}
    one = load_shop(('["purchase", "cancellation"]', '["purchase"]'))
    assert "sales_event_type_last" not in {feature.name for feature in build_catalogue(one)}


def test_a_feature_named_like_another_column_is_refused(tmp_path: Path) -> None:
    """Source `history` with the attribute `days` would name the column that tells how much history is held."""
    contract = load_club(tmp_path, ("[sources.members]", "[sources.history]"), ('home_town = "town"', 'days = "town"'),
                         ('peer_group = ["home_town", "plan"]\n', ""))  # fmt: skip
    with pytest.raises(ContractError, match="a feature would be called history_days, which is another column"):
        build_catalogue(contract)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (
            ('protected = ["gender"]', 'protected = ["gendre"]'),
            (
                "features.protected.0: 'gendre' is no attribute of any source of the role customers, did you mean "
                "'gender'?; known: age, branch, gender, home_town"
            ),
        ),
        (
            ('protected = ["gender"]', 'immutable = ["amount"]'),
            (
                "features.immutable.0: 'amount' is no attribute of any source of the role customers; "
                "known: age, branch, gender, home_town"
            ),
        ),
        (
            ('["home_town", "plan"]', '["price"]'),
            (
                "features.peer_group.0: 'price' is no attribute of any source of the role customers; "
                "known: age, branch, gender, home_town, plan"
            ),
        ),
        (
            ('["home_town", "plan"]', '["gender"]'),
            (
                "features: 'gender' is protected, and a place within its groups would be a feature made of it; take "
                "it out of peer_group or of protected"
            ),
        ),
        (('["home_town", "plan"]', '["plan", "plan"]'), "features: 'plan' stands twice in one list; name it once"),
    ],
)
def test_a_list_of_attributes_names_attributes(tmp_path: Path, edit: tuple[str, str], problem: str) -> None:
    """What is no attribute is named with what is allowed; a group may also be the plan."""
    with pytest.raises(ContractError) as refused:
        load_club(tmp_path, edit)
    assert [re.sub("^contract.toml:[0-9]+: ", "", one) for one in refused.value.problems] == [problem]
