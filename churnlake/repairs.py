"""Rows repaired by hand: the file a person gets, what they made of it, and which rows a release is about.

A cell left as it was means the delivered text, exactly: also where a null and an empty text look alike. A cell that
was changed means what stands in it, without the apostrophe that keeps it from being a formula; empty means null.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from churnlake.contract.expressions import nearest
from churnlake.contract.source import Source
from churnlake.contract.values import landed_column
from churnlake.errors import UsageError
from churnlake.quarantine import CORRUPT, Quarantine, Row, Wanted
from churnlake.spreadsheet import escaped, read_csv, restored, write_csv

KEYS = ("row_hash", "delivery_id")
_TOLD = ("file", "record_number", "reasons")

Text = Mapping[str, str | None]
Cells = Mapping[str, str]


@dataclass(frozen=True)
class Repaired:
    """A held row and the text it is to be judged by; `changed` names the columns a person gave another text."""

    row: Row
    text: Text
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Selection:
    """The rows a release is about, and how many lines of a repaired file are about rows that are no longer held."""

    rows: tuple[Repaired, ...]
    gone: int = 0

    @property
    def digest(self) -> str:
        """sha256 of which rows were chosen and by which text each is judged: the same choice has the same digest."""
        chosen = sorted((*one.row.key, json.dumps(_present(one.text), sort_keys=True)) for one in self.rows)
        return hashlib.sha256(json.dumps(chosen).encode()).hexdigest()

    @property
    def release_id(self) -> str:
        """Names the release for ever."""
        return f"release-{self.digest[:16]}"


def repair_columns(source: Source) -> tuple[str, ...]:
    """The columns of a source that a person may repair: its own, and the whole line where it did not fit them."""
    return (*map(landed_column, source.types), CORRUPT)


def write_repairs(file: IO[bytes], columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Writes held rows as a table for a spreadsheet. What is told beside them is not read back."""
    told = [name for name in _TOLD if name not in columns]

    def cells(row: Row) -> list[object]:
        about = {"file": row.file, "record_number": row.record_number, "reasons": "; ".join(row.reasons)}
        text = row.text or {}
        return [row.row_hash, row.delivery_id, *(about[name] for name in told), *(text.get(name) for name in columns)]

    write_csv(file, [*KEYS, *told, *columns], map(cells, rows), mark=True)


def read_repairs(path: Path, columns: Sequence[str]) -> dict[tuple[str, str], list[Cells]]:
    """The lines of a repaired file by (delivery_id, row_hash). Columns may be left out: those stay as delivered.

    Raises:
        UsageError: It cannot be read, or its header or a line does not fit.
    """
    lines = read_csv(path)
    header = lines[0] if lines else []
    problems = [f"no column {name}" for name in KEYS if name not in header]
    unknown = [name for name in header if name not in (*KEYS, *_TOLD, *columns)]
    problems += [f"column {name!r} is not of the source{nearest(name, columns)}" for name in unknown]
    problems += [f"column {name!r} stands twice" for name in sorted({one for one in header if header.count(one) > 1})]
    wrong = [number for number, line in enumerate(lines, start=1) if len(line) != len(header)]
    problems += [f"line {number} has {len(lines[number - 1])} cells, not {len(header)}" for number in wrong[:5]]
    if problems:
        raise UsageError(
            f"{path} is no file of repaired rows: {'; '.join(problems)}",
            next_step="start from the file that `churnlake quarantine show --to FILE.csv` writes",
        )
    repairs: dict[tuple[str, str], list[Cells]] = {}
    for line in lines[1:]:
        given = dict(zip(header, line, strict=True))
        cells = {name: given[name] for name in columns if name in given}
        repairs.setdefault((restored(given["delivery_id"]), restored(given["row_hash"])), []).append(cells)
    return repairs


def choose(quarantine: Quarantine, wanted: Wanted) -> Selection:
    """Every open row that fits, by the text it was delivered with."""
    return Selection(tuple(Repaired(row, row.text or {}) for row in quarantine.rows(wanted)))


def choose_repaired(
    quarantine: Quarantine, wanted: Wanted, repairs: Mapping[tuple[str, str], Sequence[Cells]]
) -> Selection:
    """The open rows that repaired lines are about, each by its repaired text.

    Equal rows of one delivery take the lines in order. A line whose text was let in before is passed over, so that the
    same file can be given again.

    Raises:
        UsageError: A line is about a row that was never set aside.
    """
    about = Wanted(wanted.source, row_hashes=tuple({row_hash for _, row_hash in repairs}))
    strangers = sorted(set(repairs) - quarantine.seen(about)) if repairs else []
    if strangers:
        named = ", ".join(f"{row_hash} of {delivery}" for delivery, row_hash in strangers[:3])
        raise UsageError(
            f"{len(strangers):,} repaired lines are about rows of {wanted.source} that were never set aside: {named}",
            next_step="leave row_hash and delivery_id as `churnlake quarantine show --to FILE.csv` wrote them",
        )
    entered: dict[tuple[str, str], list[Text]] = {}
    for row in quarantine.rows(about, "released"):
        entered.setdefault(row.key, []).append(_present(row.text or {}))
    held: dict[tuple[str, str], list[Row]] = {}
    for row in quarantine.rows(about):
        held.setdefault(row.key, []).append(row)
    matched = {key: _matched(rows, repairs[key], entered.get(key, [])) for key, rows in held.items() if key in repairs}
    gone = sum(map(len, repairs.values())) - sum(map(len, matched.values()))
    asked = {row.key for row in quarantine.rows(wanted)} if wanted != Wanted(wanted.source) else set(matched)
    return Selection(tuple(one for key, rows in matched.items() if key in asked for one in rows), gone)


def _matched(rows: Sequence[Row], lines: Sequence[Cells], entered: Sequence[Text]) -> list[Repaired]:
    """Equal rows with the lines about them that were not let in yet."""
    before = list(entered)
    waiting = []
    for cells in lines:
        one = repair(rows[0], cells)
        if _present(one.text) in before:
            before.remove(_present(one.text))
        else:
            waiting.append(cells)
    return [repair(row, cells) for row, cells in zip(rows, waiting, strict=False)]


def repair(row: Row, cells: Cells) -> Repaired:
    """The row with the text of those cells that differ from what was written for it."""
    text = dict(row.text or {})
    changed = tuple(name for name, cell in cells.items() if cell != _cell(text.get(name)))
    return Repaired(row, text | {name: restored(cells[name]) or None for name in changed}, changed)


def changed_cells(selection: Selection) -> dict[str, int]:
    """How many cells of each column a person changed: what a spreadsheet spoilt by itself shows here."""
    return dict(Counter(name for one in selection.rows for name in one.changed))


def _cell(text: str | None) -> str:
    return "" if text is None else escaped(text)


def _present(text: Text) -> dict[str, str]:
    return {name: value for name, value in text.items() if value is not None}
