"""The nightly page and the index: numbers are the warehouse's, text is text, and a page is whole or not there."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from churnlake.errors import UnavailableError, UsageError
from churnlake.report import write_index, write_page

DAY, NEXT_DAY = date(2026, 3, 9), date(2026, 3, 10)
MARKUP = '<script>alert(1)</script><img src=x onerror="alert(2)">'
Named = Callable[[Path], dict[str, str | None]]


def test_the_page_lies_where_it_is_looked_for(home: Any) -> None:
    """reports/<contract>/<business_date>.html and its data page, and the index; nothing half-written stays."""
    home.publish()

    page = write_page(home.settings, "shop", DAY)

    assert page == home.settings.reports / "shop" / "2026-03-09.html"
    written = sorted(str(path.relative_to(home.settings.reports)) for path in home.settings.reports.rglob("*.*"))
    assert written == ["index.html", "shop/2026-03-09-data.html", "shop/2026-03-09.html"]


def test_every_number_of_the_funnel_is_shown_with_its_reasons(plain: Any, named: Named) -> None:
    """Raw, accepted, what was set aside and why; known, eligible, scored, who was left out and why."""
    _, page = plain

    shown = named(page)

    funnel = {
        name: value for name, value in shown.items() if name.split(".")[0] in ("rows", "customers", "excluded", "held")
    }
    assert funnel == {
        "rows.raw": "130",
        "rows.ignored.anonymous": "20",
        "rows.unchanged": "0",
        "rows.duplicate": "4",
        "rows.quarantined.bad_type.price": "6",
        "rows.accepted": "100",
        "customers.known": "24",
        "excluded.inactive": "3",
        "customers.eligible": "21",
        "held.no_history": "1",
        "customers.scored": "20",
    }


def test_scores_are_told_as_the_warehouse_answers(plain: Any, named: Named) -> None:
    """Bands, means and reasons equal what a reader's own question returns."""
    home, page = plain

    shown = named(page)

    bands = home.rows(
        "SELECT risk_band, count(*), min(churn_probability), max(churn_probability) FROM churn.scores_latest GROUP BY 1"
    )
    assert len(bands) == 3
    for band, customers, lowest, highest in bands:
        given = (shown[f"band.{band}"], shown[f"band_lowest.{band}"], shown[f"band_highest.{band}"])
        assert given == (str(customers), str(lowest), str(highest))
    ((mean, median),) = home.rows("SELECT avg(churn_probability), median(churn_probability) FROM churn.scores_latest")
    assert (shown["mean_probability"], shown["median_probability"]) == (str(mean), str(median))
    feature = "orders_activity_days_since_last"
    assert [shown[f"{name}.{feature}"] for name in ("reason", "reason_raises", "reason_lowers")] == ["20", "10", "10"]


def test_the_histogram_counts_everybody_once_and_the_night_before_beside(home: Any, named: Named) -> None:
    """A probability of 1 falls into the last bin; the bins of both nights add up to their customers."""
    home.publish(DAY, probabilities=[0.0, 0.049, 0.05, 0.5] * 5)
    home.publish(NEXT_DAY, probabilities=[0.5, 0.975, 1.0, 1.0] * 5)

    shown = named(write_page(home.settings, "shop", NEXT_DAY))

    assert [shown[f"histogram.{place}"] for place in (0, 10, 19)] == ["0", "5", "15"]
    assert [shown[f"histogram_before.{place}"] for place in (0, 1, 10, 19)] == ["10", "5", "5", "0"]
    assert [shown[f"band_before.{band}"] for band in ("high", "medium", "low")] == ["2", "4", "14"]


def test_model_quality_is_that_of_the_version_that_scored(home: Any, named: Named) -> None:
    """A newer version beside it does not lend its numbers."""
    newer = home.model | {"model_version": 2, "auc": 0.99, "is_champion": False}
    home.publish(models=[home.model, newer])

    shown = named(write_page(home.settings, "shop", DAY))

    assert (shown["model.auc"], shown["model.test_rows"]) == ("0.7327149606013346", "4671")
    assert shown["model.trained_through"] == "2025-12-01"


def test_failed_checks_come_first_and_colour_the_page(home: Any, named: Named) -> None:
    """A check that says neither yes nor no counts as failed."""
    checks = [
        home.check("a_passed"),
        home.check("b_unsure", passed=None, severity="warning"),
        home.check("c_failed", passed=False),
    ]
    home.publish(checks=checks)

    page = write_page(home.settings, "shop", DAY)

    shown = named(page)
    assert (shown["verdict"], shown["checks.failed"], shown["checks.passed"]) == ("red", "2", "1")
    text = page.read_text(encoding="utf-8")
    assert text.index("c_failed") < text.index("b_unsure") < text.index("a_passed")


def test_stage_seconds_are_shown_and_summed(plain: Any, named: Named) -> None:
    """Seconds of every stage the warehouse knows."""
    _, page = plain

    shown = named(page)

    assert [shown[f"seconds.{stage}"] for stage in ("ingest", "features", "score")] == ["40.1", "15.7", "7.6"]
    assert float(shown["seconds.all"] or 0) == pytest.approx(63.4)


def test_the_publish_stage_comes_from_the_ledger(home: Any, named: Named) -> None:
    """It ends after its load was made, so the warehouse cannot know its seconds."""
    begun, ended = datetime(2026, 3, 10, 4, 30, tzinfo=UTC), datetime(2026, 3, 10, 4, 30, 2, 500_000, tzinfo=UTC)
    run = home.ledger.start_run(
        contract="shop", kind="night", business_date=DAY, application="a1", contract_digest="2", code_revision="4",
        actor="night", pid=1, lane_epoch=1, now=begun,
    )  # fmt: skip
    home.ledger.start_stage(run.run_id, "publish", 1, now=begun)
    home.ledger.finish_stage(run.run_id, "publish", 1, counts={}, now=ended)
    home.publish(run_id=run.run_id)

    shown = named(write_page(home.settings, "shop", DAY))

    assert shown["seconds.publish"] == "2.5"
    assert float(shown["seconds.all"] or 0) == pytest.approx(63.4 + 2.5)


def test_no_customer_is_named(plain: Any) -> None:
    """A page may be passed on: it holds totals only."""
    _, page = plain

    assert "secret-" not in page.read_text(encoding="utf-8")


def test_p15_hostile_text_stays_text(home: Any) -> None:
    """Markup in a reason, a check, a model, an actor, a fingerprint or a count's name is shown, never interpreted."""
    home.publish(
        excluded=MARKUP,
        checks=[home.check(MARKUP, passed=False, observed=MARKUP, expected=MARKUP, source=MARKUP)],
        models=[home.model | {"candidate": MARKUP, "reason": MARKUP}],
        counts={"ingest": {"raw": 1, "accepted": 0, f"quarantined.{MARKUP}": 1}},
        actor=MARKUP,
        fingerprint=MARKUP,
        bands={MARKUP: 0.1},
    )

    page = write_page(home.settings, "shop", DAY)

    for text in (page.read_text(encoding="utf-8"), (home.settings.reports / "index.html").read_text(encoding="utf-8")):
        assert "<script" not in text
        assert "<img" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["../../etc", "shop'; DROP TABLE x; --", "Shop", "", "shop/../x"])
def test_p15_what_is_no_contracts_name_reaches_neither_question_nor_path(home: Any, name: str) -> None:
    """It is refused by name before anything is asked or written."""
    home.publish()

    with pytest.raises(UsageError, match="a contract's name is lowercase"):
        write_page(home.settings, name, DAY)
    assert not home.settings.reports.exists()


def test_a_date_without_publication_has_no_page(home: Any) -> None:
    """The error names the newest date that has one, and nothing is written."""
    home.publish(DAY)

    with pytest.raises(UsageError, match=r"2026-03-10 is not published.*newest published date is 2026-03-09"):
        write_page(home.settings, "shop", NEXT_DAY)
    assert not home.settings.reports.exists()


def test_a_night_of_which_nothing_was_recorded_still_has_a_page(home: Any, named: Named) -> None:
    """No counts, no checks, no model: the page says so and warns."""
    home.publish(counts={}, checks=[], models=[], probabilities=[])

    page = write_page(home.settings, "shop", DAY)

    shown = named(page)
    assert (shown["verdict"], shown["rows.raw"], shown["customers.scored"]) == ("amber", None, "0")
    assert "not recorded" in page.read_text(encoding="utf-8")


def test_a_restated_date_gets_its_page_again(home: Any, named: Named) -> None:
    """The page shows the current scores and says they were restated; the date has one line in the index."""
    home.publish()
    write_page(home.settings, "shop", DAY)
    home.publish(probabilities=[0.5] * 20, reason="a better model", at=datetime(2026, 3, 20, tzinfo=UTC))

    page = write_page(home.settings, "shop", DAY)

    shown = named(page)
    assert (shown["restatement"], shown["histogram.10"], shown["histogram.0"]) == ("1", "20", "0")
    assert "a better model" in page.read_text(encoding="utf-8")
    assert named(home.settings.reports / "index.html")["index.nights"] == "1"


def test_the_index_lists_all_contracts_newest_first(home: Any, named: Named) -> None:
    """A night whose page was never written has a line without a link."""
    home.publish(DAY)
    home.publish(NEXT_DAY)
    home.publish(DAY, contract="club")
    write_page(home.settings, "shop", NEXT_DAY)
    write_page(home.settings, "club", DAY)

    index = write_index(home.settings)

    nights = [name.removesuffix(".verdict") for name in named(index) if name.endswith(".verdict")]
    assert nights == ["index.shop.2026-03-10", "index.club.2026-03-09", "index.shop.2026-03-09"]
    text = index.read_text(encoding="utf-8")
    assert [
        f'href="{name}"' in text for name in ("shop/2026-03-10.html", "club/2026-03-09.html", "shop/2026-03-09.html")
    ] == [
        True,
        True,
        False,
    ]


def test_page_and_index_give_one_verdict(home: Any, named: Named) -> None:
    """Both are judged from the same facts."""
    home.publish(DAY, checks=[home.check("price", passed=False, severity="warning")])

    page = named(write_page(home.settings, "shop", DAY))

    assert page["verdict"] == named(home.settings.reports / "index.html")["index.shop.2026-03-09.verdict"] == "amber"


def test_a_contract_that_does_not_fit_any_more_costs_no_page(home: Any, named: Named) -> None:
    """The scores are published all the same: the page warns that nobody knows whether they were on time."""
    home.publish()
    home.contract_file.write_text("[contract")

    page = write_page(home.settings, "shop", DAY)

    assert named(page)["verdict"] == "amber"
    assert "Whether it was on time is not known" in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_leaves_the_old_one(home: Any) -> None:
    """A folder in the way of the new page is named, and no scrap of it stays."""
    home.publish()
    in_the_way = home.settings.reports / "shop" / "2026-03-09.html"
    in_the_way.mkdir(parents=True)

    with pytest.raises(UnavailableError, match="cannot be written"):
        write_page(home.settings, "shop", DAY)
    assert list(in_the_way.parent.iterdir()) == [in_the_way]
