"""How a source's files are written: what its keys may say, and what they say that cannot be."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from churnlake.contract import Contract, load_contract
from churnlake.errors import ContractError

TYPES = 'types = { id = "text", at = "timestamp", price = "decimal(12,2)", kind = "text" }'
TEXT = 'role = "events"\nformat = "text"\npattern = \'{}\''
GROUPS = "(?P<id>.) (?P<at>.) (?P<price>.) (?P<kind>.)"

ONE_SIGN = "quote: must be one of \" ' ` | ~ ^ # $ % & * !, or empty for none"

WriteShop = Callable[..., Path]


@pytest.fixture
def problems(write_shop: WriteShop) -> Callable[..., list[str]]:
    """Every problem of the shop whose source has these keys, without the lines they stand on."""

    def problems_of(keys: str, path: str = "in/{business_date}.csv") -> list[str]:
        edits = [('role = "events"', f'role = "events"\n{keys}'), ("in/{business_date}.csv", path)]
        try:
            load_contract(write_shop(*edits))
        except ContractError as refused:
            return [re.sub(r"^contract\.toml:\d+: ", "", problem) for problem in refused.problems]
        return []

    return problems_of


def test_a_csv_says_how_it_is_written(load_shop: Callable[..., Contract]) -> None:
    """Every key of its own, beside each other."""
    keys = "separator = ';'\nquote = \"'\"\ndecimal = ','\nencoding = 'utf-16'\nheader = false\nnull_marks = ['?', ' ']"
    source = load_shop(('role = "events"', f'role = "events"\n{keys}')).sources["sales"]
    assert (source.separator, source.quote, source.decimal) == (";", "'", ",")
    assert (source.encoding, source.header, source.null_marks) == ("utf-16", False, ("?", " "))


def test_a_text_says_which_group_is_which_column(load_shop: Callable[..., Contract]) -> None:
    """Whatever its file is called; a group without a name is only for grouping."""
    pattern = f"({GROUPS}|x)"
    source = load_shop(('role = "events"', f"{TEXT.format(pattern)}\nheader_lines = 2")).sources["sales"]
    assert (source.pattern, source.header_lines) == (pattern, 2)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("separator = '|'\nquote = '|'", ["quote: must differ from the separator; got '|' for both"]),
        ("decimal = ','", ["decimal: must differ from the separator, such as ';'; got ',' for both"]),
        ("separator = '.'", ["decimal: must differ from the separator, such as ','; got '.' for both"]),
        ("quote = 'ab'", [f"{ONE_SIGN}; got 'ab'"]),
        ("quote = 'x'", [f"{ONE_SIGN}; got 'x'"]),
        ("header = 0", ["header: must be a valid boolean; got 0"]),
        ("encoding = 'utf8'", [("encoding: must be 'utf-8', 'latin-1', 'cp1252' or 'utf-16'; got 'utf8', did you mean "
                               "'utf-8'?")]),
        ("null_marks = ['']", ["null_marks: must not hold an empty text: that is always null; leave it out"]),
        ("null_marks = ['?', '?']", ["null_marks: must name each mark once; got ['?', '?']"]),
        ("header_lines = 1", ["header_lines: means nothing for csv, only for text; leave it out"]),
        ("header = false\ndrift = { extra = 'warn' }",
         ["drift.extra: means nothing for csv without a header; leave it out; allowed: bom"]),
    ],
)  # fmt: skip
def test_signs_that_cannot_be_are_refused(problems: Callable[..., list[str]], keys: str, told: list[str]) -> None:
    """With what was given, and what would do."""
    assert problems(keys) == [f"sources.sales.{one}" for one in told]


@pytest.mark.parametrize("kind", ["json", "parquet"])
def test_a_key_that_means_nothing_for_the_format_is_refused(problems: Callable[..., list[str]], kind: str) -> None:
    """Somebody who writes it expects it to do something."""
    keys = "quote = \"'\"\nheader = true\npattern = 'x'\nencoding = 'utf-8'\ndecimal = ','\nnull_marks = ['?']"
    assert sorted(problems(f"format = '{kind}'\n{keys}", f"in/{{business_date}}.{kind}")) == [
        f"sources.sales.decimal: means nothing for {kind}, only for csv and text; leave it out",
        f"sources.sales.encoding: means nothing for {kind}, only for csv and text; leave it out",
        f"sources.sales.header: means nothing for {kind}, only for csv; leave it out",
        f"sources.sales.null_marks: means nothing for {kind}, only for csv and text; leave it out",
        f"sources.sales.pattern: means nothing for {kind}, only for text; leave it out",
        f"sources.sales.quote: means nothing for {kind}, only for csv; leave it out",
    ]


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("", ['pattern: is missing; format = "text" needs a regular expression with a group (?P<name>...) per column']),
        (f"pattern = '{GROUPS}('",
         [("pattern: is no regular expression (missing ), unterminated subpattern at position "
          f"{len(GROUPS)}); got '{GROUPS}('")]),
        (f"pattern = '{GROUPS.replace('price', 'prize')}'",
         ["pattern: the group 'prize' is no column of types, did you mean 'price'?; known: id, at, price, kind",
          ("types.price: has no group in pattern; write (?P<price>...) or leave the column out; "
          "groups: id, at, prize, kind")]),
        (f"pattern = '{GROUPS}'\nseparator = ';'",
         ["separator: means nothing for text, only for csv; leave it out"]),
        (f"pattern = '{GROUPS}'\ndrift = {{ case = 'warn' }}",
         ["drift.case: means nothing for text; leave it out; allowed: bom"]),
    ],
)  # fmt: skip
def test_a_pattern_that_cannot_be_is_refused(problems: Callable[..., list[str]], keys: str, told: list[str]) -> None:
    """It must be one, and its named groups must be the columns, no more and no fewer."""
    assert sorted(problems(f"format = 'text'\n{keys}")) == [f"sources.sales.{one}" for one in told]


def test_a_text_has_no_nested_columns(write_shop: WriteShop) -> None:
    """As a csv file has none."""
    nested = (TYPES, TYPES.replace("kind =", '"a.kind" ='))
    with pytest.raises(ContractError, match=r"'a\.kind' is a nested field.*; text has plain names"):
        load_contract(write_shop(('role = "events"', TEXT.format(GROUPS)), nested))
