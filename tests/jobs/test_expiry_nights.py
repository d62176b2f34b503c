"""A fresh contract of expiry in this process: a past of payments and daily files, a training, a night."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from churnlake.contract import Contract
from churnlake.ledger import Ledger
from churnlake.settings import Settings
from churnlake.warehouse.duckdb import query
from jobs import application, night, training

START = date(2026, 1, 1)
TRAINED = START + timedelta(days=269)
NIGHT = TRAINED + timedelta(days=1)
HEADER = "member,at,paid_to,kind,by_itself,pass,fee"
MEMBERS = 1_500
# What was paid before the gym had daily files, as one old file in the same form.
PAST = """[sources.old_payments]
role = "renewals"
delivery = "history"
path = "past/*.csv"
through = "THROUGH"
ready = { stable_seconds = 0 }

[sources.old_payments.types]
member = "text"
at = "timestamp"
paid_to = "date"
kind = "text"
by_itself = "boolean"
pass = "text"
fee = "decimal(8,2)"

[sources.old_payments.columns]
customer_id = "member"
event_ts = "at"
paid_until = "paid_to"
cancels = "kind = 'cancel'"
auto_renew = "by_itself"
plan = "pass"
price = "fee"

[churn]"""


def made_payments(seed: int) -> Iterator[tuple[date, str]]:
    """Lines by day. Members pay months ahead; who renews by itself mostly stays, who cancels mostly leaves."""
    generator = random.Random(seed)  # noqa: S311 - made-up data
    for number in range(MEMBERS):
        day, by_itself = START + timedelta(generator.randrange(260)), generator.random() < 0.6
        stays = 0.92 if by_itself else 0.6
        while day <= NIGHT:
            until = day + timedelta(30)
            yield day, f"m{number:04},{day} 09:00:00,{until},paid,{str(by_itself).lower()},month,25.00"
            if generator.random() > stays:
                cancelled = day + timedelta(generator.randrange(1, 25))
                if generator.random() < 0.5 and cancelled <= NIGHT:
                    yield cancelled, f"m{number:04},{cancelled} 10:00:00,{until},cancel,,,"
                day = until + timedelta(generator.randrange(20, 120))
            else:
                day = until + timedelta(generator.randrange(-3, 4))


@dataclass
class Gym:
    """The gym after its training and its night, and what each day's file held."""

    contract: Contract
    settings: Settings
    days: dict[date, list[str]]

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.ledger_url)

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        return query(self.settings.warehouse, sql).rows


@pytest.fixture(scope="module")
def gym(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, make_gym: Callable[..., Contract]) -> Gym:
    """History loaded, a champion trained, one night published."""
    root, through = tmp_path_factory.mktemp("gym"), TRAINED - timedelta(days=7)
    small = ("max_cutoffs = 6", "max_cutoffs = 12\nminimum_outcomes = 50")
    contract = make_gym(root / "gym", ("[churn]", PAST.replace("THROUGH", str(through))), small)
    days: dict[date, list[str]] = {START + timedelta(offset): [] for offset in range((NIGHT - START).days + 1)}
    for day, line in made_payments(seed=3):
        days[day].append(line)
    past = [line for day, lines in days.items() if day <= through for line in lines]
    _write(contract.folder / "past" / "all.csv", past)
    for day, lines in days.items():
        if day > through:
            _write(contract.folder / "payments" / f"{day}.csv", lines)
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(root / "home")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "code_revision", lambda: "0123456789ab")
        assert night.run(night.Request(contract.path, "history", (), history_through=TRAINED), settings) == 0
        assert training.run(contract.path, "training", TRAINED, settings) == 0
        assert night.run(night.Request(contract.path, "night", (NIGHT,)), settings) == 0
    return Gym(contract, settings, days)


def _write(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([HEADER, *lines]) + "\n")


def ends_at(days: dict[date, list[str]], cutoff: date) -> dict[str, date]:
    """Until when each member has paid by a day: what the last line of each says."""
    lines = [line.split(",") for day, told in days.items() if day <= cutoff for line in told]
    return {fields[0]: date.fromisoformat(fields[2]) for fields in sorted(lines, key=lambda fields: fields[1])}


def test_a_contract_of_expiry_trains_a_champion_and_scores_who_expires(gym: Gym) -> None:
    """Scored is exactly whose last payment ends in the label window; all others are told why they are not."""
    (model,) = gym.ledger.models("gym")
    assert (model.version, model.is_champion) == (1, True)
    left = {member: (end - NIGHT).days for member, end in ends_at(gym.days, NIGHT).items()}
    expected = {
        member: "ended" if days <= 0 else "expires_in_gap" if days <= 3 else "not_expiring" if days > 17 else None
        for member, days in left.items()
    }
    scored = {member for (member,) in gym.ask("SELECT customer_id FROM churn.scores_latest")}
    assert scored == {member for member, reason in expected.items() if reason is None}
    assert dict(gym.ask("SELECT customer_id, reason FROM churn.not_scored")) == {
        member: reason for member, reason in expected.items() if reason is not None
    }
    (run,) = [one for one in gym.ledger.runs("gym") if one.kind == "night" and one.business_date == NIGHT]
    counts = {stage.stage: stage.counts for stage in gym.ledger.stages(run.run_id)}["features"]
    assert set(counts["excluded"]) == {"ended", "expires_in_gap", "not_expiring"}
    assert counts["known"] == len(expected)


def test_who_has_cancelled_is_most_at_risk(gym: Gym) -> None:
    """The model has learnt what the payments tell: a cancellation shows, and so does who pays by hand."""
    likely = dict(gym.ask("SELECT customer_id, churn_probability FROM churn.scores_latest"))
    newest = {line.split(",")[0]: line.split(",")[3] for day, told in gym.days.items() if day <= NIGHT for line in told}
    gone = [risk for member, risk in likely.items() if newest[member] == "cancel"]
    others = [risk for member, risk in likely.items() if newest[member] == "paid"]
    assert gone
    assert sum(gone) / len(gone) > 2 * sum(others) / len(others)


def test_transactions_of_history_and_of_daily_files_lie_in_one_table(spark: SparkSession, gym: Gym) -> None:
    """Each line is one signed fact; of the history each is known on its own day."""
    held = spark.read.format("delta").load(str(gym.settings.lake("gym") / "renewals"))
    assert held.count() == sum(len(lines) for lines in gym.days.values())
    assert held.filter((F.col("sign") != 1) | (F.col("known_date") != F.col("event_date"))).count() == 0
    assert {row.source for row in held.select("source").distinct().collect()} == {"old_payments", "payments"}
