from dataclasses import replace
from datetime import date

import pytest

from churnlake.ledger import Delivery
from jobs.fingerprint import differing_parts, fingerprint

DAY = date(2011, 2, 3)
ONE = Delivery(
    "sales",
    "2011-02-02-aa",
    "in/2011-02-02.csv",
    9,
    "aa",
    date(2011, 2, 2),
    date(2011, 2, 2),
    date(2011, 2, 2),
    contract="shop",
    run_id="run-1",
    state="ingested",
    counts={},
)
TWO = replace(
    ONE, delivery_id="2011-02-03-bb", path="in/2011-02-03.csv", sha256="bb", slot=DAY, available_on=DAY, known_date=DAY
)


def print_of(*deliveries: Delivery, contract: str = "c" * 64, model: str = "m" * 64, code: str = "r1") -> str:
    """The fingerprint of 3 February made from these deliveries."""
    return fingerprint(deliveries, DAY, contract, model, code)


def test_a_fingerprint_names_its_four_parts() -> None:
    """Each part is a short digest with its name, so that people can read what differs."""
    parts = dict(part.split(":") for part in print_of(ONE, TWO).split())
    assert list(parts) == ["deliveries", "contract", "model", "code"]
    assert parts["contract"] == "c" * 12
    assert parts["code"] == "r1"


def test_order_and_place_of_files_do_not_count() -> None:
    """The same bytes known on the same dates are the same inputs, in any order, path and run."""
    moved = replace(ONE, path="elsewhere/2011-02-02.csv", run_id="run-2", bytes=9)
    assert print_of(TWO, moved) == print_of(ONE, TWO)


def test_what_the_date_could_not_know_does_not_count() -> None:
    """A file known only later, or not yet taken in, is no input of this date."""
    later = replace(TWO, known_date=date(2011, 2, 4))
    frozen = replace(TWO, state="frozen")
    assert print_of(ONE, later) == print_of(ONE, frozen) == print_of(ONE) != print_of(ONE, TWO)


def test_of_each_day_the_version_in_force_counts() -> None:
    """A correction known later changes nothing of what the date was made of; one known by then stands for its day."""
    corrected = replace(ONE, delivery_id="2011-02-02-cc-2", sha256="cc", known_date=DAY, corrects="2011-02-02-aa")
    later = replace(corrected, known_date=date(2011, 2, 4))
    assert print_of(ONE, TWO, later) == print_of(ONE, TWO)
    assert print_of(ONE, TWO, corrected) == print_of(TWO, replace(corrected, corrects=None)) != print_of(ONE, TWO)


@pytest.mark.parametrize(
    ("other", "parts"),
    [
        (print_of(ONE, TWO), []),
        (print_of(ONE), ["deliveries"]),
        (print_of(ONE, replace(TWO, sha256="cc")), ["deliveries"]),
        (print_of(ONE, TWO, contract="d" * 64), ["contract"]),
        (print_of(ONE, TWO, model="n" * 64, code="r2"), ["model", "code"]),
    ],
)
def test_p7_what_differs_is_named(other: str, parts: list[str]) -> None:
    """A run that meets a published date says which of its parts are not the same."""
    assert differing_parts(print_of(ONE, TWO), other) == parts
