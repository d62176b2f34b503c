"""The bytes of a delivery: its size and digest, its text read to the end, and what it is when it is something else."""

import codecs
import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from churnlake.contract.source import Source

_CHUNK = 1 << 20
_HEAD = 1 << 16
# First bytes that name a format, what it is called and what to do about it; None: deliver what the contract says.
_SIGNATURES = (
    (b"\x1f\x8b", "gzip data", "name it .gz"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"PAR1", "a Parquet file", None),
    (b"PARE", "an encrypted Parquet file", None),
    (b"\xff\xfe", "UTF-16 text (byte mark FF FE)", "save it as UTF-8"),
    (b"\xfe\xff", "UTF-16 text (byte mark FE FF)", "save it as UTF-8"),
    (b"%PDF", "a PDF document", None),
    (b"SQLite format 3", "a SQLite database", "export the table"),
)
# What the contract's formats are called in a sentence.
WANTED = {"csv": "CSV text", "json": "JSON lines (one object per line)", "parquet": "a parquet file"}
_SHORT = {"csv": "CSV", "json": "one JSON object per line", "parquet": "Parquet"}


class Stamp(NamedTuple):
    """What changes when somebody touches a file."""

    bytes: int
    modified_ns: int
    inode: int


class Digest(NamedTuple):
    """Size and sha256 of a file."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Text:
    """What reading a text to its end told: its first 64 KB, whether it has a second line, its first bad bytes."""

    head: bytes
    has_rows: bool
    wrong_byte: int | None
    nul_byte: int | None

    @property
    def has_mark(self) -> bool:
        """Whether a byte order mark stands before it."""
        return self.head.startswith(codecs.BOM_UTF8)


def stamp_of(path: Path) -> Stamp:
    """Size, time and place of the file as they are now."""
    told = path.stat()
    return Stamp(told.st_size, told.st_mtime_ns, told.st_ino)


def digest_of(path: Path) -> Digest:
    """Reads the file's bytes once, as they are."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Digest(size, digest.hexdigest())


def open_text(path: Path) -> BinaryIO:
    """The file's bytes, unpacked where its name ends in .gz."""
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def read_text(path: Path) -> Text | str:
    """Reads to the end: gzip checks its sum there, and one wrong byte may stand anywhere. A sentence when it cannot."""
    try:
        return _read_through(path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        return f"cannot be unpacked ({problem}): it is broken or no gzip file; deliver it again"


def _read_through(path: Path) -> Text:
    decoder = codecs.getincrementaldecoder("utf-8")()
    read, wrong, nul, has_rows = 0, None, None, False
    with open_text(path) as file:
        head = file.read(_HEAD)
        has_rows = len(head.strip(b"\r\n").splitlines()) > 1
        chunk = head
        while chunk:
            has_rows = has_rows or (read > 0 and bool(chunk.strip()))
            wrong = _wrong_byte(decoder, chunk, read) if wrong is None else wrong
            if nul is None and b"\x00" in chunk:
                nul = read + chunk.index(b"\x00")
            read += len(chunk)
            chunk = file.read(_CHUNK)
    wrong = _wrong_byte(decoder, b"", read, final=True) if wrong is None else wrong
    return Text(head, has_rows, wrong, nul)


def _wrong_byte(decoder: codecs.IncrementalDecoder, chunk: bytes, before: int, *, final: bool = False) -> int | None:
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as problem:
        return before - pending + problem.start
    return None


def text_problems(text: Text, source: Source) -> Iterator[str]:
    """Why a text is none of the kind that csv and json are made of; the first reason is enough."""
    alien = alien_format(text.head, source)
    if alien or not text.head.strip():
        yield alien or "is empty once unpacked: deliver it again"
    elif text.wrong_byte is not None:
        yield f"is not UTF-8 text (first at byte {text.wrong_byte:,}): save it as UTF-8"
    elif text.nul_byte is not None:
        yield f"holds a NUL byte (first at byte {text.nul_byte:,}), which no text does: deliver it again"


def alien_format(head: bytes, source: Source) -> str | None:
    """What a file is that is not of the contract's format, told by its first bytes; None when it may be of it."""
    for signature, name, advice in _SIGNATURES:
        if head.startswith(signature) and not (source.format == "parquet" and signature == b"PAR1"):
            return _instead(source, f"is {name}", advice)
    begins = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if source.format == "csv":
        if b"\x00" in head:
            return _instead(source, "is binary (it holds NUL bytes)", None)
        if begins in (b"{", b"["):
            return _instead(source, "looks like JSON", None)
    if source.format == "parquet" and not head.startswith(b"PAR1"):
        return _instead(source, _unlike_parquet(head, begins), None)
    return None


def _unlike_parquet(head: bytes, begins: bytes) -> str:
    if begins in (b"{", b"["):
        return "looks like JSON"
    return "is binary (it holds NUL bytes)" if b"\x00" in head else "looks like CSV or other text"


def _instead(source: Source, what: str, advice: str | None) -> str:
    todo = advice or f"deliver {_SHORT[source.format]}, as the contract says"
    return f"{what}, not {WANTED[source.format]}: {todo}"
