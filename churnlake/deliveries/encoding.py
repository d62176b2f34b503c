"""The encoding of a text: read piece by piece to its end, and named where it is another than the contract's."""

import codecs
from typing import BinaryIO

from churnlake.contract.source import Source

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_PIECE = 1 << 20
# First bytes that name an encoding.
_MARKS = ((codecs.BOM_UTF8, "utf-8"), *((mark, "utf-16") for mark in UTF16_MARKS))
# What the contract's encodings are called in a sentence.
_CALLED = {"utf-8": "UTF-8", "latin-1": "Latin-1", "cp1252": "cp1252", "utf-16": "UTF-16"}
# Nearly every byte is a character of these: only what else the bytes could be tells a wrong one.
_ONE_BYTE_EACH = ("latin-1", "cp1252")


class Decoding:
    """A text decoded piece by piece: how many bytes it has, and where the first stand that are none of its encoding.

    `is_utf8`: of a one-byte encoding, whether it has characters beyond ASCII, all of them whole in UTF-8.
    """

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        self.bytes = 0
        self.wrong_byte: int | None = None
        self.nul_byte: int | None = None
        self.is_ascii = True
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._as_utf8 = Decoding("utf-8") if encoding in _ONE_BYTE_EACH else None

    @property
    def is_utf8(self) -> bool:
        return self._as_utf8 is not None and self._as_utf8.wrong_byte is None and not self._as_utf8.is_ascii

    def take(self, piece: bytes, *, final: bool = False) -> str:
        """The piece's characters; none from the first wrong byte on."""
        if self._as_utf8 is not None:
            self._as_utf8.take(piece, final=final)
        self.nul_byte = self._nul_in(piece) if self.nul_byte is None else self.nul_byte
        text = self._decoded(piece, final=final) if self.wrong_byte is None else ""
        self.bytes += len(piece)
        return text

    def _decoded(self, piece: bytes, *, final: bool) -> str:
        pending = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(piece, final)
        except UnicodeDecodeError as problem:
            self.wrong_byte = self.bytes - pending + problem.start
            self.is_ascii = self.is_ascii and problem.object[: problem.start].isascii()
            return ""
        except UnicodeError:  # UTF-16 without its mark
            self.wrong_byte = 0
            return ""
        self.is_ascii = self.is_ascii and text.isascii()
        return text

    def _nul_in(self, piece: bytes) -> int | None:
        """Where the piece holds a NUL: in UTF-16 that is two zero bytes in step."""
        nul, width = (b"\x00\x00", 2) if self.encoding == "utf-16" else (b"\x00", 1)
        place = piece.find(nul)
        while place >= 0 and (self.bytes + place) % width:
            place = piece.find(nul, place + 1)
        return None if place < 0 else self.bytes + place


def alien_encoding(head: bytes, decoding: Decoding, source: Source) -> str | None:
    """What a text is whose bytes show another encoding than the contract's; None when it may be of that one."""
    wanted = _CALLED[source.encoding]
    for mark, encoding in _MARKS:
        if head.startswith(mark) and encoding != source.encoding:
            told = f"is {_CALLED[encoding]} (byte mark {mark.hex(' ').upper()})"
            step = f'set encoding = "{encoding}" or ' if source.format != "json" else ""
            return f"{told}: {step}save it as {wanted}"
    if source.encoding == "utf-16" and head.strip() and not head.startswith(UTF16_MARKS):
        return "has no byte mark of UTF-16 (FF FE or FE FF): set encoding to what it is, or save it with that mark"
    if decoding.is_utf8:
        return f'is UTF-8 text, as its characters beyond ASCII show: set encoding = "utf-8" or save it as {wanted}'
    return None


def undecodable(file: BinaryIO, place: int, source: Source) -> str:
    """What is said of a text whose byte at `place` its encoding does not know; `file` is read from its start."""
    wanted = _CALLED[source.encoding]
    told = f"is not {wanted} text (first at byte {place:,})"
    seen = _as_cp1252(file, place) if source.encoding == "utf-8" and source.format != "json" else None
    if seen is None:
        return f"{told}: save it as {wanted}"
    return f'{told}: as cp1252 it would read, with {seen} there; set encoding = "cp1252" or save it as UTF-8'


def _as_cp1252(file: BinaryIO, place: int) -> str | None:
    """What stands at a byte that is not UTF-8, were the file cp1252; None where it cannot be, or is UTF-8 elsewhere."""
    told, as_utf8, there = Decoding("cp1252"), Decoding("utf-8"), ""
    while piece := file.read(_PIECE):
        start = place - told.bytes
        as_utf8.take(piece)
        text = told.take(piece)
        there = text[start] if 0 <= start < len(text) else there
    return repr(there) if told.wrong_byte is None and as_utf8.is_ascii else None
