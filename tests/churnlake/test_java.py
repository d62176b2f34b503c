from pathlib import Path

import pytest

from churnlake.errors import UsageError
from churnlake.java import find_java


def place(home: Path, version: str) -> Path:
    """A home folder as an installer leaves it: an executable and a release file that states the version."""
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").touch(mode=0o755)
    (home / "release").write_text(f'IMPLEMENTOR="Nobody"\nJAVA_VERSION="{version}"\n')
    return home


@pytest.mark.parametrize("version", ["17.0.15", "21", "21.0.1"])
def test_a_fitting_java_home_is_used_even_with_spaces(tmp_path: Path, version: str) -> None:
    """JAVA_HOME decides when it fits, whatever its folder is called."""
    home = place(tmp_path / "my java", version)
    java = find_java({"JAVA_HOME": str(home)}, folders=())
    assert (java.home, java.version, java.found_in) == (home, version, "JAVA_HOME")


@pytest.mark.parametrize(("version", "major"), [("1.8.0_412", 8), ("11.0.2", 11), ("25.0.3", 25)])
def test_a_wrong_java_is_named_with_a_fitting_one_seen_elsewhere(tmp_path: Path, version: str, major: int) -> None:
    """A wrong Java on PATH is never replaced in silence: the message says what, where, and which one would do."""
    wrong, right = place(tmp_path / "wrong", version), place(tmp_path / "jvm" / "right", "17.0.1")
    with pytest.raises(UsageError) as refused:
        find_java({"PATH": str(wrong / "bin")}, folders=[str(tmp_path / "jvm" / "*")])
    assert refused.value.exit_code == 2
    assert f"Java 17 or 21 needed; found Java {major} in {wrong} (from PATH)" in refused.value.message
    assert refused.value.next_step == f"use the fitting one: export JAVA_HOME='{right}'"


def test_without_any_java_both_install_commands_are_named(tmp_path: Path) -> None:
    """A machine without Java is told how to get one, on Debian and on macOS."""
    with pytest.raises(UsageError, match="found none") as refused:
        find_java({"PATH": str(tmp_path)}, folders=[str(tmp_path / "nowhere" / "*")])
    assert "apt-get install openjdk-17-jre-headless" in str(refused.value)
    assert "brew install openjdk@17" in str(refused.value)


def test_the_usual_folders_serve_when_path_has_none(tmp_path: Path) -> None:
    """With no Java on PATH the lowest fitting one in the usual folders is used; others are passed over."""
    for name, version in (("a", "25"), ("b", "21.0.4"), ("c", "17.0.9")):
        place(tmp_path / "jvm" / name, version)
    assert find_java({"PATH": ""}, folders=[str(tmp_path / "jvm" / "*")]).home == tmp_path / "jvm" / "c"


def test_a_java_home_that_does_not_start_is_refused(tmp_path: Path) -> None:
    """A JAVA_HOME pointing at nothing is a mistake to name, not one to work around."""
    with pytest.raises(UsageError, match=r"JAVA_HOME=.* holds no Java that starts"):
        find_java({"JAVA_HOME": str(tmp_path)}, folders=())


def test_a_version_managers_script_is_asked_for_the_real_home(tmp_path: Path) -> None:
    """A script on PATH without a release file is run, and what it says about its home counts."""
    (tmp_path / "shims").mkdir()
    script = tmp_path / "shims" / "java"
    script.write_text("#!/bin/sh\necho '    java.home = /opt/real java' >&2\necho 'openjdk version \"21.0.2\"' >&2\n")
    script.chmod(0o755)
    java = find_java({"PATH": str(tmp_path / "shims")}, folders=())
    assert (java.home, java.major) == (Path("/opt/real java"), 21)
