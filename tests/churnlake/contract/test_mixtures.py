import pytest

from churnlake.contract.expressions import Expression, parse_expression
from churnlake.contract.mixtures import mixed_texts

TYPES = {
    "Quantity": "text",
    "Unit Price": "text",
    "code": "text",
    "price": "decimal(12,2)",
    "at": "timestamp",
    "paid": "boolean",
}


def sentences_of(text: str) -> list[str]:
    """What is told of an expression that is accepted otherwise."""
    assert isinstance(parse_expression(text, TYPES), Expression)
    return mixed_texts(text, TYPES)


def compared(column: str, number: str) -> str:
    """The sentence for one text column and one number."""
    return (
        f"compares the text column {column!r} with the number {number}; "
        f"write '{number}' or give the column a numeric type"
    )


@pytest.mark.parametrize(
    ("text", "column", "number"),
    [
        ("Quantity = 5", "Quantity", "5"),
        ("Quantity <> 5", "Quantity", "5"),
        ("Quantity != 5", "Quantity", "5"),
        ("Quantity <=> 5", "Quantity", "5"),
        ("Quantity < 5", "Quantity", "5"),
        ("Quantity <= 0.5", "Quantity", "0.5"),
        ("Quantity > -1", "Quantity", "-1"),
        ("Quantity >= 1e3", "Quantity", "1e3"),
        ("5 = quantity", "Quantity", "5"),
        ("(QUANTITY) > (0)", "Quantity", "0"),
        ("`Unit Price` = 0", "Unit Price", "0"),
        ("Quantity IN ('a', 2)", "Quantity", "2"),
        ("NOT Quantity IN (2)", "Quantity", "2"),
        ("2 IN (price, Quantity)", "Quantity", "2"),
        ("Quantity BETWEEN '1' AND 2", "Quantity", "2"),
        ("CASE Quantity WHEN 1 THEN 'a' END", "Quantity", "1"),
        ("CASE WHEN price > 0 AND Quantity = 1 THEN 'a' END", "Quantity", "1"),
        ("coalesce(if(Quantity = 1, 'a', 'b'), 'c') = 'a'", "Quantity", "1"),
        ("nullif(Quantity, 0)", "Quantity", "0"),
    ],
)
def test_a_text_column_compared_with_a_number_is_reported(text: str, column: str, number: str) -> None:
    """Wherever in an expression they meet, and whichever stands first."""
    assert sentences_of(text) == [compared(column, number)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Quantity = price", "compares the text column 'Quantity' with the decimal(12,2) column 'price'"),
        ("at > code", "compares the text column 'code' with the timestamp column 'at'"),
        ("paid IN (code)", "compares the text column 'code' with the boolean column 'paid'"),
        ("coalesce(code, price)", "chooses between the text column 'code' and the decimal(12,2) column 'price'"),
        ("if(paid, at, code)", "chooses between the text column 'code' and the timestamp column 'at'"),
    ],
)
def test_a_text_column_beside_one_of_another_type_is_reported(text: str, sentence: str) -> None:
    """Spark would cast each text to the other column's type."""
    assert sentences_of(text) == [f"{sentence}; give both one type, or cast one of them"]


@pytest.mark.parametrize(
    "text",
    [
        "coalesce(code, 0)",
        "coalesce('a', 0, code)",
        "if(paid, code, 0)",
        "CASE WHEN paid THEN 0 WHEN price > 1 THEN code END",
        "CASE WHEN paid THEN code ELSE 0 END",
        "greatest(code, 0)",
    ],
)
def test_a_text_column_that_may_stand_for_a_number_is_reported(text: str) -> None:
    """All that one expression may result in has one type, so the texts would become numbers."""
    told = "chooses between the text column 'code' and the number 0; write '0' or give the column a numeric type"
    assert sentences_of(text)[-1] == told


@pytest.mark.parametrize(
    "text",
    ["code / 2", "2 / code", "code % 2", "code DIV 2", "-code", "ABS(code)", "ROUND(code, 1)", "FLOOR(code)",
     "CEIL(code)", "SIGN(code)"],
)  # fmt: skip
def test_a_text_column_that_is_computed_with_is_reported(text: str) -> None:
    """Spark has no form of these that makes null of a text that is no number."""
    (sentence,) = sentences_of(f"coalesce({text}, 0)")
    assert sentence == f"computes {text} with the text column 'code'; give it a numeric type, or cast it"


def test_a_text_column_that_an_interval_moves_is_reported() -> None:
    """A text is no point in time until it is cast to one."""
    told = "computes code + INTERVAL '1' DAY with the text column 'code'; give it the type timestamp, or cast it"
    assert sentences_of("code + INTERVAL 1 DAY") == [told]
    assert sentences_of("at - INTERVAL 1 DAY") == []
    assert sentences_of("CAST(code AS timestamp) + INTERVAL 1 DAY") == []


@pytest.mark.parametrize(
    "text",
    [
        "Quantity = '5'",
        "Quantity IN ('1', '2')",
        "Quantity = code",
        "Quantity IS NULL",
        "Quantity <=> NULL",
        "price BETWEEN 1 AND 2",
        "price IN (1, -2)",
        "at > '2011-01-01'",
        "CAST(Quantity AS int) = 5",
        "length(Quantity) = 5",
        "Quantity || 5 = '15'",
        "Quantity * 2 + 1",
        "CAST(Quantity AS double) / 2",
        "coalesce(code, '0')",
        "if(paid, code, NULL)",
        "CASE WHEN price = 5 THEN Quantity ELSE 'none' END",
        "CASE code WHEN '1' THEN 1 ELSE 0 END",
        "round(price / 2, 1)",
    ],
)
def test_what_is_not_surely_wrong_is_left_alone(text: str) -> None:
    """Texts beside texts, numbers beside numbers, and whatever a function or a cast makes of a column."""
    assert sentences_of(text) == []


def test_each_mixture_of_an_expression_is_told_once() -> None:
    """Two columns are two sentences; the same comparison twice is one; an unknown column is another's to tell."""
    text = "Quantity = 5 OR Quantity = 5 OR `Unit Price` > 0 OR unheard_of = 5"
    assert sorted(mixed_texts(text, TYPES)) == [compared("Quantity", "5"), compared("Unit Price", "0")]
