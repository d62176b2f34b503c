import hashlib
from pathlib import Path

import pytest

from churnlake.errors import UsageError
from churnlake.jars import is_sound, locked_jars, read_lock

BYTES = b"the locked bytes"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A lock of one jar whose bytes are BYTES."""
    path = tmp_path / "jars.lock"
    path.write_text(f"# a comment\norg.example:thing_2.13:1.0 sha256:{hashlib.sha256(BYTES).hexdigest()}\n")
    return path


def test_the_lock_holds_exactly_the_two_delta_jars() -> None:
    """Spark gets Delta's two jars and none of the thirty-one they would drag in."""
    assert [jar.coordinate for jar in read_lock()] == [
        "io.delta:delta-spark_4.1_2.13:4.4.0",
        "io.delta:delta-storage:4.4.0",
    ]


def test_a_sound_jar_is_found_in_a_folder_with_spaces(lock: Path, tmp_path: Path) -> None:
    """A jar whose bytes are the locked ones is handed out by path."""
    folder = tmp_path / "my jars"
    folder.mkdir()
    (folder / "thing_2.13-1.0.jar").write_bytes(BYTES)
    assert locked_jars(folder, lock) == (folder / "thing_2.13-1.0.jar",)


def test_half_a_jar_is_refused_with_the_cure(lock: Path, tmp_path: Path) -> None:
    """A half-downloaded jar is a bad checksum, not a jar."""
    (tmp_path / "thing_2.13-1.0.jar").write_bytes(BYTES[:5])
    assert is_sound(read_lock(lock)[0], tmp_path) is False
    with pytest.raises(UsageError, match=r"bad checksum: .*thing_2\.13-1\.0\.jar.*\n.*make setup"):
        locked_jars(tmp_path, lock)


def test_a_lock_line_without_digest_is_refused(tmp_path: Path) -> None:
    """A coordinate without its sha256 would let any bytes in, so the lock itself is refused."""
    (tmp_path / "jars.lock").write_text("org.example:thing:1.0\n")
    with pytest.raises(UsageError, match=r"cannot read 'org.example:thing:1.0'"):
        read_lock(tmp_path / "jars.lock")
