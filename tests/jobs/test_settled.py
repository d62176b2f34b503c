from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

from churnlake.contract import Contract
from churnlake.ledger import Delivery
from jobs.training import settled_slots

MakeContract = Callable[..., Contract]
FIRST, SECOND = date(2026, 1, 1), date(2026, 1, 2)


def test_a_day_is_settled_by_the_first_version_of_its_file(make_contract: MakeContract, tmp_path: Path) -> None:
    """A correction or a release known later unsettles nothing; a day without a file is settled once it is given up."""
    shop = make_contract(tmp_path)
    came = Delivery(
        "orders", "2026-01-01-zz", "orders/2026-01-01.csv", 1, "zz", FIRST, FIRST, FIRST,
        contract="shop", run_id="r", state="ingested", counts={},
    )  # fmt: skip
    corrected = replace(came, delivery_id="2026-01-01-aa-2", known_date=date(2026, 1, 9), corrects="2026-01-01-zz")
    released = replace(came, delivery_id="release-aa", kind="release", slot=SECOND, known_date=SECOND)
    frozen = replace(came, delivery_id="2026-01-02-bb", slot=SECOND, state="frozen")
    for order in ([came, corrected, released, frozen], [frozen, released, corrected, came]):
        assert settled_slots(shop, order, SECOND) == {FIRST: FIRST, SECOND: date(2026, 1, 13)}
