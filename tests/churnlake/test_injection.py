"""No name, header or value leads out of the contract's folder, into SQL or into an identifier."""

import json
import re
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from churnlake.contract import Contract, load_contract
from churnlake.contract.expressions import Expression, parse_expression
from churnlake.contract.values import landed_column
from churnlake.deliveries import find_files, inspect
from churnlake.errors import ContractError, DataRefusedError

# What breaks out of quotes, paths, lines and screens, mixed with letters so that some names are nearly good.
HOSTILE = st.text(
    st.sampled_from("aZ_09 .,;'\"`\\/$*?[]{}()<>=-#%\n\r\t\x00\x1b\x7f\u00e9\u0430\u200b\u202e\u2028\ud800")
    | st.characters(),
    max_size=30,
)
HOSTILE_SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EDITS = {
    "name": ('name = "shop"', "name = {}"),
    "unit": ('currency = "GBP"', 'currency = "GBP"\nunit = {}'),
    "source": ("[sources.sales]", "[sources.{}]"),
    "path": ('path = "in/{business_date}.csv"', "path = {}"),
    "separator": ('role = "events"', 'role = "events"\nseparator = {}'),
    "quote": ('role = "events"', 'role = "events"\nquote = {}'),
    "pattern": ('role = "events"', 'role = "events"\nformat = "text"\npattern = {}'),
    "type": ('kind = "text" }', "kind = {} }}"),
    "column": ('kind = "text" }', 'kind = "text", {} = "text" }}'),
    "canonical": ('event_type = "kind"', 'event_type = "kind"\n{} = "kind"'),
    "reason": ('reason = "anonymous"', "reason = {}"),
    "value": ('"cancellation"]', '"cancellation", {}]'),
    "zone": ('timezone = "Europe/London"', "timezone = {}"),
}

# Values that are no names.
SIGNS = ("path", "separator", "quote", "pattern", "zone")
GROUPS = "(?P<id>.)(?P<at>.)(?P<price>.)(?P<kind>.)"

LoadShop = Callable[..., Contract]
WriteShop = Callable[..., Path]


def quoted(text: str) -> str:
    """A TOML text; JSON spells it the same way, but for what TOML cannot hold."""
    return json.dumps(text.encode("utf-8", "ignore").decode()).replace("\x7f", "\\u007f")


@pytest.fixture
def edited(write_shop: WriteShop) -> Callable[[str, str], Contract | None]:
    """The shop's contract with one value or name replaced; None when it is refused."""

    def load(place: str, text: str) -> Contract | None:
        before, after = EDITS[place]
        edit = after.replace("{}", quoted(text)).replace("}}", "}")
        edits = [(before, edit)]
        if place == "source":
            edits.append(("[sources.sales.columns]", f"[sources.{quoted(text)}.columns]"))
        try:
            return load_contract(write_shop(*edits))
        except ContractError:
            return None

    return load


@pytest.mark.parametrize("place", [place for place in EDITS if place not in SIGNS])
@HOSTILE_SETTINGS
@given(text=HOSTILE)
def test_p15_what_becomes_a_name_in_lake_or_warehouse_is_an_identifier(
    edited: Callable[[str, str], Contract | None], place: str, text: str
) -> None:
    """A contract that is accepted holds no quote, backquote, blank, dot or sign in any name that SQL gets to see."""
    shop = edited(place, text)
    if shop is None:
        return
    names = [shop.name, shop.unit, *shop.sources, *(one.name for one in shop.features.measures)]
    for source in shop.sources.values():
        names += [*map(landed_column, source.types), *source.columns, *(rule.reason for rule in source.ignore)]
        assert all(re.fullmatch(r"[a-z]+|decimal\(\d+,\d+\)", kind) for kind in source.types.values())
        assert not any(set(name) & set("`'\"\\\n;") for name in source.typed)
    names += [value for by in shop.features.by for value in (by.column, *by.values)]
    assert [name for name in names if not IDENTIFIER.fullmatch(name)] == []


@HOSTILE_SETTINGS
@given(text=HOSTILE)
def test_p15_a_time_zone_a_separator_and_a_quote_are_what_they_say(
    edited: Callable[[str, str], Contract | None], text: str
) -> None:
    """All reach SQL or a reader's options: a zone is one the system knows, the others one harmless character each."""
    zone = edited("zone", text)
    assert zone is None or re.fullmatch(r"[A-Za-z0-9_+/-]+", zone.timezone)
    separated = edited("separator", text)
    assert separated is None or (len(separated.sources["sales"].separator) == 1 and text not in '"\\\r\n')
    quoting = edited("quote", text)
    assert quoting is None or not text or (len(text) == 1 and text in string.punctuation and text not in "\\,")


@HOSTILE_SETTINGS
@given(text=HOSTILE, line=HOSTILE)
def test_p15_a_pattern_gives_the_contracts_columns_or_is_refused(
    edited: Callable[[str, str], Contract | None], tmp_path: Path, text: str, line: str
) -> None:
    """Whatever stands in it: its groups are the columns, and what is said of a line that does not fit fits a screen."""
    for pattern in (text, GROUPS + text):
        shop = edited("pattern", pattern)
        if shop is None:
            continue
        path = tmp_path / "2011-02-03.csv"
        path.write_bytes(f"{line}\n".encode("utf-8", "replace"))
        report = inspect(path, shop.sources["sales"])
        assert {one.column for one in report.layout} <= {"id", "at", "price", "kind"}
        assert all(problem.isprintable() for problem in report.problems)


@HOSTILE_SETTINGS
@given(before=HOSTILE, after=HOSTILE)
def test_p15_no_path_of_a_contract_leads_out_of_its_folder(
    edited: Callable[[str, str], Contract | None], tmp_path: Path, before: str, after: str
) -> None:
    """Whatever the path is, what it finds lies below the folder, and nothing of the folder's parent is found."""
    below = tmp_path / "below"
    below.mkdir(exist_ok=True)
    (tmp_path.parent / "2011-02-03.csv").touch()
    shop = edited("path", f"{before}{{business_date}}{after}")
    if shop is None:
        return
    path = shop.sources["sales"].path
    assert not path.startswith("/")
    assert not {"..", ".", ""} & set(path.split("/"))
    assert path.isprintable()
    assert all(
        (shop.folder / one.path).resolve().is_relative_to(tmp_path.resolve()) for one in find_files(shop, "sales")
    )


@pytest.mark.parametrize(
    "name", ["../2011-02-03.csv", "in/../../2011-02-03.csv", "./in/2011-02-03.csv", "/2011-02-03.csv"]
)
def test_p15_a_path_that_steps_up_is_refused(edited: Callable[[str, str], Contract | None], name: str) -> None:
    """However it is written."""
    assert edited("path", name.replace("2011-02-03", "{business_date}")) is None


@HOSTILE_SETTINGS
@given(name=HOSTILE.filter(lambda text: "/" not in text))
def test_p15_a_files_name_is_inert_or_refused(load_shop: LoadShop, tmp_path: Path, name: str) -> None:
    """A file is found by its date; a name that a screen would not show as it is stops the night by name."""
    shop = load_shop(("in/{business_date}.csv", "in/*{business_date}*"))
    folder = tmp_path / "in"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    try:
        (folder / f"{name}2011-02-03.csv").write_bytes(b"id\n")
    except (OSError, ValueError):
        return  # no file can have this name here
    if not name.isprintable() and not name.startswith((".", "_")):
        with pytest.raises(DataRefusedError) as caught:
            find_files(shop, "sales")
        assert str(caught.value).replace("\n", "").isprintable()
    else:
        found = find_files(shop, "sales")
        assert len(found) == (not name.startswith((".", "_")))
        assert all((shop.folder / one.path).is_file() for one in found)


def test_p15_a_link_in_the_folder_is_the_owners_choice(load_shop: LoadShop, tmp_path: Path) -> None:
    """Deliveries often land elsewhere; who may write links in the contract's folder may write the contract too."""
    shop = load_shop()
    elsewhere = tmp_path / "landing zone"
    elsewhere.mkdir()
    (elsewhere / "2011-02-03.csv").write_bytes(b"id\n")
    (tmp_path / "in").symlink_to(elsewhere)
    assert [one.path for one in find_files(shop, "sales")] == ["in/2011-02-03.csv"]


@HOSTILE_SETTINGS
@given(names=st.lists(HOSTILE | st.sampled_from(["id", "at", "price", "kind", "ID", " at"]), min_size=1, max_size=6))
def test_p15_no_header_names_a_column_of_ours(load_shop: LoadShop, tmp_path: Path, names: list[str]) -> None:
    """Whatever a header holds: the columns that are used are the contract's, and what is said of it fits a screen."""
    every = "drift = { reordered = 'accept', extra = 'accept', case = 'accept', blanks = 'accept', missing = 'accept' }"
    lenient = load_shop(('role = "events"', f'role = "events"\n{every}'))
    path = tmp_path / "2011-02-03.csv"
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    path.write_bytes((header + "\n7,8,9,10\n").encode("utf-8", "replace"))
    for shop in (lenient, load_shop()):
        report = inspect(path, shop.sources["sales"])
        assert {one.column for one in report.layout} <= {"id", "at", "price", "kind", None}
        assert all(line.isprintable() for line in (*report.problems, *(one.told for one in report.drift)))


@HOSTILE_SETTINGS
@given(names=st.lists(HOSTILE | st.sampled_from(["id", "at", "price", "kind", "ID", " at"]), min_size=1, max_size=6))
def test_p15_no_key_of_json_names_a_column_of_ours(load_shop: LoadShop, tmp_path: Path, names: list[str]) -> None:
    """As for headers, with keys that hold dots, quotes and marks that turn writing around."""
    every = "drift = { extra = 'accept', case = 'accept', blanks = 'accept', missing = 'accept', retyped = 'accept' }"
    as_json = f'path = "{{business_date}}.json"\nformat = "json"\n{every}'
    lenient = load_shop(('path = "in/{business_date}.csv"', as_json))
    path = tmp_path / "2011-02-03.json"
    path.write_text(json.dumps({name: {name: 1} if len(name) % 2 else 1 for name in names}) + "\n")
    report = inspect(path, lenient.sources["sales"])
    assert {one.column for one in report.layout} <= {"id", "at", "price", "kind", None}
    assert all(line.isprintable() for line in (*report.problems, *(one.told for one in report.drift)))


@HOSTILE_SETTINGS
@given(text=HOSTILE)
def test_p15_text_in_an_expression_stays_text(text: str) -> None:
    """A literal of any content comes out of the parser as one literal, with no statement, comment or setting in it."""
    literal = text.encode("utf-8", "ignore").decode().replace("\\", "\\\\").replace("'", "\\'")
    parsed = parse_expression(f"id = '{literal}'", ["id"])
    if isinstance(parsed, Expression):
        again = parse_expression(parsed.sql, ["id"])
        assert isinstance(again, Expression)
        assert again.sql == parsed.sql
        assert parsed.columns == {"id"}
    else:
        assert "${" in text or not set(text) <= set(string.printable)
