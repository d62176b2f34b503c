"""Makes a clone ready to run: Java, packages, jars, class archive. `make setup` runs it with the system's own Python.

Standard library only, since nothing is installed yet. Each step looks first and does nothing when all is there, so a
second run takes a blink, and a run that was cut short continues where it stopped.
"""

import argparse
import fcntl
import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from churnlake.class_archive import FILE_NAME, archive_key, find_archive, key_file
from churnlake.errors import ChurnlakeError, UnavailableError, UsageError
from churnlake.jars import Jar, is_sound, read_lock
from churnlake.java import Java, find_java

ROOT = Path(__file__).resolve().parent.parent
INSTALLER = "requirements/setup.txt"
# What each purpose installs. A clone takes all; the images leave out the tools, and that of flows has no Java.
PACKAGES = {
    "clone": "requirements/dev.txt",
    "spark": "requirements/runtime.txt",
    "flows": "requirements/runtime.txt",
}
# pip's settings that say where packages come from, and the names uv has for them.
PIP_TO_UV = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
}


def main(purpose: str, root: Path = ROOT) -> int:
    """Runs all steps; the exit code is that of the error that stopped it, or 0."""
    try:
        with _alone(root):
            check_python()
            java = None if purpose == "flows" else find_java()
            print("[1/4] tools ok", flush=True)
            install_packages(root, PACKAGES[purpose])
            print("[2/4] packages, hashes checked", flush=True)
            if java is not None:
                fetch_jars(root, java)
                make_archive(root, java)
                print("[3/4] jars, hashes checked", flush=True)
    except ChurnlakeError as error:
        print(f"set-up stopped: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def check_python() -> None:
    """Refuses what no package could be installed on.

    Raises:
        UsageError: Windows itself, or a Python without its venv module.
    """
    if sys.platform in ("win32", "cygwin", "msys"):
        raise UsageError("Windows itself is not supported", next_step="use WSL2, and run `make setup` inside it")
    try:
        import ensurepip  # noqa: F401 - Debian's Python has none until python3-venv is there
        import venv  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"the Python at {sys.executable} cannot make environments (no module {error.name})",
            next_step="install it: `apt-get install python3-venv` (Debian), `brew install python@3.11` (macOS)",
        ) from error


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keeps a second set-up of the same clone waiting until the first is through."""
    (root / ".cache").mkdir(exist_ok=True)
    with (root / ".cache" / "setup.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


# Packages


def install_packages(root: Path, lock: str) -> None:
    """Leaves `.venv` with exactly the packages of `lock` and the command `churnlake`.

    Raises:
        UnavailableError: The package index could not be reached.
        UsageError: A package's bytes are not the locked ones, or the installer refused for another reason.
    """
    stamp = root / ".venv" / "packages.sha256"
    locks = [root / INSTALLER, root / lock]
    wanted = packages_digest(root, locks)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    python = root / ".venv" / "bin" / "python"
    if not _starts(python):
        _run([sys.executable, "-m", "venv", "--clear", str(root / ".venv")], root)
    print("      installing packages: a minute or two the first time", flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--retries", "2", "--require-hashes", "-r", str(locks[0])]
    install(pip, root)
    uv = [str(python), "-m", "uv", "--no-config", "pip", "sync", "--python", str(python), "--require-hashes"]
    uv += [str(path) for path in locks]
    install(uv, root, uv_settings(_pip_settings(python), os.environ))
    _add_command(root, python)
    stamp.write_text(wanted)


def packages_digest(root: Path, locks: Sequence[Path]) -> str:
    """Digest of what an environment is made from: locks, this Python, and its folder, which scripts hold in full."""
    digest = hashlib.sha256(f"{sys.version}\n{root}\n".encode())
    for lock in locks:
        digest.update(lock.read_bytes())
    return digest.hexdigest()


def uv_settings(pip_settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that make uv use the index of pip's settings; a uv variable somebody set stays as it is."""
    pairs = {uv: pip_settings[pip] for pip, uv in PIP_TO_UV.items() if pip in pip_settings}
    return {name: value for name, value in pairs.items() if name not in environ}


def _pip_settings(python: Path) -> dict[str, str]:
    """The settings of pip from its files and variables, the later ones winning: {"index-url": ...}."""
    command = [str(python), "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    settings = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        settings[name.rpartition(".")[2]] = " ".join(shlex.split(value))
    return settings


def _starts(python: Path) -> bool:
    """Whether this environment runs with the Python that runs now (a moved or upgraded one does not)."""
    if not python.exists():
        return False
    command = [str(python), "-c", "import sys, pip; print(sys.version, sys.prefix)"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() == f"{sys.version} {python.parent.parent}"


def _add_command(root: Path, python: Path) -> None:
    """Makes the rooms importable from every folder, and `churnlake` a command of the environment."""
    query = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip())
    (packages / "churnlake.pth").write_text(f"{root}\n")
    command = python.parent / "churnlake"
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} -m flows.cli "$@"\n')
    command.chmod(0o755)


def install(command: Sequence[str], root: Path, extra: Mapping[str, str] | None = None) -> None:
    """Runs an installer's command in the clone.

    Raises:
        UnavailableError: It could not reach the package index, or gave up for another reason.
        UsageError: A package's bytes are not the locked ones.
    """
    try:
        _run(command, root, extra)
    except subprocess.CalledProcessError as error:
        print(_last_lines(error.output), file=sys.stderr)
        if "hash" in error.output.lower():
            raise UsageError(
                "a package's bytes are not the locked ones; nothing of it was installed",
                next_step="check the package index in pip's settings, then `make setup`",
            ) from error
        raise UnavailableError(
            f"could not install from the package index of pip's settings; {_already_here(root)}",
            next_step="check network, proxy and `pip config list`; `make setup` then continues",
        ) from error


def _already_here(root: Path) -> str:
    folder = root / ".venv" / "bin"
    jars = sum(is_sound(jar, root / ".jars") is True for jar in read_lock())
    python = "an environment" if (folder / "python").exists() else "no environment"
    return f"here already: {python}, {'uv' if (folder / 'uv').exists() else 'no uv'}, {jars} of {len(read_lock())} jars"


# Jars


def fetch_jars(root: Path, java: Java) -> None:
    """Leaves the locked jars, and only whole ones, in `.jars`.

    Raises:
        UnavailableError: The jars' repository could not be reached.
        UsageError: A fetched jar has other bytes than the locked ones.
    """
    folder = root / ".jars"
    folder.mkdir(exist_ok=True)
    missing = [jar for jar in read_lock() if not _is_kept(jar, folder)]
    if not missing:
        return
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetch-") as scratch:
        _resolve(missing, Path(scratch), root, java)
        for jar in missing:
            accept(jar, Path(scratch) / "jars" / f"{jar.group}_{jar.file_name}", folder)


def _is_kept(jar: Jar, folder: Path) -> bool:
    """Whether a sound copy is there; one with other bytes is deleted, since half a jar looks like a whole one."""
    sound = is_sound(jar, folder)
    if sound is False:
        print(f"      bad checksum: {folder / jar.file_name} deleted, fetched again", flush=True)
        (folder / jar.file_name).unlink()
    return sound is True


def _resolve(jars: Sequence[Jar], scratch: Path, root: Path, java: Java) -> None:
    coordinates = [jar.coordinate for jar in jars]
    command = [str(root / ".venv" / "bin" / "python"), "-m", "infra.ivy", str(scratch), *coordinates]
    try:
        _run(command, root, {"JAVA_HOME": str(java.home), "SPARK_LOCAL_IP": "127.0.0.1"})
    except subprocess.CalledProcessError as error:
        print(_last_lines(error.output), file=sys.stderr)
        raise UnavailableError(
            f"could not fetch {', '.join(coordinates)} by Spark's Ivy; {_already_here(root)}",
            next_step="check network and proxy; `make setup` then continues",
        ) from error


def accept(jar: Jar, fetched: Path, folder: Path) -> None:
    """Moves a fetched file into `folder` under the jar's name when its bytes are the locked ones.

    Raises:
        UsageError: They are not; the file is deleted.
    """
    whole = fetched.with_name(jar.file_name)
    fetched.rename(whole)
    if not is_sound(jar, whole.parent):
        whole.unlink()
        raise UsageError(f"bad checksum of {jar.coordinate}: deleted", next_step="run `make setup`")
    whole.replace(folder / jar.file_name)


# Class archive


def make_archive(root: Path, java: Java) -> None:
    """Leaves the class archive in `.jars`, made anew when Java or the class path changed. A failure is only told."""
    python = root / ".venv" / "bin" / "python"
    query = [
        str(python),
        "-c",
        "import importlib.util as u; print(u.find_spec('pyspark').submodule_search_locations[0])",
    ]
    spark_jars = Path(subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()) / "jars"
    jars = root / ".jars"
    if find_archive(java, spark_jars, jars):
        return
    if root.as_uri() != f"file://{root}":
        # Java 17 keeps such names escaped in the archive and then finds none of its classes: measured, no gain.
        print("      no class archive in a folder with spaces in its name; Spark only starts slower", flush=True)
        return
    print("      writing the class archive that halves each start of Spark: under a minute", flush=True)
    key_file(jars).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=jars, prefix="rehearsal-") as scratch:
        try:
            _run([str(python), "-m", "infra.rehearsal", scratch, f"{scratch}/{FILE_NAME}"], root)
            Path(scratch, FILE_NAME).replace(jars / FILE_NAME)
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"      no class archive ({error}); Spark works without, only starts slower", file=sys.stderr)
            return
    key_file(jars).write_text(archive_key(java, spark_jars, jars))


def _run(command: Sequence[str], root: Path, extra: Mapping[str, str] | None = None) -> None:
    """Runs a command in the clone; its output is kept for the error only."""
    environ = {**os.environ, **(extra or {})}
    answer = subprocess.run(
        command, cwd=root, env=environ, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if answer.returncode:
        raise subprocess.CalledProcessError(answer.returncode, shlex.join(command), answer.stdout)


def _last_lines(output: str, count: int = 15) -> str:
    return "\n".join(output.splitlines()[-count:])


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m infra.toolchain", description="Make a clone or an image ready.")
    arguments.add_argument("--for", dest="purpose", choices=PACKAGES, default="clone")
    sys.exit(main(arguments.parse_args().purpose))
