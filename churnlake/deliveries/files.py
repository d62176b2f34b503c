"""The files of a source, found by the date in their path."""

import re
from dataclasses import dataclass
from datetime import date

from churnlake.contract.schema import Contract, slot_pattern
from churnlake.errors import DataRefusedError


@dataclass(frozen=True)
class File:
    """A file that fits a source's path. `path` is relative to the contract's folder; `slot` is the date in it."""

    source: str
    path: str
    slot: date


def find_files(contract: Contract, name: str) -> tuple[File, ...]:
    """The files of a source, ordered by slot. A date that does not exist (2011-02-30) is refused by name.

    Raises:
        DataRefusedError: A path holds an impossible date, or two files claim one slot.
    """
    source = contract.sources[name]
    pattern = slot_pattern(source)
    by_slot: dict[date, File] = {}
    # A date beside a * would make a **, which means any number of folders.
    wanted = re.sub(r"\*+", "*", source.path.format(business_date="*"))
    for path in sorted(contract.folder.glob(wanted)):
        relative = path.relative_to(contract.folder).as_posix()
        match = pattern.fullmatch(relative)
        if match is None or not path.is_file():
            continue
        slot = _slot(relative, match["business_date"])
        if slot in by_slot:
            raise DataRefusedError(
                f"{relative} and {by_slot[slot].path} are both for {slot}", next_step="keep one of them"
            )
        by_slot[slot] = File(name, relative, slot)
    return tuple(by_slot[slot] for slot in sorted(by_slot))


def _slot(path: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DataRefusedError(
            f"{path}: {text} is no date", next_step="name the file after the day it is for"
        ) from None
