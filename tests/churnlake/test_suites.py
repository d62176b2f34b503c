import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from churnlake.contract import load_contract
from churnlake.errors import ContractError
from churnlake.suites import KINDS, KNOWN_TYPES, RowRule, Severity, read_suite
from churnlake.tables import LAKE

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ["id", "price", "a b"]
KNOWN = "known: id, price, a b"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a suite of the given expectations; returns its path."""

    def to_file(*expectations: object) -> Path:
        path = tmp_path / "orders.json"
        path.write_text(json.dumps({"name": "orders", "expectations": expectations}))
        return path

    return to_file


def expectation(short: str, **kwargs: Any) -> dict[str, Any]:
    """A critical expectation about a column's values."""
    return {"type": f"expect_column_values_to_{short}", "kwargs": kwargs}


def problems_of(path: Path) -> list[str]:
    """Every problem of a suite that is wrong."""
    with pytest.raises(ContractError) as caught:
        read_suite(path, COLUMNS)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("rule", "breaks"),
    [
        (expectation("not_be_null", column="id"), "COALESCE(`id` IS NULL, FALSE)"),
        (expectation("be_between", column="price", min_value=0), "COALESCE(`price` < CAST('0.0' AS DOUBLE), FALSE)"),
        (
            expectation("be_between", column="price", min_value=-1.5, max_value=2, strict_min=True, strict_max=True),
            "COALESCE(`price` <= CAST('-1.5' AS DOUBLE) OR `price` >= CAST('2.0' AS DOUBLE), FALSE)",
        ),
        (expectation("be_in_set", column="a b", value_set=["x", "it's"]), r"COALESCE(NOT `a b` IN ('x', 'it\'s'), FALSE)"),  # noqa: E501
        (expectation("not_be_in_set", column="price", value_set=[0, 1]), "COALESCE(`price` IN (0, 1), FALSE)"),
        (expectation("match_regex", column="id", regex=r"^\d+$"), r"COALESCE(NOT `id` RLIKE '^\\d+$', FALSE)"),
        (expectation("not_match_regex", column="id", regex="x"), "COALESCE(`id` RLIKE 'x', FALSE)"),
        (
            expectation("be_in_set", column="id", value_set=["') OR TRUE --"]),
            r"COALESCE(NOT `id` IN ('\') OR TRUE --'), FALSE)",
        ),
    ],
)  # fmt: skip
def test_a_row_rule_becomes_one_quoted_predicate(write: Write, rule: dict[str, Any], breaks: str) -> None:
    """Column and values are quoted, so that nothing in a suite is ever code; the predicate is never null."""
    (compiled,) = read_suite(write(rule), COLUMNS).row_rules
    assert compiled == RowRule(
        f"orders.{rule['kwargs']['column']}.{rule['type'].removeprefix('expect_column_values_to_')}",
        Severity.CRITICAL,
        breaks,
    )


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (expectation("not_be_null", column="price"), [None]),
        (expectation("be_between", column="price", min_value=0, max_value=2), [-1, 3]),
        (expectation("be_between", column="price", min_value=0, max_value=2, strict_min=True), [-1, 0, 3]),
        (expectation("be_in_set", column="price", value_set=[1, 2]), [-1, 0, 3]),
        (expectation("not_be_in_set", column="price", value_set=[1, 2]), [1, 2]),
    ],
)
def test_null_passes_every_rule_but_the_one_about_null(write: Write, rule: dict[str, Any], broken: list[Any]) -> None:
    """Asked of another SQL engine: the rows a predicate flags, limits and null included."""
    (compiled,) = read_suite(write(rule), COLUMNS).row_rules
    question = "SELECT price FROM (VALUES (-1), (0), (1), (2), (3), (NULL)) AS rows(price) WHERE "
    with duckdb.connect() as engine:
        found = engine.sql(question + compiled.breaks.replace("`", '"')).fetchall()
    assert [value for (value,) in found] == broken


@pytest.mark.parametrize(
    ("rule", "breaks"),
    [
        (
            {"type": "expect_column_value_lengths_to_be_between", "kwargs": {"column": "a b", "min_value": 1}},
            "COALESCE(LENGTH(`a b`) < CAST('1.0' AS DOUBLE), FALSE)",
        ),
        (
            {
                "type": "expect_column_pair_values_a_to_be_greater_than_b",
                "kwargs": {"column_A": "price", "column_B": "id", "or_equal": True},
            },
            "COALESCE(`price` < `id`, FALSE)",
        ),
        (
            expectation("be_between", column="price", max_value="2026-01-31", strict_max=True),
            "COALESCE(`price` >= CAST('2026-01-31' AS DATE), FALSE)",
        ),
        (
            expectation("not_be_null", column="id", row_condition="price/2 > 1 -- x", condition_parser="spark"),
            "COALESCE((`id` IS NULL) AND (price / NULLIF(2, 0) > 1), FALSE)",
        ),
    ],
)
def test_lengths_pairs_days_and_conditions_are_compiled_too(write: Write, rule: dict[str, Any], breaks: str) -> None:
    """A condition is the checked text, never the given one; Great Expectations is given the same."""
    suite = read_suite(write(rule), COLUMNS)
    assert [one.breaks for one in suite.row_rules] == [breaks]
    judged = suite.expectations[0]["kwargs"].get("row_condition")
    assert judged is None or f"({judged})" in breaks


@pytest.mark.parametrize(
    ("condition", "compiled"),
    [
        ({"type": "nullity", "column": {"name": "a b"}, "is_null": False}, "NOT `a b` IS NULL"),
        (
            {"type": "comparison", "column": {"name": "id"}, "operator": "NOT_IN", "parameter": ["it's", "x"]},
            r"NOT `id` IN ('it\'s', 'x')",
        ),
        (
            {"type": "or", "conditions": [
                {"type": "comparison", "column": {"name": "price"}, "operator": ">=", "parameter": 1.5},
                {"type": "and", "conditions": [
                    {"type": "nullity", "column": {"name": "id"}, "is_null": True},
                    {"type": "comparison", "column": {"name": "a b"}, "operator": "==", "parameter": "') OR TRUE --"},
                ]},
            ]},
            r"(`price` >= 1.5 OR (`id` IS NULL AND `a b` = '\') OR TRUE --'))",
        ),
    ],
)  # fmt: skip
def test_conditions_as_objects_become_the_same_text(write: Write, condition: dict[str, Any], compiled: str) -> None:
    """Great Expectations' own form of a condition is compiled by the same allow-list, values quoted."""
    suite = read_suite(write(expectation("not_be_null", column="id", row_condition=condition)), COLUMNS)
    assert suite.expectations[0]["kwargs"]["row_condition"] == compiled
    assert suite.expectations[0]["kwargs"]["condition_parser"] == "spark"


def test_rules_are_told_apart_by_name(write: Write) -> None:
    """A rule has the name its author gave; without one the second of a type on a column is numbered."""
    low = expectation("be_between", column="price", min_value=0)
    named = {**expectation("be_between", column="price", max_value=9), "meta": {"name": "too_dear"}}
    suite = read_suite(write(low, named, low, expectation("not_be_null", column="id")), COLUMNS)
    assert list(suite.names) == [
        "orders.price.be_between", "orders.price.too_dear", "orders.price.be_between.2", "orders.id.not_be_null",
    ]  # fmt: skip
    assert [rule.name for rule in suite.row_rules] == list(suite.names)


def test_columns_with_types_are_held_against_their_rules(write: Write) -> None:
    """A rule over a column of another sort would end a night at the first value that cannot be cast."""
    path = write(
        expectation("be_between", column="id", min_value=1),
        expectation("match_regex", column="price", regex="x"),
        expectation("be_in_set", column="price", value_set=["x"]),
        expectation("be_between", column="a b", min_value="2026-01-01"),
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "id", "min_value": 1}},
    )
    with pytest.raises(ContractError) as caught:
        read_suite(path, {"id": "text", "price": "decimal(12,4)", "a b": "timestamp"})
    assert [problem.partition(";")[0] for problem in caught.value.problems] == [
        "expectations[0]: column 'id' is text, and this judges number columns",
        "expectations[1]: column 'price' is decimal(12,4), and this judges text columns",
        "expectations[2]: column 'price' is decimal(12,4), and this judges text columns",
        "expectations[4]: column 'id' is text, and this judges number columns",
    ]


def test_severity_and_order_are_kept(write: Write) -> None:
    """Rules come in the suite's order with their own severity; table expectations stay with Great Expectations."""
    suite = read_suite(
        write(
            {**expectation("not_be_null", column="id"), "severity": "info"},
            {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1}, "severity": "critical"},
            {**expectation("be_between", column="price", max_value=9), "severity": "warning"},
        ),
        COLUMNS,
    )
    assert [(rule.name, rule.severity) for rule in suite.row_rules] == [
        ("orders.id.not_be_null", Severity.INFO),
        ("orders.price.be_between", Severity.WARNING),
    ]
    assert len(suite.expectations) == 3


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("text", "needs a type, such as 'expect_column_values_to_not_be_null'"),
        ({"type": "expect_x"}, 'needs kwargs, such as {"column": ...}'),
        (expectation("not_be_nul", column="id"), "unknown type 'expect_column_values_to_not_be_nul', did you mean "),
        (expectation("not_be_null", column="idd"), f"unknown column 'idd', did you mean 'id'?; {KNOWN}"),
        (expectation("not_be_null"), f"column is missing; {KNOWN}"),
        (
            {**expectation("not_be_null", column="id"), "severity": "fatal"},
            "unknown severity 'fatal'; allowed: critical, warning, info",
        ),
        (
            {**expectation("not_be_null", column="id"), "severty": "info"},
            "unknown key 'severty', did you mean 'severity'?; allowed: type, kwargs, severity, meta",
        ),
        (
            expectation("be_between", column="price", min=0, max_value=1),
            ("unknown kwarg 'min'; "
            "allowed: column, min_value, max_value, strict_min, strict_max, mostly, row_condition, condition_parser"),
        ),
        (expectation("be_between", column="price"), "needs min_value, max_value or both"),
        (expectation("match_regex", column="id", regex=5), "needs regex, a text; got 5"),
        (
            expectation("be_in_set", column="id", value_set="abc"),
            "needs value_set, a list of at least one text or number, all of one sort; got 'abc'",
        ),
        (
            expectation("be_in_set", column="id", value_set=[]),
            "needs value_set, a list of at least one text or number, all of one sort; got []",
        ),
        (
            expectation("be_in_set", column="id", value_set=["a", None]),
            "needs value_set, a list of at least one text or number, all of one sort; got ['a', None]",
        ),
        (
            expectation("not_be_null", column="id", mostly=95),
            "mostly must be a share above 0 and up to 1; got 95",
        ),
        (
            expectation("not_be_null", column="id", row_condition="price > 0"),
            "row_condition needs condition_parser 'spark'; got None",
        ),
        (
            expectation("not_be_null", column="id", row_condition="rand() > 0", condition_parser="spark"),
            "row_condition uses the function RAND(), which is not allowed; ",
        ),
        (
            expectation("not_be_null", column="id", row_condition="prise > 0", condition_parser="spark"),
            "row_condition names an unknown column 'prise', did you mean 'price'?; known: id, price, a b",
        ),
        (
            expectation("not_be_null", column="id", row_condition={"type": "pass_through"}),
            'row_condition must be an SQL condition with condition_parser "spark", or an object of "type" comparison',
        ),
        (
            expectation("be_between", column="price", max_value=10**400),
            "max_value must be a finite number up to 9,007,199,254,740,992 or a day 'YYYY-MM-DD'; got 1000",
        ),
        (
            expectation("be_between", column="price", min_value="2026-01-01 10:00"),
            "min_value must be a finite number up to 9,007,199,254,740,992 or a day 'YYYY-MM-DD'; got '2026-01-01",
        ),
        (
            expectation("be_between", column="price", min_value=2, max_value=1),
            "min_value must not be above max_value; got 2 and 1",
        ),
        (
            expectation("be_between", column="price", min_value=2, max_value="2026-01-01"),
            "min_value and max_value must be two numbers or two days; got 2 and '2026-01-01'",
        ),
        (
            expectation("be_in_set", column="id", value_set=["a", 1]),
            "needs value_set, a list of at least one text or number, all of one sort; got ['a', 1]",
        ),
        (
            {**expectation("not_be_null", column="id"), "meta": {"name": "a.b"}},
            "meta name must be lower-case letters, digits and _, a letter first; got 'a.b'",
        ),
        (
            {
                "type": "expect_column_pair_values_a_to_be_greater_than_b",
                "kwargs": {"column_A": "id", "column_B": "prise"},
            },
            "unknown column 'prise', did you mean 'price'?; known: id, price, a b",
        ),
        (
            {"type": "expect_column_kl_divergence_to_be_less_than", "kwargs": {
                "column": "id", "partition_object": {"values": ["a"], "weights": [0.5]}, "threshold": 1,
            }},
            "needs partition_object, such as ",
        ),
        (
            expectation("match_regex", column="id", regex="${env:HOME}"),
            "holds '${', where Spark would put in a setting; leave it out",
        ),
        (
            {"type": "expect_table_row_count_to_be_between", "kwargs": {"column": "id", "min_value": 1}},
            "unknown kwarg 'column'; allowed: min_value, max_value, strict_min, strict_max, row_condition",
        ),
    ],
)  # fmt: skip
def test_an_expectation_that_cannot_be_meant_is_refused(write: Write, wrong: object, problem: str) -> None:
    """What Great Expectations would take otherwise, or drop, or find out only at night, is found on reading."""
    (found,) = problems_of(write(wrong))
    assert found.startswith(f"expectations[0]: {problem}")


def test_every_type_and_kwarg_is_on_the_page() -> None:
    """What a suite may hold is what the page about suites says, and nothing more."""
    page = (ROOT / "docs" / "expectations.md").read_text(encoding="utf-8")
    kwargs = {name for kind in KINDS.values() for name in kind.kwargs}
    assert [name for name in (*KNOWN_TYPES, *sorted(kwargs)) if f"`{name}`" not in page] == []
    assert set(re.findall(r"`(expect_\w+)`", page)) == set(KNOWN_TYPES)


def test_all_mistakes_of_a_suite_are_listed_at_once(write: Write) -> None:
    """No expectation is dropped for the sake of the others: each wrong one is named by its place."""
    path = write(
        expectation("not_be_null", column="idd"),
        expectation("not_be_null", column="id"),
        expectation("be_between", column="prise", min=1),
    )
    assert [problem.partition(":")[0] for problem in problems_of(path)] == [
        "expectations[0]",
        "expectations[2]",
        "expectations[2]",
        "expectations[2]",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"name": "orders"}', "KeyError"),
        ("[" * 100_000, "RecursionError"),
        (
            '{"name": "orders", "expectations": [{"type": "x", "kwargs": {"min_value": NaN}}]}',
            "NaN is no number of JSON",
        ),
    ],
)
def test_a_file_that_is_no_suite_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """Whatever the file holds, the answer names it and says what a suite is."""
    path = tmp_path / "orders.json"
    path.write_text(text)
    (problem,) = problems_of(path)
    assert problem.startswith('is no expectation suite (JSON with "name" and a list "expectations"): ')
    assert told in problem


def test_a_suite_is_called_as_its_file(tmp_path: Path) -> None:
    """Reasons in quarantine start with the suite's name, which leads back to its file."""
    path = tmp_path / "orders.json"
    path.write_text('{"name": "invoices", "expectations": []}')
    assert problems_of(path) == ["name: must be 'orders', as the file is called; got 'invoices'"]


def test_every_built_in_suite_is_about_a_table_of_the_registry() -> None:
    """One file per table, of the table's name, about columns that it has and types they can be judged by.

    Those of other roles than events are about what their sources map, and named after the role.
    """
    paths = {path.stem: path for path in (ROOT / "expectations").iterdir()}
    tables = {"events", "daily_activity", "known_customers", "population", "features", "scores"}
    roles = {"customers": (), "subscriptions": (), "renewals": ("event_ts", "paid_until"), "labels": ("is_churned",)}
    assert set(paths) == tables | set(roles)
    for name, columns in roles.items():
        suite = read_suite(paths[name], ["customer_id", *columns])
        assert all(one["meta"]["reason"] for one in suite.expectations)
    for name in tables:
        path = paths[name]
        suite = read_suite(path, {column.name: column.type for column in LAKE[name].columns})
        assert all(one["meta"]["reason"] for one in suite.expectations)


def test_the_suites_of_this_checkout_can_be_read() -> None:
    """The built-in suite and the example's own: every row rule has a reason for people."""
    events = read_suite(ROOT / "expectations" / "events.json", ["customer_id", "event_ts"])
    assert [(rule.name, rule.severity.value) for rule in events.row_rules] == [
        ("events.customer_id.not_be_null", "critical"),
        ("events.event_ts.not_be_null", "critical"),
        ("events.customer_id.match_regex", "critical"),
        ("events.customer_id.unseen_characters", "critical"),
        ("events.customer_id.spelt_null", "critical"),
        ("events.event_ts.default_date", "critical"),
    ]
    contract = load_contract(ROOT / "examples" / "online_retail" / "contract.toml")
    own = read_suite(contract.suites / "invoices.json", contract.sources["invoices"].typed)
    assert own.row_rules[0].breaks == "COALESCE(`UnitPrice` <= CAST('0.0' AS DOUBLE), FALSE)"
    assert {rule.name.removeprefix("invoices.") for rule in own.row_rules if rule.severity is Severity.INFO} == {
        "Description.empty", "Description.blanks_at_ends", "Quantity.negative", "Quantity.written_off",
        "UnitPrice.zero", "UnitPrice.negative", "InvoiceNo.cancellation", "Country.unspecified",
        "StockCode.lower_case_suffix",
    }  # fmt: skip
    assert all(one["meta"]["reason"] for one in (*events.expectations, *own.expectations))
