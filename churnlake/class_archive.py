"""The archive of loaded Java classes (AppCDS) that shortens every start of Spark. Standard library only.

The archive is a convenience: without one, or with one made for another Java or class path, Spark starts as usual,
only slower.
"""

import hashlib
from pathlib import Path

from churnlake.jars import read_lock
from churnlake.java import Java

FILE_NAME = "spark.jsa"


def archive_key(java: Java, spark_jars: Path, jars: Path) -> str:
    """Digest of what the archive depends on: this Java and the class path's files, with their sizes and folders.

    The virtual machine compares sizes and times itself and ignores a stale archive; this key tells set-up to make
    a new one.
    """
    names = sorted(f"{jar.name} {jar.stat().st_size} {jar.stat().st_mtime_ns}" for jar in spark_jars.glob("*.jar"))
    locked = [f"{jar.coordinate} {jar.sha256}" for jar in read_lock()]
    facts = [str(java.home), java.version, str(spark_jars), str(jars), *names, *locked]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


def find_archive(java: Java, spark_jars: Path, jars: Path) -> Path | None:
    """The archive in `jars` when it was made for exactly this Java and class path, else None."""
    archive = jars / FILE_NAME
    note = key_file(jars)
    if not archive.is_file() or not note.is_file():
        return None
    return archive if note.read_text().strip() == archive_key(java, spark_jars, jars) else None


def key_file(jars: Path) -> Path:
    """Where the key of the archive in `jars` stands."""
    return jars / f"{FILE_NAME}.key"
