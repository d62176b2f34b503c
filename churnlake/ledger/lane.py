"""The lane: who may write a contract's lake. One OS lock per lake, held by the job process and freed by the kernel."""

import fcntl
import json
import os
import signal
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from churnlake.errors import ConflictError, UnavailableError
from churnlake.ledger import processes
from churnlake.ledger.processes import Process

Kind = Literal["lake", "training"]

RECORD_BYTES = 512
"""The record is padded to one disk sector and written by a single call, so that no crash leaves half of it."""

BUSY_SECONDS = 1.0
"""How long a busy lock is tried again: `is_free` holds it for an instant, which must not look like an owner."""

ORPHAN_SECONDS = 30.0
"""How long a killed process group may take to disappear. A JVM needs up to 4 s."""

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Holder:
    """Who took the lane last. `started` tells the process from a later one with the same pid; `since` is for people.

    `released` says that the holder left the lane in order: whatever it does now is not its orphans' work.
    """

    pid: int
    started: str
    pgid: int
    epoch: int
    since: str
    released: bool = False


class Lane:
    """A taken lane. Use as `with Lane.take(lake_root) as lane:`; leaving the block or dying frees it."""

    def __init__(self, path: Path, descriptor: int, holder: Holder) -> None:
        self.path = path
        self.epoch = holder.epoch
        self._descriptor = descriptor
        self._holder = holder

    @classmethod
    def take(cls, lake_root: Path, kind: Kind = "lake") -> Self:
        """Take the lane of a lake and raise its epoch. An orphaned group of a dead holder is ended first.

        Raises:
            ConflictError: Another live process holds the lane, or an orphan of the last holder cannot be ended.
            UnavailableError: The lock file cannot be written, or its record is broken.
        """
        path = _lock_path(lake_root, kind)
        descriptor = _open_lock(path)
        try:
            _lock(path, descriptor)
            last = _read(path, descriptor)
            if last is not None:
                _end_orphans(last)
            holder = _this_process(epoch=1 if last is None else last.epoch + 1)
            _write(path, descriptor, holder)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, holder)

    def assert_mine(self) -> None:
        """Check after a write that no successor took the lane meanwhile.

        Raises:
            ConflictError: The lock file is gone or names another epoch.
        """
        holder = _read_path(self.path)
        if holder != self._holder:
            now = (
                "the lock file is gone"
                if holder is None
                else f"process {holder.pid} holds it with epoch {holder.epoch}"
            )
            raise ConflictError(
                f"this process took the lane {self.path} with epoch {self.epoch}, but now {now}",
                next_step="nothing to repair: the writes of this process are void; look at `churnlake status`",
            )

    def release(self) -> None:
        """Free the lane. The record stays, for the epoch in it."""
        try:
            if _read_path(self.path) == self._holder:
                _write(self.path, self._descriptor, replace(self._holder, released=True))
        finally:
            os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def is_free(lake_root: Path, kind: Kind = "lake") -> bool:
    """Whether no live process holds the lane. A paused holder still holds it."""
    path = _lock_path(lake_root, kind)
    if not path.exists():
        return True
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _try_lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def holder(lake_root: Path, kind: Kind = "lake") -> Holder | None:
    """The last process that took the lane, dead or alive; None when nobody ever did."""
    return _read_path(_lock_path(lake_root, kind))


def _lock_path(lake_root: Path, kind: Kind) -> Path:
    return lake_root / f".{kind}.lock"


def _open_lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UnavailableError(
            f"cannot open the lock file {path}: {error.strerror}", next_step="make its folder writable"
        ) from error


def _lock(path: Path, descriptor: int) -> None:
    deadline = time.monotonic() + BUSY_SECONDS
    while not _try_lock(descriptor, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            raise _busy(path, _read(path, descriptor))
        time.sleep(POLL_SECONDS)


def _try_lock(descriptor: int, mode: int) -> bool:
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_path(path: Path) -> Holder | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _read(path, descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, descriptor: int) -> Holder | None:
    text = os.pread(descriptor, RECORD_BYTES, 0)
    if not text:
        return None
    try:
        return Holder(**json.loads(text))
    except (ValueError, TypeError) as error:
        # Starting again at epoch 1 would make Delta skip every later write in silence.
        raise UnavailableError(
            f"the record in {path} is broken: {text[:80]!r}",
            next_step="restore the file; its epoch must be at least the highest lane_epoch in the lake's table history",
        ) from error


def _write(path: Path, descriptor: int, holder: Holder) -> None:
    record = json.dumps(asdict(holder)).encode().ljust(RECORD_BYTES - 1) + b"\n"
    try:
        os.pwrite(descriptor, record, 0)
        os.fsync(descriptor)
    except OSError as error:
        raise UnavailableError(
            f"cannot write {path}: {error.strerror}", next_step="free disk space, then run again"
        ) from error


def _this_process(epoch: int) -> Holder:
    pid = os.getpid()
    # The wall clock is read here because it only tells people since when; nothing is ever decided by it.
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    return Holder(pid=pid, started=processes.started(pid), pgid=os.getpgid(0), epoch=epoch, since=since)


def _busy(path: Path, last: Holder | None) -> ConflictError:
    who = "another process" if last is None else f"process {last.pid} (since {last.since})"
    return ConflictError(
        f"{who} holds the lane {path}; one process writes a lake at a time",
        next_step="wait until it ends (`churnlake status` shows its progress) or end that process, then run again",
    )


def _end_orphans(last: Holder) -> None:
    """Ends what is left of the last holder's process group: a JVM outlives its killed driver and may still commit."""
    if not _orphans(last):
        return
    try:
        os.killpg(last.pgid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise _orphans_stay(last) from error
    deadline = time.monotonic() + ORPHAN_SECONDS
    while _orphans(last):
        if time.monotonic() >= deadline:
            raise _orphans_stay(last)
        time.sleep(POLL_SECONDS)


def _orphans(last: Holder) -> list[Process]:
    """Live members of the group that the last holder led, empty when the group number is no longer its own.

    A holder that did not lead a group shares it with strangers (a shell, ourselves): such a group is left alone. The
    kernel gives a group number to nobody else while a member lives, so a leader with another start time, or a member
    older than the holder, shows that the number was used again.
    """
    if last.released or last.pgid != last.pid or last.pgid == os.getpgid(0):
        return []
    members = processes.in_group(last.pgid)
    own = all(process.started == last.started for process in members if process.pid == last.pid)
    return members if own and all(process.is_since(last.started) for process in members) else []


def _orphans_stay(last: Holder) -> ConflictError:
    pids = ", ".join(str(process.pid) for process in _orphans(last))
    return ConflictError(
        f"process {last.pid} is gone but processes of its group {last.pgid} still run: {pids}",
        next_step=f"end them (kill -9 -{last.pgid}), then run again",
    )
