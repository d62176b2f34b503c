import os
import socket
from pathlib import Path

import pytest

from churnlake.ledger.lane import Lane
from churnlake.settings import Settings
from flows.doctor import Finding, examine


def find(settings: Settings, subject: str, ports: dict[str, int] | None = None) -> Finding:
    """The one finding about `subject`."""
    (found,) = [finding for finding in examine(settings, ports or {}) if finding.subject == subject]
    return found


def test_a_fresh_home_has_no_problem_with_its_disk_and_warehouse(settings: Settings) -> None:
    """Nothing published is no fault: the nearest folder that exists is judged instead."""
    assert (find(settings, "disk").state, find(settings, "warehouse").state) == ("ok", "ok")


def test_a_missing_jar_is_a_problem_with_its_cure(settings: Settings, tmp_path: Path) -> None:
    """Without jars no night runs; the finding names the file and the command."""
    found = find(Settings(home=settings.home, jars=tmp_path), "jar delta-storage")
    path = tmp_path / "delta-storage-4.4.0.jar"
    assert found == Finding("jar delta-storage", "problem", f"missing: {path}", "run `make setup`")


def test_half_a_jar_is_a_problem(settings: Settings, tmp_path: Path) -> None:
    """A jar with other bytes is told apart from a missing one."""
    (tmp_path / "delta-storage-4.4.0.jar").write_bytes(b"half")
    assert find(Settings(home=settings.home, jars=tmp_path), "jar delta-storage").detail.startswith("bad checksum: ")


def test_a_wrong_java_is_a_problem(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doctor reports what would stop a night, with the way out, and goes on to the next thing."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch(mode=0o755)
    (tmp_path / "release").write_text('JAVA_VERSION="11.0.2"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    found = find(settings, "Java")
    assert (found.state, "found Java 11" in found.detail, found.fix is not None) == ("problem", True, True)


def test_a_busy_port_names_its_holder(settings: Settings) -> None:
    """The port, the process that holds it and what to do, so that nobody has to look for it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        found = find(settings, f"port {port}", {"Prefect": port})
    assert found.state == "warning"
    assert f"wanted for Prefect, busy: pid {os.getpid()} (" in found.detail
    assert found.fix == "stop it, or give `churnlake up` another port for Prefect"


def test_a_lake_being_written_is_a_warning(settings: Settings) -> None:
    """A run that holds its lane is normal, but explains why another one waits."""
    root = settings.lake("shop")
    root.mkdir(parents=True)
    assert find(settings, "lake shop").state == "ok"
    with Lane.take(root):
        assert find(settings, "lake shop").state == "warning"


def test_a_warehouse_link_to_nothing_is_a_problem(settings: Settings) -> None:
    """A generation that was deleted breaks every reader; any verb writes it again."""
    settings.warehouse.mkdir(parents=True)
    (settings.warehouse / "warehouse.duckdb").symlink_to("generations/000000007.duckdb")
    found = find(settings, "warehouse")
    assert (found.state, "000000007.duckdb, which is gone" in found.detail) == ("problem", True)
