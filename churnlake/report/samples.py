"""Rows that were set aside, as people may see them: nobody's id, nothing long, and nothing that steers a reader."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup, escape

from churnlake.contract.expressions import parse_expression
from churnlake.contract.schema import Contract
from churnlake.contract.source import Source
from churnlake.contract.values import landed_column, typed_column
from churnlake.ledger import Ledger
from churnlake.quarantine import CORRUPT, Quarantine, Row, Wanted
from churnlake.report.account import Account

SHOWN = 3
"""Rows of each reason: enough to see what is wrong."""

REASONS = 20
"""Reasons that have samples, the most frequent ones: each costs a look into the table."""

LOOKED_AT = 30
"""Rows among which those are preferred that were set aside for the reason before any other."""

WIDTH = 80
"""Characters of a value that are shown."""

MASK = "•••"

_UNSHOWN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
_LEAST_ID = 4


@dataclass(frozen=True)
class Cell:
    """A column's text; None for no value. A masked one holds no text."""

    column: str
    text: str | None
    is_masked: bool = False


@dataclass(frozen=True)
class Sample:
    """One row. `whole_line` counts its characters where it is no row of columns and nothing of it may be shown."""

    file: str
    record_number: int | None
    reasons: tuple[str, ...]
    cells: tuple[Cell, ...]
    whole_line: int | None = None


@dataclass(frozen=True)
class Group:
    """The samples of one reason."""

    source: str
    reason: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Samples:
    """Samples by reason, or why there are none."""

    groups: tuple[Group, ...] = ()
    left_out: str | None = None


def read_samples(lake: Path, ledger: Ledger, contract: Contract | None, account: Account) -> Samples:
    """Up to three rows of each reason that are still held. A page is made without them rather than not at all."""
    if contract is None:
        return Samples(left_out="the contract cannot be read, so nobody knows which columns name a customer")
    told_by = {run.run_id: run.contract_digest for run in ledger.runs(account.contract)}
    # Under other words of the contract another column may have held the id.
    deliveries = tuple(
        one.delivery_id for one in account.arrivals if told_by.get(one.run_id) == contract.digest and one.quarantined
    )
    if not deliveries:
        held = any(one.quarantined for one in account.arrivals)
        return Samples(left_out="the contract has changed since these rows were set aside" if held else None)
    try:
        table = Quarantine.open(lake, ledger.deliveries(account.contract))
        return Samples(tuple(_groups(table, contract, account, deliveries)))
    except Exception as problem:  # noqa: BLE001 - whatever becomes of a sample, the numbers are shown
        return Samples(left_out=f"the quarantine cannot be read: {problem}")


def _groups(table: Quarantine, contract: Contract, account: Account, deliveries: tuple[str, ...]) -> Iterator[Group]:
    held = sorted((one for one in account.whys if one.bucket == "quarantined"), key=lambda one: -one.rows)
    for why in sorted(held[:REASONS], key=lambda one: (one.source, -one.rows, one.reason)):
        if why.source not in contract.sources:
            continue
        wanted = Wanted(source=why.source, reasons=(why.reason,), deliveries=deliveries)
        found = table.rows(wanted, limit=LOOKED_AT)
        rows = sorted((row for row in found if row.text is not None), key=lambda row: row.reasons[:1] != (why.reason,))
        if rows:
            yield Group(why.source, why.reason, tuple(as_samples(rows, contract.sources[why.source])[:SHOWN]))


def as_samples(rows: Sequence[Row], source: Source) -> list[Sample]:
    """Rows with every column masked that the contract's customer_id is made from, or that holds the text of one."""
    plain = _plain_columns(source)
    texts = [text for row in rows for text in (row.text or {}).items()]
    ids = {value for column, value in texts if column.lower() not in plain | {CORRUPT} and value}
    return [_sample(row, plain, ids) for row in rows]


def _sample(row: Row, plain: Collection[str], ids: Collection[str]) -> Sample:
    text = dict(row.text or {})
    line = text.pop(CORRUPT, None)
    if line is not None or "bad_shape" in row.reasons:
        # Its fields stand in wrong columns: the id may be anywhere.
        told = len(line) if line is not None else sum(len(value or "") for value in text.values())
        return Sample(row.file, row.record_number, row.reasons, (), whole_line=told)
    cells = (_cell(column, value, plain, ids) for column, value in text.items())
    return Sample(row.file, row.record_number, row.reasons, tuple(cells))


def _plain_columns(source: Source) -> frozenset[str]:
    """Columns of the lake, lowered, that say nothing about who it is."""
    named = parse_expression(source.columns["customer_id"], source.typed)
    if isinstance(named, str):
        return frozenset()
    ids = {column.lower() for column in named.columns}
    return frozenset(landed_column(name).lower() for name in source.types if typed_column(name).lower() not in ids)


def _cell(column: str, value: str | None, plain: Collection[str], ids: Collection[str]) -> Cell:
    if value is None:
        return Cell(column, None)
    tells = any(value == one or (len(one) >= _LEAST_ID and one in value) for one in ids)
    return Cell(column, None, is_masked=True) if column.lower() not in plain or tells else Cell(column, value)


def visible(text: object, width: int | None = None) -> Markup:
    """Text of data for a page: cut to a width, and what has no shape or turns the line around shown as its number."""
    whole = str(text)
    cut = whole if width is None else whole[:width]
    shown = Markup("").join(_shown(one) for one in cut)
    if len(cut) == len(whole):
        return shown
    return shown + Markup('<span class="odd">… {} characters</span>').format(f"{len(whole):,}")


def _shown(character: str) -> Markup:
    kind = unicodedata.category(character)
    if kind in _UNSHOWN or (kind == "Zs" and character != " ") or kind == "Me":
        return Markup('<span class="odd">{}</span>').format(_number(character))
    return escape(character)


def _number(character: str) -> str:
    names: Mapping[str, str] = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
    return names.get(character) or character.encode("unicode_escape", "surrogatepass").decode()
