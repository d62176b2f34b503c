"""P4 on seeded random files, against an oracle in plain Python that shares no code with the jobs."""

import csv
import io
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.deliveries import Field
from churnlake.ledger import Delivery
from churnlake.suites import RowRule, Severity
from jobs import ingest, rows
from jobs.facts import facts_of
from jobs.landing import read_landing

HEADER = "order_no,customer,at,price,pieces,item,kind"
CUSTOMERS = ["001", "ann", "bob", "", "a b", " eve"]
TIMES = ["2026-03-02", "2026-03-02 10:00:00", "2026-03-01 23:59:59", "2026-03-03 00:00:00", "", "2026-02-30", "soon"]
PRICES = ["1", "2.5", "-1.25", "0", "", "1,5", "1e2", "x"]
PIECES = ["1", "5", "0", "-1", "", "1.5", "99999999999"]
ITEMS = ["pen", "", '"a, b"', '"12"" pipe"']
RULES = [
    RowRule("orders.pieces.between", Severity.WARNING, "coalesce(pieces < 1, false)"),
    RowRule("orders.item.not_be_null", Severity.INFO, "coalesce(item IS NULL, false)"),
]
ID_RULE = RowRule(
    "events.customer_id.match_regex", Severity.CRITICAL, "coalesce(NOT customer_id RLIKE '^\\\\S+$', false)"
)


def random_file(generator: random.Random, lines: int) -> str:
    """Lines with every defect at random; few values, so that equal lines come up."""
    told = []
    for _ in range(lines):
        fields = [
            str(generator.randrange(3)),
            *map(generator.choice, (CUSTOMERS, TIMES, PRICES, PIECES, ITEMS)),
            "purchase",
        ]
        # A decimal comma is one field too many: most are quoted, some are not.
        fields[3] = f'"{fields[3]}"' if "," in fields[3] and generator.random() < 0.8 else fields[3]
        told.append(",".join(fields[: generator.choice([7, 7, 7, 7, 7, 6, 1])]))
        told += [told[-1]] * generator.choice([0, 0, 0, 1, 2])
    return "\r\n".join([HEADER, *told]) + generator.choice(["", "\r\n"])


def expected_buckets(text: str, known: date) -> Counter[tuple[str, tuple[str, ...]]]:
    """Bucket and reasons of every line, by reading the rules of the contract as a person would."""
    seen: set[tuple[str, ...]] = set()
    counted: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for line in text.split("\r\n")[1:]:
        if line:
            counted[_bucket(next(csv.reader(io.StringIO(line))), known, seen)] += 1
    return counted


def _bucket(fields: list[str], known: date, seen: set[tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    if len(fields) != 7:
        return "malformed", ("bad_shape",)
    _, customer, at, price, pieces, _, _ = fields
    happened, bad_time = _parsed(datetime.fromisoformat, at)
    _, bad_price = _parsed(Decimal, price)
    number, bad_pieces = _parsed(_int32, pieces)
    bad = [("at", bad_time), ("price", bad_price), ("pieces", bad_pieces)]
    if any(is_bad for _, is_bad in bad):
        return "malformed", tuple(f"bad_type.{name}" for name, is_bad in bad if is_bad)
    if not customer:
        return "ignored", ("anonymous",)
    if tuple(fields) in seen:
        return "duplicate", ("duplicate",)
    seen.add(tuple(fields))
    broken = [
        ("orders.pieces.between", number is not None and number < 1),
        ("events.customer_id.match_regex", " " in customer),
        ("too_early", happened is not None and happened.date() > known),
    ]
    reasons = tuple(name for name, is_broken in broken if is_broken)
    return ("quarantined" if reasons else "accepted"), reasons


def _parsed(parse, text):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - any parser, any value
    try:
        return (parse(text) if text else None), False
    except (ValueError, InvalidOperation):
        return None, True


def _int32(text: str) -> int:
    number = int(text)
    if not -(2**31) <= number < 2**31:
        raise ValueError(text)
    return number


@pytest.mark.parametrize("seed", [1, 2])
def test_p4_no_row_vanishes(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract], seed: int
) -> None:
    """P4: every raw row is in exactly one bucket, the one the rules say, and what is written is as many rows."""
    contract, generator = make_contract(tmp_path), random.Random(seed)  # noqa: S311 - made-up data
    known = date(2026, 3, 2)
    texts = {f"{seed}-{place}.csv": random_file(generator, lines) for place, lines in enumerate((250, 40, 1))}
    deliveries = []
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode())
        deliveries.append(
            Delivery(
                "orders", name, name, len(text), "0" * 64, known, known, known,
                contract="shop", run_id="run", state="frozen", counts={},
            )
        )  # fmt: skip
    layout = tuple(Field(name, name) for name in contract.sources["orders"].types)
    raw = read_landing(spark, contract, deliveries, {one.delivery_id: layout for one in deliveries})
    classified = rows.classify(raw, contract, "orders", RULES, [ID_RULE]).persist()
    found: dict[str, Counter[tuple[str, tuple[str, ...]]]] = {name: Counter() for name in texts}
    counted = rows.counted(classified).collect()
    for row in counted:
        found[row.delivery_id][row.bucket, tuple(row.reasons)] += row["rows"]
    assert found == {name: expected_buckets(text, known) for name, text in texts.items()}

    counts = ingest.accounts(counted, [one.delivery_id for one in deliveries])
    sums = {name: _rows_told(one) for name, one in counts.items()}
    assert sums == {name: sum(expected_buckets(text, known).values()) for name, text in texts.items()}
    assert {name: one["raw"] for name, one in counts.items()} == sums
    places = {name: rows.Place(name, None) for name in texts}
    written = ingest.Written(
        facts_of(classified, contract, "orders").count(),
        rows.set_aside(classified, "orders", "digest", "run", places).filter(F.size("reasons") > 0).count(),
    )
    assert all(check.passed for check in ingest.reconcile("orders", raw.count(), counts, written))
    classified.unpersist()


def _rows_told(counts: dict[str, int | dict[str, int]]) -> int:
    told = [count for name, count in counts.items() if name not in ("raw", "withdrawn", "defects")]
    return sum(count if isinstance(count, int) else sum(count.values()) for count in told)


@pytest.mark.parametrize("lost", ["raw", "facts", "quarantine"])
def test_p4_one_row_off_stops_the_night(lost: str) -> None:
    """P4: a single row less, landed or written, fails the reconciliation and names the source and both numbers."""
    counts = {
        "one": {
            "raw": 8, "accepted": 3, "ignored": {"anonymous": 1}, "unchanged": 2, "duplicate": 1,
            "quarantined": {"bad_shape": 1}, "withdrawn": 4, "defects": {"bad_shape": 1, "duplicate": 3},
        }
    }  # fmt: skip
    sound = ingest.Written(facts=7, quarantined=3, taken_back=2, withdrawn={"one": 4})
    assert all(check.passed for check in ingest.reconcile("orders", 8, counts, sound))
    written = {
        "raw": sound, "facts": replace(sound, facts=6), "quarantine": replace(sound, quarantined=2)
    }[lost]  # fmt: skip
    checks = ingest.reconcile("orders", 7 if lost == "raw" else 8, counts, written)
    assert [check.name for check in checks if not check.passed] == [lost]
    with pytest.raises(Exception, match=f"rows do not add up: orders {lost}: . expected, .*"):
        ingest.refuse_unequal(checks)
