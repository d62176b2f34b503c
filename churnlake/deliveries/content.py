"""The bytes of a delivery: its size and digest, its text read to the end, and what it is when it is something else."""

import codecs
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from churnlake.contract.source import Source
from churnlake.deliveries.encoding import UTF16_MARKS, Decoding, alien_encoding, undecodable

_CHUNK = 1 << 20
_HEAD = 1 << 16
# First bytes that name a format, what it is called and what to do about it; None: deliver what the contract says.
_SIGNATURES = (
    (b"\x1f\x8b", "gzip data", "name it .gz"),
    (b"PK\x03\x04", "a zip archive or an Excel workbook", "unpack it, or save the sheet as CSV"),
    (b"PAR1", "a Parquet file", None),
    (b"PARE", "an encrypted Parquet file", None),
    (b"%PDF", "a PDF document", None),
    (b"SQLite format 3", "a SQLite database", "export the table"),
)
# What the contract's formats are called in a sentence.
WANTED = {
    "csv": "CSV text",
    "text": "text of the contract's pattern",
    "json": "JSON lines (one object per line)",
    "parquet": "a parquet file",
}
_SHORT = {"csv": "CSV", "text": "such text", "json": "one JSON object per line", "parquet": "Parquet"}
_LINE_END = re.compile("\r\n|\r|\n")


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
    """What reading a text to its end told: its first 64 KB, its bytes in its encoding, whether it has rows.

    Its rows begin after `rows_at` lines.
    """

    head: bytes
    decoding: Decoding
    rows_at: int
    has_rows: bool

    @property
    def has_mark(self) -> bool:
        """Whether a byte order mark stands before it that its encoding can do without."""
        return self.decoding.encoding == "utf-8" and self.head.startswith(codecs.BOM_UTF8)

    @property
    def lines(self) -> list[str]:
        """The lines of its head, without a line that goes on beyond it."""
        # The head may end inside a character; whether the text is of its encoding is judged apart.
        lines = _lines(codecs.getincrementaldecoder(self.decoding.encoding)("ignore").decode(self.head))
        return lines if self.decoding.bytes == len(self.head) or len(lines) == 1 else lines[:-1]

    @property
    def rows(self) -> list[str]:
        """The lines of its head that are rows: after what stands above them, and not blank."""
        return [line for line in self.lines[self.rows_at :] if line.strip()]


def _lines(text: str) -> list[str]:
    return _LINE_END.split(text.removeprefix("\ufeff"))


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


def read_text(path: Path, source: Source) -> Text | str:
    """Reads to the end: gzip checks its sum there, and one wrong byte may stand anywhere. A sentence when it cannot."""
    try:
        return _read_through(path, source)
    except (gzip.BadGzipFile, EOFError, zlib.error) as problem:
        return f"cannot be unpacked ({problem}): it is broken or no gzip file; deliver it again"


def _read_through(path: Path, source: Source) -> Text:
    told = Decoding(source.encoding)
    rows_at = source.header_lines if source.format == "text" else int(source.format == "csv" and source.header)
    with open_text(path) as file:
        head = file.read(_HEAD)
        has_rows = any(line.strip() for line in _lines(told.take(head))[rows_at:])
        while piece := file.read(_CHUNK):
            text = told.take(piece)
            has_rows = has_rows or bool(text.strip())
    told.take(b"", final=True)
    return Text(head, told, rows_at, has_rows)


def text_problems(path: Path, text: Text, source: Source) -> Iterator[str]:
    """Why a text is none of the kind that csv, text and json are made of; the first reason is enough."""
    alien = alien_format(text.head, source) or alien_encoding(text.head, text.decoding, source)
    if alien or not text.head.strip():
        yield alien or "is empty once unpacked: deliver it again"
    elif text.decoding.wrong_byte is not None:
        with open_text(path) as file:
            yield undecodable(file, text.decoding.wrong_byte, source)
    elif text.decoding.nul_byte is not None:
        yield f"holds a NUL byte (first at byte {text.decoding.nul_byte:,}), which no text does: deliver it again"


def alien_format(head: bytes, source: Source) -> str | None:
    """What a file is that is not of the contract's format, told by its first bytes; None when it may be of it."""
    for signature, name, advice in _SIGNATURES:
        if head.startswith(signature) and not (source.format == "parquet" and signature == b"PAR1"):
            return _instead(source, f"is {name}", advice)
    begins = head.removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    has_nul = b"\x00" in head and source.encoding != "utf-16" and not head.startswith(UTF16_MARKS)
    if source.format in ("csv", "text") and has_nul:
        return _instead(source, "is binary (it holds NUL bytes)", None)
    if source.format == "csv" and begins in (b"{", b"["):
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
