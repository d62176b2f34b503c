"""Single rows that are wrong, or look wrong, in a file that is right."""

from collections.abc import Callable
from datetime import datetime, timedelta

from tests.faults.corpus.delivery import SOME, Accepts, Day, Ignores, Outcome, Quarantines, Recipe, packed

ID, TIME = "events.customer_id", "events.event_ts"


def _values(**values: str) -> Callable[[Day], bytes]:
    """Some sound rows with these values; {} in a value stands for what was there."""

    def change(row: dict[str, str]) -> dict[str, str]:
        return row | {name: text.replace("{}", row[name]) for name, text in values.items()}

    return lambda day: day.changed(day.sound()[:SOME], change).csv()


def _value(name: str, outcome: Outcome, why: str = "", **values: str) -> Recipe:
    return Recipe(name, outcome, _values(**values), why=why)


def _lines(change: Callable[[str], str], rows: int = SOME) -> Callable[[Day], bytes]:
    """Some sound rows, changed as lines of text."""

    def spoil(day: Day) -> bytes:
        lines = day.lines()
        for place in day.sound()[:rows]:
            lines[place] = change(lines[place])
        return packed("\n".join([",".join(day.header), *lines]) + "\n")

    return spoil


def _decimal_comma_unquoted(line: str) -> str:
    fields = line.split(",")
    return ",".join([*fields[:5], fields[5].replace(".", ","), *fields[6:]])


def _swapped(day: Day) -> bytes:
    with_pence = [place for place in day.sound() if not day.rows[place][5].endswith(".0")]

    def change(row: dict[str, str]) -> dict[str, str]:
        return row | {"Quantity": row["UnitPrice"], "UnitPrice": row["Quantity"]}

    return day.changed(with_pence[:SOME], change).csv()


def _shifted(row: dict[str, str]) -> dict[str, str]:
    """Every value from the description on stands one column to the left."""
    names = list(row)
    left = dict(zip(names[2:], [*list(row.values())[3:], ""], strict=True))
    return row | left


def _hours_later(hours: int) -> Callable[[Day], bytes]:
    def change(row: dict[str, str]) -> dict[str, str]:
        return row | {"InvoiceDate": str(datetime.fromisoformat(row["InvoiceDate"]) + timedelta(hours=hours))}

    return lambda day: day.everywhere(change).csv()


SHAPE = (
    Recipe("too few fields", Quarantines(SOME, "bad_shape"), _lines(lambda line: line.rsplit(",", 1)[0])),
    Recipe("too many fields", Quarantines(SOME, "bad_shape"), _lines(lambda line: line + ",more")),
    Recipe("a quote that is never closed", Quarantines(1, "bad_shape"), _lines(lambda line: '"' + line, 1)),
    Recipe(
        "an unquoted comma in a text", Quarantines(SOME, "bad_shape"), _lines(lambda line: line.replace(" ", ", ", 1))
    ),
    Recipe("an unquoted decimal comma", Quarantines(SOME, "bad_shape"), _lines(_decimal_comma_unquoted)),
    Recipe(
        "a line break inside a quoted text",
        Quarantines(2, "bad_shape", records=1),
        _lines(lambda line: '"' + line.replace(",", '\n",', 1), 1),
        why="a record is a line; the two halves of one that is not are both set aside",
    ),
    Recipe(
        "values shifted by a column",
        Quarantines(SOME, "bad_type.Quantity"),
        lambda day: day.changed(day.sound()[:SOME], _shifted).csv(),
    ),
    Recipe("quantity and price swapped", Quarantines(SOME, "bad_type.Quantity"), _swapped),
)

NUMBERS = (
    _value("whole numbers as floats", Quarantines(SOME, "bad_type.Quantity"), Quantity="{}.0"),
    _value("a blank inside a number", Quarantines(SOME, "bad_type.Quantity"), Quantity="1 2"),
    _value("blanks around a number", Accepts(), "the number is not in doubt", Quantity=" {} "),
    _value("a thousands separator", Quarantines(SOME, "bad_type.Quantity"), Quantity="1,200"),
    _value("a decimal comma", Quarantines(SOME, "bad_type.UnitPrice"), UnitPrice="2,55"),
    _value("a currency sign", Quarantines(SOME, "bad_type.UnitPrice"), UnitPrice="£{}"),
    _value("NaN as a price", Quarantines(SOME, "bad_type.UnitPrice"), UnitPrice="NaN"),
    _value("Infinity as a price", Quarantines(SOME, "bad_type.UnitPrice"), UnitPrice="Infinity"),
    _value("an integer too large", Quarantines(SOME, "bad_type.Quantity"), Quantity="99999999999"),
    _value("a price of more digits than its type", Quarantines(SOME, "bad_type.UnitPrice"), UnitPrice="123456789012.5"),
    _value("a word for a number", Quarantines(SOME, "bad_type.UnitPrice"), UnitPrice="cheap"),
    _value("digits of another script", Quarantines(SOME, "bad_type.Quantity"), Quantity="\uff11\uff12"),
    _value("a price of zero", Quarantines(SOME, "invoices.UnitPrice"), "a rule of the contract", UnitPrice="0.0"),
    _value("a negative price", Quarantines(SOME, "invoices.UnitPrice"), "a rule of the contract", UnitPrice="-{}"),
)

TIMES = (
    _value("a date that does not exist", Quarantines(SOME, "bad_type.InvoiceDate"), InvoiceDate="2011-02-30 10:00:00"),
    _value("a date in another format", Quarantines(SOME, "bad_type.InvoiceDate"), InvoiceDate="22/02/2011 10:00"),
    _value("a date without its dashes", Quarantines(SOME, "bad_type.InvoiceDate"), InvoiceDate="20110222"),
    _value("a time without a date", Quarantines(SOME, "bad_type.InvoiceDate"), InvoiceDate="10:30:00"),
    _value(
        "a time with a zone and without a date",
        Quarantines(SOME, "bad_type.InvoiceDate"),
        "an engine that fills in today would read the clock",
        InvoiceDate="10:30:00Z",
    ),
    _value("seconds since 1970", Quarantines(SOME, "bad_type.InvoiceDate"), InvoiceDate="1298368800"),
    _value(
        "the day number of a workbook",
        Quarantines(SOME, TIME),
        "Spark reads 40596 as a year; no file holds events of that far",
        InvoiceDate="40596",
    ),
    _value("a zero date", Quarantines(SOME, "bad_type.InvoiceDate"), InvoiceDate="0000-00-00 00:00:00"),
    _value("a date of the future", Quarantines(SOME, "too_early"), InvoiceDate="2031-02-22 10:00:00"),
    _value("the largest date as a default", Quarantines(SOME, TIME), InvoiceDate="9999-12-31 00:00:00"),
    _value(
        "1970-01-01 as a default",
        Quarantines(SOME, TIME),
        "no shop's events are older than 1990: it is a default that nobody meant",
        InvoiceDate="1970-01-01 00:00:00",
    ),
    _value("1900-01-01 as a default", Quarantines(SOME, TIME), InvoiceDate="1900-01-01 00:00:00"),
    _value("no time at all", Quarantines(SOME, TIME), "a fact without a time belongs to no day", InvoiceDate=""),
    Recipe(
        "all times eight hours ahead",
        Quarantines(249, "too_early"),
        _hours_later(8),
        why="what falls on the next day shows; what stays inside the day cannot be told by a row",
    ),
)

IDS = (
    _value("an empty id", Ignores(SOME, "anonymous"), CustomerID=""),
    _value(
        "ids as whole numbers instead of floats", Accepts(), "the contract's expression covers both", CustomerID="17850"
    ),
    _value("an id with blanks at its ends", Quarantines(SOME, ID), CustomerID=" {} "),
    _value("an id of blanks", Quarantines(SOME, ID), CustomerID="   "),
    _value("an id of 64 KB", Quarantines(SOME, ID), CustomerID="9" * (1 << 16)),
    _value("an id of 129 characters", Quarantines(SOME, ID), CustomerID="9" * 129),
    _value("an id of 128 characters", Accepts(), CustomerID="9" * 128),
    _value("a bell in an id", Quarantines(SOME, ID), CustomerID="178\x0750"),
    _value("an escape sequence in an id", Quarantines(SOME, ID), CustomerID="178\x1b[31m50"),
    _value("a tab in an id", Quarantines(SOME, ID), CustomerID="178\t50"),
    _value(
        "a zero-width space in an id",
        Quarantines(SOME, ID),
        "two customers that look like one",
        CustomerID="178\u200b50",
    ),
    _value("a mark that turns writing around in an id", Quarantines(SOME, ID), CustomerID="178\u202e50"),
    _value("a no-break space at the end of an id", Quarantines(SOME, ID), CustomerID="17850\u00a0"),
    _value(
        "a letter of another script that looks alike in an id",
        Accepts(),
        "ids may be of any script; it is another customer, and many of them show as new customers",
        CustomerID="\u0410-17850",
    ),
    _value(
        "nan as an id",
        Quarantines(SOME, ID),
        "how a null is spelt by who wrote the file, not a customer",
        CustomerID="nan",
    ),
    _value("NULL as an id", Quarantines(SOME, ID), "as nan", CustomerID="NULL"),
)

HOSTILE = (
    _value("SQL text as an id", Accepts(), "data, never read as SQL", CustomerID="1'; DROP TABLE scores; --"),
    _value("a path as an id", Accepts(), "data, never a file's name", CustomerID="../../../tmp/17850"),
    _value("a formula as an id", Accepts(), "data; exports escape it", CustomerID="=cmd|'/C calc'!A0"),
    _value("a formula as a text", Accepts(), "data; exports escape it", Description="=1+1", StockCode="@SUM(A1)"),
    _value("a template as an id", Accepts(), "data; nothing fills it in", CustomerID="{{7*7}}${env:HOME}"),
    _value("a script as an id", Accepts(), "data; pages escape it", CustomerID="<script>alert(1)</script>"),
    _value("quotes and backslashes in a text", Accepts(), Description='a "12\\" pipe\\'),
)

RECIPES = (*SHAPE, *NUMBERS, *TIMES, *IDS, *HOSTILE)
