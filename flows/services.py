"""`up`: Prefect, MLflow and the nightly pages on loopback, started in order and stopped together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from churnlake.errors import UnavailableError, UsageError
from churnlake.ledger import Ledger
from churnlake.settings import Settings
from churnlake.warehouse.publications import Publications
from flows.console import Terminal
from flows.doctor import examine
from flows.orchestrator import answers, note_server, prefect_environment
from flows.runners import CHECKOUT

LOOPBACK = "127.0.0.1"
WORK_POOL = "churnlake"

START_SECONDS = 120.0
"""A first start migrates a database; on a busy machine that takes most of a minute."""

STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Ports:
    """Where each service listens."""

    prefect: int
    mlflow: int
    pages: int

    @property
    def by_name(self) -> dict[str, int]:
        return {"Prefect": self.prefect, "MLflow": self.mlflow, "pages": self.pages}


DEFAULT_PORTS = Ports(prefect=4200, mlflow=5050, pages=8780)
"""MLflow's own default, 5000, belongs to AirPlay on macOS."""


@dataclass(frozen=True)
class Service:
    """One server: how it is started, and the address that answers when it is up."""

    name: str
    command: Sequence[str]
    address: str
    health: str


def serve(terminal: Terminal, settings: Settings, ports: Ports) -> None:
    """Starts everything, prints the addresses, and waits until Ctrl-C or until a server ends.

    Raises:
        UsageError: A port is busy, or the machine is not fit for a night.
        UnavailableError: A server did not come up, or ended by itself.
    """
    with running(terminal, settings, ports) as started:
        addresses = {service.name: service.address for service, _ in started}
        terminal.document({"addresses": addresses, "exit_code": 0})
        for name, address in addresses.items():
            terminal.say(f"  {name:<8} {address}")
        terminal.say(f"Ctrl-C stops them. Schedules run while a worker does: prefect worker start --pool {WORK_POOL}")
        _wait(settings, started)


@contextmanager
def running(
    terminal: Terminal, settings: Settings, ports: Ports
) -> Iterator[list[tuple[Service, subprocess.Popen[bytes]]]]:
    """All services, up and deployed to; leaving the block stops those that were started here, by their pid."""
    require_fit(settings, ports)
    Ledger.open(settings.ledger_url)
    Publications.open(settings.warehouse)
    settings.reports.mkdir(parents=True, exist_ok=True)
    url = f"http://{LOOPBACK}:{ports.prefect}/api"
    environment = {**os.environ, **prefect_environment(settings, url), "MLFLOW_DISABLE_TELEMETRY": "true"}
    started: list[tuple[Service, subprocess.Popen[bytes]]] = []
    note: Path | None = None
    try:
        for service in services(settings, ports):
            terminal.working(f"starting {service.name}")
            started.append((service, _start(service, settings, environment)))
        for service, process in started:
            _wait_until_up(service, process, settings)
        note = note_server(settings, url)
        terminal.working("deploying the flows")
        deploy(environment)
        terminal.still()
        yield started
    finally:
        if note is not None:
            note.unlink(missing_ok=True)
        _stop([process for _, process in started])


def require_fit(settings: Settings, ports: Ports) -> None:
    """Refuses to start on busy ports or a machine that cannot run a night.

    Raises:
        UsageError: Says what is wrong with each.
    """
    findings = examine(settings, ports.by_name)
    unfit = [
        one for one in findings if one.state == "problem" or (one.subject.startswith("port ") and one.state != "ok")
    ]
    if unfit:
        told = "\n".join(f"  - {one.subject}: {one.detail}; {one.fix}" for one in unfit)
        flags = "--prefect-port, --mlflow-port, --pages-port"
        raise UsageError(f"cannot start\n{told}", next_step=f"repair these; other ports: {flags}")


def services(settings: Settings, ports: Ports) -> tuple[Service, ...]:
    """What `up` runs, in the order it is started."""
    bin_folder = Path(sys.executable).parent
    prefect, mlflow, pages = (f"http://{LOOPBACK}:{port}" for port in (ports.prefect, ports.mlflow, ports.pages))
    return (
        Service(
            "MLflow",
            [
                str(bin_folder / "mlflow"), "server", "--backend-store-uri", settings.mlflow_url,
                "--artifacts-destination", settings.mlflow_artifacts.as_uri(),
                "--host", LOOPBACK, "--port", str(ports.mlflow), "--workers", "1",
            ],
            mlflow,
            f"{mlflow}/health",
        ),
        Service(
            "Prefect",
            [str(bin_folder / "prefect"), "server", "start", "--host", LOOPBACK, "--port", str(ports.prefect)],
            prefect,
            f"{prefect}/api/health",
        ),
        Service(
            "pages",
            [
                sys.executable, "-m", "http.server", str(ports.pages),
                "--bind", LOOPBACK, "--directory", str(settings.reports),
            ],
            pages,
            f"{pages}/",
        ),
    )  # fmt: skip


def deploy(environment: dict[str, str]) -> None:
    """Deploys the flows of prefect.yaml to the server of the environment, to a work pool that is made when missing.

    Raises:
        UnavailableError: Prefect refused; says why.
    """
    prefect = [str(Path(sys.executable).parent / "prefect"), "--no-prompt"]
    pool = [*prefect, "work-pool", "create", WORK_POOL, "--type", "process", "--overwrite"]
    for command in (pool, [*prefect, "deploy", "--all"]):
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise UnavailableError(f"`{' '.join(command[2:])}` failed: {' '.join(last)}", next_step="see prefect.yaml")


def log_file(service: Service, settings: Settings) -> Path:
    """Where a service writes what it has to say."""
    return settings.home / "services" / f"{service.name.lower()}.txt"


def _start(service: Service, settings: Settings, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    file = log_file(service, settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as log:
        # A session of its own: Ctrl-C reaches this process first, which then stops them in order.
        return subprocess.Popen(
            service.command,
            cwd=settings.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait_until_up(service: Service, process: subprocess.Popen[bytes], settings: Settings) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(service.health):
        if process.poll() is not None or time.monotonic() > deadline:
            raise _gone(service, settings, "did not come up")
        time.sleep(0.2)


def _wait(settings: Settings, started: list[tuple[Service, subprocess.Popen[bytes]]]) -> None:
    """Returns at Ctrl-C, which is how `up` is meant to end."""
    try:
        while all(process.poll() is None for _, process in started):
            time.sleep(0.5)
    except KeyboardInterrupt:
        return
    ended = next(service for service, process in started if process.poll() is not None)
    raise _gone(ended, settings, "ended by itself")


def _gone(service: Service, settings: Settings, how: str) -> UnavailableError:
    return UnavailableError(f"{service.name} {how}", next_step=f"see {log_file(service, settings)}")


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Asks each group to end, newest first, and ends what does not."""
    for process in reversed(processes):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(timeout=max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
