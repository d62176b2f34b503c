import json
import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from churnlake.contract.lines import KeyLines, Place

PAGE = r"""# where things stand
top = 1                       # line 2
"quoted key" . 'a.b' = 2

[sources.sales.types]         # line 5
id = "text"
[sources.sales]               # line 7
path = '''
[no] = "table"
'''
list = [ 1.5, 07:32:00,       # line 11
  # no element
  { deep = { key = [ 5 ] } },
  "#] = not the end", """


def test_tables_dotted_keys_and_values_over_several_lines_have_their_lines() -> None:
    """A table stands where its header is, even when a table inside it came first."""
    lines = KeyLines(PAGE + "]\n\n[[rules]]\nwhen = 1\n[[rules]]\n[rules.more]\n").by_place
    assert lines == {
        ("top",): 2,
        ("quoted key",): 3,
        ("quoted key", "a.b"): 3,
        ("sources",): 5,
        ("sources", "sales"): 7,
        ("sources", "sales", "types"): 5,
        ("sources", "sales", "types", "id"): 6,
        ("sources", "sales", "path"): 8,
        ("sources", "sales", "list"): 11,
        ("sources", "sales", "list", 0): 11,
        ("sources", "sales", "list", 1): 11,
        ("sources", "sales", "list", 2): 13,
        ("sources", "sales", "list", 2, "deep"): 13,
        ("sources", "sales", "list", 2, "deep", "key"): 13,
        ("sources", "sales", "list", 2, "deep", "key", 0): 13,
        ("sources", "sales", "list", 3): 14,
        ("rules",): 16,
        ("rules", 0): 16,
        ("rules", 0, "when"): 17,
        ("rules", 1): 18,
        ("rules", 1, "more"): 19,
    }


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("a = 1\n\n[b]\nc = 2\n", "b.c: must be 3", 4),
        ("a = 1\n\n[b]\nc = 2\n", "b.d: is missing", 3),
        ("a = 1\n\n[b]\nc = 2\n", "b.d.0.e: is missing", 3),
        ("a = 1\n\n[b]\nc = 2\n", "d: is missing", 4),
        ("a = 1\n\n[b]\nc = 2", "d: is missing", 4),
        ("a = 1\n\n[b]\nc = 2\n\n# end\n", "d: is missing", 6),
        ("b.c = 1\n", "b: must be a table", 1),
        ("\n'b.c: x' = 1\n", "b.c: x: unknown key", 2),
        ("\n'' = 1\n", ": unknown key", 2),
        ("", "contract: is missing", 1),
        ("\r\n[b]\r\nc = '''\r\n'''\r\nd = 1", "b.d: must be 2", 5),
    ],
)
def test_a_problem_stands_at_its_key_or_the_nearest_table_around_it(text: str, problem: str, line: int) -> None:
    """What is missing everywhere can only be added: the problem stands at the last line."""
    assert KeyLines(text).line_of(problem) == line


class Writer:
    """Writes a TOML text piece by piece and notes the line of each key and element: what the scanner must find."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.text = ""
        self.expected: dict[Place, int] = {}

    def pick(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    @property
    def line(self) -> int:
        return self.text.count("\n") + 1

    def key(self, name: str) -> None:
        bare = [name] if re.fullmatch("[A-Za-z0-9_-]+", name) else []
        literal = [f"'{name}'"] if "'" not in name and name.isprintable() else []
        self.text += self.pick(json.dumps(name, ensure_ascii=False), *literal, *bare) + self.pick("", " ")

    def names(self, place: Place) -> None:
        """A dotted key; the tables on its way stand where they were first named."""
        for depth, name in enumerate(one for one in place if isinstance(one, str)):
            self.text += "." if depth else ""
            self.key(name)

    def value(self, place: Place, depth: int) -> None:
        self.expected.setdefault(place, self.line)
        match self.pick("plain", "list", "inline table") if depth else "plain":
            case "list":
                self.list(place, depth)
            case "inline table":
                self.inline_table(place, depth)
            case _:
                self.plain()

    def plain(self) -> None:
        self.text += self.pick(
            "1", "-1.5e3", "true", "nan", "07:32:00.5", "1979-05-27 07:32:00.5Z", '"]"', '"#"', r'"\" = 1"', "'\\'",
            "''", '""', '"""\n[t]\n"quoted" \\"""\na = 1"""""', "'''\n# ''\n[[a]]'''''", '"""\\\n  x"""', "''''''",
        )  # fmt: skip

    def list(self, place: Place, depth: int) -> None:
        self.text += "["
        count = self.pick(0, 1, 2, 3)
        for number in range(count):
            self.text += self.pick("", " ", "\n", "\n# no, [it] = is not\n ")
            self.value((*place, number), depth - 1)
            self.text += self.pick("", "\n", " # , 5\n") + ("," if number < count - 1 else self.pick("", ","))
        self.text += self.pick("", "\n") + "]"

    def inline_table(self, place: Place, depth: int) -> None:
        self.text += "{ "
        for number, name in enumerate(self.draw(NAMES)):
            self.text += ", " if number else ""
            self.pair((*place, name), place, depth - 1)
        self.text += " }"

    def pair(self, place: Place, table: Place, depth: int) -> None:
        """A key and its value; dots lead from `table` to it, perhaps by one more table of its own."""
        inner = (*place, "inner") if self.pick(*[False] * 3, True) else place
        for length in range(len(table) + 1, len(inner) + 1):
            self.expected.setdefault(inner[:length], self.line)
        self.names(inner[len(table) :])
        self.text += self.pick("=", " = ", "\t=  ")
        self.value(inner, depth)

    def table(self, place: Place, brackets: int) -> None:
        self.text += self.pick("", "\n", "# [not] = this\n", "  ")
        *above, _ = (place[:depth] for depth in range(1, len(place) + 1) if isinstance(place[depth - 1], str))
        for one in above:
            self.expected.setdefault(one, self.line)
        if brackets == 2:
            self.expected.setdefault(place[:-1], self.line)
        self.expected[place] = self.line
        self.text += "[" * brackets
        self.names(place)
        self.text += "]" * brackets + self.pick("\n", "  # = [x]\n")
        self.pairs(place)

    def pairs(self, table: Place) -> None:
        for name in self.draw(NAMES):
            self.pair((*table, name), table, 2)
            self.text += self.pick("\n", " # yes\n", "\n\n")


NAMES = st.lists(
    st.text(st.sampled_from("ab1-_.é #[]{}=,\"'\\\t\u2028"), max_size=4).filter(lambda name: name != "inner"),
    unique=True,
    max_size=3,
)
# Names of tables, unlike any of a key, so that no text is refused for naming one thing twice.
TABLES = st.lists(st.sampled_from(["t one", "t2", "t.three"]), unique=True, max_size=3)


@st.composite
def documents(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, dict[Place, int]]:
    """A TOML text in any layout, and the line of every key and element in it."""
    writer = Writer(draw)
    writer.pairs(())
    for name in draw(TABLES):
        match writer.pick("table", "inner first", "list"):
            case "table":
                writer.table((name,), 1)
            case "inner first":
                writer.table((name, "t in"), 1)
                writer.table((name,), 1)
            case _:
                for number in range(writer.pick(1, 2, 3)):
                    writer.table((name, number), 2)
                    if writer.pick(True, False):
                        writer.table((name, number, "t in"), 1)
    return writer.text, writer.expected


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    """Every key and element that tomllib knows."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in pairs:
        yield (*place, part)
        yield from places(inner, (*place, part))


@settings(max_examples=300, deadline=None)
@given(documents())
def test_every_key_that_tomllib_knows_has_the_line_it_was_written_at(document: tuple[str, dict[Place, int]]) -> None:
    """In any layout: quoted and dotted keys, tables in any order, lists and texts over lines, comments everywhere."""
    text, expected = document
    found = KeyLines(text).by_place
    assert set(found) == set(places(tomllib.loads(text)))
    assert found == expected
    assert KeyLines(text.replace("\n", "\r\n")).by_place == found
