"""What the operating system says about live processes: enough to tell one from a later one with the same pid."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from churnlake.errors import UnavailableError

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A live process. `started` is `<boot>:<moment>`: comparable within one boot, different after the next."""

    pid: int
    pgid: int
    started: str

    def is_since(self, started: str) -> bool:
        """Whether it began in the same boot and not before that moment."""
        boot, moment = self.started.split(":")
        other_boot, other_moment = started.split(":")
        return boot == other_boot and int(moment) >= int(other_moment)


def started(pid: int) -> str:
    """Start moment of a live process.

    Raises:
        UnavailableError: There is no such process.
    """
    for process in _all():
        if process.pid == pid:
            return process.started
    raise UnavailableError(f"process {pid} is not running", next_step="run again")


def in_group(pgid: int) -> list[Process]:
    """Live members of a process group; ended ones that nobody waited for are not alive."""
    return [process for process in _all() if process.pgid == pgid]


def _all() -> list[Process]:
    return _from_proc() if sys.platform == "linux" else _from_ps()


def _from_proc() -> list[Process]:
    boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
    found = []
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
            # The command's name stands in parentheses and may hold anything, spaces and parentheses too.
            fields = stat.rpartition(")")[2].split()
            if fields[0] not in "ZX":
                found.append(Process(pid=int(folder.name), pgid=int(fields[2]), started=f"{boot}:{fields[19]}"))
    return found


def _from_ps() -> list[Process]:
    command = ["ps", "-A", "-o", "pid=,pgid=,state=,lstart="]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, env={"LC_ALL": "C"}).stdout.splitlines()
    rows = [line.split(maxsplit=3) for line in lines]
    return [
        Process(
            pid=int(pid),
            pgid=int(pgid),
            started=f"0:{int(time.mktime(time.strptime(moment.strip(), '%a %b %d %H:%M:%S %Y')))}",
        )
        for pid, pgid, state, moment in rows
        if not state.startswith("Z")
    ]
