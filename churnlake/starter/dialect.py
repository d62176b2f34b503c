"""How a text is written: its encoding, what parts its columns, what stands around values."""

import codecs
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from churnlake.errors import DataRefusedError
from churnlake.starter.samples import REPAIR, SampleFile, opened

MOST_BYTES = 1 << 26
"""Bytes of one table that are read, once unpacked."""
_LINES = 200
_CHUNK = 1 << 20
_SEPARATORS = (",", ";", "\t", "|")
_WITHOUT_CHARACTER = {0x81, 0x8D, 0x8F, 0x90, 0x9D}
"""Bytes that cp1252 gives no character."""
_NAMES_OF_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


@dataclass(frozen=True)
class Dialect:
    """How a text is written. `separator` is empty for text parted by blanks; `quote` is empty where none is used."""

    encoding: str = "utf-8"
    separator: str = ","
    quote: str = '"'

    @property
    def told(self) -> str:
        separator = _NAMES_OF_SEPARATORS.get(self.separator, "blanks")
        return f"{self.encoding}, parted by {separator}"


def find_dialect(files: Sequence[SampleFile]) -> Dialect:
    """How the files of a table are written, from the first of them.

    Raises:
        DataRefusedError: It is no table, or its files differ in their encoding.
    """
    file, encoding = files[0], _encoding(files)
    text = codecs.getincrementaldecoder(encoding)("replace").decode(file.head.removeprefix(codecs.BOM_UTF8))
    lines = [line for line in text.splitlines() if line.strip()]
    # The last line of the head may end in its middle.
    lines = lines[:_LINES] if len(lines) > _LINES else lines[:-1] if len(lines) > 2 else lines
    widths = {(separator, quote): _width(lines, separator, quote) for separator in _SEPARATORS for quote in ('"', "'")}
    (separator, quote), width = max(widths.items(), key=lambda one: one[1])
    if width > 1:
        return Dialect(encoding, separator, quote)
    unquoted = {separator: _width(lines, separator, "") for separator in _SEPARATORS}
    separator = max(unquoted, key=lambda one: unquoted[one])
    if unquoted[separator] > 1:
        return Dialect(encoding, separator, "")
    words = {len(line.split()) for line in lines}
    if len(words) == 1 and words != {1}:
        if file.path.name.removesuffix(".gz").endswith((".csv", ".tsv")):
            message = "is parted by blanks and named .csv: name it .txt, then it is read with a pattern"
            raise DataRefusedError(f"{file.relative}: {message}", next_step=REPAIR)
        return Dialect(encoding, "", "")
    told = "is no table: its lines are not parted alike by comma, semicolon, tab, bar or blanks"
    raise DataRefusedError(f"{file.relative}: {told}", next_step=REPAIR)


def _encoding(files: Sequence[SampleFile]) -> str:
    """One encoding that all files can be read in: that of Windows in western Europe where they are not UTF-8."""
    found = {file.relative: _encoding_of(file, max(MOST_BYTES // len(files), _CHUNK)) for file in files}
    kinds = set(found.values()) - {"ascii"}
    if kinds <= {"cp1252", "latin-1"} and kinds:
        return max(kinds)
    if len(kinds) > 1:
        told = ", ".join(f"{name} ({kind})" for name, kind in list(found.items())[:3])
        raise DataRefusedError(f"the files of one table have different encodings: {told}", next_step=REPAIR)
    return kinds.pop() if kinds else "utf-8"


def _encoding_of(file: SampleFile, left: int) -> str:
    """utf-16 by its mark; ascii or utf-8 where all that may be read fits it; else cp1252, or latin-1 beyond it."""
    if file.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder, is_ascii = codecs.getincrementaldecoder("utf-8")(), True
    with opened(file.path) as stream:
        while left > 0 and (chunk := stream.read(_CHUNK)):
            left -= len(chunk)
            is_ascii = is_ascii and chunk.isascii()
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                return "latin-1" if _WITHOUT_CHARACTER & set(chunk) else "cp1252"
    return "ascii" if is_ascii else "utf-8"


def _width(lines: Sequence[str], separator: str, quote: str) -> int:
    """Columns that (nearly) all lines have; 1 where they differ or the quotes do not fit."""
    if quote == "'" and sum(line.count("'") for line in lines) < 2 * len(lines):
        return 1
    try:
        parsed = list(csv.reader(lines, **quoting(separator, quote)))
    except csv.Error:
        return 1
    widths = [len(one) for one in parsed]
    width = widths[0] if widths else 1
    fits = sum(one == width for one in widths)
    return width if fits >= 0.95 * len(widths) and len(parsed) >= 0.5 * len(lines) else 1


def quoting(separator: str, quote: str) -> dict[str, Any]:
    """What the csv module calls them."""
    return {"delimiter": separator} | ({"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE})
