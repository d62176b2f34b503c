"""The data page as Chromium shows it: every number is the warehouse's, hostile rows are only text, all fits a phone."""

from collections.abc import Callable
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from churnlake.intake import taken_in
from churnlake.ledger import CheckResult
from churnlake.report import write_data_page, write_page

pytestmark = pytest.mark.browser

FIRST, DAY, NEXT_DAY = date(2026, 3, 8), date(2026, 3, 9), date(2026, 3, 10)
SCRIPT = "<script>alert(1)</script><img src='http://127.0.0.1:9/x' onerror=alert(2)>"
TURNED = "abc\u202edcba\u2066\u200b"
LONG = "unbroken" * 8192
SECRET = "C-17850"
REFUSED = (
    "deliveries cannot be used:\n  - data/2026-03-10.csv: renamed column: 'prize' came, 'price' is missing" + SCRIPT
    + "\n  next: repair or replace these files and run again; last scores stay"
)  # fmt: skip
ROWS = [
    {"id": SECRET, "at": "2026-03-09 12:00:00", "price": SCRIPT},
    {"id": SECRET, "at": TURNED, "price": LONG},
    {"id": None, "at": f"paid by {SECRET}", "price": ""},
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, open_home: Callable[[Path], Any]) -> Any:
    """A night after a history of weekdays, with a correction, a late file and a release; the next one is refused."""
    made = open_home(tmp_path_factory.mktemp("data") / "a home")
    history = made.run(FIRST, kind="history", message=None)
    days = [FIRST - timedelta(days=back) for back in range(80, 1, -1)]
    made.deliver(history, *(usual(number, day) for number, day in enumerate(one for one in days if one.weekday() < 6)))
    publish(made, FIRST)
    nothing: dict[str, Any] = {"ignored": {}, "quarantined": {}, "defects": {}, "duplicate": 0}
    night = made.run(DAY)
    made.deliver(
        night,
        {"slot": DAY, "measured": {"rows": 130, "null.price": 0.4, "set_aside": 0.05}},
        {
            "slot": date(2026, 3, 6), "delivery_id": "2026-03-06-0b-2", "corrects": "2026-03-06-0a", "known_date": DAY,
            "sha256": "0b", "counts": nothing | {"raw": 131, "unchanged": 128, "accepted": 3, "withdrawn": 2},
        },
        {"slot": date(2026, 3, 7), "known_date": DAY},
        {
            "slot": DAY, "delivery_id": "release-0c", "sha256": "0c", "kind": "release",
            "counts": nothing | {"raw": 2, "accepted": 2},
        },
    )  # fmt: skip
    made.hold([{"slot": DAY, "raw_row": row} for row in ROWS])
    publish(made, DAY)
    refused = made.run(NEXT_DAY, message=REFUSED)
    made.deliver(refused, {"slot": NEXT_DAY}, taken_in=False)
    made.ledger.record_checks(
        refused.run_id, [CheckResult("gate", "orders", "null.price", "critical", False, "40.0 %", "at most 3 %")]
    )
    for day in (FIRST, DAY):
        write_page(made.settings, "shop", day)
    write_data_page(made.settings, "shop", NEXT_DAY)
    return made


def usual(number: int, day: date) -> dict[str, Any]:
    """A file of the history, each a row longer than the one before."""
    numbers = {"rows": 130 + number, "null.price": 0.01 + number % 7 / 1000, "set_aside": 0.05, "bin.price.3": 1.0}
    return {"slot": day, "counts": {"raw": 130 + number, "accepted": 100 + number}, "measured": numbers}


def publish(made: Any, day: date) -> None:
    """Publishes a night with what it took in, as the publish stage does."""
    before = made.publications.newest_before("shop", day)
    odd = made.check("null.price", kind="gate", passed=False, severity="warning", observed="40.0 %", expected="3 %")
    missing = {"kind": "floor", "passed": False, "severity": "warning", "observed": "no file", "expected": "a file"}
    checks = [
        made.check("a_passed"),
        odd,
        made.check(f"extra.{day}", kind="drift", passed=False, severity="info", observed=TURNED),
        made.check("delivery.2026-03-04", **missing),
    ]
    made.publish(day, checks=checks, taken=taken_in(made.ledger.deliveries("shop"), before, day))


def names(page: Any) -> dict[str, str]:
    """Every named number of a page, exactly."""
    shown = page.evaluate(
        "[...document.querySelectorAll('data[data-name]')].map(e => [e.dataset.name, e.getAttribute('value')])"
    )
    assert len({name for name, _ in shown}) == len(shown)
    return dict(shown)


# What each named number is in the warehouse, by what its name begins with; the rest of the name fills the marks.
TONIGHT = "contract = 'shop' AND business_date = DATE '{day}'"
DELIVERIES = f"churn.deliveries WHERE {TONIGHT}"
WHYS = f"churn.quarantine_reasons WHERE {TONIGHT} AND source = '{{0}}'"
ASIDE = "ignored + duplicate + quarantined AS aside"
LATE = "kind = 'file' AND known_date > slot"
ASKED = {
    "files.late": f"SELECT count(*) FROM {DELIVERIES} AND {LATE}",
    "files": f"SELECT count(*) FROM {DELIVERIES} AND kind = '{{0}}'",
    "arrivals": f"SELECT count(*) FROM {DELIVERIES}",
    "total": f"SELECT sum({{0}})::BIGINT FROM {DELIVERIES}",
    "arrival": f"SELECT {{2}} FROM (SELECT *, {ASIDE} FROM {DELIVERIES} AND source = '{{0}}') "
    "WHERE delivery_id = '{1}'",
    "rows2": f"SELECT sum({{1}})::BIGINT FROM {DELIVERIES} AND source = '{{0}}'",
    "rows": f"SELECT sum(rows)::BIGINT FROM {WHYS} AND bucket = '{{1}}' AND reason = '{{rest}}'",
    "defect": f"SELECT sum(rows)::BIGINT FROM {WHYS} AND bucket = 'defect' AND reason = '{{rest1}}'",
    "checks.failed": f"SELECT count(*) FROM churn.run_quality WHERE {TONIGHT} AND NOT passed "
    "AND kind IN ('expectation', 'gate')",
    "checks.passed": f"SELECT count(*) FROM churn.run_quality WHERE {TONIGHT} AND passed",
    "day": f"SELECT {{2}} FROM (SELECT *, {ASIDE} FROM churn.deliveries WHERE business_date <= DATE '{{day}}' "
    "AND kind <> 'release' AND source = '{0}' AND slot = DATE '{1}') ORDER BY known_date DESC LIMIT 1",
    "measured": "SELECT observed FROM churn.run_quality WHERE kind = 'measurement' AND source = '{0}' "
    "AND name = '{rest1}' AND business_date <= DATE '{day}' ORDER BY delivery_id DESC LIMIT 1",
}


def question(name: str, day: date) -> str:
    """The question whose answer a named number must be."""
    head, *parts = name.split(".")
    key = name if name in ASKED else f"{head}{2 if head == 'rows' and len(parts) == 2 else ''}"
    return ASKED[key].format(*parts, day=day, rest=".".join(parts[2:]), rest1=".".join(parts[1:]))


@pytest.mark.parametrize("day", [FIRST, DAY])
def test_every_number_is_what_the_warehouse_answers(opened: Callable[..., Any], home: Any, day: date) -> None:
    """Files, rows by place and reason, defects, checks, days and measurements: each against a question of its own."""
    page = opened(f"shop/{day}-data.html")

    shown = names(page)

    assert {name.split(".")[0] for name in shown} >= {"files", "total", "arrival", "rows", "defect", "checks", "day"}
    asked = " UNION ALL ".join(f"SELECT '{name}', ({question(name, day)})::VARCHAR" for name in shown)
    assert shown == dict(home.rows(asked))


def test_the_totals_of_a_night_are_those_its_run_counted(opened: Callable[..., Any], home: Any) -> None:
    """History falls to the first night, and all nights together tell every delivery once."""
    first, second = (names(opened(f"shop/{day}-data.html")) for day in (FIRST, DAY))

    assert (first["arrivals"], first["files.file"], first["files.correction"]) == ("68", "68", "0")
    assert [second[f"files.{kind}"] for kind in ("file", "correction", "release", "late")] == ["2", "1", "1", "1"]
    assert int(second["total.raw"]) == 130 + 131 + 130 + 2
    assert home.rows("SELECT count(*), count(DISTINCT delivery_id) FROM churn.deliveries") == [(72, 72)]
    ingested = sum(one.state == "ingested" for one in home.ledger.deliveries("shop"))
    assert ingested == 72


def test_hostile_rows_are_only_text(opened: Callable[..., Any]) -> None:
    """Markup is shown as it came, what turns a line around as numbers, 64 KB are cut, and nobody's id is there."""
    page = opened("shop/2026-03-09-data.html")

    told = page.locator(".sample").all_inner_texts()

    assert [SCRIPT in told[0], "abc\\u202edcba\\u2066\\u200b" in told[1], "… 65,536 characters" in told[1]] == [
        True
    ] * 3
    assert page.locator("main script, main img").count() == 0
    source = page.content()
    assert not any(secret in source for secret in (SECRET, "\u202e", "\u2066", "\u200b", LONG[:200]))


def test_a_refused_night_says_why_first(opened: Callable[..., Any]) -> None:
    """The index leads to it; message and next step stand on top, then what had arrived, and what a gate found."""
    page = opened("index.html")
    page.get_by_role("link", name="2026-03-10").click()

    assert page.locator("h2").first.inner_text().split("\n")[-1].strip().endswith("Refused: nothing was published")
    assert page.locator('[data-name="message"]').inner_text().split("\n")[0] == "deliveries cannot be used:"
    assert page.locator('[data-name="next_step"]').inner_text().startswith("repair or replace these files")
    assert page.get_by_text("data/2026-03-10.csv").count() > 0
    assert page.locator('[data-name="check.gate.orders.null.price"]').get_attribute("data-value") == "failed"
    page.get_by_role("link", name="All reports").click()
    page.get_by_role("link", name="2026-03-09").click()
    page.get_by_role("link", name="What arrived").click()
    assert page.locator("h1").inner_text() == "shop: what arrived, 2026-03-09"


PAGES = [f"shop/2026-03-{day:02}-data.html" for day in (8, 9, 10)] + ["index.html"]


@pytest.mark.parametrize("address", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_all_text_can_be_read(
    opened: Callable[..., Any], weak_texts: str, address: str, scheme: str
) -> None:
    """No page is wider than 360 points, with all details open; every text has the contrast of WCAG AA."""
    page = opened(address, width=360, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")

    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(weak_texts) == []


def test_it_can_be_read_aloud(opened: Callable[..., Any]) -> None:
    """One title, headings in order, headers with scope, and words for every picture."""
    page = opened("shop/2026-03-09-data.html")

    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert (levels[0], levels.count(1)) == (1, 1)
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("th:not([scope])").count() == 0
    pictures = page.evaluate(
        "[...document.querySelectorAll('svg')].map(s => s.closest('[role=img]')?.getAttribute('aria-label'))"
    )
    assert all(pictures)
    assert len(pictures) >= 2
