"""The data page as Chromium shows it: every number is the warehouse's, hostile rows are only text, all fits a phone."""

from collections.abc import Callable
from datetime import date, timedelta
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
    for number, day in enumerate(one for one in days if one.weekday() < 6):
        counts = {"raw": 130 + number, "accepted": 100 + number}
        numbers = {"rows": 130 + number, "null.price": 0.01 + number % 7 / 1000, "set_aside": 0.05, "bin.price.3": 1.0}
        made.deliver(history, day, counts=counts, measured=numbers)
    publish(made, FIRST)
    night = made.run(DAY)
    made.deliver(night, DAY, measured={"rows": 130, "null.price": 0.4, "set_aside": 0.05})
    corrected = {"delivery_id": "2026-03-06-0b-2", "corrects": "2026-03-06-0a", "known_date": DAY, "sha256": "0b"}
    unchanged = {"raw": 131, "unchanged": 128, "accepted": 3, "ignored": {}, "quarantined": {}, "duplicate": 0}
    made.deliver(night, date(2026, 3, 6), **corrected, counts=unchanged | {"defects": {}, "withdrawn": 2})
    made.deliver(night, date(2026, 3, 7), known_date=DAY)
    let_in = {"raw": 2, "accepted": 2, "ignored": {}, "quarantined": {}, "duplicate": 0, "defects": {}}
    made.deliver(night, DAY, delivery_id="release-0c", sha256="0c", kind="release", counts=let_in)
    made.hold([{"slot": DAY, "raw_row": row} for row in ROWS])
    publish(made, DAY)
    refused = made.run(NEXT_DAY, message=REFUSED)
    made.deliver(refused, NEXT_DAY, taken_in=False)
    made.ledger.record_checks(
        refused.run_id, [CheckResult("gate", "orders", "null.price", "critical", False, "40.0 %", "at most 3 %")]
    )
    for day in (FIRST, DAY):
        write_page(made.settings, "shop", day)
    write_data_page(made.settings, "shop", NEXT_DAY)
    return made


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
