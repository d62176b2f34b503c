"""The pages as Chromium shows them: nothing is loaded, nothing complains, the numbers are the warehouse's."""

from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from churnlake.report import write_page

pytestmark = pytest.mark.browser

DAY, NEXT_DAY = date(2026, 3, 9), date(2026, 3, 10)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, open_home: Callable[[Path], Any]) -> Any:
    """Two published nights with their pages; the second with a failed check whose text is hostile and long."""
    made = open_home(tmp_path_factory.mktemp("browser") / "a home")
    made.publish(DAY)
    hostile = "<img src='http://127.0.0.1:9/x' onerror=alert(1)>" + "unbroken" * 20
    warned = made.check(hostile, passed=False, severity="warning", observed=hostile)
    made.publish(
        NEXT_DAY, probabilities=[0.03, 0.21, 0.52, 0.96] * 5, checks=[made.check("id"), warned], excluded=hostile
    )
    for day in (DAY, NEXT_DAY):
        write_page(made.settings, "shop", day)
    return made


def value(page: Any, name: str) -> str:
    """The exact value beside a shown number."""
    element = page.locator(f'[data-name="{name}"]')
    assert element.count() == 1, name
    return str(element.get_attribute("value") or element.get_attribute("data-value") or element.inner_text())


def test_the_page_shows_what_the_warehouse_answers(opened: Callable[..., Any], home: Any) -> None:
    """Verdict, dates, counts, bands, histogram and model quality, each against its own question."""
    page = opened("shop/2026-03-10.html")

    assert page.locator("h2").first.inner_text().split("\n")[-1].strip().endswith("Amber: Usable, with care")
    where = "contract = 'shop' AND business_date = DATE '2026-03-10'"
    asked = {
        "scored": f"SELECT count(*) FROM churn.scores_history WHERE {where}",
        "customers.scored": f"SELECT customers_scored FROM churn.publications WHERE {where} AND state = 'current'",
        "band.high": f"SELECT count(*) FROM churn.scores_history WHERE {where} AND risk_band = 'high'",
        "histogram.19": f"SELECT count(*) FROM churn.scores_history WHERE {where} AND churn_probability >= 0.95",
        "histogram_before.19": "SELECT count(*) FROM churn.scores_history WHERE business_date = DATE '2026-03-09' "
        "AND churn_probability >= 0.95",
        "held.no_history": f"SELECT count(*) FROM churn.not_scored WHERE {where} AND status = 'held'",
        "checks.failed": f"SELECT count(*) FROM churn.run_quality WHERE {where} AND passed = false",
        "rows.raw": f"SELECT observed FROM churn.run_quality WHERE {where} AND kind = 'count' AND name = 'raw'",
        "model.auc": "SELECT auc FROM churn.models WHERE model_version = 1",
        "run_id": f"SELECT run_id FROM churn.publications WHERE {where}",
        "data_through": f"SELECT data_through FROM churn.publications WHERE {where}",
    }
    shown = {name: value(page, name) for name in asked if not name.startswith("histogram")}
    shown |= {
        name: str(page.locator(f'[data-name="{name}"]').get_attribute("value")) for name in asked if name not in shown
    }
    assert shown == {name: str(home.rows(sql)[0][0]) for name, sql in asked.items()}
    assert page.locator('[data-name="scored"]').inner_text() == "20"


def test_a_night_without_one_before_opens_too(opened: Callable[..., Any]) -> None:
    """The first night has no outline in its picture and says so."""
    page = opened("shop/2026-03-09.html")

    assert page.get_by_text("There is no earlier published night").is_visible()
    assert page.locator('[data-name="histogram_before.0"]').count() == 0


@pytest.mark.parametrize("address", ["shop/2026-03-10.html", "index.html"])
@pytest.mark.parametrize("width", [380, 1200])
def test_no_page_is_wider_than_its_window(opened: Callable[..., Any], address: str, width: int) -> None:
    """Also with a hostile, unbroken name of 200 letters and on a telephone."""
    page = opened(address, width=width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(opened: Callable[..., Any], weak_texts: str, scheme: str) -> None:
    """Every text has at least the contrast of WCAG AA, 4.5 to 1, against what is behind it, by day and by night."""
    page = opened("shop/2026-03-10.html", scheme=scheme)

    assert page.evaluate(weak_texts) == []


def test_the_page_can_be_read_aloud(opened: Callable[..., Any]) -> None:
    """Language, one title, headings in order, headers with scope in every table, words for the picture."""
    page = opened("shop/2026-03-10.html")

    assert page.locator("html").get_attribute("lang") == "en"
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("th:not([scope])").count() == 0
    assert page.evaluate("[...document.querySelectorAll('table')].filter(t => !t.querySelector('th')).length") == 0
    assert "Histogram" in str(page.locator("figure [role=img]").get_attribute("aria-label"))


def test_index_and_page_lead_to_each_other(opened: Callable[..., Any]) -> None:
    """From the index to the newest night and back."""
    page = opened("index.html")

    page.get_by_role("link", name="2026-03-10").click()
    assert page.locator("h1").inner_text() == "shop: who may leave, as of 2026-03-10"
    page.get_by_role("link", name="All reports").click()
    assert page.locator("h1").inner_text() == "Churn reports"
