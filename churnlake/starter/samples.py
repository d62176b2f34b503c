"""Sample files: found, named as what they are, and grouped into tables by their names."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import BinaryIO, Literal, cast, get_args

from churnlake.errors import DataRefusedError, UsageError

Format = Literal["csv", "text", "json", "parquet"]
_FORMATS = get_args(Format)

REPAIR = "repair or remove these files, then run init again"
HEAD_BYTES = 1 << 16
"""Bytes of each file that tell what it is."""

# Files with these endings are meant to be data; others in a folder are notes, sums and pictures.
_DATA = {".csv", ".tsv", ".psv", ".txt", ".dat", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".pq"}
# An ending that may as well be a note: what is no table there is left out, not refused.
_LOOSE = {".txt", ".dat"}
_ALIEN = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive", "save the sheet as CSV (UTF-8), or unpack the archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "save the sheet as CSV (UTF-8)"),
    (b"%PDF", "a PDF document", "ask for the table behind it as CSV"),
    (b"SQLite format 3", "a SQLite database", "export each table as CSV"),
    (b"\x1f\x8b", "gzip data without .gz in its name", "name it .gz"),
    (b"BZh", "bzip2 data", "unpack it, or pack it with gzip"),
    (b"\xfd7zXZ", "xz data", "unpack it, or pack it with gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd data", "unpack it, or pack it with gzip"),
    (b"PARE", "an encrypted parquet file", "decrypt it"),
)
_DATE = re.compile(r"(?<!\d)((?:19|20)\d{2})([-_.]?)(\d{2})\2(\d{2})(?!\d)")
# Numbers with the letter that numbers a part, as in 2013B.
_NUMBERS = re.compile(r"\d+(?:[A-Za-z](?![A-Za-z]))?")
_NOT_IN_PATHS = re.compile(r"[?\[\]{}\\*]")


@dataclass(frozen=True)
class SampleFile:
    """A file that can be read. `relative` starts at the folder it was found in; `day` is the date in that path."""

    path: Path
    relative: str
    format: Format
    head: bytes
    day: date | None
    day_text: str | None


@dataclass(frozen=True)
class SampleTable:
    """Files that hold rows of one table, in order of their names."""

    name: str
    files: tuple[SampleFile, ...]

    @property
    def may_be_notes(self) -> bool:
        """Whether the names allow for notes beside the data, such as README.txt."""
        return all(_ending(file.path) in _LOOSE for file in self.files)

    @property
    def format(self) -> Format:
        return self.files[0].format


@dataclass(frozen=True)
class Found:
    """The tables of a folder, and why each other file is left out."""

    tables: tuple[SampleTable, ...]
    left_out: tuple[str, ...]


def find_samples(place: Path) -> Found:
    """The tables in a folder or a file.

    Raises:
        UsageError: There is nothing at `place`.
        DataRefusedError: Files that are meant to be data cannot be; all are named with what to do.
    """
    if not place.exists():
        raise UsageError(f"no file or folder at {place}", next_step="give the path of your sample files after --from")
    root = place if place.is_dir() else place.parent
    files: list[SampleFile] = []
    left_out: list[str] = []
    refused: list[str] = []
    for path in _listed(place):
        relative = path.relative_to(root).as_posix()
        ending = _ending(path)
        is_meant = place.is_file() or ending in _DATA
        told = _look(path, relative)
        if isinstance(told, SampleFile) and (is_meant or told.format == "parquet"):
            files.append(told)
        elif is_meant and ending not in _LOOSE:
            refused.append(f"{relative}: {told}")
        else:
            why = told if isinstance(told, str) else f"its ending {ending or '(none)'} is none of data"
            left_out.append(f"{relative}: {why}")
    if refused:
        raise DataRefusedError("\n".join(refused), next_step=REPAIR)
    if not files:
        raise DataRefusedError(
            "\n".join([f"no table in {place}", *left_out]), next_step="give CSV, JSON lines, text or parquet files"
        )
    return Found(tuple(_grouped(files, root)), tuple(left_out))


def _listed(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    names = (path for path in sorted(place.rglob("*")) if path.is_file())
    return [path for path in names if not any(part.startswith((".", "_")) for part in path.relative_to(place).parts)]


def _ending(path: Path) -> str:
    """The ending that tells the format: `.csv` of `orders.csv.gz`."""
    return Path(path.name.removesuffix(".gz")).suffix.lower()


def _look(path: Path, relative: str) -> SampleFile | str:
    """The file, or what is wrong with it and what to do."""
    if _NOT_IN_PATHS.search(relative) or not relative.isprintable():
        return "has characters in its name that no path of a contract may hold: rename it"
    try:
        head = _read_head(path)
    except (OSError, EOFError, zlib.error, gzip.BadGzipFile) as problem:
        return f"cannot be unpacked or read ({problem}): deliver it again"
    if not head.strip():
        return "is empty: deliver it with its header and rows"
    told = _format(head, path)
    if told not in _FORMATS:
        return told
    day, text = _day_in(relative)
    return SampleFile(path, relative, cast(Format, told), head, day, text)


def opened(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where its name ends in .gz."""
    return cast(BinaryIO, gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


def _read_head(path: Path) -> bytes:
    with opened(path) as file:
        return file.read(HEAD_BYTES)


def _format(head: bytes, path: Path) -> Format | str:  # noqa: PLR0911 - one line for each thing a file may be
    for signature, name, advice in _ALIEN:
        if head.startswith(signature):
            return f"is {name}: {advice}"
    if head.startswith(b"PAR1"):
        return "parquet"
    marked = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if b"\x00" in head and not marked:
        return (
            "is binary (it holds NUL bytes): deliver text or parquet; UTF-16 needs its byte mark, or save it as UTF-8"
        )
    begins = head.decode("utf-16", "ignore") if marked else head.decode("utf-8-sig", "replace")
    if begins.lstrip()[:1] not in ("{", "["):
        return "csv"
    if begins.lstrip().startswith("["):
        return "is one JSON array: write one object per line instead (`jq -c '.[]' in.json > out.jsonl`)"
    if _ending(path) in (".csv", ".tsv", ".psv"):
        return "is JSON, not CSV: name it .jsonl (one object per line)"
    return "json"


def _day_in(relative: str) -> tuple[date | None, str | None]:
    for match in reversed(list(_DATE.finditer(relative))):
        try:
            return date(int(match[1]), int(match[3]), int(match[4])), match[0]
        except ValueError:
            continue
    return None, None


def _grouped(files: Iterable[SampleFile], root: Path) -> Iterator[SampleTable]:
    groups: dict[tuple[str, str, str], list[SampleFile]] = {}
    for file in files:
        folder, stem = (_NUMBERS.sub("", part) for part in _parts(file))
        key = (folder, stem, file.format)
        groups.setdefault(key, []).append(file)
    taken: set[str] = set()
    for (folder, stem, _), members in groups.items():
        words = contract_name(stem) or contract_name(folder.rpartition("/")[2]) or contract_name(root.name) or "rows"
        name = next(name for name in (words, *(f"{words[:37]}_{count}" for count in range(2, 99))) if name not in taken)
        taken.add(name)
        yield SampleTable(name, tuple(members))


def _parts(file: SampleFile) -> tuple[str, str]:
    folder, _, name = file.relative.rpartition("/")
    return folder, name.split(".")[0] if file.day_text is None else name.removesuffix(".gz").rpartition(".")[0]


def contract_name(text: str) -> str:
    """A name of the contract made of any words: `studentVle_` becomes `student_vle`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_0123456789")[:40].strip("_")
