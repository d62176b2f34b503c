"""The files of a source: found by the date in their path, and looked at again while somebody may be writing them."""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from churnlake.contract.schema import Contract
from churnlake.contract.source import Source, slot_pattern
from churnlake.deliveries.content import Stamp, stamp_of
from churnlake.errors import DataRefusedError

MARKER = ".done"
# Spark passes over such names without a word: they are files that somebody is still working on.
_HIDDEN = re.compile(r"[._].*|.*\._COPYING_")
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True)
class File:
    """A file that fits a source's path. `path` is relative to the contract's folder.

    `slot` is the date in it; of a history, which has none, the first day of the contract's data.
    """

    source: str
    path: str
    slot: date


def find_files(contract: Contract, name: str) -> tuple[File, ...]:
    """The files of a source, ordered by slot. Hidden files and markers are none.

    Raises:
        DataRefusedError: A path holds an impossible date or characters that cannot be seen, or two files claim one
            slot; all are named.
    """
    problems: list[tuple[str, str]] = []
    by_slot: dict[date | str, File] = {}
    is_history = contract.sources[name].delivery == "history"
    for relative, text in _matches(contract, contract.sources[name]):
        slot = contract.calendar.starts_on if is_history else _slot(text)
        if not relative.isprintable():
            problems.append((f"{relative!a}: has characters that cannot be seen in its name", "rename it"))
        elif slot is None:
            problems.append((f"{relative}: {text} is no date", "name the file after the day it is for"))
        elif is_history:
            by_slot[relative] = File(name, relative, slot)
        elif slot in by_slot:
            problems.append((f"{relative} and {by_slot[slot].path} are both for {slot}", "keep one of them"))
        else:
            by_slot[slot] = File(name, relative, slot)
    if problems:
        steps = dict.fromkeys(step for _, step in problems)
        raise DataRefusedError("\n".join(problem for problem, _ in problems), next_step="; ".join(steps))
    return tuple(sorted(by_slot.values(), key=lambda file: (file.slot, file.path)))


def _matches(contract: Contract, source: Source) -> Iterator[tuple[str, str]]:
    """Paths that fit the source's, and the date in them; empty where it names none."""
    pattern = slot_pattern(source)
    # A date beside a * would make a **, which means any number of folders.
    wanted = re.sub(r"\*+", "*", source.path.format(business_date="*"))
    for path in sorted(contract.folder.glob(wanted)):
        relative = path.relative_to(contract.folder).as_posix()
        match = pattern.fullmatch(relative)
        is_marker = source.ready.stable_seconds is None and path.name.endswith(MARKER)
        if match and not is_marker and not _HIDDEN.fullmatch(path.name) and path.is_file():
            yield relative, match.groupdict().get("business_date", "")


def _slot(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def unready(contract: Contract, files: Iterable[File]) -> dict[File, str]:
    """Files that are not whole yet, and why, by the rules of their sources.

    Waits, once for all of them, until the youngest could have rested long enough.
    """
    told: dict[File, str] = {}
    young: dict[File, tuple[Stamp | None, float]] = {}
    for file in files:
        rest = contract.sources[file.source].ready.stable_seconds
        path = contract.folder / file.path
        if rest is None:
            if not path.with_name(path.name + MARKER).exists():
                told[file] = f"has no marker ({path.name}{MARKER})"
        elif rest and (left := _left_to_rest(path, rest)) > 0:
            young[file] = (_stamp(path), left)
    if young:
        time.sleep(max(left for _, left in young.values()))
    for file, (before, _) in young.items():
        if before is None or _stamp(contract.folder / file.path) != before:
            told[file] = "is still being written"
    return told


def _left_to_rest(path: Path, rest: int) -> float:
    """Seconds until nobody will have touched the file for long enough; never more than `rest`, whatever its clock."""
    stamp = _stamp(path)
    age = rest if stamp is None else (time.time_ns() - stamp.modified_ns) / _NANOSECONDS
    return min(rest - age, rest)


def _stamp(path: Path) -> Stamp | None:
    try:
        return stamp_of(path)
    except OSError:
        return None
