"""What cannot be used is refused through the command line too: one message, its exit code, nothing published."""

import gzip
import json
import shutil
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


def test_p6_a_bad_file_is_exit_3_by_name_before_any_write(home: Any, shop: Path) -> None:
    """The fault is named with its file; the lake stays empty and nothing is published."""
    path = shop / "data" / "by_day" / BAD
    text = gzip.decompress(path.read_bytes()).decode()
    path.write_bytes(gzip.compress(text.replace("Quantity", "Qty", 1).encode()))
    refused = home.churnlake("run", str(shop / "contract.toml"), "--direct", "--json")
    assert refused.returncode == 3, refused.stderr
    document = json.loads(refused.stdout)
    assert BAD in document["error"]
    assert "'Quantity' is missing" in document["error"]
    assert "Traceback" not in refused.stderr
    assert not list(home.settings.lake("online_retail").glob("raw_*"))
    assert Publications.open(home.settings.warehouse).newest("online_retail") is None


def test_p15_a_wrong_contract_is_exit_2_and_names_every_place(home: Any, shop: Path) -> None:
    """An unknown key, a broken and a forbidden expression are listed together and never reach Spark."""
    contract = shop / "contract.toml"
    changes = {
        "horizon_days": "horizon_dayz",
        '"Quantity * UnitPrice"': '"Quantity * "',
        '"StockCode"': "\"java_method('x')\"",
    }
    text = contract.read_text()
    for before, after in changes.items():
        text = text.replace(before, after)
    contract.write_text(text)
    refused = home.churnlake("run", str(contract), "--direct")
    assert refused.returncode == 2
    assert [told in refused.stderr for told in ("horizon_dayz", "cannot be read", "not allowed")] == [True] * 3


def test_too_little_history_is_exit_4_and_says_when_there_will_be_enough(home: Any, shop: Path) -> None:
    """Four days train no model; the history stays, nothing is published."""
    refused = home.churnlake("run", str(shop / "contract.toml"), "--direct")
    assert refused.returncode == 4, refused.stderr
    assert "not enough history" in refused.stderr
    assert Publications.open(home.settings.warehouse).newest("online_retail") is None
