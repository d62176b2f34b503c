"""Headers that are not what the contract says: refused by name before any row is read, or read by name."""

from collections.abc import Callable
from dataclasses import replace

from tests.faults.corpus.delivery import Accepts, Day, Recipe, packed, stops

Names = Callable[[tuple[str, ...]], tuple[str, ...]]


def _header(change: Names) -> Callable[[Day], bytes]:
    return lambda day: replace(day, header=change(day.header)).csv()


def _instead(old: str, new: str) -> Callable[[Day], bytes]:
    return _header(lambda names: tuple(new if name == old else name for name in names))


def _reordered(day: Day) -> bytes:
    order = [7, 6, 5, 4, 3, 2, 1, 0]
    moved = [tuple(row[place] for place in order) for row in (day.header, *day.rows)]
    return replace(day, header=moved[0], rows=tuple(moved[1:])).csv()


def _without_last(day: Day) -> bytes:
    return replace(day, header=day.header[:-1], rows=tuple(row[:-1] for row in day.rows)).csv()


def _with_extra(name: str, value: str) -> Callable[[Day], bytes]:
    return lambda day: replace(day, header=(*day.header, name), rows=tuple((*row, value) for row in day.rows)).csv()


RECIPES = (
    Recipe("a column is renamed", stops("'UnitPrice' is missing", "'UnitPrices'"), _instead("UnitPrice", "UnitPrices")),
    Recipe("the columns come in another order, rows alike", Accepts(), _reordered),
    Recipe("a column is missing", stops("'Country' is missing"), _without_last),
    Recipe(
        "a column more than the contract knows", stops("'Coupon'", "not in the contract"), _with_extra("Coupon", "")
    ),
    Recipe("a column stands twice", stops("'Country' stands 2 times"), _with_extra("Country", "France")),
    Recipe(
        "a header in another case",
        stops("'CustomerID'", "'customerid'"),
        _instead("CustomerID", "customerid"),
        why="a source may accept it by its drift policy; the default is to ask",
    ),
    Recipe("a name with trailing blanks", stops("'UnitPrice '"), _instead("UnitPrice", "UnitPrice ")),
    Recipe("a column without a name", stops("'UnitPrice' is missing"), _instead("UnitPrice", "")),
    Recipe("a byte order mark before the header", Accepts(), lambda day: packed(b"\xef\xbb\xbf" + day.text().encode())),
    Recipe("no header at all", stops("'InvoiceNo' is missing"), lambda day: packed("\n".join(day.lines()) + "\n")),
    Recipe("an empty line instead of the header", stops("header"), lambda day: packed("\n" + "\n".join(day.lines()))),
)
