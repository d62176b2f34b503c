"""Named places where a test may end the process as a power cut would. Inert unless CHURNLAKE_FAILPOINT names one."""

import os
import signal

POINTS = (
    "ingest.frozen",
    "ingest.landed",
    "ingest.typed",
    "ingest.recorded",
    "features.written",
    "score.written",
    "publish.loaded",
    "publish.committed",
    "publish.materialised",
    "release.frozen",
    "release.landed",
    "release.told",
    "release.typed",
    "release.recorded",
    "rebuild.typed",
)


def hit(point: str, armed: str | None) -> None:
    """Kills this process group at once when `armed` (the setting) is `point`."""
    if point not in POINTS:
        raise AssertionError(f"unknown failpoint {point!r}; known: {', '.join(POINTS)}")
    if armed == point:
        os.killpg(os.getpgid(0), signal.SIGKILL)
