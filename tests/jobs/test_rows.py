import gzip
import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from churnlake.contract import Contract
from churnlake.deliveries import Field
from churnlake.ledger import Delivery
from churnlake.suites import RowRule, Severity
from jobs import rows
from jobs.facts import facts_of, named_customers
from jobs.landing import read_landing

DAY = date(2026, 3, 2)
HEADER = "order_no,customer,at,price,pieces,item,kind"
PIECES_RULE = RowRule("orders.pieces.between", Severity.WARNING, "coalesce(pieces < 1, false)")
ITEM_RULE = RowRule("orders.item.not_be_null", Severity.INFO, "coalesce(item IS NULL, false)")
ID_RULE = RowRule(
    "events.customer_id.match_regex", Severity.CRITICAL, "coalesce(NOT customer_id RLIKE '^\\\\S+$', false)"
)


def delivery(path: str, day: date = DAY) -> Delivery:
    """A delivery of the day, as the ledger gives it."""
    name = f"{day}-{path}"
    return Delivery(
        "orders", name, path, 1, "0" * 64, day, day, day, contract="shop", run_id="run", state="frozen", counts={}
    )


def landed_files(spark: SparkSession, contract: Contract, *names: str) -> DataFrame:
    """Rows of files whose columns stand as in the contract."""
    layout = tuple(Field(name, name) for name in contract.sources["orders"].types)
    deliveries = [delivery(name) for name in names]
    return read_landing(spark, contract, deliveries, {one.delivery_id: layout for one in deliveries})


@pytest.fixture
def shop(tmp_path: Path, make_contract: Callable[..., Contract]) -> Contract:
    """The shop as it is."""
    return make_contract(tmp_path / "shop")


def landed(spark: SparkSession, contract: Contract, text: str | bytes, name: str = "day.csv") -> DataFrame:
    """Rows of one file with this text."""
    path = contract.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return landed_files(spark, contract, name)


def sorted_rows(
    spark: SparkSession, contract: Contract, lines: Sequence[str], own: Sequence[RowRule] = (PIECES_RULE, ITEM_RULE)
) -> DataFrame:
    """The lines of one file, each with its bucket."""
    text = "\n".join([HEADER, *lines]) + "\n"
    return rows.classify(landed(spark, contract, text), contract, "orders", own, [ID_RULE])


def buckets(classified: DataFrame) -> list[tuple[Any, ...]]:
    """(order_no, bucket, reasons) of every row, in order."""
    found = classified.select("typed.order_no", "bucket", "reasons").collect()
    return sorted((row.order_no, row.bucket, row.reasons) for row in found)


def facts(classified: DataFrame, contract: Contract, *columns: str) -> list[tuple[Any, ...]]:
    """These columns of the accepted facts, in order."""
    return sorted(tuple(row) for row in facts_of(classified, contract, "orders").select(*columns).collect())


def test_a_row_goes_to_the_first_bucket_that_fits(spark: SparkSession, shop: Contract) -> None:
    """bad_shape, bad_type, ignored, duplicate, rules, accepted: in this order, though a row may fit several."""
    lines = [
        "a,,2026-03-02,x,0,pen,purchase,surplus",  # too many fields; also bad types, anonymous and against a rule
        "b,,2026-03-02,x,0",  # too few fields
        "c,,2026-03-02,x,0,pen,purchase",  # no number; also anonymous and against a rule
        "d,,2026-03-02,x,y,pen,purchase",  # two of them
        "e,,2026-03-02,1,0,pen,purchase",  # anonymous; also against a rule
        "e,,2026-03-02,1,0,pen,purchase",  # ignored again, never a duplicate
        "f,ann,2026-03-02,1,0,pen,purchase",  # against a rule
        "f,ann,2026-03-02,1,0,pen,purchase",  # a duplicate before it is against a rule
        "g,a nn,2026-03-02,1,0,pen,purchase",  # against two rules, one of each suite
        "h,ann,2026-03-02,1,,,purchase",  # nulls pass; a rule of level info sets nothing aside
        "i,ann,2026-03-02,1,1,pen,purchase",
        "i,ann,2026-03-02,1,1,pen,purchase",
        "i,ann,2026-03-02,1,1,pen,purchase",
    ]
    assert buckets(sorted_rows(spark, shop, lines)) == [
        ("a", "malformed", ["bad_shape"]),
        ("b", "malformed", ["bad_shape"]),
        ("c", "malformed", ["bad_type.price"]),
        ("d", "malformed", ["bad_type.price", "bad_type.pieces"]),
        ("e", "ignored", ["anonymous"]),
        ("e", "ignored", ["anonymous"]),
        ("f", "duplicate", ["duplicate"]),
        ("f", "quarantined", ["orders.pieces.between"]),
        ("g", "quarantined", ["orders.pieces.between", "events.customer_id.match_regex"]),
        ("h", "accepted", []),
        ("i", "accepted", []),
        ("i", "duplicate", ["duplicate"]),
        ("i", "duplicate", ["duplicate"]),
    ]


def test_flags_name_all_that_is_wrong_whatever_the_bucket(spark: SparkSession, shop: Contract) -> None:
    """Rules of every level are flagged of every row, ignored and copied ones too; of a misshapen row only its shape."""
    lines = [
        "a,,2026-03-02,x,0,,purchase",
        "b,,2026-03-02,1,0,,purchase",
        "c,a nn,2026-03-03,1,,,purchase",
        "c,a nn,2026-03-03,1,,,purchase",
        "d,,2026-03-02,x",
        "e,ann,2026-03-02,1,1,pen,purchase",
    ]
    classified = sorted_rows(spark, shop, lines).cache()
    rule, item, bad_id = "orders.pieces.between", "orders.item.not_be_null", "events.customer_id.match_regex"
    found = sorted((row["typed"].order_no, row.flags, row.is_judged) for row in classified.collect())
    assert found == [
        ("a", ["bad_type.price", "ignored.anonymous", rule, item], False),
        ("b", ["ignored.anonymous", rule, item], False),
        ("c", ["duplicate", bad_id, "too_early", item], False),
        ("c", [bad_id, "too_early", item], True),
        ("d", ["bad_shape"], False),
        ("e", [], True),
    ]
    kept = rows.without_spare_text(classified).filter("raw_row IS NOT NULL").collect()
    assert sorted(row["typed"].order_no for row in kept) == ["a", "c", "d"]  # the rows that go to quarantine


def test_equal_rows_of_two_deliveries_are_no_duplicates(spark: SparkSession, shop: Contract) -> None:
    """A row repeated inside a file is a duplicate; the same row in another file is another sale."""
    text = f"{HEADER}\na,ann,2026-03-02,1,1,pen,purchase\na,ann,2026-03-02,1,1,pen,purchase\n"
    for name in ("one.csv", "two.csv"):
        (shop.folder / name).write_text(text)
    both = landed_files(spark, shop, "one.csv", "two.csv")
    classified = rows.classify(both, shop, "orders", [], [])
    found = sorted((row.delivery_id, row.bucket) for row in classified.collect())
    assert found == [
        ("2026-03-02-one.csv", "accepted"),
        ("2026-03-02-one.csv", "duplicate"),
        ("2026-03-02-two.csv", "accepted"),
        ("2026-03-02-two.csv", "duplicate"),
    ]


def test_a_contract_may_keep_equal_rows(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """With duplicates = "keep" two equal rows are two facts."""
    contract = make_contract(tmp_path / "keeping", ('duplicates = "drop"', 'duplicates = "keep"'))
    lines = ["a,ann,2026-03-02,1,1,pen,purchase"] * 2
    assert buckets(sorted_rows(spark, contract, lines)) == [("a", "accepted", []), ("a", "accepted", [])]


def test_rows_set_aside_keep_their_text(spark: SparkSession, shop: Contract) -> None:
    """Quarantine holds what was delivered, as text: the fields of a bad row, and the whole line of a misshapen one."""
    good = "009,ann,2026-03-02,1,1,,purchase"
    lines = ["007,ann,2026-03-02,1e9x,01,'pen',purchase", '008,"b, ob",2026-03-02,1', good]
    classified = sorted_rows(spark, shop, lines).cache()
    (first,) = classified.agg({"position": "min"}).collect()[0]
    place = rows.Place("in/day.csv", first)
    held = rows.set_aside(classified, "orders", "digest", "run-1", {"2026-03-02-day.csv": place}).collect()
    kept = {row.reasons[0]: json.loads(row.raw_row) for row in held}
    assert kept["bad_type.price"] == {
        "order_no": "007",
        "customer": "ann",
        "at": "2026-03-02",
        "price": "1e9x",
        "pieces": "01",
        "item": "'pen'",
        "kind": "purchase",
    }
    assert kept["bad_shape"]["corrupt_record"] == lines[1]
    assert {(row.record_number, row.reasons[0]) for row in held} == {(1, "bad_type.price"), (2, "bad_shape")}
    stamps = {
        (row.source, row.delivery_id, row.slot, row.file, row.status, row.changed_by, row.rule_digest, row.run_id)
        for row in held
    }
    name = "2026-03-02-day.csv"
    assert stamps == {("orders", name, DAY, "in/day.csv", "held", name, "digest", "run-1")}
    pieces = {name: rows.Place("in/day.csv", None)}
    in_pieces = rows.set_aside(classified, "orders", "digest", "run-1", pieces).collect()
    assert [row.record_number for row in in_pieces] == [None, None]  # nobody knows where a piece began


def test_money_is_rounded_half_up_once_a_row(spark: SparkSession, shop: Contract) -> None:
    """Halves go away from zero on both sides, and the result is an exact integer of minor units; null stays null."""
    prices = ["0.125", "0.135", "-0.125", "-0.135", "0.1249", "-0.0049", "0.29", "", "99999999.995"]
    lines = [f"{place},ann,2026-03-02,{price},1,pen,purchase" for place, price in enumerate(prices)]
    classified = sorted_rows(spark, shop, lines)
    amounts = facts_of(classified, shop, "orders").select("amount").collect()
    assert sorted(row.amount for row in amounts if row.amount is not None) == [-14, -13, 0, 12, 13, 14, 29, 10000000000]
    assert sum(row.amount is None for row in amounts) == 1


def test_binary_fractions_become_exact_minor_units(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """A price typed as double loses no cent: 0.29 is 29, though 0.29 * 100 is less than 29 in binary."""
    contract = make_contract(tmp_path / "binary", ('price = "decimal(12,4)"', 'price = "double"'))
    prices = ["0.29", "0.57", "1.005", "-1.15", "-0.29", "NaN"]
    lines = [f"{price},ann,2026-03-02,{price},1,pen,purchase" for price in prices]
    found = facts_of(sorted_rows(spark, contract, lines), contract, "orders").select("amount").collect()
    assert {row.amount for row in found} == {29, 57, 101, -115, -29, None}


def test_local_times_become_utc_and_stay_on_their_local_day(spark: SparkSession, shop: Contract) -> None:
    """Times are the shop's own: in summer two hours ahead of UTC; an hour that comes twice is the earlier one."""
    times = [
        "2026-01-15 00:00:00",  # the first instant of a winter day
        "2026-02-28 23:59:59",
        "2025-10-26 02:30:00",  # comes twice: the summer one counts
        "2025-10-26 03:00:00",
        "2025-03-30 02:30:00",  # never comes: the clock jumps from 2 to 3
        "2025-07-01 01:00:00",  # the day before in UTC
    ]
    lines = [f"{place},ann,{at},1,1,pen,purchase" for place, at in enumerate(times)]
    found = facts(sorted_rows(spark, shop, lines), shop, "event_ts", "event_date")
    assert [(ts.replace(tzinfo=UTC) if ts.tzinfo is None else ts, day) for ts, day in found] == [
        (datetime(2025, 3, 30, 1, 30, tzinfo=UTC), date(2025, 3, 30)),
        (datetime(2025, 6, 30, 23, 0, tzinfo=UTC), date(2025, 7, 1)),
        (datetime(2025, 10, 26, 0, 30, tzinfo=UTC), date(2025, 10, 26)),
        (datetime(2025, 10, 26, 2, 0, tzinfo=UTC), date(2025, 10, 26)),
        (datetime(2026, 1, 14, 23, 0, tzinfo=UTC), date(2026, 1, 15)),
        (datetime(2026, 2, 28, 22, 59, 59, tzinfo=UTC), date(2026, 2, 28)),
    ]


def test_a_time_that_carries_its_zone_is_that_instant(spark: SparkSession, shop: Contract) -> None:
    """Only a time without a zone is local: 23:30 UTC is half past midnight of the next day in the shop."""
    lines = ["a,ann,2026-02-27T23:30:00Z,1,1,pen,purchase", "b,ann,2026-02-28T23:30:00-05:00,1,1,pen,purchase"]
    classified = sorted_rows(spark, shop, [*lines, "c,ann,2026-02-28 00:30,1,1,pen,purchase"])
    found = facts(classified, shop, "event_ts", "event_date")
    assert [(ts.replace(tzinfo=UTC) if ts.tzinfo is None else ts, day) for ts, day in found] == [
        (datetime(2026, 2, 27, 23, 30, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 2, 27, 23, 30, tzinfo=UTC), date(2026, 2, 28)),
        (datetime(2026, 3, 1, 4, 30, tzinfo=UTC), date(2026, 3, 1)),
    ]


def test_a_fact_dated_after_its_delivery_waits_or_is_set_aside(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Up to max_early_days ahead a fact is taken in and waits for its day; one day further it is set aside."""
    contract = make_contract(tmp_path / "early", ("max_early_days = 0", "max_early_days = 2"))
    days = ["2026-03-02", "2026-03-04", "2026-03-05", ""]
    lines = [f"{place},ann,{day},1,1,pen,purchase" for place, day in enumerate(days)]
    assert buckets(sorted_rows(spark, contract, lines)) == [
        ("0", "accepted", []),
        ("1", "accepted", []),
        ("2", "quarantined", ["too_early"]),
        ("3", "accepted", []),
    ]


def test_every_text_a_csv_file_may_hold_arrives_as_it_is(spark: SparkSession, shop: Contract) -> None:
    """Leading zeros, separators and quotes inside quotes, blanks, backslashes, accents, empty and very long fields."""
    long = "x" * 65_536
    text = (
        f"\ufeff{HEADER}\r\n"
        "001,000123,2026-03-02,1,1,pen,purchase\r\n"
        '002,"a, b",2026-03-02,1,1,"12"" pipe",purchase\r\n'
        "003, ann ,2026-03-02,1,1,C:\\new\\table,purchase\r\n"
        '004,"ann",2026-03-02,1,1,"",purchase\r\n'
        "005,ann,2026-03-02,1,1,,purchase\r\n"
        "006,Zoë 漢字,2026-03-02,1,1,a;b\tc,purchase\r\n"
        f"007,ann,2026-03-02,1,1,{long},purchase\r\n"
        "\r\n"
        "008,ann,2026-03-02,1,1,last line without an end,purchase"
    )
    read = landed(spark, shop, text)
    found = sorted((row.order_no, row.customer, row["item"]) for row in read.collect())
    assert found == [
        ("001", "000123", "pen"),
        ("002", "a, b", '12" pipe'),
        ("003", " ann ", "C:\\new\\table"),
        ("004", "ann", None),  # empty is absent, quoted or not
        ("005", "ann", None),
        ("006", "Zoë 漢字", "a;b\tc"),
        ("007", "ann", long),
        ("008", "ann", "last line without an end"),
    ]
    assert {(row.kind, row.corrupt_record) for row in read.collect()} == {("purchase", None)}


@pytest.mark.parametrize(
    "folder",
    ["two words", "100%", "a#b", "Zoë", "it's", "a+b&c=d", "%41", "a[1]", "{x}", "a*b", "what?", "a,b", "~", "a\\b"],
)
def test_p4_rows_of_files_in_any_folder_are_found(spark: SparkSession, shop: Contract, folder: str) -> None:
    """P4: a folder's name with blanks, percent signs or accents loses no row; plain and packed files read alike."""
    text = f"{HEADER}\na,ann,2026-03-02,1,1,pen,purchase\nb,bob,2026-03-02,1,1,pen,purchase\n".encode()
    names = [f"{folder}/2026-03-02.csv", f"{folder}/2026-03-03.csv.gz"]
    (shop.folder / folder).mkdir()
    (shop.folder / names[0]).write_bytes(text)
    (shop.folder / names[1]).write_bytes(gzip.compress(text))
    read = landed_files(spark, shop, *names)
    assert sorted((row.delivery_id, row.order_no) for row in read.collect()) == [
        (f"2026-03-02-{names[0]}", "a"), (f"2026-03-02-{names[0]}", "b"),
        (f"2026-03-02-{names[1]}", "a"), (f"2026-03-02-{names[1]}", "b"),
    ]  # fmt: skip


def test_a_row_set_aside_still_tells_that_its_customer_exists(spark: SparkSession, shop: Contract) -> None:
    """A customer is known from any row whose id can be read, on the day that row may be used, never from a bad id."""
    lines = [
        "a,ann,2026-03-02,1,1,pen,purchase",
        "b,bob,2026-03-02,1,0,pen,purchase",  # set aside for its pieces
        "c,b ad,2026-03-02,1,1,pen,purchase",  # set aside for its id
        "d,eve,2026-03-09,1,1,pen,purchase",  # set aside because it lies ahead
        "e,,2026-03-02,1,1,pen,purchase",
        "f,fay,2026-03-02,x,1,pen,purchase",  # malformed: nothing of it is believed
        "g,gus,,1,1,pen,purchase",
    ]
    named = named_customers(sorted_rows(spark, shop, lines), shop, "orders")
    assert sorted((row.customer_id, row.usable_from, row.known_date) for row in named.collect()) == [
        ("ann", DAY, DAY),
        ("bob", DAY, DAY),
        ("eve", date(2026, 3, 9), DAY),
        ("gus", DAY, DAY),
    ]


def test_facts_carry_what_tiles_need(spark: SparkSession, shop: Contract) -> None:
    """A typed fact: activity is never null, the sign is 1, and a fact of another day than its delivery's lies apart."""
    lines = [
        "a,ann,2026-03-02 10:00:00,2.50,1,pen,purchase",
        "b,ann,2026-02-27 10:00:00,-2.50,-1,pen,cancellation",
        "c,bob,2026-03-02 10:00:00,,1,,",
    ]
    classified = sorted_rows(spark, shop, lines, own=())
    columns = ("customer_id", "event_date", "amount", "quantity", "event_type", "is_activity", "sign", "off_day")
    found = facts_of(classified, shop, "orders").select(*columns).collect()
    assert {tuple(row) for row in found} == {
        ("ann", DAY, 250, 1, "purchase", True, 1, False),
        ("ann", date(2026, 2, 27), -250, -1, "cancellation", False, 1, True),
        ("bob", DAY, None, 1, None, False, 1, False),
    }


def test_a_file_may_call_its_columns_as_the_job_calls_its_own(
    spark: SparkSession, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """Columns named like a step's own, or with blanks, arrive under their name and mean what the contract says."""
    names = {"order_no": "bucket", "customer": "customer_id", "at": "typed", "price": "reasons", "item": "Item Name"}
    changes = [(f"\n{old} = ", f'\n"{new}" = ') for old, new in names.items()]
    mapped = [(f'"{old}"\n', f'"`{new}`"\n') for old, new in names.items() if old != "order_no"]
    contract = make_contract(tmp_path / "named", *changes, *mapped, ("customer IS NULL", "customer_id IS NULL"))
    text = f"{','.join(contract.sources['orders'].types)}\na,ann,2026-03-02,2.5,1,pen,purchase\n"
    classified = rows.classify(landed(spark, contract, text), contract, "orders", [], [])
    assert [row.asDict() for row in classified.select("typed.bucket", "typed.Item Name").collect()] == [
        {"bucket": "a", "Item Name": "pen"}
    ]
    assert facts(classified, contract, "customer_id", "event_date", "amount", "product") == [("ann", DAY, 250, "pen")]
