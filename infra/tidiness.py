"""What `make check` holds beside the linters: locks that fit pyproject.toml, no trace of one machine. Offline."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)")
# A clone lies anywhere and installs from whatever index its owner chose.
TRACES = {
    "a folder of one machine": re.compile(r"(?<![\w.~/{}$-])/(?:home|Users|root|work)/[\w.-]+"),
    "a package index": re.compile(
        r"--(?:extra-)?index-url|https?://[^\s/]+(?<!\.example)(?<!127\.0\.0\.1:9)/(?:simple|maven2)\b"
    ),
}
# Data, licences and this list itself.
EXEMPT = re.compile(r"^(?:LICENSE|infra/tidiness\.py|tests/infra/test_tidiness\.py|examples/.+/data/.+)$")


def main() -> int:
    """Prints every problem; exit code 1 when there is one."""
    problems = [*lock_problems(ROOT), *trace_problems(ROOT, _files(ROOT))]
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"tidiness: {len(problems)} problems")
    return 1 if problems else 0


def lock_problems(root: Path) -> Iterator[str]:
    """Where the locks and pyproject.toml disagree: a direct requirement not locked, or locked outside its range."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    runtime, dev = (read_pins(root / "requirements" / name) for name in ("runtime.txt", "dev.txt"))
    cure = "see CONTRIBUTING.md, Locks"
    for requirement in project["dependencies"]:
        yield from (f"requirements/runtime.txt: {problem}; {cure}" for problem in _misfits(requirement, runtime))
    for requirement in project["dependencies"] + project["optional-dependencies"]["dev"]:
        yield from (f"requirements/dev.txt: {problem}; {cure}" for problem in _misfits(requirement, dev))
    differing = sorted(name for name in runtime if dev.get(name) != runtime[name])
    if differing:
        yield f"requirements: runtime.txt and dev.txt differ in {', '.join(differing)}; {cure}"


def read_pins(lock: Path) -> dict[str, str]:
    """Canonical name -> pinned version of every entry of a lock."""
    matches = (PIN.match(line) for line in lock.read_text().splitlines())
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def _misfits(text: str, pins: Mapping[str, str]) -> Iterator[str]:
    requirement = Requirement(text)
    pinned = pins.get(canonicalize_name(requirement.name))
    if pinned is None:
        yield f"{requirement.name} is not locked"
    elif not requirement.specifier.contains(Version(pinned), prereleases=True):
        yield f"{requirement.name} is locked at {pinned}, pyproject.toml asks for {requirement.specifier}"


def trace_problems(root: Path, files: Sequence[str]) -> Iterator[str]:
    """Lines that name a machine's folder or a package index."""
    for name in files:
        text = (root / name).read_bytes()
        if EXEMPT.match(name) or b"\0" in text:
            continue
        for number, line in enumerate(text.decode("utf-8").splitlines(), start=1):
            yield from (f"{name}:{number}: names {what}" for what, pattern in TRACES.items() if pattern.search(line))


def _files(root: Path) -> list[str]:
    """Committed and new files; what git ignores is nobody's business, and a deleted file is no file."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (root / name).is_file()]


if __name__ == "__main__":
    sys.exit(main())
