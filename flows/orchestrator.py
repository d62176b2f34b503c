"""Where Prefect lives on this machine: its folder, its settings, the server of `up` when one answers."""

import json
import os
import socket
import urllib.error
import urllib.request
from pathlib import Path
from uuid import UUID

from churnlake.errors import UnavailableError
from churnlake.ledger import processes
from churnlake.settings import Settings

SERVER_NOTE = "server.json"
HEALTH_SECONDS = 2.0


def use_prefect(settings: Settings, *, quiet: bool) -> str | None:
    """Sets this process's environment for Prefect, before anything imports it; returns the url of the server of `up`.

    Without such a server Prefect starts one of its own in the background, on the same database. `quiet` keeps its log
    lines off the terminal; they stay in Prefect.
    """
    url = server_url(settings)
    settings.prefect_home.mkdir(parents=True, exist_ok=True)
    os.environ |= prefect_environment(settings, url)
    if quiet:
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    return url


def prefect_environment(settings: Settings, url: str | None) -> dict[str, str]:
    """Prefect's variables. A server somebody names by PREFECT_API_URL is kept, unless ours answers."""
    environment = {
        "PREFECT_HOME": str(settings.prefect_home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # The first start on an empty folder migrates its database, which takes longer than Prefect's own 20 s.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        # Nothing here stores blocks, and registering them takes seconds of a first start.
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    }
    return environment | ({} if url is None else {"PREFECT_API_URL": url})


def server_url(settings: Settings) -> str | None:
    """The API url of the server `up` started on this home; None when none answers."""
    note = settings.prefect_home / SERVER_NOTE
    try:
        url = str(json.loads(note.read_text())["url"])
    except FileNotFoundError:
        return None
    return url if answers(f"{url}/health") else None


def note_server(settings: Settings, url: str) -> Path:
    """Leaves a note for other commands that a server runs; returns the note, to be removed with the server."""
    settings.prefect_home.mkdir(parents=True, exist_ok=True)
    note = settings.prefect_home / SERVER_NOTE
    fresh = note.with_suffix(".tmp")
    fresh.write_text(json.dumps({"url": url}))
    fresh.replace(note)
    return note


def answers(url: str) -> bool:
    """Whether a GET of a local url is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_SECONDS) as response:  # noqa: S310 - our own http url
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def process_tag() -> str:
    """Names this process among all of all times: host, pid, start."""
    pid = os.getpid()
    return f"process:{socket.gethostname()}:{pid}:{processes.started(pid)}"


def is_dead(tag: str) -> bool:
    """Whether a tag names a process of this machine that is no more."""
    kind, host, pid, started = tag.split(":", 3) if tag.count(":") >= 3 else ("", "", "", "")
    if kind != "process" or host != socket.gethostname():
        return False
    try:
        return processes.started(int(pid)) != started
    except UnavailableError:
        return True


def settle_dead_flows() -> list[UUID]:
    """Sets Crashed on every flow and task run whose process was killed: Prefect would show them running for ever."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterId,
        FlowRunFilterState,
        FlowRunFilterStateType,
        TaskRunFilter,
        TaskRunFilterState,
        TaskRunFilterStateType,
    )
    from prefect.client.schemas.objects import State, StateType
    from prefect.states import Crashed

    running = [StateType.RUNNING]
    crashed: State[None] = Crashed(message="its process ended without a word: it was killed, or the machine stopped")
    with get_client(sync_client=True) as client:
        open_runs = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=running)))
        dead = [run.id for run in client.read_flow_runs(flow_run_filter=open_runs) if any(map(is_dead, run.tags))]
        if not dead:
            return []
        tasks = client.read_task_runs(
            flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=dead)),
            task_run_filter=TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=running))),
        )
        for task in tasks:
            client.set_task_run_state(task.id, crashed, force=True)
        for run in dead:
            client.set_flow_run_state(run, crashed, force=True)
    return dead
