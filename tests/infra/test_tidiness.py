from pathlib import Path

import pytest

from infra.tidiness import ROOT, lock_problems, trace_problems


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that asks for one package at run time and one for development, both locked as asked."""
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["Fast_API<0.151"]\n[project.optional-dependencies]\ndev = ["pytest>=9"]\n'
    )
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "runtime.txt").write_text("fast-api==0.150.0 \\\n    --hash=sha256:00\n")
    (tmp_path / "requirements" / "dev.txt").write_text("fast-api==0.150.0 \\\n    --hash=sha256:00\npytest==9.2.0\n")
    return tmp_path


def test_locks_that_fit_have_no_problem(project: Path) -> None:
    """Names are compared as package indexes do: case, dashes and underscores do not count."""
    assert list(lock_problems(project)) == []


def test_a_requirement_outside_its_lock_is_named(project: Path) -> None:
    """A pin outside the range, a missing pin and two locks that differ are each told, without any network."""
    (project / "requirements" / "runtime.txt").write_text("fast-api==0.165.0\n")
    (project / "requirements" / "dev.txt").write_text("fast-api==0.150.0\n")
    assert [problem.split(";")[0] for problem in lock_problems(project)] == [
        "requirements/runtime.txt: Fast_API is locked at 0.165.0, pyproject.toml asks for <0.151",
        "requirements/dev.txt: pytest is not locked",
        "requirements: runtime.txt and dev.txt differ in fast-api",
    ]


def test_the_committed_locks_are_fresh() -> None:
    """Our own locks fit our own pyproject.toml."""
    assert list(lock_problems(ROOT)) == []


def test_traces_of_one_machine_are_named_by_line(tmp_path: Path) -> None:
    """A personal folder or a package index in a committed file is a problem; an address or a variable is none."""
    (tmp_path / "a.md").write_text("fine: https://example.org/home/x and $HOME/work/x\nbad: /home/someone/lake\n")
    (tmp_path / "b.txt").write_text("--index-url https://mirror.example\n")
    assert list(trace_problems(tmp_path, ["a.md", "b.txt"])) == [
        "a.md:2: names a folder of one machine",
        "b.txt:1: names a package index",
    ]
