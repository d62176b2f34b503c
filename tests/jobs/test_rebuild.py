"""A contract that gives rows another meaning: typed rows are made anew from raw ones, and what was known when stays."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from churnlake.contract import Contract, load_contract
from churnlake.errors import UsageError
from churnlake.ledger import Lane, Ledger, Run
from churnlake.settings import Settings
from jobs import application, rebuild
from jobs.application import Application
from jobs.ingest import ingest

HEADER = "order_no,customer,at,price,pieces,item,kind"
WITHOUT_GATES = ('duplicates = "drop"\n', 'duplicates = "drop"\non_missing = "warn"\ngates = { sensitivity = "off" }\n')
PER_ORDER = ('amount = "price"', 'amount = "price * pieces"')
# Told by the runs that wrote them; what a row was first set aside for stays, so nothing else differs.
OF_RUNS = {"run_id", "typed_digest", "rule_digest"}

MakeContract = Callable[..., Contract]
Rows = Counter[tuple[Any, ...]]


def day(number: int) -> date:
    """A day of January 2026."""
    return date(2026, 1, number)


def order(number: int | str, customer: str, at: int, price: str = "1.50", pieces: str = "2") -> str:
    """A line of a day's file."""
    return f"{number},{customer},{day(at)},{price},{pieces},pen,purchase"


# Days as they come: first ones, a correction of one beside a late one, and the correction corrected.
DROPS: Sequence[dict[int, Sequence[str]]] = (
    {1: [*[order(1, "ann", 1)] * 2, order(2, "bob", 1), order(3, "cleo", 1, "1;5")], 2: [order(4, "ann", 2)]},
    {1: [order(1, "ann", 1), order(5, "dan", 1)], 3: [order("x6", "bob", 3, "0.29", "3"), order(7, "", 3)]},
    {1: [order(1, "ann", 1), order(2, "bob", 1), order(8, "eve", 1)], 4: [order(9, "eve", 4, "2", "1")]},
)  # fmt: skip


class _PowerCutError(Exception):
    """Ends an application in the middle."""


@dataclass
class Desk:
    """A shop with a lake of its own, and the stages that fill it."""

    app: Application

    @property
    def contract(self) -> Contract:
        return self.app.contract

    def take_in(self, place: int, *, rebuilds: bool = True) -> Run:
        app, night = self.app, day(place + 2)
        for number, lines in DROPS[place].items() if place < len(DROPS) else ():
            path = self.contract.folder / "orders" / f"{day(number)}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join([HEADER, *lines]) + "\n")
        with app.run("history", night, "done") as run, app.stage(run, "ingest") as stage:
            if rebuilds:
                rebuild.rebuild(app, run, stage)
            ingest(app, run, stage, night - timedelta(days=1) if place else None)
        return run

    def rows(self, table: str) -> Rows:
        """All rows of a table but for what names the run that wrote them."""
        frame = self.app.lake.read(table)
        kept = sorted(set(frame.columns) - OF_RUNS)
        return Counter(tuple(map(str, row)) for row in frame.select(*kept).collect())

    def accounts(self) -> dict[str, Any]:
        """The buckets of each delivery."""
        return {one.delivery_id: one.counts for one in self.app.ledger.deliveries("shop")}


TABLES = ("events", "daily_activity", "daily_values", "known_customers", "quarantine")


@pytest.fixture(scope="module")
def desks(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_contract: MakeContract
) -> Iterator[list[Desk]]:
    """A lake whose contract changed after three nights, not rebuilt yet, and one that always had the new contract."""
    root = tmp_path_factory.mktemp("rebuild")
    made = []
    for name, changes in (("changed", ()), ("fresh", (PER_ORDER,))):
        contract = make_contract(root / name / "shop", WITHOUT_GATES, *changes)
        settings = Settings.from_environment({"CHURNLAKE_HOME": str(root / name / "home")})
        made.append((settings, contract))
    with Lane.take(made[0][0].lake("shop")) as one, Lane.take(made[1][0].lake("shop")) as other:
        desks = [
            Desk(Application(settings, contract, Ledger.open(settings.ledger_url), lane, "desk"))
            for (settings, contract), lane in zip(made, (one, other), strict=True)
        ]
        for desk in desks:
            for place in range(len(DROPS)):
                desk.take_in(place, rebuilds=False)
        before = desks[0].contract
        text = before.path.read_text()
        before.path.write_text(text.replace(*PER_ORDER))
        desks[0].app.contract = load_contract(before.path)
        yield desks


def test_rows_of_two_meanings_are_never_read_together(desks: list[Desk]) -> None:
    """Between the change and the rebuild nothing may read the lake: it says what differs and what to run."""
    changed, fresh = desks
    with pytest.raises(UsageError, match=r"gives rows of orders another meaning .*\n  next: `churnlake backfill"):
        rebuild.refuse_other_meaning(changed.contract, changed.app.ledger.deliveries("shop"))
    rebuild.refuse_other_meaning(fresh.contract, fresh.app.ledger.deliveries("shop"))


def test_p5_a_rebuild_ends_where_a_fresh_lake_with_the_new_contract_would(
    desks: list[Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle it goes on where it was; in the end all tables and accounts are equal, known dates too."""
    changed, fresh = desks
    old = changed.rows("events")
    reached: list[str] = []

    def reach(app: Application, point: str) -> None:
        reached.append(point)
        if point == "rebuild.typed" and reached.count(point) == 2:
            raise _PowerCutError

    monkeypatch.setattr(rebuild, "FILES_AT_ONCE", 3)
    monkeypatch.setattr(application.Application, "reach", reach)
    with pytest.raises(_PowerCutError):
        changed.take_in(len(DROPS))
    with pytest.raises(UsageError, match="another meaning"):
        rebuild.refuse_other_meaning(changed.contract, changed.app.ledger.deliveries("shop"))
    run = changed.take_in(len(DROPS))

    assert reached.count("rebuild.typed") == 3
    (stage,) = changed.app.ledger.stages(run.run_id)
    assert stage.counts["rebuilt"] == {"deliveries": 3, "rows": 6}
    rebuild.refuse_other_meaning(changed.contract, changed.app.ledger.deliveries("shop"))
    for table in TABLES:
        assert changed.rows(table) == fresh.rows(table), table
    assert changed.accounts() == fresh.accounts()
    assert changed.rows("events") != old


def test_rows_that_no_longer_fit_are_set_aside_and_those_set_aside_before_stay(desks: list[Desk]) -> None:
    """One order has no number for a name: no fact any more, held since its file came. All versions at once here."""
    changed, _ = desks
    before = changed.rows("events")
    path = changed.contract.path
    path.write_text(path.read_text().replace('order_no = "text"', 'order_no = "int"'))
    changed.app.contract = load_contract(path)
    run = changed.take_in(len(DROPS) + 1)

    (stage,) = changed.app.ledger.stages(run.run_id)
    assert stage.counts["rebuilt"] == {"deliveries": 6, "rows": 13}
    quarantine = changed.app.lake.read("quarantine").select("file", "reasons", "status", "known_date").collect()
    first, third = f"orders/{day(1)}.csv", f"orders/{day(3)}.csv"
    assert sorted(map(tuple, quarantine), key=str) == [
        (first, ["bad_type.price"], "held", day(1)),
        (first, ["bad_type.price"], "withdrawn", day(3)),
        (third, ["bad_type.order_no"], "held", day(3)),
    ]
    gone = before - changed.rows("events")
    assert (len(gone), sum(gone.values())) == (1, 1)
    assert changed.rows("events") + gone == before
    (late,) = [one for one in changed.app.ledger.deliveries("shop") if one.slot == day(3)]
    assert (late.counts["accepted"], late.counts["quarantined"]) == (0, {"bad_type.order_no": 1})
