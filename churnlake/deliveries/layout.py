"""How a file is laid out: which of its columns stands for which of the contract's, and where the two differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from churnlake.contract.expressions import nearest
from churnlake.contract.source import Source

MOST_NAMED = 20
"""Differences of one kind that a message names; the rest is counted."""
_LONGEST_NAME = 80

Path = tuple[str, ...]
"""A column's name; of a nested field the names that lead to it, outermost first."""
DriftKind = Literal["reordered", "bom", "extra", "case", "blanks", "missing", "retyped"]


@dataclass(frozen=True)
class Field:
    """A column of a file by its name there; a nested field by its path, dots between.

    `column` is the name in the contract's `types` that it stands for, None for a column that is left out.
    """

    name: str
    column: str | None


Layout = tuple[Field, ...]
"""A csv file's columns from left to right; a text's by the contract; a json or parquet file's fields by path."""


@dataclass(frozen=True)
class Drift:
    """One way in which a file's columns differ from the contract's, in words."""

    kind: DriftKind
    told: str


@dataclass(frozen=True)
class Match:
    """A file's columns held against the contract's. `problems` forbid using it whatever the contract accepts."""

    layout: Layout
    problems: tuple[str, ...]
    drift: tuple[Drift, ...]


class _Claim(NamedTuple):
    path: Path
    column: str | None


def contract_paths(source: Source) -> dict[Path, str]:
    """The contract's columns by the path they have in a file."""
    has_records = source.format in ("json", "parquet")
    return {tuple(column.split(".")) if has_records else (column,): column for column in source.types}


def layout_by_types(source: Source) -> Layout:
    """The layout of a file whose columns stand in the order of the contract's types."""
    return tuple(Field(column, column) for column in source.types)


def match_columns(found: Sequence[Path], source: Source) -> Match:
    """Which column of the contract each of a file's stands for. A name may differ in case and in blanks around it.

    `found` are the file's columns in its order; names may repeat.
    """
    claims = _claims(found, contract_paths(source))
    layout = tuple(Field(".".join(claim.path), claim.column) for claim in claims)
    return Match(layout, tuple(_repeated(claims)), tuple(_differences(claims, source)))


def _claims(found: Sequence[Path], wanted: Mapping[Path, str]) -> list[_Claim]:
    loosely: dict[Path, str] = {}
    for path, column in wanted.items():
        loosely.setdefault(loose(path), column)
    return [_Claim(path, wanted.get(path, loosely.get(loose(path)))) for path in found]


def loose(path: Path) -> Path:
    """A path without capitals and blanks around its names."""
    return tuple(name.strip().casefold() for name in path)


def _differences(claims: Sequence[_Claim], source: Source) -> Iterator[Drift]:
    expected = list(source.types)
    present = list(dict.fromkeys(claim.column for claim in claims if claim.column is not None))
    extra = list(dict.fromkeys(claim.path for claim in claims if claim.column is None))
    missing = [column for column in expected if column not in present]
    strange = [spelled(path) for path in extra]
    for column in missing:
        renamed = nearest(column, strange).replace("did you mean", "was it renamed to")
        yield Drift("missing", f"column {column!r} is missing{renamed}")
    for path in extra:
        yield Drift("extra", f"column {shown(path)} is not in the contract; known: {', '.join(expected)}")
    yield from _respelled(claims, source)
    if source.format == "csv" and present != [column for column in expected if column in present]:
        told = ", ".join(".".join(claim.path) for claim in claims if claim.column)
        yield Drift("reordered", f"columns are in another order: {told}; the contract says {', '.join(expected)}")


def _respelled(claims: Sequence[_Claim], source: Source) -> Iterator[Drift]:
    paths = {column: path for path, column in contract_paths(source).items()}
    for path, column in claims:
        if column is None or path == paths[column]:
            continue
        stripped = tuple(name.strip() for name in path)
        if path != stripped:
            yield Drift("blanks", f"column {column!r} is written {shown(path)}, with blanks around it")
        if stripped != tuple(name.strip() for name in paths[column]):
            yield Drift("case", f"column {column!r} is written {shown(path)}, with other capitals")


def _repeated(claims: Iterable[_Claim]) -> Iterator[str]:
    places: dict[Path | str, list[str]] = {}
    for path, column in claims:
        places.setdefault(column or path, []).append(shown(path))
    for meant, written in places.items():
        if len(written) > 1:
            name = shown(meant) if isinstance(meant, tuple) else repr(meant)
            variants = "" if set(written) == {name} else f", written {' and '.join(dict.fromkeys(written))}"
            yield f"column {name} stands {len(written)} times{variants}"


def shown(path: Path) -> str:
    """A file's column in a message."""
    return shown_text(spelled(path))


def spelled(path: Path) -> str:
    """A path as text: a dot inside a name is no step, so such a name stands in backquotes."""
    return ".".join(f"`{name}`" if "." in name else name for name in path)


def shown_text(text: str) -> str:
    """Foreign text in a message: in quotes, at most 80 characters, marks that cannot be seen spelt out.

    Text beyond ASCII is spelt out beside it: some letters of other scripts look just like ours.
    """
    cut = text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."
    return repr(cut) if cut.isascii() else f"{cut!r} ({cut!a})"


def first_named(told: Sequence[str]) -> list[str]:
    """The first 20 sentences, and how many more there are."""
    rest = len(told) - MOST_NAMED
    return list(told) if rest <= 0 else [*told[:MOST_NAMED], f"and {rest} more of this kind"]
