"""Where each key of a TOML file stands: tomllib reads the values and keeps no places.

Only for text that tomllib has accepted; what it refuses would be scanned into nonsense here.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

Place = tuple[str | int, ...]
"""Keys from the root on; the number of an element of a list, or of a table of [[tables]], stands as an int."""

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t]+|[#][^\n]*)
  | (?P<text>"{3}(?:[^\\]|\\.)*?"{3,5}|'{3}.*?'{3,5}|"(?:[^"\\]|\\.)*"|'[^']*')
  | (?P<sign>[\[\]{}=,.\n])
  | (?P<word>[^\[\]{}=,.\s\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    text: str
    line: int


class KeyLines:
    """The line, counted from 1, of each key and each list element of a TOML text.

    A table stands where its header is, or where it is first named when it has none.
    """

    def __init__(self, text: str) -> None:
        scan = _Scan(tuple(_tokens(text)))
        scan.document()
        self.by_place: dict[Place, int] = scan.lines
        self.last = max(1, len(text.removesuffix("\n").split("\n")))
        self._by_dotted: dict[str, int] = {}
        for place, line in scan.lines.items():
            self._by_dotted.setdefault(".".join(map(str, place)), line)

    def line_of(self, problem: str) -> int:
        """The line of a problem such as `churn.gap_days: must be ...`.

        That of the key it begins with; where there is no such key, of the nearest table around it; else the last one.
        """
        for end in reversed([found.start() for found in re.finditer(r"[.]|: ", problem)]):
            line = self._by_dotted.get(problem[:end])
            if line is not None:
                return line
        return self.last


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for found in _TOKEN.finditer(text.replace("\r\n", "\n")):
        if found.lastgroup != "blank":
            yield _Token(found.group(), line)
        line += found.group().count("\n")


class _Scan:
    """One walk over the tokens of a text."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self.lines: dict[Place, int] = {}
        self._tokens = tokens
        self._at = 0
        self._newest: dict[Place, int] = {}  # of each list of [[tables]]: the number of the table that is open

    def document(self) -> None:
        table: Place = ()
        while self._next:
            match self._next:
                case "\n":
                    self._at += 1
                case "[":
                    table = self._header()
                case _:
                    self._pair(table)

    @property
    def _next(self) -> str:
        """The text of the token that comes next; empty at the end."""
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    @property
    def _line(self) -> int:
        return self._tokens[self._at].line

    def _header(self) -> Place:
        """The table that a line such as [a.b] or [[a.b]] opens."""
        line = self._line
        brackets = 2 if self._tokens[self._at + 1].text == "[" else 1
        self._at += brackets
        *above, last = self._key()
        self._at += brackets
        place = (*self._opened((), above, line), last)
        if brackets == 1:
            self.lines[place] = line
            return place
        self.lines.setdefault(place, line)
        self._newest[place] = self._newest.get(place, -1) + 1
        place += (self._newest[place],)
        self.lines[place] = line
        return place

    def _opened(self, table: Place, names: Sequence[str], line: int) -> Place:
        """The place that dotted names lead to from a table; each table on the way stands where it was first named."""
        for name in names:
            table += (name,)
            self.lines.setdefault(table, line)
            if table in self._newest:
                table += (self._newest[table],)
        return table

    def _key(self) -> list[str]:
        names = [_plain(self._taken())]
        while self._next == ".":
            self._at += 1
            names.append(_plain(self._taken()))
        return names

    def _taken(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1].text

    def _pair(self, table: Place) -> None:
        line = self._line
        *above, last = self._key()
        self._at += 1  # the =
        place = (*self._opened(table, above, line), last)
        self.lines[place] = line
        self._value(place)

    def _value(self, place: Place) -> None:
        match self._taken():
            case "[":
                self._list(place)
            case "{":
                self._inline_table(place)
            case _:
                # The rest of a number, date or time, which dots and blanks part.
                while self._next not in ("", "\n", ",", "]", "}"):
                    self._at += 1

    def _list(self, place: Place) -> None:
        number = 0
        while self._next != "]":
            if self._next in ("\n", ","):
                self._at += 1
                continue
            self.lines[*place, number] = self._line
            self._value((*place, number))
            number += 1
        self._at += 1

    def _inline_table(self, place: Place) -> None:
        while self._next != "}":
            if self._next in ("\n", ","):
                self._at += 1
            else:
                self._pair(place)
        self._at += 1


def _plain(key: str) -> str:
    """A key without its quotes; escapes are read as tomllib reads them."""
    if key[0] not in "\"'":
        return key
    return str(tomllib.loads(f"key = {key}")["key"])
