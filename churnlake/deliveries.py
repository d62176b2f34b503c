"""Deliveries: the files of a source, found by their path and inspected before any engine reads them."""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from churnlake.contract.expressions import nearest
from churnlake.contract.schema import Contract, Source, slot_pattern
from churnlake.errors import DataRefusedError

_CHUNK = 1 << 20
# First bytes that name a format other than delimited text.
_SIGNATURES = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"PAR1", "a Parquet file", "deliver CSV, as the contract says"),
    (b"\xff\xfe", "UTF-16 text (byte mark FF FE)", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text (byte mark FE FF)", "save it as UTF-8"),
    (b"%PDF", "a PDF document", "deliver CSV, as the contract says"),
    (b"SQLite format 3", "a SQLite database", "export the table as CSV"),
)


@dataclass(frozen=True)
class File:
    """A file that fits a source's path. `path` is relative to the contract's folder; `slot` is the date in it."""

    source: str
    path: str
    slot: date


@dataclass(frozen=True)
class Inspected:
    """What one whole read of a delivery's bytes told: its size, digest and the problems that forbid using it."""

    bytes: int
    sha256: str
    problems: tuple[str, ...]

    def delivery_id(self, slot: date) -> str:
        """Names the delivery for ever: the same bytes for the same slot have the same id, on any machine."""
        return f"{slot:%Y-%m-%d}-{self.sha256[:16]}"


def find_files(contract: Contract, name: str) -> tuple[File, ...]:
    """The files of a source, ordered by slot. A date that does not exist (2011-02-30) is refused by name.

    Raises:
        DataRefusedError: A path holds an impossible date, or two files claim one slot.
    """
    source = contract.sources[name]
    pattern = slot_pattern(source)
    by_slot: dict[date, File] = {}
    for path in sorted(contract.folder.glob(source.path.format(business_date="*"))):
        relative = path.relative_to(contract.folder).as_posix()
        match = pattern.fullmatch(relative)
        if match is None or not path.is_file():
            continue
        slot = _slot(relative, match["business_date"])
        if slot in by_slot:
            raise DataRefusedError(f"{relative} and {by_slot[slot].path} are both for {slot}", next_step="keep one of them")
        by_slot[slot] = File(name, relative, slot)
    return tuple(by_slot[slot] for slot in sorted(by_slot))


def _slot(path: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise DataRefusedError(f"{path}: {text} is no date", next_step="name the file after the day it is for") from None


def inspect(path: Path, source: Source) -> Inspected:
    """Reads the file once, whole: size, sha256, and whether it is what the contract says it is."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Inspected(size, digest.hexdigest(), tuple(_problems(path, size, source)))


def _problems(path: Path, size: int, source: Source) -> Iterator[str]:
    if size == 0:
        yield "is empty (0 bytes)"
        return
    try:
        head, lines = _head_and_lines(path)
    except (OSError, EOFError, zlib.error) as problem:
        yield f"cannot be unpacked: {problem}"
        return
    alien = _alien_format(head)
    if alien:
        yield alien
        return
    yield from _header_problems(head, source)
    if lines < 2:
        yield "has a header and no rows"


def _head_and_lines(path: Path) -> tuple[bytes, int]:
    """The first 64 KB unpacked, and the number of lines (2 means 'at least two'); reads to the end, so gzip checks its sum."""
    opened = gzip.open(path) if path.suffix == ".gz" else path.open("rb")
    with opened as file:
        head = file.read(1 << 16)
        lines = len(head.rstrip(b"\r\n").splitlines())
        while path.suffix == ".gz" and (more := file.read(_CHUNK)):
            lines += 2 if more.strip() else 0
        if path.suffix != ".gz" and lines < 2:
            lines += 2 if file.read(1) else 0
    return head, lines


def _alien_format(head: bytes) -> str | None:
    for signature, name, advice in _SIGNATURES:
        if head.startswith(signature):
            return f"is {name}, not CSV text: {advice}"
    if b"\x00" in head:
        return "is binary (it holds NUL bytes), not CSV text: deliver CSV, as the contract says"
    if head.lstrip()[:1] in (b"{", b"["):
        return "looks like JSON, not CSV text: deliver CSV, as the contract says"
    return None


def _header_problems(head: bytes, source: Source) -> Iterator[str]:
    try:
        text = head.decode("utf-8-sig", errors="strict" if len(head) < (1 << 16) else "ignore")
    except UnicodeDecodeError as problem:
        yield f"is not UTF-8 (byte {head[problem.start]:#04x} at {problem.start}): save it as UTF-8"
        return
    header = next(csv.reader(io.StringIO(text), delimiter=source.separator), [])
    expected = list(source.types)
    if header == expected:
        return
    missing = [name for name in expected if name not in header]
    extra = [name for name in header if name not in expected]
    repeated = sorted({name for name in header if header.count(name) > 1})
    for name in missing:
        yield f"column {name!r} is missing{nearest(name, extra)}".replace("did you mean", "was it renamed to")
    for name in extra:
        yield f"column {name!r} is not in the contract"
    for name in repeated:
        yield f"column {name!r} stands twice in the header"
    if not (missing or extra or repeated):
        yield f"columns are in another order: {', '.join(header)}; the contract says {', '.join(expected)}"
