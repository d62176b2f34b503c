"""Sweeping: what dead attempts left behind. Nothing published, and nothing a living run may still need."""

import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from churnlake.warehouse.duckdb.generations import GENERATIONS, LINK
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.records import Load, as_load


@dataclass(frozen=True)
class Swept:
    """What was removed, as paths relative to the warehouse."""

    unfinished: tuple[str, ...]
    loads: tuple[str, ...]
    generations: tuple[str, ...]


def sweep(publications: Publications, *, older_than: timedelta, now: datetime) -> Swept:
    """Remove `*.tmp`, loads that were never published and generations nobody opens any more, older than a given age.

    The age must exceed the longest run by a day. A load is barred from publication before its files go.
    """
    before = now - older_than
    unpublished = _bar_loads(publications, before)
    for load in unpublished:
        shutil.rmtree(publications.root / load.folder, ignore_errors=True)  # it may have died before its folder
    root = publications.root
    shown = (root / LINK).resolve()
    old = [file for file in sorted((root / GENERATIONS).glob("*.duckdb")) if file != shown and _is_before(file, before)]
    for file in old:
        file.unlink()
    stale = [path for path in sorted(root.rglob("*.tmp")) if _is_before(path, before)]
    for path in stale:
        _remove(path)
    return Swept(
        unfinished=_relative(root, stale),
        loads=tuple(str(load.folder) for load in unpublished),
        generations=_relative(root, old),
    )


def _bar_loads(publications: Publications, before: datetime) -> list[Load]:
    query = "SELECT * FROM load WHERE load_id NOT IN (SELECT load_id FROM publication) ORDER BY load_id"
    with publications.writing() as connection:
        unpublished = [load for load in map(as_load, connection.execute(query)) if load.started_at < before]
        swept = [load for load in unpublished if (publications.root / load.folder).exists() or load.state != "failed"]
        bar = "UPDATE load SET state = 'failed', message = coalesce(message, 'swept') WHERE load_id = ?"
        connection.executemany(bar, [(load.load_id,) for load in swept])
    return swept


def _is_before(path: Path, moment: datetime) -> bool:
    return path.lstat().st_mtime < moment.timestamp()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _relative(root: Path, paths: list[Path]) -> tuple[str, ...]:
    return tuple(str(path.relative_to(root)) for path in paths)
