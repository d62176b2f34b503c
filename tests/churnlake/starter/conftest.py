"""Sample files of a few lines, and what the starter makes of them."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.starter import Table, decide_columns, find_samples, read_tables
from churnlake.starter.dates import Order

Write = Callable[[str, str | bytes], Path]
TableOf = Callable[..., Table]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """The folder that the samples of a test lie in."""
    folder = tmp_path / "samples"
    folder.mkdir()
    return folder


@pytest.fixture
def write(samples: Path) -> Write:
    """Writes a sample file; packed where its name ends in .gz."""

    def written(name: str, content: str | bytes) -> Path:
        path = samples / name
        path.parent.mkdir(parents=True, exist_ok=True)
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return written


@pytest.fixture
def table(samples: Path, write: Write) -> TableOf:
    """The decided table of one sample file."""

    def decided(content: str | bytes, name: str = "orders.csv", order: Order | None = None) -> Table:
        write(name, content)
        (rows,) = read_tables(find_samples(samples))[0]
        return decide_columns(rows, order)[0]

    return decided


@pytest.fixture
def tables(samples: Path) -> Callable[[], list[Table]]:
    """The decided tables of all sample files, by name."""
    return lambda: [decide_columns(rows, None)[0] for rows in read_tables(find_samples(samples))[0]]
