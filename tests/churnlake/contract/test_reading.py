import re
import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import time
from functools import reduce
from itertools import combinations
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

from churnlake.contract import Contract, load_contract
from churnlake.contract.reading import _problems
from churnlake.contract.shape import _fields_at
from churnlake.errors import ContractError, UsageError

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "online_retail" / "contract.toml"

WriteShop = Callable[..., Path]
LoadShop = Callable[..., Contract]


def message_of(path: Path) -> str:
    """What a person is told of a contract that is wrong."""
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    return str(caught.value)


def problems_of(path: Path) -> list[str]:
    """Every problem the reader lists of a contract that is wrong, without its line."""
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    return [re.sub(r"^contract\.toml(:\d+)?: ", "", problem) for problem in caught.value.problems]


def test_the_example_is_a_good_contract() -> None:
    """The contract that newcomers copy is accepted, and its paths start from its own folder."""
    contract = load_contract(EXAMPLE)
    assert (contract.name, contract.version, contract.timezone, contract.unit) == (
        "online_retail",
        1,
        "Europe/London",
        "customer",
    )
    assert contract.folder == EXAMPLE.parent
    assert contract.suites == EXAMPLE.parent / "expectations"
    assert contract.churn.maturity_days == 32


VISITS = """[sources.visits]
role = "event"
path = "visits/{business_date}.csv"
types = { id = "text", at = "timestamp", pages = "integer" }

[sources.visits.columns]
customer_id = "id"
event_ts = "At"
amount = "page + 1"
event_type = "'visit'"

[churn]"""


def test_ten_mistakes_are_listed_at_once(write_shop: WriteShop) -> None:
    """One reading names all ten: each with its line, what was given, what is allowed, and the nearest match."""
    path = write_shop(
        ("Europe/London", "Europe/Londn"),
        ('"2011-01-01"', '"2011-02-29"'),
        ('clock = "replay"', 'clok = "replay"'),
        ('["sunday"]', '"sunday"'),
        ("[churn]", VISITS),
        ("horizon_days = 30\n", ""),
        ("[30, 90]", "[90, 30]"),
        ('name = "amount"', 'name = "amont"'),
    )
    assert message_of(path) == (
        f"{path}: 10 problems\n"
        "  - contract.toml:4: contract.timezone: unknown time zone 'Europe/Londn', did you mean 'Europe/London'?; "
        "use a name such as 'Europe/London' or 'UTC'\n"
        "  - contract.toml:8: calendar.starts_on: must be a date such as '2010-12-01' (day value is outside expected "
        "range); got '2011-02-29'\n"
        "  - contract.toml:9: calendar.clok: unknown key, did you mean 'clock'?; "
        "allowed: starts_on, clock, expected_by, max_catchup_days\n"
        "  - contract.toml:14: sources.sales.closed.weekdays: must be a valid list; got 'sunday'\n"
        "  - contract.toml:25: sources.visits.role: must be 'events', 'customers', 'subscriptions', "
        "'renewals', 'labels' or 'lookup'; got 'event', did you mean 'events'?\n"
        "  - contract.toml:27: sources.visits.types.pages: must be one of text, int, bigint, double, boolean, date, "
        "timestamp, decimal(12,2) (digits and decimals as needed); got 'integer', did you mean 'int'?\n"
        "  - contract.toml:32: sources.visits.columns.amount: names an unknown column 'page', did you mean 'pages'?; "
        "known: id, at, pages\n"
        "  - contract.toml:35: churn.horizon_days: is missing\n"
        "  - contract.toml:41: features.windows_days: must grow, each window once; got [90, 30]\n"
        "  - contract.toml:42: features.measures.0.name: 'amont' is no canonical column of any source, "
        "did you mean 'amount'?; known: amount, event_type\n"
        f"  next: edit the file, then `churnlake check {path}`"
    )


def test_one_problem_is_told_as_one(write_shop: WriteShop) -> None:
    """What a person reads is the file, the number of problems, one line for each, and the next command."""
    path = write_shop(('"GBP"', '"POUND"'))
    assert message_of(path) == (
        f"{path}: 1 problem\n"
        "  - contract.toml:5: contract.currency: must be three capital letters, such as 'GBP'; got 'POUND'\n"
        f"  next: edit the file, then `churnlake check {path}`"
    )
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("edits", "problems"),
    [
        (
            [('"id IS NULL"', '"idd IS NULL"'), ('role = "events"', 'role = "events"\nseparator = 5'),
             ("[churn]", VISITS.replace('"event"', '"events"'))],
            [
                "sources.sales.separator: must be a valid string; got 5",
                ("sources.sales.ignore.0.when: names an unknown column 'idd', did you mean 'id'?; "
                 "known: id, at, price, kind"),
                ("sources.visits.types.pages: must be one of text, int, bigint, double, boolean, date, timestamp, "
                 "decimal(12,2) (digits and decimals as needed); got 'integer', did you mean 'int'?"),
                ("sources.visits.columns.amount: names an unknown column 'page', did you mean 'pages'?; "
                 "known: id, at, pages"),
            ],
        ),
        (
            [("scale = 2", "scal = 2"), ('column = "event_type"', 'column = "amount"'), ("[30, 90]", '[90, 30, "7d"]')],
            [
                ("features: 'amount' is a measure and is counted by value; it can be a number or a text, not both"),
                "features.windows_days.2: must be a valid integer; got '7d'",
                "features.windows_days: must grow, each window once; got [90, 30]",
                "features.measures.0.scal: unknown key, did you mean 'scale'?; allowed: name, scale",
            ],
        ),
        (
            [('price = "decimal(12,2)"', 'price = "decimal(2,12)"'), ('kind = "text"', 'kind = "text", Kind = "text"')],
            [
                ("sources.sales.types.price: has more decimals than digits; write decimal(digits,decimals); "
                 "got 'decimal(2,12)'"),
                ("sources.sales.types: two columns differ only in case, blanks or dots; "
                 "the lake cannot tell them apart"),
            ],
        ),
        (
            [("[features]", "[decision]\nbands = { high = 2 }\n[features]")],
            ["decision.bands.high: must be less than 1; got 2"],
        ),
        (
            [('amount = "price"', 'amount = "prize * kind + rand"')],
            [("sources.sales.columns.amount: names unknown columns 'prize', did you mean 'price'?, 'rand'; "
              "known: id, at, price, kind")],
        ),
    ],
)  # fmt: skip
def test_no_mistake_hides_another(write_shop: WriteShop, edits: list[tuple[str, str]], problems: list[str]) -> None:
    """A wrong value hides neither an expression of another source nor a rule over the rest of its own table."""
    assert problems_of(write_shop(*edits)) == problems


SEPARATE_MISTAKES = [
    ('name = "shop"', 'name = "My Shop"'),
    ("Europe/London", "Europe/Londn"),
    ('currency = "GBP"', 'currncy = "GBP"'),
    ('starts_on = "2011-01-01"', "starts_on = 5"),
    ('clock = "replay"', 'clock = "rerun"\nmax_catchup_days = 0'),
    ('"in/{business_date}.csv"', '"/in/{business_date}.csv"'),
    ('["sunday"]', "5"),
    ('price = "decimal(12,2)"', 'price = "decimal(2,12)"'),
    ('kind = "text" }', 'kind = "text", Kind = "text" }'),
    ('"id IS NULL"', '"id = 5"'),
    ('reason = "anonymous" }', 'reason = "anonymous", because = 5 }'),
    ('customer_id = "id"', 'customer_id = "idd"'),
    ('event_ts = "at"', 'happened = "at"'),
    ('event_type = "kind"', 'event_type = "kind"\nsign = "rand()"'),
    ('definition = "inactivity"', 'definition = "inactive"'),
    ('"amount > 0"', '"amount >"'),
    ("active_within_days = 90", "active_within_days = 3661"),
    ("horizon_days = 30\n", ""),
    ("[30, 90]", "[90, 30]"),
    ("scale = 2 }", 'scale = 2 }, { name = "amont" }'),
    ('"cancellation"]', '"purchase"]'),
]


def test_any_two_mistakes_are_told_as_each_is_told_alone(
    write_shop: WriteShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is wrong hides, changes or adds a problem elsewhere; nor do all of them together."""
    # The list of all zones is read from files each time.
    monkeypatch.setattr("churnlake.contract.schema.available_timezones", lambda: {"Europe/London"})

    def told(*edits: tuple[str, str]) -> list[str]:
        # What is known may grow with a mistake.
        return sorted(problem.split("; known: ")[0] for problem in problems_of(write_shop(*edits)))

    alone = {edit: told(edit) for edit in SEPARATE_MISTAKES}
    for edits in (*combinations(SEPARATE_MISTAKES, 2), tuple(SEPARATE_MISTAKES)):
        expected = [problem for edit in edits for problem in alone[edit]]
        assert told(*edits) == sorted(expected), edits


@pytest.mark.parametrize(
    ("edits", "problems"),
    [
        ([("horizon_days = 30", "horizn_days = 30")], ["churn.horizn_days: unknown key, did you mean 'horizon_days'?"]),
        ([("types = {", "typs = {")], ["sources.sales.typs: unknown key, did you mean 'types'?"]),
        ([("[sources.sales.columns]", "[sources.sales.column]")],
         ["sources.sales.column: unknown key, did you mean 'columns'?"]),
        ([("types = {", "kinds = {")], ["sources.sales.kinds: unknown key", "sources.sales.types: is missing"]),
    ],
)  # fmt: skip
def test_one_mistake_is_told_once(write_shop: WriteShop, edits: list[tuple[str, str]], problems: list[str]) -> None:
    """Whoever corrects a misspelt key need not read that it is missing, and that nothing can be looked up in it."""
    found = problems_of(write_shop(*edits))
    assert sorted(problem.split("; allowed")[0] for problem in found) == sorted(problems)


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("integer", "int"), ("Varchar(20)", "text"), ("string", "text"), ("long", "bigint"), ("datetime", "timestamp"),
        ("numeric(12,2)", "decimal(12,2)"), ("decimal(12, 2)", "decimal(12,2)"), ("timestmp", "timestamp"),
        ("TEXT", "text"), ("blob", None),
    ],
)  # fmt: skip
def test_a_type_by_another_name_is_answered_with_ours(write_shop: WriteShop, given: str, nearest: str | None) -> None:
    """What other systems call a type is understood as what was meant, as is a misspelt one."""
    (problem,) = problems_of(write_shop(('kind = "text"', f'kind = "{given}"')))
    asked = "" if nearest is None else f", did you mean {nearest!r}?"
    assert problem == (
        "sources.sales.types.kind: must be one of text, int, bigint, double, boolean, date, timestamp, decimal(12,2) "
        f"(digits and decimals as needed); got {given!r}{asked}"
    )


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (("[churn]", "[churn]\ngrace_day = 1"), "churn.grace_day: unknown key, did you mean 'grace_days'?"),
        (('reason = "anonymous"', 'reason = "anonymous", why = "x"'), "sources.sales.ignore.0.why: unknown key"),
        (("scale = 2", "scal = 2"), "features.measures.0.scal: unknown key, did you mean 'scale'?"),
        (('role = "events"', 'rolle = "events"'), "sources.sales.rolle: unknown key, did you mean 'role'?"),
        (("[features]", "[feature]"), "feature: unknown key, did you mean 'features'?"),
    ],
)
def test_an_unknown_key_is_answered_with_the_nearest_one(
    write_shop: WriteShop, edit: tuple[str, str], problem: str
) -> None:
    """A misspelt key is never ignored, at whatever depth it stands."""
    assert any(line.startswith(problem) and "allowed: " in line for line in problems_of(write_shop(edit)))


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (('name = "shop"', 'name = "shop"\nversion = "1"'), "contract.version: must be a valid integer; got '1'"),
        (('name = "shop"', 'name = "shop"\nversion = true'), "contract.version: must be a valid integer; got True"),
        (("horizon_days = 30", "horizon_days = 30.5"), "churn.horizon_days: must be a valid integer; got 30.5"),
        (
            ('clock = "replay"', 'expected_by = "05:00+02:00"'),
            "calendar.expected_by: must be a local time of the contract's zone, such as '05:00'; got '05:00:00+02:00'",
        ),
        (
            ('clock = "replay"', "expected_by = 5"),
            "calendar.expected_by: must be a date such as '2010-12-01' or a time such as '05:00', in quotes; got 5",
        ),
        (
            ('"2011-01-01"', '"2011-02-29"'),
            ("calendar.starts_on: must be a date such as '2010-12-01' (day value is outside expected range); "
            "got '2011-02-29'"),
        ),
        (
            ('clock = "replay"', 'expected_by = "late"'),
            ("calendar.expected_by: must be a time such as '05:00' (input is too short); got 'late'"),
        ),
        (
            ('"2011-01-01"', "05:00:00"),
            "calendar.starts_on: must be a date such as '2010-12-01'; got 05:00:00",
        ),
        (
            ("[churn]", "[churn]\ngrace_days = { days = 3 }"),
            "churn.grace_days: must be a valid integer; got a table",
        ),
        (("[30, 90]", "[]"), "features.windows_days: must hold at least 1; got 0"),
        (("[30, 90]", "[1, 2, 3, 4, 5, 6, 7, 8, 90]"), "features.windows_days: must hold at most 8; got 9"),
        (
            ('reason = "anonymous" }', 'reason = "anonymous" }, { when = "kind = \'x\'", reason = "anonymous" }'),
            "sources.sales.ignore.1.reason: 'anonymous' stands twice; each reason counts rows of its own",
        ),
        (
            ('"id IS NULL"', '"id = 5"'),
            ("sources.sales.ignore.0.when: compares the text column 'id' with the number 5; "
            "write '5' or give the column a numeric type"),
        ),
        (('clock = "replay"', 'clock = "now"'), "calendar.clock: must be 'today' or 'replay'; got 'now'"),
        (
            ('path = "in/', 'path = "../in/'),
            ("sources.sales.path: must lie below the contract's folder: no leading / and no ..; "
            "got '../in/{business_date}.csv'"),
        ),
        (
            ('path = "in/', 'path = "/in/'),
            ("sources.sales.path: must lie below the contract's folder: no leading / and no ..; "
            "got '/in/{business_date}.csv'"),
        ),
        (
            ('path = "in/{business_date}.csv"', 'path = "in/today.csv"'),
            ("sources.sales.path: must hold {business_date} exactly once, where the date stands in the file's path; "
            "got 'in/today.csv'"),
        ),
        (
            ('path = "in/', 'path = "{shop}/'),
            ("sources.sales.path: may hold * for any part of one name, but no ** ? [ ] { } or backslash; "
            "got '{shop}/{business_date}.csv'"),
        ),
        (
            ('role = "events"', 'role = "events"\nseparator = "||"'),
            "sources.sales.separator: must be one character, no quote, backslash or line end; got '||'",
        ),
        (
            ('kind = "text" }', 'kind = "text", Kind = "text" }'),
            "sources.sales.types: two columns differ only in case, blanks or dots; the lake cannot tell them apart",
        ),
        (
            ('kind = "text" }', 'kind = "text", delivery_id = "text" }'),
            ("sources.sales.types.delivery_id: 'delivery_id' is the name of a column of the lake's own; "
            "choose another; "
            "taken: _metadata, copy, corrupt_record, delivery_id, file, flags, held_copies, ignored, is_unchanged, "
            "known_date, known_month, malformed, position, raw_row, row_hash, slot, source_broken, source_noted"),
        ),
        (
            ('event_ts = "at"', 'happened = "at"'),
            "sources.sales.columns.event_ts: is missing; needed: customer_id, event_ts",
        ),
        (
            ("scale = 2 }", 'scale = 2 }, { name = "amont" }'),
            ("features.measures.1.name: 'amont' is no canonical column of any source, did you mean 'amount'?; "
            "known: amount, event_type"),
        ),
        (
            ("scale = 2 }", 'scale = 2 }, { name = "event_type" }'),
            "features: 'event_type' is a measure and is counted by value; it can be a number or a text, not both",
        ),
        (
            ('"cancellation"]', '"other"]'),
            ("features.by: the value 'other' would name two features alike; "
            "give it another name where the column is mapped"),
        ),
        (
            ('"cancellation"]', '"purchase"]'),
            "features.by: the value 'purchase' stands twice; each value names features of its own",
        ),
        (
            ("active_within_days = 90", "active_within_days = 181"),
            ("churn.active_within_days: must be at most 180, twice the longest of features.windows_days; got 181; "
            "add a longer window or shorten it"),
        ),
        (
            ("[features]", "[decision]\nbands = { high = 0.3, medium = 0.1 }\n[features]"),
            ("decision.bands: must grow from the most at risk on, without 'low' (that is the rest); "
            "got {'high': 0.3, 'medium': 0.1}"),
        ),
        (
            ("[features]", "[decision]\nbands = { high = nan }\n[features]"),
            "decision.bands.high: must be less than 1; got nan",
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_what_was_given_and_what_is_allowed(
    write_shop: WriteShop, edit: tuple[str, str], problem: str
) -> None:
    """Each wrong value is one problem that a person can repair without reading code."""
    assert problems_of(write_shop(edit)) == [problem]


TYPES = 'types = { id = "text", at = "timestamp", price = "decimal(12,2)", kind = "text" }'


@pytest.mark.parametrize(
    ("edits", "problems"),
    [
        (
            [('role = "events"', 'role = "events"\nformat = "jsn"\nready = "markr"\nquarantine_days = 0')],
            [
                "sources.sales.format: must be 'csv', 'text', 'json' or 'parquet'; got 'jsn', did you mean 'json'?",
                "sources.sales.ready: must be 'marker' or a table such as { stable_seconds = 2 }; got 'markr'",
                "sources.sales.quarantine_days: must be greater than or equal to 1; got 0",
            ],
        ),
        (
            [
                ('role = "events"', 'role = "events"\nformat = "parquet"\nseparator = ";"'),
                ("[churn]", '[sources.sales.drift]\nreordered = "fail"\nextra = "ignore"\nmising = "fail"\n[churn]'),
            ],
            [
                ("sources.sales.format: the path ends in '.csv'; write format = \"csv\" or correct the path; "
                 "got 'parquet'"),
                "sources.sales.separator: means nothing for parquet, only for csv; leave it out",
                ("sources.sales.drift.reordered: means nothing for parquet; leave it out; "
                 "allowed: extra, case, blanks, missing, retyped"),
                "sources.sales.drift.extra: must be 'fail', 'warn' or 'accept'; got 'ignore'",
                ("sources.sales.drift.mising: unknown key, did you mean 'missing'?; "
                 "allowed: reordered, bom, extra, case, blanks, missing, retyped"),
            ],
        ),
        (
            [('role = "events"', 'role = "events"\nready = { stable_secs = 2, stable_seconds = 4000 }'),
             ("[churn]", '[sources.sales.gates]\nsensitivity = "hi"\nunusual = ["2011-02-30", 5]\n[churn]')],
            [
                "sources.sales.ready.stable_seconds: must be less than or equal to 3600; got 4000",
                ("sources.sales.ready.stable_secs: unknown key, did you mean 'stable_seconds'?; "
                 "allowed: stable_seconds"),
                ("sources.sales.gates.sensitivity: must be 'low', 'normal', 'high' or 'off'; got 'hi', "
                 "did you mean 'high'?"),
                ("sources.sales.gates.unusual.0: must be a date such as '2010-12-01' (day value is outside expected "
                 "range); got '2011-02-30'"),
                ("sources.sales.gates.unusual.1: must be a date such as '2010-12-01' or a time such as '05:00', "
                 "in quotes; got 5"),
            ],
        ),
        (
            [(TYPES, TYPES.replace("kind =", '"kind.of" ='))],
            [
                ("sources.sales.types: 'kind.of' is a nested field, which only json and parquet have; "
                 "csv has plain names"),
                ("sources.sales.columns.event_type: names an unknown column 'kind', did you mean 'kind_of'?; "
                 "known: id, at, price, kind_of"),
            ],
        ),
        (
            [('path = "in/{business_date}.csv"', 'path = "in/{business_date}.parquet.gz"\nformat = "parquet"'),
             (TYPES, TYPES.replace("kind =", 'kind = "text", "kind.of" = "text", "kind.Of" ='))],
            [
                ("sources.sales.path: a parquet file is packed inside and never .gz; "
                 "got 'in/{business_date}.parquet.gz'"),
                "sources.sales.types: 'kind' cannot be a value and hold 'kind.of' as well; name one of them",
            ],
        ),
        (
            [('path = "in/{business_date}.csv"', 'path = "in/{business_date}.json"\nformat = "json"'),
             (TYPES, TYPES.replace("kind =", '"kind.of" = "text", kind_of =')),
             ('event_type = "kind"', 'event_type = "kind_of"')],
            ["sources.sales.types: two columns differ only in case, blanks or dots; the lake cannot tell them apart"],
        ),
        (
            [('path = "in/{business_date}.csv"', 'path = "in/{business_date}.json"\nformat = "json"'),
             (TYPES, TYPES.replace("kind =", '"kind.of" =')),
             ('event_type = "kind"', 'event_type = "kind.of"')],
            [("sources.sales.columns.event_type: names the nested field 'kind.of'; in expressions its dots are "
              "underscores: write kind_of")],
        ),
        (
            [('path = "in/', 'path = "in//')],
            [("sources.sales.path: must be plain names with / between: no empty one, no '.', nothing unseen; "
              "got 'in//{business_date}.csv'")],
        ),
        (
            [('path = "in/', 'path = "in/_')],
            [("sources.sales.path: must not begin a file's name with . or _: such files count as unfinished; "
              "got 'in/_{business_date}.csv'")],
        ),
    ],
)  # fmt: skip
def test_all_that_formats_drift_readiness_and_gates_can_say_wrong_is_listed(
    write_shop: WriteShop, edits: list[tuple[str, str]], problems: list[str]
) -> None:
    """Each with what is allowed and the nearest match; a key without meaning for the format is no silent wish."""
    assert problems_of(write_shop(*edits)) == problems


def test_a_nested_column_is_written_with_underscores_in_expressions(load_shop: LoadShop) -> None:
    """The file's name has dots; expressions, expectations and the lake cannot."""
    shop = load_shop(
        ('path = "in/{business_date}.csv"', 'path = "in/{business_date}.json"\nformat = "json"'),
        (TYPES, TYPES.replace("kind =", '"kind.of goods" =').replace("price =", '"the price" =')),
        ('event_type = "kind"', 'event_type = "kind_of_goods"'),
        ('amount = "price"', 'amount = "`the price`"'),
    )
    assert list(shop.sources["sales"].typed) == ["id", "at", "the price", "kind_of_goods"]


def test_activity_must_be_answerable_by_every_source(write_shop: WriteShop) -> None:
    """A source without the columns that activity names is refused here, not in the middle of a night."""
    second = (
        '[sources.visits]\nrole = "events"\npath = "visits/{business_date}.csv"\n'
        'types = { id = "text", at = "timestamp" }\n'
        'columns = { customer_id = "id", event_ts = "at" }\n\n[churn]'
    )
    assert problems_of(write_shop(("[churn]", second))) == [
        "churn.activity: names an unknown column 'amount'; known: customer_id, event_ts; asked of sources.visits"
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ["contract: is missing", "calendar: is missing", "sources: is missing", "churn: is missing"]),
        ("churn = 5\nsources = 5\nfeatures = 5", ["churn: must be a table of keys, such as [churn]; got 5"]),
        ("[contract\n", ["not valid TOML: "]),
        (
            "[features]\ndistinct = 5\nmeasures = [5]\nby = 5\nwindows_days = []",
            ["features.distinct: must be a valid list"],
        ),
    ],
)
def test_a_contract_of_another_shape_is_no_crash(tmp_path: Path, text: str, problem: list[str]) -> None:
    """Whatever TOML holds, the answer is a list of problems."""
    path = tmp_path / "contract.toml"
    path.write_text(text)
    found = problems_of(path)
    assert all(any(line.startswith(start) for line in found) for start in problem), found


ODD = (5, "x", "\u2028: ", [], [[5]], ["a", "a"], {}, {"a": 5}, {"": {}}, time(5))


def test_no_value_anywhere_makes_the_reader_fail(write_shop: WriteShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key that a contract may have, and each of its tables, may hold anything: the answer is a list."""
    # The list of all zones is read from files each time.
    monkeypatch.setattr("churnlake.contract.schema.available_timezones", lambda: {"Europe/London"})
    whole = tomllib.loads(write_shop().read_text())
    present = list(_places(whole))
    tables = [(), *(place for place in present if isinstance(reduce(getitem, place, whole), dict))]
    for *above, last in [*present, *((*table, key) for table in tables for key in _fields_at(table))]:
        for odd in ODD:
            keys = deepcopy(whole)
            reduce(getitem, above, keys)[last] = odd
            assert all(": " in problem for problem in _problems(keys)), (above, last, odd)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, inner in pairs:
        yield (*place, part)
        yield from _places(inner, (*place, part))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[a]\nb = [1,\n2\nc = 3\n", "contract.toml:4: not valid TOML: Unclosed array (at line 4, column 1)"),
        ("[a]\nb = 'c", 'contract.toml:2: not valid TOML: Expected "\'" (at end of document)'),
        ("[a]\nb = 1\n[a]\n", "contract.toml:3: not valid TOML: Cannot declare ('a',) twice (at line 3, column 3)"),
        ("a = " + "[" * 5_000, "contract.toml:1: its lists and tables are nested too deep; split them up"),
    ],
)
def test_broken_toml_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    """The one problem there can be then is where the text stops being TOML."""
    path = tmp_path / "contract.toml"
    path.write_text(text)
    with pytest.raises(ContractError) as caught:
        load_contract(path)
    assert caught.value.problems == (problem,)


@pytest.mark.parametrize("depth", [100, 200, 300, 400, 450, 480])
def test_what_tomllib_just_reads_is_not_too_deep_for_the_reader(tmp_path: Path, depth: int) -> None:
    """However deep lists are nested, the answer is a list of problems."""
    path = tmp_path / "contract.toml"
    path.write_text(f"deep = {'[' * depth}{']' * depth}\n[contract]\n")
    problem, *_ = problems_of(path)
    assert problem.startswith(("deep: unknown key", "its lists and tables are nested too deep"))


def test_a_number_of_thousands_of_digits_is_a_problem_of_its_contract(tmp_path: Path) -> None:
    """Python reads no such number: the reader says so instead of ending."""
    path = tmp_path / "contract.toml"
    path.write_text(f"[a]\nb = {'9' * 5_000}\n")
    with pytest.raises(ContractError, match=r"contract\.toml:2: not valid TOML: Exceeds the limit"):
        load_contract(path)


def test_a_contract_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    """No file, a folder and a file in another encoding are usage errors that name the path."""
    with pytest.raises(UsageError, match=r"no contract at .*absent\.toml\n  next: give the path"):
        load_contract(tmp_path / "absent.toml")
    with pytest.raises(UsageError, match=r"cannot be read: .*\n  next: check its path, rights and encoding"):
        load_contract(tmp_path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('name = "Caf\u00e9"'.encode("latin-1"))
    with pytest.raises(UsageError, match=r"latin\.toml cannot be read: .*utf-8"):
        load_contract(latin)


def test_the_digest_counts_meaning_and_not_layout(load_shop: LoadShop) -> None:
    """Comments, order and spelled-out defaults leave the digest; any changed key changes it."""
    plain = load_shop().digest
    assert load_shop(("[churn]", "# who leaves\n[churn]\ngap_days = 0")).digest == plain
    assert load_shop(("horizon_days = 30", "horizon_days = 31")).digest != plain
    assert load_shop(('"sunday"', '"saturday"')).digest != plain


def test_the_typed_digest_counts_only_what_gives_rows_their_meaning(load_shop: LoadShop) -> None:
    """Another horizon leaves typed rows as they are; another mapping, activity, zone or measure does not."""
    plain = load_shop().typed_digest("sales")
    assert load_shop(("horizon_days = 30", "horizon_days = 60")).typed_digest("sales") == plain
    assert load_shop(("[30, 90]", "[30, 120]")).typed_digest("sales") == plain
    assert load_shop(('role = "events"', 'role = "events"\ndrift = { case = "accept" }')).typed_digest("sales") == plain
    for edit in (
        ('amount = "price"', 'amount = "price * 2"'),
        ('"amount > 0"', '"amount >= 0"'),
        ('kind = "text"', 'kind = "int"'),
        ("Europe/London", "UTC"),
        ("scale = 2", "scale = 1"),
    ):
        assert load_shop(edit).typed_digest("sales") != plain
