"""The usual failures of a new machine and of new files: each is made to happen, and prints what its page says."""

import codecs
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import flows.init
from churnlake.errors import ChurnlakeError
from churnlake.jars import locked_jars, read_lock
from churnlake.java import find_java
from churnlake.settings import Settings
from flows.cli import app
from flows.doctor import examine
from flows.runners import CHECKOUT, COMMANDS, Application, Job
from infra import toolchain
from jobs.session import usual_memory

PAGE = CHECKOUT / "docs" / "usual_failures.md"
SALES = "customer,sold_at,total\n" + "".join(f"{n % 4},2026-01-{n % 28 + 1:02d} 10:00:00,{n}.50\n" for n in range(60))
GIB = 2**30
Machine = pytest.MonkeyPatch
Failure = Callable[[Path, Machine], str]


def rows() -> dict[str, list[str]]:
    """What the page says is printed, by what goes wrong: the pieces between backticks, without what differs."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    found = {}
    for line in lines:
        name, printed, _ = (cell.strip() for cell in line.strip("|").split(" | "))
        spans = printed.strip("`").split("` `")
        found[name] = [piece.strip() for span in spans for piece in span.split("...") if piece.strip()]
    return found


def command(*arguments: str) -> str:
    """What the command line prints, errors included."""
    result = CliRunner().invoke(app, list(arguments))
    return result.stdout + result.stderr


def refusal(work: Callable[[], Any]) -> str:
    """The words of the error that the work ends with."""
    with pytest.raises(ChurnlakeError) as refused:
        work()
    return str(refused.value)


def java(home: Path, version: str) -> Path:
    """A Java as an installer leaves it."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    (home / "release").write_text(f'JAVA_VERSION="{version}"\n')
    return home


def no_java(_: Path, __: Machine) -> str:
    """Neither on PATH nor in the usual folders."""
    return refusal(lambda: find_java({"PATH": ""}, folders=()))


def another_java(folder: Path, _: Machine) -> str:
    """Java 25 on PATH, Java 17 beside it."""
    wrong = java(folder / "new", "25.0.3")
    java(folder / "jvm" / "right", "17.0.1")
    return refusal(lambda: find_java({"PATH": str(wrong / "bin")}, folders=[str(folder / "jvm" / "*")]))


def old_python(folder: Path, _: Machine) -> str:
    """Make finds nothing but a Python 3.9."""
    for name in ("bin", "infra"):
        (folder / name).mkdir()
    for name in ("Makefile", "infra/python.sh"):
        shutil.copy(CHECKOUT / name, folder / name)
    for tool in ("sh", "bash", "uname"):
        (folder / "bin" / tool).symlink_to(shutil.which(tool) or tool)
    old = folder / "bin" / "python3"
    old.write_text("#!/bin/sh\necho 3.9\n")
    old.chmod(0o755)
    make = [shutil.which("make") or "make", "setup"]
    answer = subprocess.run(
        make, cwd=folder, env={"PATH": str(folder / "bin")}, capture_output=True, text=True, check=False
    )
    return answer.stderr


def no_environments(_: Path, machine: Machine) -> str:
    """Debian's Python without python3-venv."""
    machine.setitem(sys.modules, "ensurepip", None)
    return refusal(toolchain.check_python)


def windows(_: Path, machine: Machine) -> str:
    """A Python of Windows itself."""
    machine.setattr(sys, "platform", "win32")
    return refusal(toolchain.check_python)


def no_network(folder: Path, _: Machine) -> str:
    """The installer cannot reach its index."""
    return refusal(lambda: toolchain.install(["sh", "-c", "echo 'Connection refused'; exit 1"], folder))


def half_a_jar(folder: Path, _: Machine) -> str:
    """A download that broke off: all jars are copied, and one is cut."""
    for jar in read_lock():
        whole = (CHECKOUT / ".jars" / jar.file_name).read_bytes()
        (folder / jar.file_name).write_bytes(whole[: len(whole) // 2] if jar.artifact == "delta-storage" else whole)
    return refusal(lambda: locked_jars(folder))


def taken_port(_: Path, __: Machine) -> str:
    """Somebody listens where Prefect should."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        return command("up", "--prefect-port", str(taken.getsockname()[1]))


def checked(content: bytes) -> str:
    """`check` of a contract for UTF-8 whose one file holds these bytes."""
    Path("in").mkdir()
    Path("in/orders.csv").write_text(SALES)
    command("init", "shop", "--from", "in", "--copy")
    (Path("shop") / "data" / "orders.csv").write_bytes(content)
    return command("check", "shop/contract.toml")


def utf_16(_: Path, __: Machine) -> str:
    """As Excel saves "Unicode text"."""
    return checked(codecs.BOM_UTF16_LE + SALES.encode("utf-16-le"))


def latin_1(_: Path, __: Machine) -> str:
    """One name with an umlaut."""
    return checked(SALES.replace("0,2026", "Jörg,2026").encode("latin-1"))


def begun(content: bytes | str, folder: str = "in", to: str = "shop") -> str:
    """`init` from a folder whose one file orders.csv holds this."""
    Path(folder).mkdir()
    data = content if isinstance(content, bytes) else content.encode()
    (Path(folder) / "orders.csv").write_bytes(data)
    return command("init", to, "--from", folder)


def semicolons(_: Path, __: Machine) -> str:
    """As most of Europe writes numbers."""
    printed = begun(SALES.replace(",", ";").replace(".50", ",50"))
    contract = Path("shop/contract.toml").read_text()
    assert 'separator = ";"' in contract
    assert 'decimal = ","' in contract
    return printed + contract


def excel(folder: Path, _: Machine) -> str:
    """A workbook is a zip archive."""
    with zipfile.ZipFile(folder / "book.zip", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
    return begun((folder / "book.zip").read_bytes())


def no_zone(_: Path, machine: Machine) -> str:
    """Times without an offset, on a machine in Berlin."""
    machine.setattr(flows.init, "machine_zone", lambda: "Europe/Berlin")
    return begun(SALES)


def too_few(_: Path, machine: Machine) -> str:
    """A trial that counted 31 with the horizon of the contract and 140 with twice that."""
    counted = {"cutoffs": 14, "spacing_days": 15, "stayed": 2_400}
    outcomes = [{"horizon_days": 30, "churned": 31, **counted}, {"horizon_days": 60, "churned": 140, **counted}]
    found = {"sources": [], "contract": [], "data": [], "warnings": [], "outcomes": outcomes, "not_counted": None}
    machine.setitem(COMMANDS, "trial", (sys.executable, "-c", f"print({json.dumps(found)!r})"))
    return command("check", str(CHECKOUT / "examples" / "online_retail" / "contract.toml"))


def disk(home: Path) -> str:
    """What `doctor` says of the disk under a home."""
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(home)})
    (found,) = (one for one in examine(settings, ports={}) if one.subject == "disk")
    return f"{found.detail} {found.fix}"


def full_disk(folder: Path, machine: Machine) -> str:
    """One gibibyte is left."""
    machine.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=GIB))
    return disk(folder)


def read_only(folder: Path, machine: Machine) -> str:
    """A folder of somebody else."""
    machine.setattr(os, "access", lambda *_: False)
    return disk(folder)


def blanks(_: Path, __: Machine) -> str:
    """In both folders."""
    return begun(SALES, "my files", "my shop")


def little_memory(_: Path, __: Machine) -> str:
    """Two gigabytes are free."""
    return refusal(lambda: usual_memory(2 * GIB))


def killed(folder: Path, _: Machine) -> str:
    """As the system ends the largest process when memory runs out."""
    settings = Settings.from_environment({"CHURNLAKE_HOME": str(folder / "home")})
    application = Application("night", "shop", folder / "contract.toml", (), "a1")
    with Job(application, ("sh", "-c", "kill -9 $$"), settings) as job:
        while job.poll() is None:
            pass
        return str(job.error())


FAILURES: dict[str, Failure] = {
    "no Java": no_java,
    "another Java comes first": another_java,
    "Python before 3.11": old_python,
    "Python without environments": no_environments,
    "Windows itself": windows,
    "no network, or a proxy": no_network,
    "half a jar": half_a_jar,
    "a port is taken": taken_port,
    "a file is UTF-16": utf_16,
    "a file is Latin-1": latin_1,
    "semicolons and decimal commas": semicolons,
    "an Excel workbook named .csv": excel,
    "JSON named .csv": lambda *_: begun('{"customer": 1}\n'),
    "an empty file": lambda *_: begun(""),
    "no header": lambda *_: begun("1,2\n3,4\n"),
    "03/05/2026, all days up to 12": lambda *_: begun(
        "customer,sold,total\n" + "".join(f"{n % 4},0{n % 9 + 1}/05/2026,{n}.50\n" for n in range(60))
    ),
    "no time zone": no_zone,
    "too few churned": too_few,
    "a disk is full": full_disk,
    "a folder is read-only": read_only,
    "blanks in a path": blanks,
    "little memory": little_memory,
    "killed for its memory": killed,
}


def test_every_row_of_the_page_is_exercised() -> None:
    """A row that nothing makes happen is a promise without a proof."""
    assert list(rows()) == list(FAILURES)
    assert all(rows().values())


@pytest.mark.parametrize("name", FAILURES)
def test_a_usual_failure_prints_what_its_row_says(name: str, tmp_path: Path, monkeypatch: Machine) -> None:
    """What was found, where, and what to do: in one message, never a traceback."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHURNLAKE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CHURNLAKE_NOW", "2026-06-01T07:00:00+00:00")
    printed = " ".join(FAILURES[name](tmp_path, monkeypatch).replace("│", " ").split())
    missing = [piece for piece in rows()[name] if piece not in printed]
    assert not missing, f"{missing} not in: {printed}"
    assert "Traceback" not in printed
