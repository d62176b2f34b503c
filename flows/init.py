"""A first contract from sample files: asks what they cannot tell, links or copies them, writes it, and shows why."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

import typer

from churnlake.contract import load_contract
from churnlake.contract.values import typed_column
from churnlake.errors import DataRefusedError, UnavailableError, UsageError
from churnlake.starter import (
    CustomerChoice,
    Draft,
    OpenDate,
    Part,
    Rows,
    Table,
    contract_name,
    contract_text,
    decide_columns,
    decide_parts,
    draft_contract,
    find_customers,
    find_samples,
    read_tables,
)
from churnlake.starter.columns import Column
from churnlake.starter.dates import Order
from churnlake.starter.writing import told_files
from flows.console import Terminal

CONTRACT = "contract.toml"
# Names in the contract's folder under which files from elsewhere are found.
_SAMPLES, _RENAMED = "data", "daily"
_LOCALTIME = Path("/etc/localtime")


@dataclass(frozen=True)
class Wish:
    """What was asked for: where the contract goes, from which files, and what is known beforehand."""

    folder: Path
    files: Path
    order: Order | None = None
    customer: str | None = None
    copy: bool = False
    yes: bool = False


def told_order(*, day_first: bool, month_first: bool) -> Order | None:
    """The order that the flags tell, None where neither is given.

    Raises:
        UsageError: Both are given.
    """
    if day_first and month_first:
        raise UsageError("--day-first and --month-first exclude each other", next_step="give one of them")
    return "day_first" if day_first else "month_first" if month_first else None


def init(terminal: Terminal, wish: Wish, now: datetime) -> None:
    """Writes a commented contract for the sample files and says what was seen and decided.

    Raises:
        UsageError: There is a contract already, or a question that only a person can answer.
        DataRefusedError: The files cannot be used; all problems are named.
    """
    path = wish.folder / CONTRACT
    if path.exists():
        raise UsageError(
            f"{path} exists and is never overwritten", next_step="give another folder, or move that file away"
        )
    found = find_samples(wish.files)
    terminal.working(f"reading {wish.files}")
    rows, notes = read_tables(found)
    terminal.still()
    asks = _may_ask(terminal, wish)
    tables = _tables(rows, wish.order, asks=asks)
    parts, unused = decide_parts(tables, _customers(tables, wish.customer, asks=asks))
    _refuse_without_events(parts, unused)
    zone = machine_zone()
    name = contract_name(wish.folder.resolve().name) or contract_name(found.tables[0].name)
    draft = draft_contract(name, parts, zone, now.astimezone(ZoneInfo(zone)).date())
    told = _write(wish, draft)
    load_contract(path)
    left_out = (*notes, *unused, *(one for table in tables for one in _odd_columns(table.rows)))
    terminal.document(_document(path, draft, tables, left_out))
    _show(terminal, path, draft, tables, [*left_out, *told])


def machine_zone() -> str:
    """The name of this machine's time zone; UTC where it has none."""
    linked = os.path.realpath(_LOCALTIME).partition("zoneinfo/")[2]
    named = (os.environ.get("TZ", "").lstrip(":"), linked)
    return next((zone for zone in named if zone in available_timezones()), "UTC")


def _may_ask(terminal: Terminal, wish: Wish) -> bool:
    return not (wish.yes or terminal.as_json) and sys.stdin.isatty()


def _tables(rows: Sequence[Rows], order: Order | None, *, asks: bool) -> list[Table]:
    decided = [decide_columns(one, order) for one in rows]
    open_dates = [one for _, found in decided for one in found]
    if not open_dates:
        return [table for table, _ in decided]
    readings = _told_readings(open_dates)
    if not asks:
        message = f"the data cannot tell the day from the month:\n{readings}"
        raise UsageError(message, next_step="run it again with --day-first or with --month-first")
    typer.echo(f"The data cannot tell the day from the month:\n{readings}")
    answer: Order = "day_first" if typer.confirm("Does the day come first?") else "month_first"
    return [decide_columns(one, answer)[0] for one in rows]


def _told_readings(open_dates: Sequence[OpenDate]) -> str:
    return "\n".join(
        f"  {one.table}.{one.column}: {one.readings.example} is {one.readings.day_first:%-d %B %Y} (day first) "
        f"or {one.readings.month_first:%-d %B %Y} (month first)"
        for one in open_dates
    )


def _customers(tables: Sequence[Table], told: str | None, *, asks: bool) -> Mapping[str, Column]:
    found = find_customers(tables, told)
    if isinstance(found, CustomerChoice):
        shown = ", ".join(found.candidates) or "none"
        if not asks:
            raise UsageError(
                f"no column's name says that it holds the customer; columns that may: {shown}",
                next_step="run it again with --customer COLUMN",
            )
        found = find_customers(tables, typer.prompt(f"Which column holds the customer? ({shown})"))
    if isinstance(found, CustomerChoice) or not found:
        known = ", ".join(dict.fromkeys(name for table in tables for name in table.columns))
        raise UsageError(f"no table has a column {told!r}; known: {known}", next_step="give --customer one of them")
    return found


def _refuse_without_events(parts: Sequence[Part], unused: Sequence[str]) -> None:
    """Lists of customers alone do not say who left."""
    if {"events", "subscriptions", "renewals", "labels"} & {part.role for part in parts}:
        return
    told = [f"{part.name}: {part.role}: {part.why}" for part in parts]
    raise DataRefusedError(
        "\n".join(["nothing in these files tells who left", *told, *unused]),
        next_step="add what customers do (a time in each row), their subscriptions (start and end), or a column churn",
    )


def _write(wish: Wish, draft: Draft) -> list[str]:
    """Puts the files within the contract's reach and writes it; what was done, in sentences."""
    root = wish.files if wish.files.is_dir() else wish.files.parent
    is_inside = root.resolve().is_relative_to(wish.folder.resolve())
    try:
        wish.folder.mkdir(parents=True, exist_ok=True)
        told = [] if is_inside else [_reach(wish, draft)]
        told += _rename(wish, draft, root)
        before = root.resolve().relative_to(wish.folder.resolve()) if is_inside else Path(_SAMPLES)
        paths = {
            source.part.name: (
                (Path(_RENAMED) if source.delivery.renamed else before) / source.delivery.path
            ).as_posix()
            for source in draft.sources
        }
        with (wish.folder / CONTRACT).open("x", encoding="utf-8") as file:
            file.write(contract_text(draft, paths))
    except OSError as problem:
        message = f"{problem.filename or wish.folder} cannot be written: {problem.strerror}"
        raise UnavailableError(message, next_step="make room or give a folder that you may write to") from problem
    return told


def _reach(wish: Wish, draft: Draft) -> str:
    """The samples below the contract's folder: by a link, which new files are seen through too, or copied."""
    place = wish.folder / _SAMPLES
    link, target = (place, wish.files) if wish.files.is_dir() else (place / wish.files.name, wish.files)
    if wish.copy:
        return _copy(place, draft)
    if not (link.is_symlink() and link.resolve() == target.resolve()):
        _refuse_taken(link)
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target.resolve())
    return f"{link} is a link to {target.resolve()}, which stays as it is (--copy copies the files instead)"


def _copy(place: Path, draft: Draft) -> str:
    _refuse_taken(place)
    files = {file.relative: file.path for one in draft.sources for file in one.part.table.rows.table.files}
    for relative, path in files.items():
        (place / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place / relative)
    return f"copied to {place}: {told_files(list(files))}"


def _refuse_taken(place: Path) -> None:
    if place.exists() or place.is_symlink():
        raise UsageError(f"{place} is taken by something else", next_step="give another folder, or move it away")


def _rename(wish: Wish, draft: Draft, root: Path) -> Iterator[str]:
    """Files whose names write the date in another way, under names with 2026-01-31."""
    for source in draft.sources:
        for before, after in source.delivery.renamed.items():
            place = wish.folder / _RENAMED / after
            _refuse_taken(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            if wish.copy:
                shutil.copyfile(root / before, place)
            else:
                place.symlink_to((root / before).resolve())
        if source.delivery.renamed:
            first = next(iter(source.delivery.renamed.items()))
            yield (
                f"{source.part.name}: a contract reads dates as 2026-01-31, so {first[0]} is {_RENAMED}/{first[1]} "
                "here; put new files there under such names"
            )


def _odd_columns(rows: Rows) -> Iterator[str]:
    if rows.unnameable:
        told = "a contract has no way to name them (letters, digits, blanks and _) or they hold lists"
        yield f"{rows.table.name}: left out {', '.join(rows.unnameable)}: {told}; rename them to use them"
    if rows.differing:
        yield f"{rows.table.name}: other columns than the first file in {', '.join(rows.differing[:5])}"


def _document(path: Path, draft: Draft, tables: Sequence[Table], left_out: Sequence[str]) -> dict[str, object]:
    return {
        "contract": str(path),
        "definition": draft.definition.value,
        "horizon_days": int(draft.horizon_days.value),
        "sources": [
            {
                "source": one.part.name,
                "role": one.part.role,
                "delivery": one.delivery.kind,
                "rows_read": one.part.table.rows.count,
                "columns": {name: mapped.sql for name, mapped in one.part.columns.items()},
            }
            for one in draft.sources
        ],
        "types": {table.name: {one.name: one.type for one in table.columns.values()} for table in tables},
        "check": list(draft.checks),
        "left_out": list(left_out),
        "exit_code": 0,
    }


def _show(terminal: Terminal, path: Path, draft: Draft, tables: Sequence[Table], told: Sequence[str]) -> None:
    for table in tables:
        _show_table(terminal, draft, table)
    for line in told:
        terminal.say(f"note: {line}")
    if told:
        terminal.say()
    terminal.say(f"churn: {draft.definition.value}: {draft.definition.why}")
    terminal.say(f"horizon: {draft.horizon_days.value} days: {draft.horizon_days.why}")
    if draft.rhythm is not None and draft.rhythm.returning is not None:
        share = f"{draft.rhythm.returning:.0%}"
        terminal.say(f"  of silences longer than that, {share} ended with a return in these files")
    terminal.say()
    for check in draft.checks:
        terminal.say(f"CHECK {check}")
    terminal.say(f"written: {path}")
    terminal.say(f"next: read its CHECK lines, then churnlake check {path}")


def _show_table(terminal: Terminal, draft: Draft, table: Table) -> None:
    rows, sources = table.rows, [one for one in draft.sources if one.part.table is table]
    files, written = told_files(rows.table.files), rows.dialect.told if rows.dialect else rows.table.format
    read = f"{rows.count:,} rows read{'' if rows.whole else ' (there are more)'}"
    terminal.say(f"{table.name}: {files}, {written}, {read}")
    for one in sources:
        terminal.say(f"  {one.part.name}: {one.part.role}: {one.part.why}")
        terminal.say(f"  {one.delivery.kind}: {one.delivery.why}")
    mapped = [(name, told.sql) for one in sources for name, told in one.part.columns.items()]
    lines = [
        (f"  {one.name}", one.seen, one.type, ", ".join(name for name, sql in mapped if mentions(sql, one)), one.why)
        for one in table.columns.values()
    ]
    terminal.table(["  column", "seen", "type", "stands for", "why"], lines)
    terminal.say()


def mentions(sql: str, column: Column) -> bool:
    """Whether an expression reads the column."""
    name = typed_column(column.name)
    return f"`{name}`" in sql or re.search(rf"(?<![\w'`]){re.escape(name)}(?![\w'`])", sql) is not None
