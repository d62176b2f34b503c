"""Tables of states in any order that may happen: late, corrected, missed, stale. In the end they say the same.

Each table comes whole on the last night in one source (or group of days), dealt over the nights at random in others.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.ledger import Lane, Ledger
from churnlake.settings import Settings
from jobs.application import Application
from jobs.ingest import ingest
from jobs.lake import Lake

ROLES = {
    "customers": (
        'types = { id = "text", region = "text", points = "int" }\n'
        'columns = { customer_id = "id", region = "region", points = "points" }\n'
    ),
    "subscriptions": (
        'types = { id = "text", since = "date", until = "date" }\n'
        'columns = { customer_id = "id", started_on = "since", ended_on = "until" }\n'
    ),
}  # fmt: skip
HEADERS = {"customers": "id,region,points", "subscriptions": "id,since,until"}
TABLES = {"customers": "attributes", "subscriptions": "subscriptions"}
CONTENT = {
    "customers": ("region", "points"),
    "subscriptions": ("started_on", "ended_on"),
}
NIGHTS = (date(2026, 1, 20), date(2026, 1, 29), date(2026, 1, 30))
SNAPSHOTS = [(role, order) for role in ROLES for order in ("whole", "dealt")]
# By these the days of each come in several versions, some after a newer one, some in one night.
SNAPSHOTS_DEALT = 5
# Days of daily files: the first three come whole, the others dealt.
GROUPS = {tuple(date(2026, 1, first + day) for day in range(3)): seed for first, seed in ((1, None), (4, 17), (7, 19))}
ONE_A_NIGHT = 2


def source(name: str, role: str, delivery: str, extra: str) -> str:
    """A source of the contract."""
    return (
        f'\n[sources.{name}]\nrole = "{role}"\ndelivery = "{delivery}"\nready = {{ stable_seconds = 0 }}\n'
        f"{extra}{ROLES[role]}"
    )


def sources() -> str:
    """Both kinds of states by all deliveries; outcomes told are kept as attributes are."""
    dated = 'on_missing = "warn"\npath = "{name}/{{business_date}}.csv"\n'
    snapshots = [
        source(f"{role}_{order}", role, "snapshot", dated.format(name=f"{role}_{order}") + "max_disappear = 1\n")
        for role, order in SNAPSHOTS
    ]
    daily = [source(f"{role}_daily", role, "daily", dated.format(name=f"{role}_daily")) for role in ROLES]
    past = source("past", "subscriptions", "history", 'path = "past/*.csv"\nthrough = "2026-01-10"\n')
    return "".join([*snapshots, *daily, past])


def lines(generator: random.Random, role: str) -> list[str]:
    """A table of a few customers: rows that repeat, one with a null and sometimes one that does not fit."""
    told = {
        "customers": lambda: f"{generator.choice(['north', ''])},{generator.choice(['1', '2', 'x'])}",
        "subscriptions": lambda: f"2025-0{generator.randrange(1, 4)}-01,{generator.choice(['', '2026-02-01', 'x'])}",
    }[role]
    table = [f"c{customer},{told()}" for customer in range(6) if generator.random() < 0.8]
    return [*table, table[0], f"c9,{told()}"]


def versions(role: str, days: int, seed: int) -> list[list[list[str]]]:
    """Of each day the versions of its file."""
    generator = random.Random(seed)  # noqa: S311 - made-up data
    return [[lines(generator, role) for _ in range(generator.randrange(1, 4))] for _ in range(days)]


def dealt(told: list[list[list[str]]], seed: int, *, may_miss: bool = False) -> list[dict[int, list[str]]]:
    """For each night which days' files come then, in which version: the last version of each comes last.

    Where days may be missed, some never come; the last one always does.
    """
    generator = random.Random(seed)  # noqa: S311 - made-up data
    nights: list[dict[int, list[str]]] = [{} for _ in NIGHTS]
    for day, files in enumerate(told):
        if may_miss and day + 1 < len(told) and generator.random() < 0.3:
            continue
        kept = files[-generator.randrange(1, len(files) + 1) :]
        for night, file in zip(sorted(generator.sample(range(len(NIGHTS)), len(kept))), kept, strict=True):
            nights[night][day] = file
    return nights


def whole(told: list[list[list[str]]]) -> list[dict[int, list[str]]]:
    """Everything in its last version on the last night."""
    return [{}, {}, {day: files[-1] for day, files in enumerate(told)}]


def write(folder: Path, name: str, header: str, rows: Sequence[str]) -> None:
    """Puts a file of some rows into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.csv").write_text("\n".join([header, *rows]) + "\n")


def deliver(root: Path, place: int) -> None:
    """Puts the files of a night into their places."""
    for role, order in SNAPSHOTS:
        told = versions(role, 4, seed=3)
        come = whole(told) if order == "whole" else dealt(told, SNAPSHOTS_DEALT, may_miss=True)
        for day, rows in come[place].items():
            write(root / f"{role}_{order}", str(NIGHTS[0] - timedelta(days=3 - day)), HEADERS[role], rows)
    for role in ROLES:
        told = versions(role, 3, seed=5)
        for turn, (group, seed) in enumerate(GROUPS.items()):
            for day, rows in (dealt(told, seed) if seed else whole(told))[place].items():
                # In another order, because the bytes of another day are refused as a stale copy of it.
                write(root / f"{role}_daily", str(group[day]), HEADERS[role], [*rows[turn:], *rows[:turn]])
    told = [[file[-1]] for file in versions("subscriptions", 3, seed=7)]
    for order, seed in (("a", None), ("b", ONE_A_NIGHT)):
        for day, rows in (dealt(told, seed) if seed else whole(told))[place].items():
            write(root / "past", f"{order}{day}", HEADERS["subscriptions"], [f"{order}{row}" for row in rows])


@pytest.fixture(scope="module")
def lake(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_members: Callable[..., Contract]
) -> Iterator[Lake]:
    """What three nights left."""
    root = tmp_path_factory.mktemp("orders")
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(root / "home")})
    contract, ledger = make_members(root / "club", sources()), Ledger.open(settings.ledger_url)
    with Lane.take(settings.lake("club")) as lane:
        app = Application(settings, contract, ledger, lane, "orders")
        for place, night in enumerate(NIGHTS):
            deliver(root / "club", place)
            with app.run("history", night, "done") as run, app.stage(run, "ingest") as stage:
                ingest(app, run, stage, night - timedelta(days=1) if place else None)
        assert any(one.state == "stale" for one in ledger.deliveries("club"))
        yield app.lake


def left(frame: DataFrame, sign: str, *columns: str) -> Counter[tuple[str, ...]]:
    """How often each row is left."""
    rows = frame.groupBy(*columns).agg(F.sum(sign).alias("net")).filter("net != 0").collect()
    return Counter({tuple(map(str, row[:-1])): row["net"] for row in rows})


def told_by(lake: Lake, role: str) -> tuple[Counter[Any], Counter[Any]]:
    """The net facts of a role and its rows that are still held, each beside its source and slot."""
    facts = left(lake.read(TABLES[role]), "sign", "source", "slot", "customer_id", *CONTENT[role])
    status = F.when(F.col("status") == "held", 1).otherwise(-1).alias("open")
    aside = lake.read("quarantine").select("source", "slot", "raw_row", status)
    return facts, left(aside, "open", "source", "slot", "raw_row")


def of_source(rows: Counter[Any], name: str) -> Counter[Any]:
    """A source's rows, whatever slot told them."""
    found: Counter[Any] = Counter()
    for (source_name, _, *row), count in rows.items():
        found[tuple(row)] += count if source_name == name else 0
    return +found


@pytest.mark.parametrize("role", list(ROLES))
def test_p5_snapshots_end_in_the_newest_table_whatever_came_before_it(lake: Lake, role: str) -> None:
    """P5: all at once or dealt, with days missed, corrected and stale: equal facts and held rows."""
    facts, aside = told_by(lake, role)
    (first, *others) = [f"{role}_{order}" for one, order in SNAPSHOTS if one == role]
    assert of_source(facts, first)
    for other in others:
        assert of_source(facts, other) == of_source(facts, first)
        assert of_source(aside, other) == of_source(aside, first)
    table = versions(role, 4, seed=3)[-1][-1]
    assert {row[0] for row in of_source(facts, first)} == {
        line.split(",")[0] for line in table if "x" not in line.split(",")
    }


@pytest.mark.parametrize("role", list(ROLES))
def test_p5_daily_files_of_states_end_alike_in_any_order(lake: Lake, role: str) -> None:
    """P5: each day of a group holds the same states in the end, however its versions came."""
    found = []
    for rows in told_by(lake, role):
        days = {str(day): (group, place) for group, days in enumerate(GROUPS) for place, day in enumerate(days)}
        mine = [(days[slot], row, count) for (name, slot, *row), count in rows.items() if name == f"{role}_daily"]
        found.append(
            [Counter({(at[1], *row): count for at, row, count in mine if at[0] == group}) for group in range(3)]
        )
    for whole_group, *dealt_groups in found:
        assert dealt_groups == [whole_group] * 2
    assert found[0][0]


def test_p5_files_of_a_history_end_alike_in_any_order(lake: Lake) -> None:
    """P5: a history's files may come one by one; what they say in the end is the same."""
    facts = of_source(told_by(lake, "subscriptions")[0], "past")
    by_order = [
        Counter({(row[0].removeprefix(order), *row[1:]): count for row, count in facts.items() if row[0][0] == order})
        for order in "ab"
    ]
    assert by_order[0] == by_order[1]
    assert by_order[0]
