"""The jars Spark needs beside its own, as locked in infra/jars.lock. Standard library only, like `churnlake.java`."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from churnlake.errors import UsageError

LOCK = Path(__file__).resolve().parent.parent / "infra" / "jars.lock"
ENTRY = re.compile(r"(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):(?P<version>[\w.-]+) sha256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class Jar:
    """One locked jar: its Maven coordinate and the sha256 of its bytes."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(lock: Path = LOCK) -> tuple[Jar, ...]:
    """The locked jars, in the order of the file.

    Raises:
        UsageError: A line is neither a comment nor `group:artifact:version sha256:<hex>`.
    """
    lines = [line.strip() for line in lock.read_text().splitlines()]
    return tuple(_entry(lock, line) for line in lines if line and not line.startswith("#"))


def _entry(lock: Path, line: str) -> Jar:
    match = ENTRY.fullmatch(line)
    if match is None:
        raise UsageError(
            f"{lock}: cannot read {line!r}; allowed: group:artifact:version sha256:<64 hex digits>",
            next_step="restore the file",
        )
    return Jar(**match.groupdict())


def is_sound(jar: Jar, folder: Path) -> bool | None:
    """Whether the jar in `folder` has the locked bytes; None when it is not there."""
    path = folder / jar.file_name
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == jar.sha256


def locked_jars(folder: Path, lock: Path = LOCK) -> tuple[Path, ...]:
    """Paths of all locked jars in `folder`, their bytes checked.

    Raises:
        UsageError: A jar is missing or its bytes are not the locked ones.
    """
    for jar in read_lock(lock):
        sound = is_sound(jar, folder)
        if sound is None:
            raise UsageError(f"the jar {jar.coordinate} is not in {folder}", next_step="run `make setup`")
        if not sound:
            raise UsageError(
                f"bad checksum: {folder / jar.file_name} is not the locked {jar.coordinate}",
                next_step="run `make setup`, which replaces it",
            )
    return tuple(folder / jar.file_name for jar in read_lock(lock))
