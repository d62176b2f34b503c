"""Rows that were set aside: listing them, showing them, writing them for repair, and letting them back in."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from churnlake.contract.expressions import nearest
from churnlake.errors import UsageError
from churnlake.quarantine import CORRUPT, STATUSES, Group, Quarantine, Row, Status, Wanted
from churnlake.repairs import repair_columns, write_repairs
from churnlake.spreadsheet import write_whole
from flows.console import Terminal, inert
from flows.shift import Shift, carry_out
from flows.summary import nearest_path, own_command


@dataclass(frozen=True)
class Asked:
    """What a verb was given to choose rows by, before the contract has said whether it can be."""

    source: str | None = None
    slot: date | None = None
    files: Sequence[str] = ()
    reasons: Sequence[str] = ()
    deliveries: Sequence[str] = ()
    row_hashes: Sequence[str] = ()
    status: str = "held"

    def wanted(self, sources: Collection[str]) -> Wanted:
        """The same as a question to the quarantine.

        Raises:
            UsageError: The contract has no such source.
        """
        if self.source is not None and self.source not in sources:
            raise UsageError(
                f"the contract has no source {self.source!r}{nearest(self.source, sources)}",
                next_step=f"--source {' or '.join(sources)}",
            )
        narrowing = (self.files, self.reasons, self.deliveries, self.row_hashes)
        return Wanted(self.source, self.slot, *map(tuple, narrowing))

    def known_status(self) -> Status:
        """The status that was asked for.

        Raises:
            UsageError: There is no such status.
        """
        for status in STATUSES:
            if status == self.status:
                return status
        raise UsageError(
            f"--status must be one of {', '.join(STATUSES)}; got {self.status!r}", next_step="--status held"
        )


def open_quarantine(shift: Shift) -> Quarantine:
    """The contract's quarantine as it is now."""
    name = shift.contract.name
    return Quarantine.open(shift.settings.lake(name), shift.ledger.deliveries(name))


def show_groups(terminal: Terminal, shift: Shift, asked: Asked) -> None:
    """Rows by file and first reason, since when, and what to type next."""
    status = asked.known_status()
    groups = open_quarantine(shift).groups(asked.wanted(shift.contract.sources), status)
    total = sum(one.rows for one in groups)
    name = shift.contract.name
    terminal.document(
        {"contract": name, "status": status, "rows": total, "groups": [asdict(one) for one in groups], "exit_code": 0}
    )
    terminal.say(f"{name}: {_counted(total, 'row')} {status}")
    if not groups:
        return
    # A row that was let in has a reason only where it became no fact.
    lines = [(one.source, one.file, one.reason or "a fact now", one.rows, one.since) for one in groups]
    terminal.table(("source", "file", "reason", "rows", "since"), lines)
    if status == "held":
        _say_next(terminal, shift, max(groups, key=lambda one: one.rows))


def _say_next(terminal: Terminal, shift: Shift, group: Group) -> None:
    chosen = f"{_contract(shift)} --source {shlex.quote(group.source)}"
    terminal.say(f"Look:    {own_command()} quarantine show {chosen} --file {shlex.quote(group.file)}")
    terminal.say(
        f"Repair:  {own_command()} quarantine show {chosen} --reason {shlex.quote(group.reason)} --to rows.csv"
    )
    terminal.say(f'Let in:  {own_command()} quarantine release {chosen} --why "TEXT" --repaired rows.csv --dry-run')


def show_rows(terminal: Terminal, shift: Shift, asked: Asked, limit: int) -> None:
    """The rows themselves, each with its place, the rules it breaks and its text."""
    status, wanted = asked.known_status(), asked.wanted(shift.contract.sources)
    quarantine = open_quarantine(shift)
    rows, total = quarantine.rows(wanted, status, limit), quarantine.count(wanted, status)
    shown = [asdict(row) for row in rows]
    terminal.document(
        {"contract": shift.contract.name, "status": status, "rows": total, "shown": shown, "exit_code": 0}
    )
    for row in rows:
        _show_row(terminal, row)
    more = f", {len(rows):,} shown; --limit N or --to FILE.csv gives more" if len(rows) < total else ""
    terminal.say(f"({_counted(total, 'row')} {status}{more})")


def _show_row(terminal: Terminal, row: Row) -> None:
    record = "" if row.record_number is None else f" record {row.record_number:,}"
    terminal.say(f"{row.file}{record}")
    terminal.say(f"  delivery {row.delivery_id}  row_hash {row.row_hash}")
    terminal.say(f"  {row.status} since {row.known_date}  reasons: {', '.join(row.reasons) or 'none'}")
    if row.text is None:
        terminal.say("  its text is gone: it was kept no longer")
        return
    text = {CORRUPT: row.text[CORRUPT]} if row.text.get(CORRUPT) is not None else row.text
    for name, value in text.items():
        terminal.say(f"    {inert(name)} = {'null' if value is None else inert(value)}")


def write_rows(terminal: Terminal, shift: Shift, asked: Asked, to: Path, *, force: bool) -> None:
    """Writes the open rows of one source as a table for repair.

    Raises:
        UsageError: The source is not clear, the file is there already, or the rows' text is not kept.
    """
    wanted = asked.wanted(shift.contract.sources)
    source = _one_source(shift, wanted)
    if asked.known_status() != "held":
        raise UsageError("only held rows can be repaired", next_step="leave --status out")
    rows = open_quarantine(shift).rows(Wanted(source, *_narrowing(wanted)))
    columns = repair_columns(shift.contract.sources[source])
    write_whole(to, lambda file: write_repairs(file, columns, rows), force=force)
    terminal.document({"contract": shift.contract.name, "rows": len(rows), "file": str(to), "exit_code": 0})
    terminal.say(f"{_counted(len(rows), 'row')} held of {source} written to {to}")
    chosen = f"{_contract(shift)} --source {source} --repaired {shlex.quote(nearest_path(to))}"
    terminal.say("Change the cells that are wrong; leave row_hash and delivery_id; import ids and numbers as text.")
    terminal.say(f'Then:  {own_command()} quarantine release {chosen} --why "TEXT" --dry-run')


def _narrowing(wanted: Wanted) -> tuple[Any, ...]:
    return wanted.slot, wanted.files, wanted.reasons, wanted.deliveries, wanted.row_hashes


def _one_source(shift: Shift, wanted: Wanted) -> str:
    sources = list(shift.contract.sources)
    if wanted.source is None and len(sources) > 1:
        raise UsageError("each source has columns of its own", next_step=f"add --source {' or '.join(sources)}")
    return wanted.source or sources[0]


def _contract(shift: Shift) -> str:
    return shlex.quote(nearest_path(shift.contract.path))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class Wish:
    """A release that is asked for: which rows, why, by which repaired texts, and whether only to try."""

    asked: Asked
    why: str
    repaired: Path | None = None
    dry_run: bool = False

    def options(self) -> tuple[str, ...]:
        """What the job is told, as arguments of its command."""
        named = {
            "source": (self.asked.source or "",),
            "why": (self.why,),
            "slot": () if self.asked.slot is None else (f"{self.asked.slot}",),
            "file": self.asked.files,
            "reason": self.asked.reasons,
            "delivery": self.asked.deliveries,
            "row-hash": self.asked.row_hashes,
            # The job runs in another folder.
            "repaired": () if self.repaired is None else (str(self.repaired.absolute()),),
        }
        # Joined by =: a text that begins with a dash is no option of its own.
        told = [f"--{name}={value}" for name, values in named.items() for value in values]
        return (*told, *(["--dry-run"] if self.dry_run else []))


def plan_release(shift: Shift, wish: Wish) -> None:
    """Puts the release on the agenda.

    Raises:
        UsageError: The source is unknown or not named, or no reason is given.
    """
    _one_source(shift, wish.asked.wanted(shift.contract.sources))
    if wish.asked.source is None:
        raise UsageError(
            "a release is about one source", next_step=f"add --source {next(iter(shift.contract.sources))}"
        )
    if not wish.why.strip():
        raise UsageError("a release needs a reason; it is kept with it", next_step="--why TEXT")
    if wish.repaired is not None and not wish.repaired.is_file():
        raise UsageError(f"there is no file {wish.repaired}", next_step="--repaired FILE.csv")
    shift.plan_release(wish.options())


def release(terminal: Terminal, shift: Shift) -> None:
    """Carries the planned release out, in a process of its own, and tells what became of each row."""
    carry_out(shift)
    counts: Mapping[str, Any] = {}
    for run in shift.runs:
        counts = next(stage.counts for stage in shift.ledger.stages(run.run_id) if stage.stage == "release")
    terminal.document({"contract": shift.contract.name, **counts, "said": shift.said, "exit_code": 0})
    for line in shift.said:
        terminal.say(line)
    if counts.get("dry_run"):
        terminal.say("Next:  the same command without --dry-run")
    elif counts.get("release") is not None:
        terminal.say(f"Next:  {own_command()} run {_contract(shift)}")
