"""Start of Spark: a fresh process up to its session and its first Delta write, by class archive and compiler.

`python -m benchmarks.start_up [REPEATS]` prints medians in seconds and ratios to the plain start. The variants take
turns, so that a busy spell hits all of them.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from churnlake.class_archive import FILE_NAME, key_file
from churnlake.settings import Settings
from jobs.session import build_session

VARIANTS = {
    "plain": (False, False),
    "quick compiler": (False, True),
    "class archive": (True, False),
    "both": (True, True),
}


def main(repeats: int) -> None:
    """Runs every variant `repeats` times in turn and prints the table."""
    settings = Settings.from_environment()
    with tempfile.TemporaryDirectory() as name:
        bare = Path(name) / "jars"
        bare.mkdir()
        for jar in settings.jars.glob("*.jar"):
            shutil.copy2(jar, bare)
        taken: dict[str, list[tuple[float, ...]]] = {variant: [] for variant in VARIANTS}
        for _ in range(repeats):
            for variant, (archive, quick) in VARIANTS.items():
                taken[variant].append(_measure(settings.jars if archive else bare, quick=quick))
    if not ((settings.jars / FILE_NAME).is_file() and key_file(settings.jars).is_file()):
        print("there is no class archive here: run `make setup` first")
    _print_table(
        {variant: [statistics.median(column) for column in zip(*rows, strict=True)] for variant, rows in taken.items()}
    )


def _measure(jars: Path, *, quick: bool) -> tuple[float, ...]:
    """Seconds of session, first write and whole process, in a process of its own."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.start_up", "--once", "quick" if quick else "full"]
    environ = {**os.environ, "CHURNLAKE_JARS": str(jars)}
    answer = subprocess.run(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return *map(float, answer.stdout.split()), time.perf_counter() - started


def _once(*, quick: bool) -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        session = build_session("start-up", Settings.from_environment(), Path(scratch), is_small=quick)
        ready = time.perf_counter()
        session.range(1000).write.format("delta").save(f"{scratch}/table")
        print(ready - started, time.perf_counter() - ready)
        session.stop()


def _print_table(medians: dict[str, list[float]]) -> None:
    print(f"{'':16}{'session':>9}{'write':>9}{'total':>9}{'ratio':>9}")
    for variant, (session, write, total) in medians.items():
        print(f"{variant:16}{session:9.1f}{write:9.1f}{total:9.1f}{total / medians['plain'][2]:9.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--once"]:
        _once(quick=sys.argv[2] == "quick")
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
