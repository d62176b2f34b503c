"""What flow tests share: a contract, a job without Spark, and one set of real servers."""

import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from churnlake.ledger import Run
from churnlake.settings import Settings
from flows.runners import CHECKOUT, STAGES
from flows.shift import Request, Shift

CONTRACT = CHECKOUT / "examples" / "online_retail" / "contract.toml"
JOB = Path(__file__).parent / "job.py"
NOW = datetime(2011, 12, 10, 7, 0, tzinfo=UTC)

OpenShift = Callable[..., Shift]


@pytest.fixture(autouse=True)
def checkout_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's job is a script of its own, so it needs the rooms on its path."""
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))


@pytest.fixture
def contract_path() -> Path:
    """The example's contract: a shop under the replay clock, files through 2011-12-09."""
    return CONTRACT


@pytest.fixture
def open_shift(settings: Settings) -> OpenShift:
    """Opens a shift whose jobs are the test's own; extra arguments tell the job how to misbehave."""

    def opened(*misbehaviour: str, champion: bool = False, settings: Settings = settings) -> Shift:
        shift = Shift.open(CONTRACT, settings, NOW)
        if champion:
            give_champion(shift)
        shift.commands = dict.fromkeys(STAGES, (sys.executable, str(JOB), *misbehaviour))
        shift.pauses = (0.0, 0.0)
        return shift

    return opened


def give_champion(shift: Shift) -> None:
    """Gives the contract a model, so that a night needs no training."""
    day = date(2011, 11, 27)
    ledger, name = shift.ledger, shift.contract.name
    if ledger.champion(name) is not None:
        return
    run = ledger.start_run(
        contract=name, kind="training", business_date=day, application="a0", contract_digest=shift.contract.digest,
        code_revision="test", actor="tester", pid=1, lane_epoch=1, now=NOW,
    )  # fmt: skip
    ledger.record_model(
        contract=name, version=1, digest="d", state="registered", trained_through=day, label_data_through=day,
        metrics={}, gate=[], run_id=run.run_id, now=NOW,
    )  # fmt: skip
    ledger.finish_run(run.run_id, run.attempt, "done", exit_code=0, now=NOW)
    ledger.set_champion(name, 1, actor="tester", reason="the test says so", now=NOW)


@pytest.fixture
def nights() -> Callable[[Shift], list[Run]]:
    """Lists the nights in a shift's ledger."""
    return lambda shift: [run for run in shift.ledger.runs(shift.contract.name) if run.kind == "night"]


@pytest.fixture
def planned(open_shift: OpenShift) -> OpenShift:
    """Opens a shift that has a model and the night of 2011-11-28 on its agenda."""

    def opened(*misbehaviour: str, **options: Any) -> Shift:
        shift = open_shift(*misbehaviour, champion=True, **options)
        shift.plan_nights(Request(shift.contract.path, date(2011, 11, 28)))
        return shift

    return opened


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, dict[str, str]]]:
    """Everything `up` starts, once for the tests of one file: its settings and the addresses by name."""
    from flows.console import Terminal
    from flows.services import Ports, running

    settings = Settings.from_environment({"CHURNLAKE_HOME": str(tmp_path_factory.mktemp("up") / "home")})
    ports = Ports(free_port(), free_port(), free_port())
    with running(Terminal(as_json=False), settings, ports) as started:
        yield settings, {service.name: service.address for service, _ in started}


@pytest.fixture
def prefect_api(stack: tuple[Settings, dict[str, str]]) -> Iterator[str]:
    """Points Prefect of this process at the server of `stack`."""
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    settings, addresses = stack
    url = f"{addresses['Prefect']}/api"
    with temporary_settings({PREFECT_API_URL: url, PREFECT_HOME: settings.prefect_home}):
        yield url
