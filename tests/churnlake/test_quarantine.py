"""The quarantine without Spark: which rows are open, shown by file and reason, chosen for repair and release."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from churnlake.errors import UsageError
from churnlake.ledger import Delivery
from churnlake.quarantine import Group, Quarantine, Wanted
from churnlake.repairs import changed_cells, choose, choose_repaired, read_repairs, write_repairs

FIRST, SECOND = date(2026, 2, 28), date(2026, 3, 1)
COLUMNS = ("id", "price", "corrupt_record")
SCHEMA = pa.schema(
    {
        "source": pa.string(), "delivery_id": pa.string(), "slot": pa.date32(), "file": pa.string(),
        "record_number": pa.int64(), "row_hash": pa.string(), "raw_row": pa.string(),
        "reasons": pa.list_(pa.string()), "rule_digest": pa.string(), "status": pa.string(),
        "changed_by": pa.string(), "run_id": pa.string(), "known_date": pa.date32(), "known_month": pa.string(),
    }
)  # fmt: skip
WriteTable = Callable[..., Path]


def row(row_hash: str, record: int | None = 1, status: str = "held", **given: Any) -> dict[str, Any]:
    """A row of the table; only what is told differs from the others."""
    known = given.get("known_date", FIRST)
    told: dict[str, Any] = {
        "source": "orders", "delivery_id": "d1", "slot": FIRST, "file": "orders/1.csv", "record_number": record,
        "row_hash": row_hash, "raw_row": json.dumps({"id": row_hash, "price": "1;5"}), "reasons": ["bad_type.price"],
        "rule_digest": "r", "status": status, "changed_by": "d1" if status == "held" else "release-1",
        "run_id": "run", "known_date": known, "known_month": f"{known:%Y-%m}",
    }  # fmt: skip
    return told | given


@pytest.fixture
def write_table(tmp_path: Path) -> WriteTable:
    """Writes a lake whose quarantine holds these rows; returns the lake's folder."""

    def write(*rows: dict[str, Any]) -> Path:
        table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
        write_deltalake(str(tmp_path / "quarantine"), table, partition_by=["known_month"], mode="append")
        return tmp_path

    return write


def frozen(delivery_id: str) -> Delivery:
    """A delivery that is not in yet."""
    return Delivery(
        "orders", delivery_id, "f", 1, "0", FIRST, FIRST, FIRST, contract="shop", run_id="r", state="frozen", counts={}
    )


def test_open_rows_are_those_nothing_has_ended_copy_by_copy(write_table: WriteTable) -> None:
    """Of three equal rows of which one was released two are open; a row of another delivery is another row."""
    lake = write_table(
        row("a", 1), row("a", 2), row("a", 3), row("b", None), row("c"), row("a", 1, delivery_id="d2", slot=SECOND),
        row("a", None, "released", known_date=SECOND), row("c", None, "withdrawn"),
    )  # fmt: skip
    quarantine = Quarantine.open(lake, [])
    found = [(one.delivery_id, one.row_hash, one.record_number, one.copy) for one in quarantine.rows(Wanted())]
    assert found == [("d1", "a", 2, 2), ("d1", "a", 3, 3), ("d1", "b", None, 1), ("d2", "a", 1, 1)]
    assert [one.row_hash for one in quarantine.rows(Wanted(), "withdrawn")] == ["c"]
    assert quarantine.count(Wanted("orders")) == 4
    assert len(quarantine.rows(Wanted(), limit=1)) == 1


def test_what_a_delivery_wrote_that_is_not_in_yet_is_not_seen(write_table: WriteTable) -> None:
    """A dead release has released nothing; a dead night's rows cannot be released."""
    lake = write_table(row("a"), row("a", 1, "released"), row("b", 2, changed_by="d9", delivery_id="d9"))
    assert [one.row_hash for one in Quarantine.open(lake, []).rows(Wanted())] == ["b"]
    seen = Quarantine.open(lake, [frozen("release-1"), frozen("d9")])
    assert [one.row_hash for one in seen.rows(Wanted())] == ["a"]


def test_groups_count_open_rows_by_file_and_first_reason_oldest_first(write_table: WriteTable) -> None:
    """`since` is the date they became known; a file's rows of two reasons are two groups."""
    lake = write_table(
        row("a", reasons=["bad_shape", "x"]), row("b"), row("c"), row("d", slot=SECOND, file="2", known_date=SECOND),
    )  # fmt: skip
    assert Quarantine.open(lake, []).groups(Wanted()) == [
        Group("orders", FIRST, "orders/1.csv", "bad_type.price", 2, FIRST),
        Group("orders", FIRST, "orders/1.csv", "bad_shape", 1, FIRST),
        Group("orders", SECOND, "2", "bad_type.price", 1, SECOND),
    ]
    assert Quarantine.open(lake, []).groups(Wanted(), "released") == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(reasons=("x",)), ["a"]),
        (Wanted(reasons=("x", "bad_type.price")), ["a", "b"]),
        (Wanted(slot=SECOND), ["b"]),
        (Wanted(files=("orders/1.csv",), deliveries=("d1",)), ["a"]),
        (Wanted("nobody's"), []),
        (Wanted(row_hashes=("b' OR '1'='1",)), []),
    ],
)
def test_each_part_of_a_question_narrows(write_table: WriteTable, wanted: Wanted, found: list[str]) -> None:
    """Reasons fit anywhere in a row's list; a value is only ever a value."""
    lake = write_table(row("a", reasons=["bad_shape", "x"]), row("b", slot=SECOND, file="2", known_date=SECOND))
    assert [one.row_hash for one in Quarantine.open(lake, []).rows(wanted)] == found


def test_an_empty_lake_has_nothing_set_aside_and_an_old_one_says_so(tmp_path: Path) -> None:
    """No table yet is no row; a table without the columns of now is refused by name."""
    quarantine = Quarantine.open(tmp_path, [])
    assert quarantine.rows(Wanted()) == []
    assert quarantine.groups(Wanted(), "expired") == []
    assert quarantine.kept_before("orders", FIRST) == []
    write_deltalake(str(tmp_path / "quarantine"), pa.table({"source": ["orders"], "status": ["held"]}))
    with pytest.raises(UsageError, match="has no column delivery_id"):
        Quarantine.open(tmp_path, [])


def test_text_that_is_kept_too_long_names_who_wrote_it(write_table: WriteTable) -> None:
    """Before a date, of its own source, and only where there is text left."""
    lake = write_table(row("a"), row("b", raw_row=None, changed_by="d3"), row("c", changed_by="d4", known_date=SECOND))
    quarantine = Quarantine.open(lake, [])
    assert quarantine.kept_before("orders", SECOND) == ["d1"]
    assert quarantine.kept_before("orders", FIRST) == []
    assert quarantine.kept_before("other", SECOND) == []
    assert quarantine.rows(Wanted(row_hashes=("b",)))[0].text is None


def test_an_expiry_counts_what_it_ended(write_table: WriteTable) -> None:
    """Its own rows, of its own source; a release of the same month is another matter."""
    ended = {"raw_row": None, "known_date": SECOND}
    lake = write_table(
        row("a"), row("a", 1, "expired", changed_by="expiry-1", **ended), row("b", 1, "released", known_date=SECOND),
        row("c", 1, "expired", changed_by="expiry-0", **ended),
    )  # fmt: skip
    assert Quarantine.open(lake, []).expired_by("orders", "expiry-1", SECOND) == 1
    assert Quarantine.open(lake, []).expired_by("orders", "expiry-1", FIRST) == 0
    assert Quarantine.open(lake, []).expired_by("other", "expiry-1", SECOND) == 0


def repair_file(path: Path, rows: list[Any], **cells: str) -> Path:
    """What `show --to` writes, with cells of every line given another text as a person would type it."""
    with path.open("wb") as file:
        write_repairs(file, COLUMNS, rows)
    text = path.read_text("utf-8-sig")
    for old, new in cells.values():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_a_repaired_file_changes_the_cells_that_were_changed(write_table: WriteTable, tmp_path: Path) -> None:
    """An honest -3 comes back as -3; null and empty stay what they were; a cell that is emptied is null."""
    texts = {
        "a": {"id": "", "price": "-3"}, "b": {"price": "=1+1"}, "c": {"id": "'x", "price": "1;5"}, "d": {"id": "dd"},
    }  # fmt: skip
    lake = write_table(*(row(name, raw_row=json.dumps(text)) for name, text in texts.items()))
    quarantine = Quarantine.open(lake, [])
    path = repair_file(tmp_path / "r.csv", quarantine.rows(Wanted()), price=('"1;5"', "-1.5"), id=('"dd"', ""))
    selection = choose_repaired(quarantine, Wanted("orders"), read_repairs(path, COLUMNS))
    found = {one.row.row_hash: {k: v for k, v in one.text.items() if k in ("id", "price")} for one in selection.rows}
    assert found == {
        "a": {"id": "", "price": "-3"}, "b": {"price": "=1+1"}, "c": {"id": "'x", "price": "-1.5"}, "d": {"id": None},
    }  # fmt: skip
    assert changed_cells(selection) == {"price": 1, "id": 1}
    assert [one.changed for one in selection.rows] == [(), (), ("price",), ("id",)]


def test_a_release_is_named_after_its_rows_and_their_text(write_table: WriteTable, tmp_path: Path) -> None:
    """The same choice has the same name in any order and any process; another text or row another one."""
    quarantine = Quarantine.open(write_table(row("a"), row("b")), [])
    both, one = choose(quarantine, Wanted("orders")), choose(quarantine, Wanted("orders", row_hashes=("a",)))
    assert both.release_id == choose(quarantine, Wanted("orders", files=("orders/1.csv",))).release_id
    path = repair_file(tmp_path / "r.csv", quarantine.rows(Wanted()), price=("1;5", "1.5"))
    mended = choose_repaired(quarantine, Wanted("orders"), read_repairs(path, COLUMNS))
    assert len({both.release_id, one.release_id, mended.release_id}) == 3


def test_a_repaired_file_can_be_given_again(write_table: WriteTable, tmp_path: Path) -> None:
    """Lines whose text was let in are passed over, also where an equal row with another text is still held."""
    lake = write_table(row("a", 1), row("a", 2), row("b"))
    rows = Quarantine.open(lake, []).rows(Wanted())
    path = repair_file(tmp_path / "r.csv", rows, price=("1;5", "1.5"))
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("1.5", "2.5")  # the second copy of a
    path.write_text("\n".join(lines))
    write_table(row("a", 1, "released", raw_row=json.dumps({"id": "a", "price": "1.5"})), row("b", 1, "withdrawn"))

    again = choose_repaired(Quarantine.open(lake, []), Wanted("orders"), read_repairs(path, COLUMNS))

    assert [(one.row.copy, one.text["price"]) for one in again.rows] == [(2, "2.5")]
    assert again.gone == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no column row_hash; no column delivery_id"),
        ("row_hash,delivery_id,prise\n", "column 'prise' is not of the source, did you mean 'price'?"),
        ("row_hash,delivery_id,id,id\n", "column 'id' stands twice"),
        ("row_hash;delivery_id;id\na;d1\n", "line 2 has 2 cells, not 3"),
        ("row_hash\tdelivery_id\nz\td1\n", "never set aside: z of d1"),
    ],
)
def test_a_file_that_is_no_repair_is_refused(write_table: WriteTable, tmp_path: Path, text: str, told: str) -> None:
    """By name: a wrong header, a wrong line, a row that never was; whichever separator it was saved with."""
    path = tmp_path / "r.csv"
    path.write_text(text)
    quarantine = Quarantine.open(write_table(row("a")), [])
    with pytest.raises(UsageError) as problem:
        choose_repaired(quarantine, Wanted("orders"), read_repairs(path, COLUMNS))
    assert told in str(problem.value)
