import gzip
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from churnlake.contract import Contract
from churnlake.ledger import Delivery
from jobs import extent
from jobs.extent import is_small

DAY = date(2026, 1, 1)


@pytest.fixture
def shop(tmp_path: Path, make_contract: Callable[..., Contract], monkeypatch: pytest.MonkeyPatch) -> Contract:
    """A shop where more than 10 rows are many."""
    monkeypatch.setattr(extent, "SMALL_ROWS", 10)
    (tmp_path / "shop" / "orders").mkdir(parents=True)
    return make_contract(tmp_path / "shop")


def taken(path: Path) -> Delivery:
    """What the ledger knows of a file that is in."""
    size = path.stat().st_size
    return Delivery(
        "orders", "d", f"orders/{path.name}", size, "0" * 64, DAY, DAY, DAY,
        contract="shop", run_id="run", state="ingested", counts={},
    )  # fmt: skip


def test_many_rows_ahead_are_no_small_work(shop: Contract, tmp_path: Path) -> None:
    """A hundred bytes are a row; what is in already is no work; nothing at all is small."""
    path = shop.folder / "orders" / f"{DAY}.csv"
    assert is_small(shop, [], tmp_path / "lake")
    path.write_bytes(b"x" * 1_000)
    assert is_small(shop, [], tmp_path / "lake")
    path.write_bytes(b"x" * 1_100)
    assert not is_small(shop, [], tmp_path / "lake")
    assert is_small(shop, [taken(path)], tmp_path / "lake")


def test_packed_files_and_parquet_hold_more_than_their_size_tells(
    tmp_path: Path, make_contract: Callable[..., Contract], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packed text counts eight times; parquet says how many rows it has; a broken one says nothing."""
    monkeypatch.setattr(extent, "SMALL_ROWS", 10)
    parquet = make_contract(
        tmp_path / "a", ('path = "orders/{business_date}.csv"', 'path = "{business_date}.parquet"\nformat = "parquet"')
    )
    pq.write_table(pa.table({"n": list(range(11))}), parquet.folder / f"{DAY}.parquet")
    assert not is_small(parquet, [], tmp_path / "lake")
    (parquet.folder / f"{DAY}.parquet").write_bytes(b"PAR1")
    assert is_small(parquet, [], tmp_path / "lake")
    packed = make_contract(tmp_path / "b", ("{business_date}.csv", "{business_date}.csv.gz"))
    (packed.folder / "orders").mkdir()
    path = packed.folder / "orders" / f"{DAY}.csv.gz"
    path.write_bytes(gzip.compress(b"".join(bytes([n % 251]) for n in range(100_000)))[:140])
    assert not is_small(packed, [], tmp_path / "lake")
