"""Inspecting a delivery: one whole read tells what it is, before any engine reads it."""

import codecs
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
from churnlake.contract.schema import Source
from churnlake.deliveries.layout import Field, Layout

_CHUNK = 1 << 20
# First bytes that name a format other than delimited text.
_SIGNATURES = (
    (b"\x1f\x8b", "gzip data", "name it .gz"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"PAR1", "a Parquet file", "deliver CSV, as the contract says"),
    (b"\xff\xfe", "UTF-16 text (byte mark FF FE)", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text (byte mark FE FF)", "save it as UTF-8"),
    (b"%PDF", "a PDF document", "deliver CSV, as the contract says"),
    (b"SQLite format 3", "a SQLite database", "export the table as CSV"),
)


@dataclass(frozen=True)
class Inspected:
    """What one whole read of a delivery told: its size, digest, the problems that forbid using it, its columns."""

    bytes: int
    sha256: str
    problems: tuple[str, ...]
    layout: Layout = ()

    def delivery_id(self, slot: date) -> str:
        """Names the delivery for ever: the same bytes for the same slot have the same id, on any machine."""
        return f"{slot:%Y-%m-%d}-{self.sha256[:16]}"


def inspect(path: Path, source: Source) -> Inspected:
    """Reads the file once, whole: size, sha256, and whether it is what the contract says it is."""
    digest = hashlib.sha256()
    size = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
        problems = tuple(_problems(path, size, source))
    except OSError as problem:
        problems = (f"cannot be read ({problem.strerror or problem}): check its owner and rights",)
    return Inspected(size, digest.hexdigest(), problems, tuple(Field(name, name) for name in source.types))


@dataclass(frozen=True)
class _Content:
    """What reading a file to its end told: its first 64 KB, whether anything stands below its header, wrong bytes."""

    head: bytes
    has_rows: bool
    wrong_byte: int | None


def _problems(path: Path, size: int, source: Source) -> Iterator[str]:
    if size == 0:
        yield "is empty (0 bytes): deliver it again"
        return
    try:
        content = _read_through(path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        yield f"cannot be unpacked ({problem}): it is broken or no gzip file; deliver it again"
        return
    alien = _alien_format(content.head)
    if alien or not content.head.strip():
        yield alien or "is empty once unpacked: deliver it again"
        return
    if content.wrong_byte is not None:
        yield f"is not UTF-8 text (first at byte {content.wrong_byte:,}): save it as UTF-8"
        return
    yield from _header_problems(content.head, source)
    if not content.has_rows:
        yield "has a header and no rows: deliver it with its rows, or declare the day closed"


def _read_through(path: Path) -> _Content:
    """Reads to the end: gzip checks its sum there, and one wrong byte may stand anywhere."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read, wrong, has_rows = 0, None, False
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        head = file.read(1 << 16)
        has_rows = len(head.strip(b"\r\n").splitlines()) > 1
        chunk = head
        while chunk:
            has_rows = has_rows or (read > 0 and bool(chunk.strip()))
            wrong = _wrong_byte(decoder, chunk, read) if wrong is None else wrong
            read += len(chunk)
            chunk = file.read(_CHUNK)
    return _Content(head, has_rows, _wrong_byte(decoder, b"", read, final=True) if wrong is None else wrong)


def _wrong_byte(decoder: codecs.IncrementalDecoder, chunk: bytes, before: int, *, final: bool = False) -> int | None:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as problem:
        return before - pending + problem.start
    return None


def _alien_format(head: bytes) -> str | None:
    for signature, name, advice in _SIGNATURES:
        if head.startswith(signature):
            return f"is {name}, not CSV text: {advice}"
    if b"\x00" in head:
        return "is binary (it holds NUL bytes), not CSV text: deliver CSV, as the contract says"
    if head.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"{", b"["):
        return "looks like JSON, not CSV text: deliver CSV, as the contract says"
    return None


def _header_problems(head: bytes, source: Source) -> Iterator[str]:
    # The head may end inside a character; whether the text is UTF-8 was judged before.
    text = head.decode("utf-8-sig", errors="ignore")
    # newline="": the reader itself knows all three line ends.
    header = next(csv.reader(io.StringIO(text, newline=""), delimiter=source.separator), [])
    expected = list(source.types)
    if header == expected:
        return
    missing = [name for name in expected if name not in header]
    extra = [name for name in header if name not in expected]
    for name in missing:
        yield f"column {name!r} is missing{nearest(name, extra)}".replace("did you mean", "was it renamed to")
    for name in dict.fromkeys(extra):
        yield f"column {name!r} is not in the contract; known: {', '.join(expected)}"
    repeated = sorted({name for name in header if header.count(name) > 1})
    for name in repeated:
        yield f"column {name!r} stands {header.count(name)} times in the header"
    if not (missing or extra or repeated):
        yield f"columns are in another order: {', '.join(header)}; the contract says {', '.join(expected)}"
