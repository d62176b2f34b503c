import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.contract import Contract, load_contract
from churnlake.errors import ContractError
from churnlake.features import Aggregate, Family, Feature, build_catalogue, main_window, tile_columns

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "online_retail" / "contract.toml"
CATALOGUE = build_catalogue(load_contract(EXAMPLE))

LoadShop = Callable[..., Contract]


def test_names_are_unique_and_say_source_what_and_window() -> None:
    """A name is all that a model and a reason keep of a feature, so it says source, what, aggregate and window."""
    names = [feature.name for feature in CATALOGUE]
    assert len(set(names)) == len(names) == 46
    windowed = re.compile(r"invoices_[a-z_]+_(?:days|count|sum|distinct)_\d+d")
    for feature in CATALOGUE:
        assert re.fullmatch(r"invoices_[a-z0-9_]+", feature.name)
        assert feature.window_days is None or windowed.fullmatch(feature.name), feature.name
        assert feature.window_days is None or feature.name.endswith(f"_{feature.window_days}d"), feature.name


def test_eight_lite_features_speak_for_the_eight_families() -> None:
    """The smallest model sees one feature of every family, each of the main window where it has one."""
    lite = [feature for feature in CATALOGUE if feature.lite]
    assert Counter(feature.family for feature in lite) == dict.fromkeys(Family, 1)
    assert {feature.window_days for feature in lite} == {90, None}
    assert {feature.family for feature in CATALOGUE} == set(Family)


@pytest.mark.parametrize("feature", CATALOGUE, ids=lambda feature: feature.name)
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
        (
            "invoices_activity_days_pace_30d_over_90d",
            "active days of the last 30 days came at 5 times the pace of the last 90",
        ),
        ("invoices_cancellation_share_90d", "share of cancellation rows in the last 90 days: 5"),
    ],
)
def test_a_reason_reads_as_said_aloud(name: str, phrase: str) -> None:
    """One phrase of each kind, its value put in."""
    (feature,) = [one for one in CATALOGUE if one.name == name]
    assert feature.wording.replace("{value}", "5") == phrase


def test_no_two_features_are_worded_alike() -> None:
    """A reader of reasons can tell any two features apart."""
    wordings = Counter(feature.wording for feature in CATALOGUE)
    assert [wording for wording, count in wordings.items() if count > 1] == []


def test_amounts_are_scaled_to_peoples_units() -> None:
    """Pence are stored, pounds are told; pieces need no scale."""
    by_name = {feature.name: feature for feature in CATALOGUE}
    amount, quantity = by_name["invoices_amount_sum_90d"], by_name["invoices_quantity_sum_90d"]
    assert (amount.scale, amount.unit) == (2, "10^-2 GBP")
    assert (quantity.scale, quantity.unit) == (0, "units")


def test_operands_are_tile_columns_or_features_before_them() -> None:
    """Whatever a feature is computed from exists: a tile's column, a distinct column, or features listed earlier."""
    tiles = set(tile_columns(load_contract(EXAMPLE).features)) | {"product"}
    seen: set[str] = set()
    for feature in CATALOGUE:
        if feature.aggregate in (Aggregate.RATIO, Aggregate.PACE):
            assert {feature.operand, str(feature.other)} <= seen, feature.name
        else:
            assert feature.operand in tiles, feature.name
        seen.add(feature.name)


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
