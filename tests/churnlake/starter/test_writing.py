"""The contract that is written: it is read and checked like any other, and says why each line is as it is."""

import tomllib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from churnlake.contract import Contract, load_contract
from churnlake.starter import CustomerChoice, Draft, Table, contract_text, decide_parts, draft_contract, find_customers

Write = Callable[[str, str | bytes], object]
TODAY = date(2026, 6, 1)
FIRST = date(2025, 1, 1)


@pytest.fixture
def draft(tables: Callable[[], list[Table]]) -> Callable[[], Draft]:
    """The draft that the sample files make."""

    def drafted() -> Draft:
        told = tables()
        customers = find_customers(told, None)
        assert not isinstance(customers, CustomerChoice)
        return draft_contract("shop", decide_parts(told, customers)[0], "Europe/Berlin", TODAY)

    return drafted


@pytest.fixture
def contract(draft: Callable[[], Draft], tmp_path: Path) -> Callable[[], tuple[Contract, str]]:
    """The contract of the sample files, read and checked, and its text."""

    def written() -> tuple[Contract, str]:
        told = draft()
        text = contract_text(told, {one.part.name: f"data/{one.delivery.path}" for one in told.sources})
        path = tmp_path / "contract.toml"
        path.write_text(text, encoding="utf-8")
        return load_contract(path), text

    return written


def orders(separator: str = ",", days: int = 500) -> str:
    """Sales of 40 customers who come every eight days, in ISO."""
    lines = [separator.join(("customer", "sold_at", "article", "total", "kind"))]
    for n in range(days):
        day = FIRST + timedelta(days=n)
        buyers = range(n % 8, 40, 8)
        lines += [
            separator.join((f"{one:04d}", f"{day} 10:00:00", f"A{n % 5}", f"{n % 30}.50", "sale")) for one in buyers
        ]
    lines.append(separator.join(("0001", f"{FIRST} 10:00:00", "A0", "1.00", "return")))
    return "\n".join(lines)


def test_a_shop_becomes_a_contract_of_inactivity(write: Write, contract: Callable[[], tuple[Contract, str]]) -> None:
    """Role, delivery, columns, horizon, windows and features; the zone and the currency are left to a person."""
    write("orders.csv", orders())
    told, text = contract()
    source = told.sources["orders"]
    assert (source.role, source.delivery, source.path, source.through) == (
        "events", "history", "data/orders.csv", FIRST + timedelta(days=499),
    )  # fmt: skip
    assert dict(source.types) == {
        "customer": "text", "sold_at": "timestamp", "article": "text", "total": "decimal(12,2)", "kind": "text",
    }  # fmt: skip
    assert dict(source.columns) == {
        "customer_id": "customer", "event_ts": "sold_at", "event_type": "kind", "amount": "total", "product": "article",
    }  # fmt: skip
    assert (told.churn.definition, told.churn.horizon_days, told.churn.active_within_days) == ("inactivity", 14, 45)
    assert told.churn.activity == "event_type = 'sale' AND amount > 0"
    assert (told.features.windows_days, told.calendar.clock) == ((7, 30, 90, 180), "replay")
    assert 'timezone = "Europe/Berlin"' in text
    assert "# CHECK: this machine's; the files name none" in text


def test_every_line_of_a_choice_has_its_reason(write: Write, contract: Callable[[], tuple[Contract, str]]) -> None:
    """Behind it, or above it where it is long."""
    write("orders.csv", orders(days=60))
    _, text = contract()
    lines = text.split("\n")
    bare = [
        line
        for above, line in zip(["", *lines], lines, strict=False)
        if " = " in line and " # " not in line and not above.startswith("#") and not line.startswith("#")
    ]
    assert bare == []


def test_what_is_not_usual_in_a_text_is_written_down(
    write: Write, contract: Callable[[], tuple[Contract, str]]
) -> None:
    """Separator, encoding, decimal comma, marks for null, columns that a contract cannot name."""
    lines = "".join(f"{n % 4:04d};0{n % 9 + 1}.01.2026;Löffel;{n},50;x\n" for n in range(20))
    write(
        "umsatz.csv",
        ("Kunde;Datum;Artikel;Betrag;Preis (€)\n" + lines + "0001;01.01.2026;Löffel;NA;x\n").encode("cp1252"),
    )
    told, text = contract()
    source = told.sources["umsatz"]
    assert (source.separator, source.encoding, source.decimal, source.null_marks) == (";", "cp1252", ",", ("NA",))
    assert (source.drift.extra, told.currency) == ("accept", "EUR")
    assert source.columns["event_ts"] == "TO_TIMESTAMP(Datum, 'dd.MM.yyyy')"
    assert "left out, as a contract cannot name them or take lists: Preis (€)" in text


def test_words_parted_by_blanks_get_a_pattern(write: Write, contract: Callable[[], tuple[Contract, str]]) -> None:
    """With a group for each column of the first line."""
    write(
        "master.txt",
        " customer_id date dollar_value\n" + "".join(f" {n % 3:05d} 1997010{n + 1} 1.5{n}\n" for n in range(9)),
    )
    told, text = contract()
    source = told.sources["master"]
    assert source.format == "text"
    assert source.pattern == r"\s*(?P<customer_id>\S+)\s+(?P<date>\S+)\s+(?P<dollar_value>\S+)\s*"
    assert source.header_lines == 1
    assert tomllib.loads(text)["contract"]["currency"] == "USD"


def test_a_labelled_table_becomes_two_sources(write: Write, contract: Callable[[], tuple[Contract, str]]) -> None:
    """Without dates yesterday stands in, marked; what is protected is named."""
    rows = "".join(f"C-{n:03d},{'F' if n % 2 else 'M'},{n % 7},{'Yes' if n % 4 == 0 else 'No'}\n" for n in range(40))
    write("telco.csv", "customerID,gender,tenure,Churn\n" + rows)
    told, _ = contract()
    assert {name: source.role for name, source in told.sources.items()} == {
        "telco": "customers",
        "telco_outcome": "labels",
    }
    assert (told.churn.definition, told.calendar.starts_on) == ("label", date(2026, 5, 31))
    assert (told.features.immutable, told.features.protected) == (("gender",), ("gender",))


def test_subscriptions_with_events_become_a_contract_of_cancellation(
    write: Write, contract: Callable[[], tuple[Contract, str]]
) -> None:
    """Events are features there; the newest of each history is what it covers."""
    write("contracts.csv", "account_id,start_date,end_date\n1,2025-01-01,\n2,2025-02-01,2026-03-01\n")
    write("logins.csv", "account_id,at\n" + "".join(f"{n % 2 + 1},2026-05-0{n % 9 + 1}\n" for n in range(20)))
    told, _ = contract()
    assert (told.churn.definition, told.churn.active_within_days) == ("cancellation", None)
    assert {name: source.through for name, source in told.sources.items()} == {
        "contracts": date(2026, 3, 1), "logins": date(2026, 5, 9),
    }  # fmt: skip


def test_payments_ahead_become_a_contract_of_expiry(write: Write, contract: Callable[[], tuple[Contract, str]]) -> None:
    """A past of them covers the days on which they happened, not those they pay for."""
    rows = "".join(f"{n % 3},2026-05-0{n % 9 + 1} 10:00:00,2026-06-0{n % 9 + 1}\n" for n in range(12))
    write("payments.csv", "member_id,paid_at,valid_until\n" + rows)
    told, text = contract()
    assert (told.churn.definition, told.churn.active_within_days, told.churn.grace_days) == ("expiry", None, 0)
    assert told.sources["payments"].through == date(2026, 5, 9)
    assert "CHECK that it is the first day not paid for" in text


def test_files_of_a_table_with_other_columns_are_told(
    write: Write, contract: Callable[[], tuple[Contract, str]]
) -> None:
    """The first file's columns count; what others lack or add is a warning of the night, not a guess."""
    write("orders_1.csv", "customer,at,total\n1,2026-01-01,1.50\n1,2026-01-02,1.50\n2,2026-01-02,1.50\n")
    write("orders_2.csv", "customer,at,shop\n1,2026-01-03,x\n")
    told, text = contract()
    source = told.sources["orders"]
    assert (list(source.types), source.drift.extra, source.drift.missing) == (
        ["customer", "at", "total"],
        "warn",
        "warn",
    )
    assert "CHECK: other columns in orders_2.csv" in text


def test_daily_files_are_due_every_open_day(write: Write, contract: Callable[[], tuple[Contract, str]]) -> None:
    """Fresh files: the clock is today's."""
    for n in (1, 2, 4):
        day = TODAY - timedelta(days=5 - n)
        write(f"{day}.csv.gz", "customer,at,total\n" + f"1,{day},1.50\n1,{day},2.50\n2,{day},3.50\n")
    told, _ = contract()
    (source,) = told.sources.values()
    assert (source.delivery, source.path) == ("daily", "data/{business_date}.csv.gz")
    assert (told.calendar.clock, told.calendar.starts_on) == ("today", date(2026, 5, 28))
    assert source.closed.dates == (date(2026, 5, 30),)


def test_foreign_text_stays_inside_its_comment_and_its_quotes(
    write: Write, contract: Callable[[], tuple[Contract, str]]
) -> None:
    """Values and names come from anybody."""
    evil = 'x"]\\\n[churn]'
    rows = "".join(
        f'{n % 3},2026-01-01,"{evil.replace(chr(34), chr(34) * 2)}"\n{n % 3},2026-01-02,b\n' for n in range(9)
    )
    write("orders.csv", "customer,at,kind\n" + rows)
    told, _ = contract()
    assert told.sources["orders"].columns["event_type"].startswith("CASE kind WHEN 'b'")
