"""Finding the Java that Spark runs on. Standard library only: set-up uses it before any package is installed."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from churnlake.errors import UsageError

SUPPORTED = (17, 21)
USUAL_FOLDERS = (
    "/usr/lib/jvm/*",
    "/opt/java/*",
    "~/.sdkman/candidates/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk@*/libexec/openjdk.jdk/Contents/Home",
    "/usr/local/opt/openjdk@*/libexec/openjdk.jdk/Contents/Home",
)
INSTALL = "install one: `apt-get install openjdk-17-jre-headless` (Debian), `brew install openjdk@17` (macOS)"
START_LIMIT_SECONDS = 60


@dataclass(frozen=True)
class Java:
    """One Java: its home folder, its full version, and where it was found (`JAVA_HOME`, `PATH` or a folder)."""

    home: Path
    version: str
    found_in: str

    @property
    def major(self) -> int:
        parts = self.version.split(".")
        return int(re.match(r"\d+", parts[1] if parts[0] == "1" else parts[0]).group())  # type: ignore[union-attr]

    @property
    def fits(self) -> bool:
        return self.major in SUPPORTED

    def __str__(self) -> str:
        return f"Java {self.major} in {self.home} (from {self.found_in})"


def find_java(environ: Mapping[str, str] | None = None, folders: Iterable[str] = USUAL_FOLDERS) -> Java:
    """The Java to use: JAVA_HOME decides when set, else the one on PATH, else the first fitting one in `folders`.

    A Java chosen by hand is never passed over in silence: a wrong one is refused, and a fitting one elsewhere is named.

    Raises:
        UsageError: No Java, or a wrong one; says what is needed, what was found where, and how to get one.
    """
    variables = os.environ if environ is None else environ
    chosen = _from_java_home(variables) or _from_path(variables)
    if chosen is not None and chosen.fits:
        return chosen
    others = list(_from_folders(folders))
    fitting = min((java for java in others if java.fits), key=lambda java: (java.major, str(java.home)), default=None)
    if chosen is None and fitting is not None:
        return fitting
    raise UsageError(_refusal(chosen, others), next_step=_next_step(fitting))


def _from_java_home(environ: Mapping[str, str]) -> Java | None:
    home = environ.get("JAVA_HOME")
    if not home:
        return None
    java = _read(Path(home) / "bin" / "java", "JAVA_HOME")
    if java is None:
        raise UsageError(
            f"Java 17 or 21 needed; JAVA_HOME={home} holds no Java that starts",
            next_step=f"unset JAVA_HOME, or {INSTALL}",
        )
    return java


def _from_path(environ: Mapping[str, str]) -> Java | None:
    executable = shutil.which("java", path=environ.get("PATH", ""))
    # macOS ships a /usr/bin/java that only offers a download: it does not start, so it counts as no Java.
    return None if executable is None else _read(Path(executable).resolve(), "PATH")


def _from_folders(patterns: Iterable[str]) -> Iterator[Java]:
    seen: set[Path] = set()
    for pattern in patterns:
        root = Path(pattern).expanduser()
        fixed = Path(*[part for part in root.parts if "*" not in part][:1])
        for home in sorted(fixed.glob(str(root.relative_to(fixed)))):
            real = home.resolve()
            java = None if real in seen else _read(real / "bin" / "java", str(home.parent))
            seen.add(real)
            if java is not None:
                yield java


def _read(executable: Path, found_in: str) -> Java | None:
    home = executable.parent.parent
    if not os.access(executable, os.X_OK):
        return None
    release = home / "release"
    stated = re.search(r'^JAVA_VERSION="([^"]+)"', release.read_text(), re.MULTILINE) if release.is_file() else None
    return Java(home, stated.group(1), found_in) if stated else _ask(executable, found_in)


def _ask(executable: Path, found_in: str) -> Java | None:
    """Asks the executable itself: version managers put a script on PATH that knows the real home."""
    command = [str(executable), "-XshowSettings:properties", "-version"]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=START_LIMIT_SECONDS, check=False
        ).stderr
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.search(r'version "(\d[^"]*)"', answer)
    home = re.search(r"java\.home = (.+)", answer)
    if version is None:
        return None
    return Java(Path(home.group(1).strip()) if home else executable.parent.parent, version.group(1), found_in)


def _refusal(chosen: Java | None, others: list[Java]) -> str:
    found = [str(java) for java in ([chosen] if chosen else []) + others]
    return f"Java 17 or 21 needed; found {'; '.join(dict.fromkeys(found)) or 'none'}"


def _next_step(fitting: Java | None) -> str:
    if fitting is None:
        return INSTALL
    return f"use the fitting one: export JAVA_HOME='{fitting.home}'"
