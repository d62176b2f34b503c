import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from churnlake.errors import UsageError
from churnlake.jars import Jar
from infra.toolchain import INSTALLER, PACKAGES, ROOT, accept, packages_digest, uv_settings

JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(b"whole").hexdigest())


def run_make(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs make as a person would: not as a part of the make that started these tests."""
    environ = {**os.environ, **variables}
    for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
        environ.pop(name, None)
    return subprocess.run(["make", *words], cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What set-up reads, in a folder whose name has spaces; no environment and no jars."""
    root = tmp_path / "a fresh clone"
    root.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, root / name)
    for name in ("requirements", "infra", "churnlake"):
        shutil.copytree(ROOT / name, root / name)
    return root


def test_bare_make_lists_its_targets(clone: Path) -> None:
    """Somebody who types make learns what there is, and nothing is installed."""
    shown = run_make(clone).stdout
    assert [line.split()[1] for line in shown.splitlines()] == [
        "help", "setup", "demo", "test", "check", "bench", "up", "clean",
    ]  # fmt: skip
    assert not (clone / ".venv").exists()


def test_a_wrong_java_stops_set_up_before_anything_is_installed(clone: Path, tmp_path: Path) -> None:
    """`make setup` with Java 25 says what is needed and found, fails, and leaves no half-made environment."""
    (tmp_path / "java" / "bin").mkdir(parents=True)
    (tmp_path / "java" / "bin" / "java").touch(mode=0o755)
    (tmp_path / "java" / "release").write_text('JAVA_VERSION="25.0.3"\n')
    answer = run_make(clone, "setup", JAVA_HOME=str(tmp_path / "java"))
    assert answer.returncode == 2
    assert f"Java 17 or 21 needed; found Java 25 in {tmp_path / 'java'} (from JAVA_HOME)" in answer.stderr
    assert not (clone / ".venv").exists()


def test_an_old_python_is_refused_before_anything_else(clone: Path, tmp_path: Path) -> None:
    """With only a Python 3.9 about, make says what is needed, what was found and how to get one."""
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "bash", "uname", "make"):
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    old = tmp_path / "bin" / "python3"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    answer = run_make(clone, "setup", PATH=str(tmp_path / "bin"))
    assert answer.returncode == 2
    assert f"Python 3.11, 3.12 or 3.13 needed; found: {old} (3.9)" in answer.stderr
    assert "apt-get install python3 python3-venv" in answer.stderr


def test_windows_is_sent_to_wsl(clone: Path, tmp_path: Path) -> None:
    """On a Windows shell make names WSL2 before pip starts."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "uname").write_text("#!/bin/sh\necho MINGW64_NT-10.0\n")
    (tmp_path / "bin" / "uname").chmod(0o755)
    answer = run_make(clone, "setup", PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    assert (answer.returncode, "use WSL2" in answer.stderr) == (2, True)


@pytest.mark.timeout(120)
def test_without_network_set_up_says_what_is_here_and_that_a_rerun_continues(clone: Path) -> None:
    """An unreachable package index is named as such, with what is here already and what to check; exit code 6."""
    answer = subprocess.run(
        [sys.executable, "-m", "infra.toolchain"],
        cwd=clone,
        env={**os.environ, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 6
    assert "could not install from the package index of pip's settings" in answer.stderr
    assert "here already: an environment, no uv, 0 of 2 jars" in answer.stderr
    assert "`make setup` then continues" in answer.stderr


def test_set_up_is_quick_when_nothing_is_to_be_done() -> None:
    """A second `make setup` of a ready clone takes less than a second, checksums included."""
    stamp = ROOT / ".venv" / "packages.sha256"
    if not stamp.is_file() or stamp.read_text() != packages_digest(ROOT, [ROOT / INSTALLER, ROOT / PACKAGES["clone"]]):
        pytest.skip("this clone was not set up by `make setup`")
    started = time.perf_counter()
    answer = run_make(ROOT, "setup")
    # A clone in a folder with a blank in its name has no class archive, and says so each time, indented.
    steps = [line for line in answer.stdout.splitlines() if not line.startswith(" ")]
    assert steps == ["[1/4] tools ok", "[2/4] packages, hashes checked", "[3/4] jars, hashes checked"]
    assert time.perf_counter() - started < 1.0


def test_a_fetched_jar_with_other_bytes_is_deleted(tmp_path: Path) -> None:
    """A jar whose bytes are not the locked ones never reaches the folder of jars, and the message says so."""
    fetched = tmp_path / "scratch" / "org.example_thing-1.0.jar"
    fetched.parent.mkdir()
    fetched.write_bytes(b"half")
    with pytest.raises(UsageError, match=r"bad checksum of org.example:thing:1.0: deleted\n.*run `make setup`"):
        accept(JAR, fetched, tmp_path)
    assert [path.name for path in tmp_path.rglob("*.jar")] == []


def test_a_fetched_jar_with_the_locked_bytes_is_kept(tmp_path: Path) -> None:
    """A whole jar appears under its own name, by one rename."""
    fetched = tmp_path / "scratch" / "org.example_thing-1.0.jar"
    fetched.parent.mkdir()
    fetched.write_bytes(b"whole")
    accept(JAR, fetched, tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.jar")] == ["thing-1.0.jar"]


def test_an_environment_is_made_anew_when_a_lock_or_the_folder_changes(tmp_path: Path) -> None:
    """Scripts hold the folder's full path, so a moved clone needs a new environment, as a changed lock does."""
    lock = tmp_path / "lock.txt"
    lock.write_text("thing==1.0\n")
    before = packages_digest(tmp_path, [lock])
    moved = packages_digest(tmp_path / "elsewhere", [lock])
    lock.write_text("thing==1.1\n")
    assert len({before, moved, packages_digest(tmp_path, [lock])}) == 3


def test_uv_follows_pips_settings_but_not_over_its_own() -> None:
    """A mirror named in pip's settings serves uv too; an index set for uv by hand stays."""
    pip = {"index-url": "https://mirror.example/simple", "cert": "/etc/ca.pem", "timeout": "60"}
    assert uv_settings(pip, {"UV_DEFAULT_INDEX": "https://mine.example/simple"}) == {"SSL_CERT_FILE": "/etc/ca.pem"}
    assert uv_settings(pip, {})["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
