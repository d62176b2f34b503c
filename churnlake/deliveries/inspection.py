"""Inspecting a delivery before any engine reads it: what its bytes are, how its columns differ from the contract."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from churnlake.contract.source import Source
from churnlake.deliveries.columnar import match_footer
from churnlake.deliveries.content import Digest, Text, alien_format, digest_of, read_text, stamp_of, text_problems
from churnlake.deliveries.delimited import match_header, match_places
from churnlake.deliveries.layout import Drift, Layout, Match, first_named
from churnlake.deliveries.patterned import match_pattern
from churnlake.deliveries.records import match_records

_HEAD = 1 << 10


@dataclass(frozen=True)
class Inspected:
    """What reading a delivery whole told: size, digest, problems that forbid using it, its columns, accepted drift."""

    bytes: int
    sha256: str
    problems: tuple[str, ...]
    layout: Layout = ()
    drift: tuple[Drift, ...] = ()

    def delivery_id(self, slot: date, version: int = 1) -> str:
        """Names the delivery for ever: the same bytes for the same slot have the same id, on any machine.

        From the second version of a slot on its number stands behind, so that bytes that come back have an id of
        their own.
        """
        name = f"{slot:%Y-%m-%d}-{self.sha256[:16]}"
        return name if version == 1 else f"{name}-{version}"


def inspect(path: Path, source: Source, known: Digest | None = None) -> Inspected:
    """Reads the file whole: size, sha256, and whether it is what the contract says it is.

    `known` is what was read before of the file's bytes; they are not read for their digest again.
    """
    try:
        before = stamp_of(path)
        digest = known or digest_of(path)
        match = _judged(path, digest, source)
        after = stamp_of(path)
    except OSError as problem:
        told = f"cannot be read ({problem.strerror or problem}): check its owner and rights"
        return Inspected(*(known or Digest(0, "")), (told,))
    if before != after or after.bytes != digest.bytes:
        told = f"changed while it was read ({before.bytes:,} bytes, then {after.bytes:,}): wait until it is written"
        return Inspected(*digest, (told,))
    return Inspected(*digest, match.problems, match.layout, match.drift)


def _judged(path: Path, digest: Digest, source: Source) -> Match:
    """The file's columns, with what the contract's policies refuse among the problems."""
    match = _matched(path, digest, source)
    refused: dict[str, list[str]] = {}
    accepted = []
    for drift in match.drift:
        if getattr(source.drift, drift.kind) == "fail":
            refused.setdefault(drift.kind, []).append(drift.told)
        else:
            accepted.append(drift)
    problems = [sentence for told in refused.values() for sentence in first_named(told)]
    problems += first_named(match.problems)
    if not problems and all(field.column is None for field in match.layout):
        problems = [f"has none of the contract's columns; known: {', '.join(source.types)}"]
    return Match(match.layout, tuple(problems), tuple(accepted))


def _matched(path: Path, digest: Digest, source: Source) -> Match:
    if digest.bytes == 0:
        return _refused("is empty (0 bytes): deliver it again")
    if source.format == "parquet":
        with path.open("rb") as file:
            alien = alien_format(file.read(_HEAD), source)
        return _refused(alien) if alien else match_footer(path, source)
    text = read_text(path, source)
    problems = (text,) if isinstance(text, str) else tuple(text_problems(path, text, source))
    if isinstance(text, str) or problems:
        return _refused(*problems)
    match = _match_text(path, text, source)
    mark = (Drift("bom", "begins with a byte order mark"),) if text.has_mark else ()
    return Match(match.layout, match.problems, (*mark, *match.drift))


def _match_text(path: Path, text: Text, source: Source) -> Match:
    if source.format == "json":
        return match_records(path, source)
    if source.format == "text":
        return match_pattern(text, source)
    return match_header(text, source) if source.header else match_places(text, source)


def _refused(*problems: str) -> Match:
    return Match((), problems, ())
