"""What cannot be used is refused before Spark starts: one message, its exit code, nothing published."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from churnlake.warehouse.publications import Publications
from flows.runners import CHECKOUT

EXAMPLE = CHECKOUT / "examples" / "online_retail"
DAYS = ("2010-12-01", "2010-12-02", "2010-12-03", "2010-12-05")
BAD = "2010-12-02.csv.gz"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A shop of four days: the example's contract and first files."""
    folder = tmp_path / "shop"
    (folder / "data" / "by_day").mkdir(parents=True)
    shutil.copy(EXAMPLE / "contract.toml", folder)
    shutil.copytree(EXAMPLE / "expectations", folder / "expectations")
    for day in DAYS:
        shutil.copy(EXAMPLE / "data" / "by_day" / f"{day}.csv.gz", folder / "data" / "by_day")
    return folder


def rewritten(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Changes the text inside a gzip file."""

    def rewrite(path: Path) -> None:
        text = gzip.decompress(path.read_bytes()).decode()
        path.write_bytes(gzip.compress(change(text).encode()))

    return rewrite


def header(names: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Changes the first line."""

    def change(text: str) -> str:
        first, rest = text.split("\n", 1)
        return ",".join(names(first.strip().split(","))) + "\n" + rest

    return rewritten(change)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, BAD),
    "renamed": (
        header(lambda names: ["Qty" if name == "Quantity" else name for name in names]),
        "'Quantity' is missing",
    ),
    "reordered": (header(lambda names: [names[1], names[0], *names[2:]]), "another order"),
    "extra": (header(lambda names: [*names, "Colour"]), "'Colour' is not in the contract"),
    "dropped": (header(lambda names: names[:-1]), "'Country' is missing"),
    "binary": (lambda path: path.write_bytes(gzip.compress(b"PAR1" + bytes(range(256)))), "Parquet"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "header only": (rewritten(lambda text: text.split("\n", 1)[0] + "\n"), "no rows"),
    "broken gzip": (lambda path: path.write_bytes(path.read_bytes()[:-200]), "cannot be unpacked"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_p6_a_bad_file_is_exit_3_by_name_before_any_write(home: Any, shop: Path, kind: str) -> None:
    """Each fault is named with its file; the lake stays empty and nothing is published."""
    breaking, told = BROKEN[kind]
    breaking(shop / "data" / "by_day" / BAD)
    refused = home.churnlake("run", str(shop / "contract.toml"), "--direct", "--json")
    assert refused.returncode == 3, refused.stderr
    document = json.loads(refused.stdout)
    assert BAD in document["error"]
    assert told in document["error"]
    assert "Traceback" not in refused.stderr
    assert not list(home.settings.lake("online_retail").glob("raw_*"))
    assert Publications.open(home.settings.warehouse).newest("online_retail") is None


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("horizon_days", "horizon_dayz", "horizon_dayz"),
        ('"Quantity * UnitPrice"', '"Quantity * "', "cannot be read"),
        ('"Quantity * UnitPrice"', "\"java_method('x')\"", "not allowed"),
    ],
)
def test_p15_a_wrong_contract_is_exit_2_and_names_the_place(
    home: Any, shop: Path, before: str, after: str, told: str
) -> None:
    """Unknown keys, wrong and forbidden expressions never reach Spark."""
    contract = shop / "contract.toml"
    contract.write_text(contract.read_text().replace(before, after))
    refused = home.churnlake("run", str(contract), "--direct")
    assert refused.returncode == 2
    assert told in refused.stderr


def test_too_little_history_is_exit_4_and_says_when_there_will_be_enough(home: Any, shop: Path) -> None:
    """Four days train no model; the history stays, nothing is published."""
    refused = home.churnlake("run", str(shop / "contract.toml"), "--direct")
    assert refused.returncode == 4, refused.stderr
    assert "not enough history" in refused.stderr
    assert Publications.open(home.settings.warehouse).newest("online_retail") is None
