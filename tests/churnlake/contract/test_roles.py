"""What the parts of a contract ask of each other: deliveries of roles, and the names that lookups bring."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.contract import Contract, load_contract
from churnlake.errors import ContractError

PEOPLE = """[sources.people]
role = "customers"
delivery = "snapshot"
path = "people/{business_date}.csv"
max_disappear = 0.1
types = { id = "text", site = "text", sites_Name = "text" }
columns = { customer_id = "id", site = "site" }
lookups = { sites = ["site"] }

[sources.sites]
role = "lookup"
delivery = "history"
path = "sites.csv"
types = { site = "text", city = "text" }
key = ["site"]

[churn]"""

WriteShop = Callable[..., Path]


def problems_of(path: Path) -> list[str]:
    """Every problem of a contract, with its line."""
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    return list(caught.value.problems)


def line_of(path: Path, text: str) -> int:
    """The line on which a text stands."""
    return 1 + next(number for number, line in enumerate(path.read_text().splitlines()) if text in line)


def test_a_table_of_customers_may_come_whole_each_day(load_shop: Callable[..., Contract]) -> None:
    """A fifth of its customers may disappear unless the contract says otherwise."""
    assert load_shop(("[churn]", PEOPLE)).sources["people"].max_disappear == 0.1
    assert load_shop(("[churn]", PEOPLE.replace("max_disappear = 0.1\n", ""))).sources["people"].max_disappear == 0.2


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (("[churn]", PEOPLE.replace("0.1", "1.1")), "max_disappear: .*less than or equal to 1"),
        (("[churn]", PEOPLE.replace("{business_date}", "all")), "path: must hold {business_date} exactly once"),
        (("[churn]", PEOPLE.replace("0.1", "0.1\nmax_early_days = 1")), "max_early_days: means nothing for a snapshot"),
        (("[churn]", PEOPLE.replace("0.1", '0.1\nthrough = "2012-01-01"')), "through: means nothing for a snapshot"),
        (('role = "events"', 'role = "events"\nmax_disappear = 0.1'), "max_disappear: means nothing for a daily"),
        (('role = "events"', 'role = "events"\ndelivery = "snapshot"'), "delivery: must be 'daily' or 'history' for"),
        (("[churn]", PEOPLE.replace('"history"', '"snapshot"')), "delivery: must be 'history' for a lookup; got 'snap"),
    ],
)
def test_what_a_snapshot_cannot_mean_is_refused(write_shop: WriteShop, edit: tuple[str, str], told: str) -> None:
    """Keys of other deliveries, and tables of anything but states."""
    assert any(re.search(rf"sources\.\w+\.{told}", problem) for problem in problems_of(write_shop(edit)))


def test_what_a_lookup_brings_must_have_a_name_of_its_own(write_shop: WriteShop) -> None:
    """`sites` would bring `sites_city`: fine. It would bring `sites_name` too, and capitals make no difference."""
    path = write_shop(("[churn]", PEOPLE.replace('city = "text"', 'city = "text", name = "text"')))
    place = f"contract.toml:{line_of(path, 'lookups =')}: sources.people.lookups.sites"
    named = "its column 'name' would be named 'sites_name', like a column of this source"
    assert problems_of(path) == [f"{place}: {named}; give the lookup another name"]


def test_a_lookup_is_part_of_what_rows_mean(load_shop: Callable[..., Contract]) -> None:
    """Another type of a lookup's column gives the rows it is joined to another meaning, and no others."""
    plain, other = (
        load_shop(("[churn]", PEOPLE.replace('city = "text"', f'city = "{kind}"'))) for kind in ("text", "int")
    )
    assert plain.typed_digest("people") != other.typed_digest("people")
    assert plain.typed_digest("sales") == other.typed_digest("sales")


def test_a_number_that_a_lookup_brings_is_a_number(load_shop: Callable[..., Contract]) -> None:
    """An attribute that is a column of a numeric type as it stands keeps its type, wherever the column comes from."""
    people = PEOPLE.replace('city = "text"', 'city = "text", size = "int"').replace(
        'site = "site" }', 'site = "site", size = "sites_size", town = "sites_city" }'
    )
    kinds = {"site": "category", "size": "number", "town": "category"}
    assert load_shop(("[churn]", people)).attributes == kinds


def test_two_lookups_must_not_bring_one_name(write_shop: WriteShop) -> None:
    """`sites` with `city_name` and `sites_city` with `name` would both bring `sites_city_name`."""
    second = """[sources.sites_city]
role = "lookup"
delivery = "history"
path = "cities.csv"
types = { site = "text", name = "text" }
key = ["site"]

[churn]"""
    edit = (
        PEOPLE.replace('city = "text"', 'city_name = "text"')
        .replace('sites = ["site"]', 'sites = ["site"], sites_city = ["site"]')
        .replace("[churn]", second)
    )
    (problem,) = problems_of(write_shop(("[churn]", edit)))
    assert "its column 'name' would be named 'sites_city_name', like one that the lookup sites brings" in problem
