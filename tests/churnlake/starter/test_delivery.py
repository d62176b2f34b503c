"""Deliveries: a file for each day or past files; closed days; paths."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnlake.contract.values import WEEKDAYS
from churnlake.errors import DataRefusedError
from churnlake.starter import CustomerChoice, Part, Table, decide_columns, decide_parts, find_customers, find_samples
from churnlake.starter.delivery import decide_delivery, visits
from churnlake.starter.rows import read_rows

TODAY = date(2026, 6, 1)
MONDAY = date(2026, 1, 5)
Write = Callable[[str, str], object]


@pytest.fixture
def part(tables: Callable[[], list[Table]]) -> Callable[[], Part]:
    """The first source that the sample files make."""

    def first() -> Part:
        told = tables()
        customers = find_customers(told, None)
        assert not isinstance(customers, CustomerChoice)
        return decide_parts(told, customers)[0][0]

    return first


def rows_of(day: date, customers: int = 2) -> str:
    """A file in which each customer does something twice on a day."""
    return "customer,at,total\n" + "".join(f"{n % customers},{day} 10:0{n}:00,1.5{n}\n" for n in range(2 * customers))


def test_files_named_by_their_day_are_daily_and_a_weekday_that_never_comes_is_closed(
    write: Write, part: Callable[[], Part]
) -> None:
    """Three weeks make a habit; a single day without a file is to be looked at."""
    for day in (MONDAY + timedelta(days=n) for n in range(22)):
        if WEEKDAYS[day.weekday()] != "sunday" and day != date(2026, 1, 14):
            write(f"orders_{day}.csv", rows_of(day))
    told = decide_delivery(part(), TODAY)
    assert (told.kind, told.path, told.first, told.last) == (
        "daily", "orders_{business_date}.csv", MONDAY, date(2026, 1, 26),
    )  # fmt: skip
    assert (told.weekdays, told.missing, told.waits) == (("sunday",), (date(2026, 1, 14),), True)
    assert (told.early_days, told.renamed) == (0, {})


def test_two_weeks_do_not_close_a_weekday(write: Write, part: Callable[[], Part]) -> None:
    """A chance of few days; they are named one by one."""
    for n in (0, 1, 2, 3, 4, 5, 7):
        write(f"orders_{MONDAY + timedelta(days=n)}.csv", rows_of(MONDAY + timedelta(days=n)))
    told = decide_delivery(part(), TODAY)
    assert (told.weekdays, told.missing) == ((), (date(2026, 1, 11),))


def test_a_sample_of_scattered_days_closes_nothing_and_does_not_wait(write: Write, part: Callable[[], Part]) -> None:
    """Most days are missing because the sample is one, not because the shop was shut."""
    for n in (0, 10):
        write(f"{MONDAY + timedelta(days=n)}.csv", rows_of(MONDAY + timedelta(days=n)))
    told = decide_delivery(part(), TODAY)
    assert (told.path, told.missing, told.waits) == ("{business_date}.csv", (), False)


def test_rows_dated_after_their_file_are_allowed_so_far(write: Write, part: Callable[[], Part]) -> None:
    """One day ahead is what a file of the evening may hold."""
    write(f"orders_{MONDAY}.csv", rows_of(MONDAY + timedelta(days=1)))
    assert decide_delivery(part(), TODAY).early_days == 1


def test_dates_in_names_are_written_anew_where_a_contract_cannot_read_them(
    write: Write, part: Callable[[], Part]
) -> None:
    """20260105 is a date for people, 2026-01-05 one for the contract."""
    write("in/orders_20260105.csv.gz", rows_of(MONDAY))
    told = decide_delivery(part(), TODAY)
    assert (told.kind, told.path) == ("daily", "orders/{business_date}.csv.gz")
    assert told.renamed == {"in/orders_20260105.csv.gz": "orders/2026-01-05.csv.gz"}


def test_numbers_in_daily_names_become_stars(write: Write, part: Callable[[], Part]) -> None:
    """As counters and clock times in them do."""
    write("run17/orders_2026-01-05.csv", rows_of(MONDAY))
    write("run18/orders_2026-01-06.csv", rows_of(MONDAY + timedelta(days=1)))
    assert decide_delivery(part(), TODAY).path == "run*/orders_{business_date}.csv"


def test_a_file_that_reaches_far_back_is_a_history_whatever_its_name(write: Write, part: Callable[[], Part]) -> None:
    """Of several such drops the newest counts; the last day is the newest in it, and plans for later are none."""
    rows = "customer,at\n1,2026-01-01\n1,2026-02-01\n2,2026-03-15\n2,2027-01-01\n"
    write("export_2026-03-31.csv", rows)
    write("export_2026-04-30.csv", rows)
    told = decide_delivery(part(), TODAY)
    assert (told.kind, told.path, told.first, told.last) == (
        "history", "export_2026-04-30.csv", date(2026, 1, 1), date(2026, 3, 15),
    )  # fmt: skip


def test_tables_that_come_whole_for_each_date_are_snapshots(write: Write, part: Callable[[], Part]) -> None:
    """What each said on its date is kept; a single one is a past file, and Mondays alone close the other days."""
    rows = "customer,started,ended\n1,2025-11-01,\n2,2025-12-24,2027-01-31\n"
    write(f"plans_{MONDAY}.csv", rows)
    assert decide_delivery(part(), TODAY).kind == "history"
    for weeks in (1, 2, 3):
        write(f"plans_{MONDAY + timedelta(weeks=weeks)}.csv", rows)
    told = decide_delivery(part(), TODAY)
    assert (told.kind, told.path, told.first, told.last) == (
        "snapshot", "plans_{business_date}.csv", MONDAY, date(2026, 1, 26),
    )  # fmt: skip
    assert (set(WEEKDAYS) - set(told.weekdays), told.waits, told.early_days) == ({"monday"}, True, 0)


def test_files_of_states_that_bring_others_each_date_are_daily(write: Write, part: Callable[[], Part]) -> None:
    """Who is new on a date, or changed, is in its file; a table that came whole would hold the others as well."""
    write("plans_2026-01-05.csv", "customer,started,ended\n1,2026-01-05,\n2,2026-01-04,\n")
    write("plans_2026-01-06.csv", "customer,started,ended\n3,2026-01-06,\n2,2026-01-04,2026-01-31\n")
    told = decide_delivery(part(), TODAY)
    assert (told.kind, told.why) == ("daily", "2 files, each with what is new on its date")


def test_files_without_dates_are_one_history(write: Write, part: Callable[[], Part]) -> None:
    """Numbers in their names become *."""
    for name in ("orders_1.csv", "orders_2.csv"):
        write(name, rows_of(MONDAY))
    told = decide_delivery(part(), TODAY)
    assert (told.kind, told.path, told.last, told.is_last_certain) == ("history", "orders_*.csv", MONDAY, True)


@pytest.mark.parametrize(("name", "certain"), [("orders.csv", False), ("orders.parquet", True)])
def test_the_newest_day_of_a_part_is_certain_only_where_the_format_tells_it(
    samples: Path, name: str, *, certain: bool
) -> None:
    """The footer of a parquet file does; of a text the rest may hold later days."""
    days = [MONDAY + timedelta(days=n // 2) for n in range(60)]
    columns = {"customer": [n % 7 for n in range(60)], "sold_on": days}
    if name.endswith(".parquet"):
        pq.write_table(pa.table(columns), samples / name)
    else:
        lines = [f"{customer},{day}" for customer, day in zip(*columns.values(), strict=True)]
        (samples / name).write_text("\n".join(["customer,sold_on", *lines]))
    decided, _ = decide_columns(read_rows(find_samples(samples).tables[0], most_rows=20), None)
    ((first,), _) = decide_parts([decided], {"orders": decided.columns["customer"]})
    told = decide_delivery(first, TODAY)
    assert (told.last, told.is_last_certain) == (days[-1] if certain else days[19], certain)


def test_files_that_fit_no_one_path_are_refused(write: Write, part: Callable[[], Part]) -> None:
    """A contract has one path for a source."""
    write("orders_1.csv", rows_of(MONDAY))
    write("orders_2.tsv", rows_of(MONDAY))
    with pytest.raises(DataRefusedError, match="fit no one path"):
        decide_delivery(part(), TODAY)


def test_visits_are_rows_with_a_customer_and_a_day_that_are_no_returns(write: Write, part: Callable[[], Part]) -> None:
    """A null in either, and a negative quantity, are none."""
    write("orders.csv", "customer,at,quantity\n1,2026-01-01,1\n,2026-01-02,1\n2,,1\n2,2026-01-03,-1\n2,2026-01-04,2\n")
    assert visits(part()) == [("1", date(2026, 1, 1)), ("2", date(2026, 1, 4))]
