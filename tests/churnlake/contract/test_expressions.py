import pytest

from churnlake.contract.expressions import ALLOWED_IN_WORDS, MAX_OPERATIONS, Expression, parse_expression

COLUMNS = ["id", "at", "price", "Unit Price"]


def sql_of(text: str) -> str:
    """The SQL that Spark is given for an expression that is accepted."""
    parsed = parse_expression(text, COLUMNS)
    assert isinstance(parsed, Expression), parsed
    return parsed.sql


def refusal_of(text: str) -> str:
    """Why an expression is refused."""
    parsed = parse_expression(text, COLUMNS)
    assert isinstance(parsed, str), parsed
    return parsed


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("price", "price"),
        ("PRICE > 0", "PRICE > 0"),
        ("`Unit Price`", "`Unit Price`"),
        ("regexp_replace(id, '[.]0$', '')", "REGEXP_REPLACE(id, '[.]0$', '')"),
        ("CASE WHEN id LIKE 'C%' THEN 'a' ELSE 'b' END", "CASE WHEN id LIKE 'C%' THEN 'a' ELSE 'b' END"),
        ("id IN ('a', 'b') AND price BETWEEN 1 AND 2", "id IN ('a', 'b') AND price BETWEEN 1 AND 2"),
        ("id IS NOT NULL", "NOT id IS NULL"),
        ("id <=> price", "id IS NOT DISTINCT FROM price"),
        ("coalesce(nullif(trim(id), ''), 'none')", "COALESCE(NULLIF(TRIM(id), ''), 'none')"),
        ("at + INTERVAL 1 DAY", "at + INTERVAL '1' DAY"),
        (r"'it\'s'", r"'it\'s'"),
        ("id || '-' || price", "id || '-' || price"),
    ],
)
def test_an_allowed_expression_is_handed_on(text: str, sql: str) -> None:
    """Spark gets the expression written anew from its parsed form, with the same meaning."""
    assert sql_of(text) == sql


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("CAST(id AS int)", "TRY_CAST(id AS INT)"),
        ("id::date", "TRY_CAST(id AS DATE)"),
        ("TRY_CAST(id AS int)", "TRY_CAST(id AS INT)"),
        ("CAST(CAST(id AS int) AS decimal(12,2))", "TRY_CAST(TRY_CAST(id AS INT) AS DECIMAL(12, 2))"),
        ("double(id)", "TRY_CAST(id AS DOUBLE)"),
        ("price / id", "price / NULLIF(id, 0)"),
        ("price % (id - 1)", "price % NULLIF((TRY_SUBTRACT(id, 1)), 0)"),
        ("price DIV id", "price DIV NULLIF(id, 0)"),
        ("price * id + 1", "TRY_ADD(TRY_MULTIPLY(price, id), 1)"),
        ("to_date(id)", "TRY_CAST(id AS DATE)"),
        ("to_date(id, 'dd.MM.yyyy')", "TRY_CAST(TRY_TO_TIMESTAMP(id, 'dd.MM.yyyy') AS DATE)"),
        ("to_timestamp(id, 'dd/MM/yyyy HH:mm')", "TRY_TO_TIMESTAMP(id, 'dd/MM/yyyy HH:mm')"),
        ("year(id)", "YEAR(TRY_CAST(id AS DATE))"),
        ("hour(id)", "HOUR(TRY_CAST(id AS TIMESTAMP))"),
        ("date_add(id, 1)", "DATE_ADD(TRY_CAST(id AS DATE), 1)"),
        ("datediff(at, id)", "DATEDIFF(TRY_CAST(at AS DATE), TRY_CAST(id AS DATE))"),
        ("date_trunc('month', id)", "DATE_TRUNC('MONTH', TRY_CAST(id AS TIMESTAMP))"),
    ],
)
def test_a_bad_value_becomes_null_and_never_ends_a_night(text: str, sql: str) -> None:
    """Every operation that Spark would raise on for one bad value is given to it in its tolerant form."""
    assert sql_of(text) == sql


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("(SELECT 1)", "'(SELECT 1)'"),
        ("id IN (SELECT x FROM secrets)", "'(SELECT x FROM secrets)'"),
        ("EXISTS (SELECT 1)", "EXISTS()"),
        ("DROP TABLE events", "'DROP TABLE events'"),
        ("reflect('java.lang.System', 'getenv', 'HOME')", "reflect()"),
        ("java_method('java.lang.System', 'exit')", "java_method()"),
        ("input_file_name()", "input_file_name()"),
        ("current_date()", "CURRENT_DATE()"),
        ("current_timestamp", "CURRENT_TIMESTAMP()"),
        ("now()", "now()"),
        ("rand()", "RAND()"),
        ("uuid()", "UUID()"),
        ("monotonically_increasing_id()", "monotonically_increasing_id()"),
        ("current_user()", "CURRENT_USER()"),
        ("raise_error('stop')", "raise_error()"),
        ("sum(price)", "SUM()"),
        ("row_number() OVER (ORDER BY id)", "ROW_NUMBER() OVER (ORDER BY id)"),
        ("repeat('a', 1000000000)", "REPEAT()"),
        ("sequence(1, 1000000000)", "GENERATE_SERIES()"),
        ("lpad(id, 1000000000, 'x')", "PAD()"),
        ("transform(id, x -> x)", "TRANSFORM()"),
        ("id[0]", "'id[0]'"),
        ("(id, at)", "'(id, at)'"),
        ("CAST(id AS ARRAY<INT>)", "'ARRAY<INT>'"),
        ("*", "'*'"),
        ("id AS other", "'id AS other'"),
        (":name", "':name'"),
    ],
)
def test_what_is_not_on_the_list_is_refused_by_name(text: str, named: str) -> None:
    """Subqueries, statements, reflection, clocks, randomness, files and unbounded work have no way in."""
    refusal = refusal_of(text)
    assert named in refusal
    assert refusal.endswith(f"which is not allowed; allowed: {ALLOWED_IN_WORDS}")


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", "must be exactly one expression; got nothing"),
        ("-- price", "must be exactly one expression; got nothing"),
        ("price; price", "must be exactly one expression; got 2 of them, parted by ';'"),
        ("price; DROP TABLE events", "must be exactly one expression; got 2 of them, parted by ';'"),
        ("prize", "names an unknown column 'prize', did you mean 'price'?; known: id, at, price, Unit Price"),
        ("zebra", "names an unknown column 'zebra'; known: id, at, price, Unit Price"),
        ("events.price", "names the column 'events.price' with a table; write only the column's name"),
        ("'a''b'", r"has two texts side by side; write \' for a quote inside a text, or || between two texts"),
        ("'${env:HOME}'", "holds '${', where Spark would put in a setting; leave it out"),
        ("'x' || '${spark.driver.host}'", "holds '${', where Spark would put in a setting; leave it out"),
        ("a" * 2_001, "is 2,001 characters long; at most 2,000 are allowed; shorten it"),
        ("price" + " + 1" * 51, "has 51 of + - * / DIV % ||; at most 50 are allowed; shorten it"),
    ],
)  # fmt: skip
def test_an_expression_that_cannot_be_meant_is_refused_with_advice(text: str, refusal: str) -> None:
    """What was given, what is allowed and what to write instead, in one sentence."""
    assert refusal_of(text) == refusal


@pytest.mark.parametrize("text", ["price >", "CASE WHEN price", "'open", "price price price", "CAST(id AS nonsense)"])
def test_broken_sql_is_refused_in_plain_text(text: str) -> None:
    """The parser's complaint is one line, without terminal codes and names of its classes."""
    refusal = refusal_of(text)
    assert refusal.startswith("cannot be read as one SQL expression: ")
    assert "\n" not in refusal
    assert "\x1b" not in refusal
    assert "<class" not in refusal


@pytest.mark.parametrize(
    "text",
    [
        "(" * 17 + "price" + ")" * 17,
        "(" * 900 + "price" + ")" * 900,
        "CASE WHEN id = 1 THEN " * 17 + "1" + " END" * 17,
        "NOT " * 450 + "id",
        "- " * 900 + "price",
    ],
)
def test_deep_nesting_is_refused_before_it_hurts(text: str) -> None:
    """However deep, the answer is a sentence and no overflow of any stack."""
    assert refusal_of(text) == (
        "is nested too deep; at most 16 brackets and CASEs inside each other are allowed; split it up"
    )


def test_the_longest_expressions_allowed_are_parsed() -> None:
    """The limits leave room for honest rules: sixteen brackets, fifty operations, many conditions."""
    assert sql_of("(" * 16 + "price" + ")" * 16).count("(") == 16
    assert sql_of("price" + " + 1" * MAX_OPERATIONS).count("TRY_ADD") == MAX_OPERATIONS
    assert sql_of(" OR ".join(["price = 1"] * 100)).count(" OR ") == 99


@pytest.mark.parametrize("text", ["price -- */ ; DROP TABLE x", "price /* */", "price /*+ BROADCAST(x) */"])
def test_comments_do_not_reach_spark(text: str) -> None:
    """A comment is for the reader of the contract, not for Spark's parser."""
    assert sql_of(text) == "price"


@pytest.mark.parametrize(
    "text",
    [
        "NOT (id = 'a' AND id <> 'b' OR id <=> 'c')",
        "price < 1 OR price <= 1 OR price > 1 OR price >= 1",
        "id LIKE 'a%' OR id ILIKE 'a%' OR id RLIKE 'a'",
        "IF(price > 1, GREATEST(price, 1), LEAST(price, 2))",
        "ABS(price) + ROUND(price, 1) + FLOOR(price) + CEIL(price) + SIGN(price)",
        "CONCAT(id, 'x') || CONCAT_WS('-', id, 'x')",
        "UPPER(id) || LOWER(id) || TRIM(id) || LTRIM(id) || RTRIM(id)",
        "SUBSTRING(id, 1, 2) || LEFT(id, 1) || RIGHT(id, 1) || REPLACE(id, 'a', 'b')",
        "REGEXP_REPLACE(id, 'a', 'b') || REGEXP_EXTRACT(id, '(a)', 1)",
        "STARTSWITH(id, 'a') OR ENDSWITH(id, 'a') OR INSTR(id, 'a') > 0 OR LENGTH(id) > 3",
        "DATE_SUB(at, 1) < LAST_DAY(at) OR DATEDIFF(at, at) > 1 OR DATE_TRUNC('month', at) = at",
        "YEAR(at) + MONTH(at) + DAY(at) + DAYOFWEEK(at) + HOUR(at) + MINUTE(at)",
    ],
)
def test_every_word_of_the_list_is_understood(text: str) -> None:
    """What the messages and the reference promise is accepted."""
    assert parse_expression(text, COLUMNS) == Expression(sql_of(text), frozenset({"id", "price", "at"} & _words(text)))


def _words(text: str) -> set[str]:
    return set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("regexp_extract(id, 'a(.)', 2)", "asks for group 2 of the pattern 'a(.)', which has 1; put brackets"),
        ("upper(regexp_extract(id, 'a'))", "asks for group 1 of the pattern 'a', which has 0; put brackets"),
    ],
)
def test_a_group_that_is_not_in_its_pattern_is_refused(text: str, told: str) -> None:
    """Spark would end the night on the first row."""
    problem = parse_expression(text, ["id"])
    assert isinstance(problem, str)
    assert problem.startswith(told)


@pytest.mark.parametrize("text", ["regexp_extract(id, 'a', 0)", "regexp_extract(id, '(a)')", "regexp_extract(id, id)"])
def test_a_group_that_is_there_or_cannot_be_told_is_taken(text: str) -> None:
    """The whole match, the first group, and a pattern that is no literal."""
    assert isinstance(parse_expression(text, ["id"]), Expression)
