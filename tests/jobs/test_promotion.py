"""A person's decision on a model: what may be promoted, and what is recorded. Needs no Spark."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from churnlake.contract import Contract
from churnlake.errors import ConflictError, ModelRefusedError, UsageError
from churnlake.features import build_catalogue
from churnlake.ledger import Lane, Ledger
from churnlake.model.fit import FittedModel, fit
from churnlake.model.gate import PERMUTED_CHECK, Check, Gate, Verdict
from churnlake.model.registry import Provenance, register, resolve_champion
from churnlake.model.split import Protocol
from churnlake.model.train import TrainedModel
from churnlake.settings import Settings
from jobs import promotion

NOW = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
DAYS = [date(2026, 3, 1) + timedelta(days=8 * place) for place in range(5)]
HELD, PASSED, REFUSED = 1, 2, 3
STATES = {Verdict.HOLD: "held", Verdict.PROMOTE: "registered", Verdict.REFUSE: "refused"}


@dataclass
class Shelf:
    """A shop's home with three judged versions: held, passed and refused."""

    contract: Contract
    settings: Settings

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.ledger_url)

    def promote(self, version: int, reason: str = "looked at by hand") -> int:
        """Asks for a version in this process."""
        return promotion.run(promotion.Request(self.contract.path, version, reason), self.settings)

    def champion(self) -> tuple[int, int]:
        """The champion by the registry and by the ledger."""
        kept = self.ledger.champion(self.contract.name)
        assert kept is not None
        return resolve_champion(self.settings.mlflow_url, self.contract.name).version, kept.version


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory, make_contract: Callable[..., Contract]) -> Contract:
    """The shop's."""
    return make_contract(tmp_path_factory.mktemp("promotion") / "shop")


@pytest.fixture(scope="module")
def fitted(contract: Contract) -> FittedModel:
    """A model of made rows, which may score the shop."""
    generator = np.random.default_rng(3)
    catalogue = [one for one in build_catalogue(contract) if one.kind == "number"]
    frames = [
        pd.DataFrame(generator.normal(size=(150, len(catalogue))), columns=[one.name for one in catalogue]).assign(
            customer_id=[f"c{number}" for number in range(150)], business_date=day
        )
        for day in DAYS
    ]
    rows = pd.concat(frames)
    rows["is_churned"] = (rows[catalogue[0].name] + generator.normal(size=len(rows)) > 0).astype(int)
    with threadpool_limits(limits=1):
        return fit(rows, catalogue, Protocol(tuple(DAYS[:4]), (DAYS[4],), 8))


@pytest.fixture(scope="module")
def judged(contract: Contract, fitted: FittedModel, tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Registered and recorded as a training does it."""
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(tmp_path_factory.mktemp("home"))})
    ledger = Ledger.open(settings.ledger_url)
    run = ledger.start_run(
        contract="shop", kind="training", business_date=DAYS[-1], application="a", contract_digest=contract.digest,
        code_revision="test", actor="tester", pid=1, lane_epoch=1, now=NOW,
    )  # fmt: skip
    for verdict in (Verdict.HOLD, Verdict.PROMOTE, Verdict.REFUSE):
        gate = Gate((Check(PERMUTED_CHECK, verdict is Verdict.PROMOTE, "seen", "allowed", verdict, 0.0),))
        provenance = Provenance("shop", 1, contract.digest, run.run_id, "test", {})
        found = register(settings.mlflow_url, settings.mlflow_artifacts, TrainedModel(fitted, gate), provenance)
        ledger.record_model(
            contract="shop", version=found.version, digest=found.digest, state=STATES[verdict], metrics={},
            trained_through=DAYS[3], label_data_through=DAYS[4], gate=[asdict(check) for check in gate.checks],
            run_id=run.run_id, reason=gate.reason, now=NOW,
        )  # fmt: skip
    return Shelf(contract, settings)


@pytest.fixture
def shelf(judged: Shelf) -> Shelf:
    """The same shelf for every test, each time with the version that passed as champion."""
    judged.promote(PASSED, "where each test starts")
    return judged


def test_a_held_version_is_champion_once_a_person_says_why(shelf: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    """Registry and ledger move together and keep who and why; asked again it changes nothing and says so."""
    assert shelf.champion() == (PASSED, PASSED)
    assert shelf.promote(HELD, "few outcomes, but the best there is") == 0
    assert shelf.champion() == (HELD, HELD)
    assert (
        "shop version 1 is champion in the place of version 2; the next night scores with it" in capsys.readouterr().out
    )
    kept = shelf.ledger.promotions("shop")
    assert [(one.version, one.previous_version, one.reason) for one in kept] == [
        (PASSED, None, "where each test starts"),
        (HELD, PASSED, "few outcomes, but the best there is"),
    ]
    assert all(one.actor for one in kept)
    assert shelf.promote(HELD, "again") == 0
    assert "shop version 1 is the champion already; nothing was changed" in capsys.readouterr().out
    assert shelf.ledger.promotions("shop") == kept


def test_a_promotion_that_died_in_between_is_finished_by_the_same_command(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry had moved and the ledger had not: nights score with the new one, and asked again both agree."""

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "set_champion", die)
        with pytest.raises(KeyboardInterrupt):
            shelf.promote(HELD)
    assert shelf.champion() == (HELD, PASSED)
    assert shelf.promote(HELD) == 0
    assert shelf.champion() == (HELD, HELD)


def test_what_may_not_be_promoted_says_why(shelf: Shelf) -> None:
    """The gate's refusal stands; an unknown version is answered with those there are."""
    with pytest.raises(ModelRefusedError) as refused:
        shelf.promote(REFUSED)
    assert str(refused.value).startswith(
        "shop version 3 was refused by the gate and cannot be promoted: permuted labels: seen (allowed: allowed)\n"
    )
    with pytest.raises(UsageError, match=r"it has 1 \(held\), 2 \(champion\), 3 \(refused\)"):
        shelf.promote(9)
    assert shelf.champion() == (PASSED, PASSED)


def test_p11_a_version_whose_files_changed_is_not_promoted(shelf: Shelf) -> None:
    """P11: one changed byte, or a digest other than the judged one, and the champion stays."""
    plans = {path: path.read_text() for path in shelf.settings.mlflow_artifacts.rglob("plan.json")}
    for path, plan in plans.items():
        path.write_text(plan + " ")
    with pytest.raises(ModelRefusedError, match=r"version 1 of shop differs from what was registered in plan\.json"):
        shelf.promote(HELD)
    for path, plan in plans.items():
        path.write_text(plan)
    assert shelf.champion() == (PASSED, PASSED)


def test_p11_a_version_judged_under_another_digest_is_not_promoted(shelf: Shelf, contract: Contract) -> None:
    """P11: whole by itself, but not the one the ledger judged."""
    model = resolve_champion(shelf.settings.mlflow_url, "shop")
    (_, chosen, _) = shelf.ledger.models("shop")
    promotion.require_fit(model, chosen, contract)
    other = type(chosen)(**asdict(chosen) | {"digest": "another"})
    with pytest.raises(ModelRefusedError, match="judged with digest another"):
        promotion.require_fit(model, other, contract)


def test_a_version_whose_features_are_gone_is_not_promoted(
    shelf: Shelf, tmp_path: Path, make_contract: Callable[..., Contract]
) -> None:
    """A contract that no longer makes what the model reads could not score with it tonight."""
    narrow = make_contract(
        tmp_path / "narrow", ('distinct = ["product"]', ""), ("windows_days = [7, 30]", "windows_days = [20]")
    )
    with pytest.raises(ModelRefusedError, match="features that the contract no longer makes, such as "):
        promotion.run(promotion.Request(narrow.path, HELD, "why not"), shelf.settings)


def test_nothing_is_promoted_beside_a_training(shelf: Shelf) -> None:
    """P7: a training may be about to promote a model of its own."""
    with Lane.take(shelf.settings.lake("shop"), kind="training"), pytest.raises(ConflictError):
        shelf.promote(HELD)
