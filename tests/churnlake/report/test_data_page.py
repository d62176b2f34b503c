"""The data page without a browser: masks, odd text, refused nights, older loads, and what must never cost a page."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from churnlake.contract import load_contract
from churnlake.errors import UsageError
from churnlake.intake import taken_in
from churnlake.quarantine import Row
from churnlake.report import write_data_page, write_index, write_page
from churnlake.report.account import Account, Value, read_account, refused_runs
from churnlake.report.samples import Sample, as_samples, visible
from churnlake.report.trends import tell

DAY, NEXT_DAY = date(2026, 3, 9), date(2026, 3, 10)
Named = Callable[[Path], dict[str, str | None]]


@pytest.fixture
def shown(home: Any) -> Callable[..., list[Sample]]:
    """Rows of orders as samples: each by its text and, where it is not a wrong price, what is wrong."""
    source = load_contract(home.contract_file).sources["orders"]

    def made(*texts: Mapping[str, str | None], reason: str = "bad_type.price") -> list[Sample]:
        rows = [
            Row("orders", "d1", DAY, "a.csv", 7, "h", 1, (reason,), "held", "d1", "r1", DAY, text) for text in texts
        ]
        return as_samples(rows, source)

    return made


def cells(sample: Sample) -> dict[str, str | None]:
    """Text by column, dots where it is masked."""
    return {cell.column: "..." if cell.is_masked else cell.text for cell in sample.cells}


def test_columns_that_name_a_customer_are_masked_wherever_their_text_stands(
    shown: Callable[..., list[Sample]],
) -> None:
    """In the column itself, in another one of any of the rows, but not where it is only a short part of a text."""
    given = [
        {"id": "C-178", "at": "2026-03-09", "price": "C-178"},
        {"id": None, "at": "paid by C-178", "price": None},
        {"id": "7", "at": "2027", "price": "7"},
    ]

    assert [cells(one) for one in shown(*given)] == [
        {"id": "...", "at": "2026-03-09", "price": "..."},
        {"id": None, "at": "...", "price": None},
        {"id": "...", "at": "2027", "price": "..."},
    ]


def test_a_column_the_contract_does_not_know_is_masked(shown: Callable[..., list[Sample]]) -> None:
    """An older contract may have read the id from it."""
    (one,) = shown({"customer": "C-178", "price": "x"})

    assert cells(one) == {"customer": "...", "price": "x"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [({"id": None, "price": None, "corrupt_record": "C-178;1;2"}, "bad_shape"), ({"price": "C-178;1;2"}, "bad_shape")],
)
def test_a_line_that_is_no_row_is_not_shown(
    shown: Callable[..., list[Sample]], text: dict[str, str | None], reason: str
) -> None:
    """Its fields stand in wrong columns, so the id may be anywhere in it."""
    (one,) = shown(text, reason=reason)

    assert (one.cells, one.whole_line) == ((), 9)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain é 日本", "plain é 日本"),
        ("a\tb\r\n", 'a<span class="odd">\\t</span>b<span class="odd">\\r</span><span class="odd">\\n</span>'),
        ("\u202eabc", '<span class="odd">\\u202e</span>abc'),
        ("a\u00a0b\u200b", 'a<span class="odd">\\xa0</span>b<span class="odd">\\u200b</span>'),
        ("\ud800", '<span class="odd">\\ud800</span>'),
        ("<b>&", "&lt;b&gt;&amp;"),
        ("x" * 9, 'xxxxxxxx<span class="odd">… 9 characters</span>'),
        ("", ""),
    ],
)
def test_text_without_a_shape_stands_as_its_number(text: str, told: str) -> None:
    """What steers a reader is seen, markup is text, and what is long is cut with its length told."""
    assert visible(text, 8 if text.startswith("x") else None) == told


def test_a_refused_night_is_told_before_any_night_is_published(home: Any, named: Named) -> None:
    """There is no warehouse yet; the page and the index come from the ledger alone."""
    run = home.run(DAY, message="file a.csv is empty\n  next: deliver it again")
    home.deliver(run, {"slot": DAY}, taken_in=False)

    page = write_data_page(home.settings, "shop", DAY)

    told = named(page)
    assert (told["verdict"], told["files.file"], told["arrival.orders.2026-03-09-0a.bytes"]) == ("red", "1", "2000")
    assert named(home.settings.reports / "index.html")["index.shop.2026-03-09.refused"] == "3"


def test_a_run_that_was_refused_after_a_source_was_through_tells_its_rows(home: Any, named: Named) -> None:
    """By the ledger's counts, as the warehouse would have told them."""
    run = home.run(DAY, message="the second source cannot be used")
    home.deliver(run, {"slot": DAY})

    told = named(write_data_page(home.settings, "shop", DAY))

    assert (told["rows.orders.raw"], told["rows.orders.quarantined.bad_type.price"]) == ("130", "6")
    assert (told["defect.orders.bad_type.price"], told["total.withdrawn"]) == ("9", "0")


def test_a_date_that_was_published_after_all_is_refused_no_more(home: Any, named: Named) -> None:
    """The page tells of what is published, also when a later restatement of it is refused."""
    home.run(DAY, message="not yet")
    home.publish(DAY)
    home.run(DAY, message="the restatement failed")

    told = named(write_data_page(home.settings, "shop", DAY))

    assert "message" not in told
    index = named(home.settings.reports / "index.html")
    assert (index["index.nights"], "index.shop.2026-03-09.refused" in index) == ("1", False)


def test_history_that_was_loaded_later_is_no_longer_refused(home: Any) -> None:
    """Of a night only its own date tells; of history any later run that went through."""
    home.run(DAY, kind="history", message="a broken file")
    home.run(NEXT_DAY, message="refused")
    assert [run.business_date for run in refused_runs(home.ledger, "shop")] == [DAY, NEXT_DAY]

    home.run(DAY + timedelta(days=5), kind="history")
    assert [run.business_date for run in refused_runs(home.ledger, "shop")] == [NEXT_DAY]


def test_a_date_that_was_never_run_has_no_data_page(home: Any) -> None:
    """The error says so, and the index is written all the same."""
    with pytest.raises(UsageError, match="neither published nor was it refused"):
        write_data_page(home.settings, "shop", DAY)
    assert write_index(home.settings).is_file()


def test_a_night_of_an_older_version_has_a_data_page(home: Any, named: Named) -> None:
    """Its load tells no deliveries: the page says so and shows its checks."""
    home.publish(DAY)
    with home.publications.writing() as connection:
        connection.execute("DELETE FROM document WHERE table_name IN ('deliveries', 'quarantine_reasons')")

    told = named(write_data_page(home.settings, "shop", DAY))

    assert (told["verdict"], told["files.file"], told["checks.passed"]) == ("amber", "0", "2")


def test_samples_are_left_out_rather_than_the_page(home: Any) -> None:
    """When the contract has changed since, when it cannot be read, and when the quarantine cannot."""
    run = home.run(DAY)
    home.deliver(run, {"slot": DAY})
    home.hold([{"slot": DAY, "raw_row": {"id": "C-178", "at": "a", "price": "cheap"}}])
    home.publish(DAY, taken=taken_in(home.ledger.deliveries("shop"), None, DAY))
    told = [write_page(home.settings, "shop", DAY).with_name("2026-03-09-data.html").read_text(encoding="utf-8")]

    contract = home.contract_file.read_text()
    for changed in (contract.replace("horizon_days = 30", "horizon_days = 31"), "[contract"):
        home.contract_file.write_text(changed)
        told.append(write_data_page(home.settings, "shop", DAY).read_text(encoding="utf-8"))
    home.contract_file.write_text(contract)
    log = home.settings.lake("shop") / "quarantine" / "_delta_log"
    next(log.glob("*.json")).write_text("{")
    told.append(write_data_page(home.settings, "shop", DAY).read_text(encoding="utf-8"))

    assert ["cheap" in page for page in told] == [True, False, False, False]
    assert "contract has changed since" in told[1]
    assert "contract cannot be read" in told[2]
    assert "quarantine cannot be read" in told[3]
    assert not any("C-178" in page for page in told)


def test_what_a_gate_finds_odd_is_shown_first_then_what_is_furthest_from_usual(home: Any) -> None:
    """Numbers with too short a course, and single levels that no gate minds, are left out."""
    days = [DAY - timedelta(days=back) for back in range(9, -1, -1)]
    run = home.run(DAY)
    home.deliver(run, *({"slot": day} for day in days))
    home.publish(DAY, taken=taken_in(home.ledger.deliveries("shop"), None, DAY))
    courses = {
        "null.price": [0.1] * 9 + [0.5],
        "staleness": [3.0, 4.0] * 5,
        "level.kind.a": [0.1] * 9 + [0.9],
        "level.kind.b": [0.2] * 10,
        "known": [0.5] * 2,
    }
    measured = [
        Value("orders", name, day, value)
        for name, values in courses.items()
        for day, value in zip(days[-len(values) :], values, strict=True)
    ]
    odd = {"kind": "gate", "source": "orders", "name": "level.kind.b", "passed": False, "observed": "20.0 %"}
    days_told = read_account(home.settings.warehouse, "shop", DAY).days
    account = Account("shop", DAY, "r1", None, (), (), (odd,), days_told, tuple(measured))

    assert [one.name for one in tell(account)] == ["level.kind.b", "null.price", "staleness"]
