"""How much work lies ahead of an application, told from names and sizes before Spark starts."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from churnlake.contract.schema import Contract
from churnlake.deliveries import File, find_files
from churnlake.errors import ChurnlakeError
from churnlake.ledger import Delivery

# Above this many rows in one stage the optimising compiler and more partitions pay for their start.
SMALL_ROWS = 1_500_000
# Rows of text files are guessed: a line is rarely shorter, and packed text rarely more than eight times smaller.
_BYTES_PER_ROW = 100
_TIMES_PACKED = 8


def is_small(contract: Contract, held: Iterable[Delivery], lake: Path) -> bool:
    """Whether neither the files still to be taken in nor the customers to be scored are many.

    `lake` is the folder of the contract's tables. What cannot be told counts as nothing: whoever reads it says why.
    """
    taken = {(one.source, one.path, one.bytes) for one in held if one.state != "frozen"}
    files = [file for name in contract.sources for file in _files(contract, name)]
    ahead = sum(
        guessed_rows(path)
        for file in files
        if (path := contract.folder / file.path).exists() and (file.source, file.path, path.stat().st_size) not in taken
    )
    return max(ahead, _customers(lake)) <= SMALL_ROWS


def _files(contract: Contract, name: str) -> tuple[File, ...]:
    try:
        return find_files(contract, name)
    except ChurnlakeError:
        return ()


def guessed_rows(path: Path) -> int:
    """Rows of a file, from its footer or its size."""
    if path.suffix == ".parquet":
        try:
            return int(pq.read_metadata(path).num_rows)
        except (OSError, ValueError):
            return 0
    size = path.stat().st_size
    return size * (_TIMES_PACKED if path.suffix == ".gz" else 1) // _BYTES_PER_ROW


def _customers(lake: Path) -> int:
    try:
        table = DeltaTable(str(lake / "known_customers"))
    except TableNotFoundError:
        return 0
    return int(sum(table.get_add_actions(flatten=True).column("num_records").to_pylist()))
