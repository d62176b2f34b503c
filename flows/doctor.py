"""What `churnlake doctor` looks at: every tool, file and port a night needs, each problem with its cure."""

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from churnlake.errors import UsageError
from churnlake.jars import is_sound, read_lock
from churnlake.java import find_java
from churnlake.ledger.lane import is_free
from churnlake.settings import Settings

PORTS = {"Prefect": 4200, "MLflow": 5050, "pages": 8780}
FREE_BYTES_NEEDED = 2 * 1024**3
MEMORY_BYTES_NEEDED = 3 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One thing looked at. A `problem` stops a night, a `warning` does not; both carry a fix."""

    subject: str
    state: Literal["ok", "warning", "problem"]
    detail: str
    fix: str | None = None


def examine(settings: Settings, ports: dict[str, int] | None = None) -> list[Finding]:
    """Every finding, good ones too, in the order a night needs the things. Changes nothing."""
    return [
        _java(),
        *_jars(settings.jars),
        _home(settings.home),
        _memory(),
        *_lakes(settings.home / "lake"),
        _warehouse(settings.warehouse),
        *(_port(name, port) for name, port in (PORTS if ports is None else ports).items()),
    ]


def _java() -> Finding:
    try:
        return Finding("Java", "ok", str(find_java()))
    except UsageError as error:
        return Finding("Java", "problem", error.message, error.next_step)


def _jars(folder: Path) -> Iterator[Finding]:
    for jar in read_lock():
        sound = is_sound(jar, folder)
        if sound:
            yield Finding(f"jar {jar.artifact}", "ok", f"{jar.version}, checksum as locked")
        else:
            fault = "missing" if sound is None else "bad checksum"
            yield Finding(f"jar {jar.artifact}", "problem", f"{fault}: {folder / jar.file_name}", "run `make setup`")


def _home(home: Path) -> Finding:
    """Judges the nearest folder that exists, since a first night makes the rest."""
    folder = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    told = f"{folder}, owner {folder.owner()}, {_gigabytes(free)} free, {_gigabytes(FREE_BYTES_NEEDED)} needed"
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK) or _is_read_only(folder):
        return Finding("disk", "problem", f"not writable: {told}", "make it writable or set CHURNLAKE_HOME")
    if free < FREE_BYTES_NEEDED:
        return Finding("disk", "problem", f"too full: {told}", "free space or set CHURNLAKE_HOME to another disk")
    return Finding("disk", "ok", told)


def _is_read_only(folder: Path) -> bool:
    """A read-only mount refuses the administrator too, whom `os.access` believes everything of."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _memory() -> Finding:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if total < MEMORY_BYTES_NEEDED:
        told = f"{_gigabytes(total)} in this machine, {_gigabytes(MEMORY_BYTES_NEEDED)} needed"
        return Finding("memory", "problem", told, "use a larger machine; Spark's share is CHURNLAKE_DRIVER_MEMORY")
    return Finding("memory", "ok", f"{_gigabytes(total)} in this machine")


def _lakes(folder: Path) -> Iterator[Finding]:
    for lake in sorted(folder.iterdir()) if folder.is_dir() else ():
        if is_free(lake):
            yield Finding(f"lake {lake.name}", "ok", "no run holds it")
        else:
            fix = f"wait for it, or see it in `churnlake status`; its process is named in {lake}/.lake.lock"
            yield Finding(f"lake {lake.name}", "warning", "a run is writing it now", fix)


def _warehouse(folder: Path) -> Finding:
    link = folder / "warehouse.duckdb"
    if not link.is_symlink() and not link.exists():
        return Finding("warehouse", "ok", "nothing published yet")
    if not link.is_symlink():
        fix = "move the file away; the next verb writes the link again"
        return Finding("warehouse", "problem", f"{link} is a file, not the link to a generation", fix)
    if not link.exists():
        fix = "run any verb, such as `churnlake status`: it writes the newest generation again"
        return Finding("warehouse", "problem", f"{link} points at {link.readlink()}, which is gone", fix)
    return Finding("warehouse", "ok", f"generation {link.resolve().stem}")


def _port(name: str, port: int) -> Finding:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            fix = f"stop it, or give `churnlake up` another port for {name}"
            return Finding(f"port {port}", "warning", f"wanted for {name}, busy: {_holder(port)}", fix)
    return Finding(f"port {port}", "ok", f"free for {name}")


def _holder(port: int) -> str:
    """Pid and name of the process that listens on the port, as far as this system tells."""
    table = Path("/proc/net/tcp")
    if not table.exists():
        return f"`lsof -i :{port}` names its holder"
    rows = (line.split() for line in table.read_text().splitlines()[1:])
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for process in Path("/proc").glob("[0-9]*"):
        if _holds(process, sockets):
            return f"pid {process.name} ({(process / 'comm').read_text().strip()})"
    return "its holder belongs to another user"


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(str(handle.readlink()) in sockets for handle in (process / "fd").iterdir())
    except OSError:  # it ended meanwhile, or is another user's: not ours to see
        return False


def _gigabytes(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"
