import pytest

from churnlake.contract.comparisons import compared_with_numbers

TYPES = {"Quantity": "text", "Unit Price": "text", "price": "decimal(12,2)", "at": "timestamp"}


def told(column: str, number: str) -> str:
    """The sentence for one column and one number."""
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
def test_a_text_column_beside_a_number_is_reported(text: str, column: str, number: str) -> None:
    """Wherever in an expression they meet, and whichever stands first."""
    assert compared_with_numbers(text, TYPES) == [told(column, number)]


@pytest.mark.parametrize(
    "text",
    [
        "Quantity = '5'",
        "Quantity IN ('1', '2')",
        "Quantity IS NULL",
        "Quantity <=> NULL",
        "Quantity = price",
        "price BETWEEN 1 AND 2",
        "price IN (1, -2)",
        "at > '2011-01-01'",
        "CAST(Quantity AS int) = 5",
        "length(Quantity) = 5",
        "Quantity || 5 = '15'",
        "Quantity * 2",
        "CASE WHEN price = 5 THEN Quantity END",
        "unheard_of = 5",
    ],
)
def test_what_is_not_surely_wrong_is_left_alone(text: str) -> None:
    """Texts beside texts, numbers beside numbers, and whatever a function or a cast makes of a column."""
    assert compared_with_numbers(text, TYPES) == []


def test_each_comparison_of_an_expression_is_told_once() -> None:
    """Two columns are two sentences; the same comparison twice is one."""
    text = "Quantity = 5 OR Quantity = 5 OR `Unit Price` > 0"
    assert sorted(compared_with_numbers(text, TYPES)) == [told("Quantity", "5"), told("Unit Price", "0")]
