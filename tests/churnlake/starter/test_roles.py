"""Roles of tables and the columns that stand for canonical ones."""

from collections.abc import Callable

import pytest

from churnlake.contract.expressions import Expression, parse_expression
from churnlake.starter import CustomerChoice, Part, Table, decide_parts, find_customers

Write = Callable[[str, str], object]
Tables = Callable[[], list[Table]]

SALES = "CustomerID,InvoiceDate,Quantity,UnitPrice,StockCode\n" + "".join(
    f"{n % 3}.0,2026-01-0{n % 9 + 1} 10:00:00,{n - 2},1.25,{n % 4:05d}\n" for n in range(12)
)


def parts_of(tables: list[Table]) -> tuple[Part, ...]:
    """The sources of tables whose customer is told by its name."""
    customers = find_customers(tables, None)
    assert not isinstance(customers, CustomerChoice)
    return decide_parts(tables, customers)[0]


def sql_of(part: Part) -> dict[str, str]:
    """Canonical columns and their expressions, each of which a contract takes."""
    known = list(part.table.columns)
    for name, mapped in part.columns.items():
        assert isinstance(parse_expression(mapped.sql, known), Expression), (name, mapped.sql)
    return {name: mapped.sql for name, mapped in part.columns.items()}


def test_many_rows_for_a_customer_with_times_are_events(write: Write, tables: Tables) -> None:
    """Price times quantity is the amount; a negative quantity is a return."""
    write("sales.csv", SALES)
    (part,) = parts_of(tables())
    assert (part.role, part.values) == ("events", ("purchase", "return"))
    assert sql_of(part) == {
        "customer_id": "REGEXP_REPLACE(CustomerID, '[.]0+$', '')",
        "event_ts": "InvoiceDate",
        "event_type": "CASE WHEN Quantity < 0 THEN 'return' ELSE 'purchase' END",
        "amount": "Quantity * UnitPrice",
        "quantity": "Quantity",
        "product": "StockCode",
    }


def test_a_column_of_few_kinds_is_the_event_type_with_names_features_can_have(write: Write, tables: Tables) -> None:
    """`other` and the like would name two features alike."""
    lines = [f"{n % 4},2026-01-01,{kind}" for n, kind in enumerate(["Web Shop", "Other", "Kid's", ""] * 4)]
    write("sales.csv", "customer,day,kind\n" + "\n".join(lines))
    (part,) = parts_of(tables())
    assert part.values == ("kid_s", "is_other", "web_shop")
    assert sql_of(part)["event_type"] == (
        "CASE kind WHEN 'Kid\\'s' THEN 'kid_s' WHEN 'Other' THEN 'is_other' WHEN 'Web Shop' THEN 'web_shop' END"
    )


def test_start_and_end_make_subscriptions(write: Write, tables: Tables) -> None:
    """An empty end is one that goes on; dates of other forms become dates by an expression."""
    write(
        "contracts.csv",
        "account_id,started,cancelled_on,plan,monthly_price,renews_on\n"
        "1,31.01.2026,,basic,9.99,2026-03-01\n2,01.02.2026,2026-05-01,plus,19.99,\n1,01.06.2026,,plus,19.99,\n",
    )
    (part,) = parts_of(tables())
    assert (part.role, sql_of(part)) == (
        "subscriptions",
        {
            "customer_id": "account_id",
            "started_on": "TO_DATE(started, 'dd.MM.yyyy')",
            "ended_on": "cancelled_on",
            "renews_on": "renews_on",
            "plan": "plan",
            "price": "monthly_price",
        },
    )


def test_a_day_until_which_each_row_pays_makes_renewals(write: Write, tables: Tables) -> None:
    """Flags of zeros and ones are tests; the time is not the day of expiry, though that lies later."""
    lines = [f"{n % 3},2026-01-0{n + 1},2026-02-0{n + 1},{n % 2},{int(n > 3)},9.99,{'abc'[n % 3]}" for n in range(6)]
    header = "member_id,transaction_date,membership_expire_date,is_cancel,is_auto_renew,price,plan\n"
    write("transactions.csv", header + "\n".join(lines))
    (part,) = parts_of(tables())
    assert (part.role, sql_of(part)) == (
        "renewals",
        {
            "customer_id": "member_id",
            "event_ts": "CAST(transaction_date AS TIMESTAMP)",
            "paid_until": "membership_expire_date",
            "cancels": "is_cancel = 1",
            "auto_renew": "is_auto_renew = 1",
            "plan": "plan",
            "price": "price",
        },
    )


def test_what_begins_and_ends_within_a_day_is_an_event(write: Write, tables: Tables) -> None:
    """A call over midnight is one too; its start is its time."""
    calls = "".join(f"{n % 3},2026-01-0{n % 8 + 1} 23:50:00,2026-01-0{n % 8 + 1 + n % 2} 00:10:00\n" for n in range(12))
    write("calls.csv", "subscriber,start_time,end_time\n" + calls)
    (part,) = parts_of(tables())
    assert (part.role, sql_of(part)["event_ts"]) == ("events", "start_time")


def test_one_row_for_each_and_a_churn_column_are_labels_beside_a_profile(write: Write, tables: Tables) -> None:
    """The outcome is no attribute, and what looks like one is left out with its reason."""
    rows = "".join(f"C-{n:03d},{'F' if n % 2 else 'M'},{n}.5,{'Yes' if n % 4 == 0 else 'No'},done\n" for n in range(20))
    write("telco.csv", "customerID,gender,charges,Churn,final_result\n" + rows)
    profile, outcome = parts_of(tables())
    assert (profile.role, sql_of(profile)) == (
        "customers",
        {"customer_id": "customerID", "gender": "gender", "charges": "charges"},
    )
    assert profile.left_out == ("final_result: looks like an outcome: known only afterwards, it would leak",)
    assert (outcome.role, sql_of(outcome)) == ("labels", {"customer_id": "customerID", "is_churned": "Churn = 'Yes'"})


@pytest.mark.parametrize(
    ("values", "test"),
    [(("0", "1"), "exited = 1"), (("true", "false"), "exited"), (("stays", "stays", "goes"), "exited = 'goes'")],
)
def test_the_value_that_means_gone_is_found_or_the_rarer_one_marked(
    write: Write, tables: Tables, values: tuple[str, ...], test: str
) -> None:
    """A guess is told as one."""
    write("labels.csv", "client_id,exited\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values)))
    (outcome,) = parts_of(tables())
    assert sql_of(outcome)["is_churned"] == test
    assert ("CHECK" in outcome.columns["is_churned"].why) == (test == "exited = 'goes'")


def test_a_table_without_customer_but_with_a_key_of_another_is_a_lookup(write: Write, tables: Tables) -> None:
    """It may bring the kind of event."""
    write("clicks.csv", "id_student,site,date\n" + "".join(f"{n % 3},{n % 2},2026-01-01\n" for n in range(9)))
    write("sites.csv", "site,activity_type\n0,quiz\n1,page\n")
    clicks, sites = parts_of(tables())
    assert (sites.role, sites.key, clicks.lookups) == ("lookup", ("site",), {"sites": ("site",)})
    assert (clicks.columns["event_type"].sql, clicks.values) == ("sites_activity_type", ("page", "quiz"))


def test_a_table_that_fits_no_role_is_left_out_with_its_reason(write: Write, tables: Tables) -> None:
    """Many rows for a customer and no time."""
    write("tags.csv", "customer,tag\n1,a\n1,b\n1,c\n2,a\n")
    told = tables()
    customers = find_customers(told, None)
    assert not isinstance(customers, CustomerChoice)
    assert decide_parts(told, customers) == (
        (),
        ("tags: many rows for one customer and no column with a time: nothing says when they happened",),
    )


def test_where_no_name_tells_the_customer_it_is_asked(write: Write, tables: Tables) -> None:
    """Ids that repeat are offered; the answer decides."""
    write("visits.csv", "badge_no,door_code,at\n" + "".join(f"{n % 4},{n % 2},2026-01-01\n" for n in range(12)))
    told = tables()
    assert find_customers(told, None) == CustomerChoice(("badge_no", "door_code"))
    chosen = find_customers(told, "badge_no")
    assert not isinstance(chosen, CustomerChoice)
    assert chosen["visits"].name == "badge_no"
    assert find_customers(told, "nobody") == {}


def test_the_same_customers_under_another_name_are_found_by_their_values(write: Write, tables: Tables) -> None:
    """Long ids that most of the smaller table shares are no chance; short numbers and a few shared values may be."""
    write("visits.csv", "customer,at\n" + "".join(f"{n % 25:06d},2026-01-01 10:00:{n}\n" for n in range(50)))
    write("cards.csv", "card,since,until\n" + "".join(f"{n:06d},2025-01-01,\n" for n in range(1, 40)))
    write("doors.csv", "door,floor\n" + "".join(f"{n},{n % 3}\n" for n in range(25)))
    write("pins.csv", "pin,place\n" + "".join(f"{n:06d},{n % 3}\n" for n in range(20, 60)))
    found = find_customers(tables(), None)
    assert not isinstance(found, CustomerChoice)
    assert {name: column.name for name, column in found.items()} == {"visits": "customer", "cards": "card"}


@pytest.mark.parametrize(
    ("second", "roles"),
    [
        ("1,gold\n2,iron\n", ["customers"]),
        ("1,gold\n3,iron\n,zinc\n", ["customers"]),
        ("2,gold\n4,iron\n5,iron\n2,iron\n", []),
        ("1,gold\n1,iron\n", []),
    ],
)
def test_a_table_that_comes_whole_for_each_date_has_one_row_each(
    write: Write, tables: Tables, second: str, roles: list[str]
) -> None:
    """Nobody stands twice in a file, half of all stand in the next one; a null is nobody."""
    write("people/2026-01-01.csv", "customer,level\n1,gold\n2,gold\n")
    write("people/2026-02-01.csv", f"customer,level\n{second}")
    assert [part.role for part in parts_of(tables())] == roles


def test_rows_of_the_days_of_their_files_are_events_though_each_customer_has_one_a_day(
    write: Write, tables: Tables
) -> None:
    """The same people every day: a log, not a table."""
    for day in ("2026-01-01", "2026-01-02"):
        write(f"use/{day}.csv", f"customer,day,minutes\n1,{day},3\n2,{day},4\n")
    assert [part.role for part in parts_of(tables())] == ["events"]
