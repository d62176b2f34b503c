"""Files that are not of their format, and drift in nested and typed formats."""

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from tests.faults.corpus.delivery import (
    Accepts,
    Day,
    Format,
    Ignores,
    Quarantines,
    Recipe,
    json_lines,
    packed,
    parquet,
    stops,
)

Change = Callable[[dict[str, Any]], dict[str, Any]]


def _zipped(name: str) -> Callable[[Day], bytes]:
    def spoil(day: Day) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr(name, day.text())
        return packed(out.getvalue())

    return spoil


def _flipped(day: Day) -> bytes:
    spoilt = bytearray(day.csv())
    spoilt[len(spoilt) // 2] ^= 0xFF
    return bytes(spoilt)


def _last_line(text: str | bytes) -> Callable[[Day], bytes]:
    """With a word inside the description of the last row replaced by these bytes."""
    word = text.encode() if isinstance(text, str) else text

    def spoil(day: Day) -> bytes:
        last = day.rows[-1]
        marked = Day(day.date, day.header, (*day.rows[:-1], (*last[:2], "MARK", *last[3:])))
        return packed(marked.text().encode().replace(b"MARK", word))

    return spoil


def _records(change: Change, places: slice = slice(None)) -> Callable[[Day], bytes]:
    def spoil(day: Day) -> bytes:
        records = day.records()
        wanted = set(range(len(records)) if places == slice(None) else day.sound()[places])
        return json_lines(change(one) if place in wanted else one for place, one in enumerate(records))

    return spoil


def _customer(change: Change) -> Change:
    return lambda record: record | {"customer": change(record["customer"])}


def _renamed_id(customer: dict[str, Any]) -> dict[str, Any]:
    return {"key": customer["id"], "country": customer["country"]}


def _reversed(record: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(record.items()))


def _cut_line(day: Day) -> bytes:
    lines = [json.dumps(record) for record in day.records()]
    place = day.sound()[0]
    lines[place] = lines[place][: len(lines[place]) // 2]
    return packed("\n".join(lines) + "\n")


def _other_line(text: str) -> Callable[[Day], bytes]:
    def spoil(day: Day) -> bytes:
        lines = [json.dumps(record) for record in day.records()]
        lines[day.sound()[0]] = text
        return packed("\n".join(lines) + "\n")

    return spoil


def _table(change: Callable[[pa.Table], pa.Table]) -> Callable[[Day], bytes]:
    return lambda day: parquet(change(day.table()))


def _retyped(name: str, kind: pa.DataType) -> Callable[[Day], bytes]:
    return _table(lambda table: table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind)))


def _dated(table: pa.Table) -> pa.Table:
    return table.set_column(3, "Quantity", pa.array([True] * len(table)))


def _zoned(table: pa.Table) -> pa.Table:
    place = table.schema.get_field_index("InvoiceDate")
    return table.set_column(place, "InvoiceDate", table["InvoiceDate"].cast(pa.timestamp("us", tz="UTC")))


FILES = (
    Recipe("an empty file", stops("is empty (0 bytes)"), lambda _: b""),
    Recipe("an empty file, packed", stops("is empty"), lambda _: packed("")),
    Recipe("a header and no rows", stops("has a header and no rows"), lambda day: packed(day.text().split("\n")[0])),
    Recipe("a binary file", stops("is binary"), lambda _: packed(b"\x00\x01\x02\x03" * 100)),
    Recipe("NUL bytes in the last line", stops("NUL"), _last_line(b"\x00\x00\x00\x00")),
    Recipe("a workbook", stops("Excel"), _zipped("xl/workbook.xml")),
    Recipe("a zip archive", stops("zip archive"), _zipped("day.csv")),
    Recipe("UTF-16 text", stops("UTF-16"), lambda day: packed(day.text().encode("utf-16"))),
    Recipe("UTF-16 text without its mark", stops("NUL"), lambda day: packed(day.text().encode("utf-16-le"))),
    Recipe("Latin-1 text", stops("is not UTF-8"), _last_line("CAFÉ £5".encode("latin-1"))),
    Recipe("UTF-8 text with one Latin-1 byte in it", stops("is not UTF-8"), _last_line("CAFÉ ".encode() + b"\xe9")),
    Recipe("UTF-8 text beyond ASCII", Accepts(), _last_line("CAFÉ Ω 皿 🍵")),
    Recipe("JSON named csv", stops("JSON"), lambda day: json_lines(day.records())),
    Recipe("a gzip with a flipped bit", stops("cannot be unpacked"), _flipped),
    Recipe("a gzip cut at its end", stops("cannot be unpacked"), lambda day: day.csv()[:-40]),
    Recipe("plain text named gz", stops("cannot be unpacked"), lambda day: day.text().encode()),
    Recipe("packed twice", stops("gzip data"), lambda day: packed(day.csv())),
    Recipe("another separator", stops("InvoiceNo;StockCode"), lambda day: packed(day.text(separator=";"))),
    Recipe("tabs as separator", stops("'InvoiceNo' is missing"), lambda day: packed(day.text(separator="\t"))),
    Recipe("a parquet file named csv", stops("Parquet"), lambda day: packed(day.parquet())),
    Recipe(
        "an error page instead of the file",
        stops("'InvoiceNo' is missing"),
        lambda _: packed("<!DOCTYPE html>\n<html><body>503 Service Unavailable</body></html>\n"),
    ),
    Recipe("bare carriage returns as line ends", Accepts(), lambda day: packed(day.text(line_end="\r"))),
    Recipe("line ends of Windows", Accepts(), lambda day: packed(day.text(line_end="\r\n"))),
    Recipe("no line end after the last row", Accepts(), lambda day: packed(day.text().rstrip("\n"))),
    Recipe("blank lines at the end", Accepts(), lambda day: packed(day.text() + "\n\n\n")),
)

JSON = (
    Recipe("json: the keys in another order", Accepts(), _records(_reversed), Format.JSON),
    Recipe(
        "json: an array instead of lines",
        stops("object"),
        lambda day: packed(json.dumps(day.records())),
        Format.JSON,
    ),
    Recipe("json: a line cut in its middle", Quarantines(1, "bad_shape"), _cut_line, Format.JSON),
    Recipe("json: a line that is a list", Quarantines(1, "bad_shape"), _other_line("[1, 2]"), Format.JSON),
    Recipe("json: csv named json", stops("object"), lambda day: day.csv(), Format.JSON),
    Recipe(
        "json: a nested field renamed",
        stops("'customer.id' is missing", "'customer.key'"),
        _records(_customer(_renamed_id)),
        Format.JSON,
    ),
    Recipe(
        "json: a nested field missing from every line",
        stops("'customer.id' is missing"),
        _records(_customer(lambda customer: {"country": customer["country"]})),
        Format.JSON,
    ),
    Recipe(
        "json: a nested field missing from three lines",
        Ignores(3, "anonymous"),
        _records(_customer(lambda customer: {"country": customer["country"]}), slice(3)),
        Format.JSON,
        why="a line may leave out what is null",
    ),
    Recipe(
        "json: a nested field became an object",
        stops("'customer.id'"),
        _records(_customer(lambda customer: customer | {"id": {"value": customer["id"]}})),
        Format.JSON,
    ),
    Recipe(
        "json: a number became a truth value",
        stops("'Quantity'", "boolean"),
        _records(lambda record: record | {"Quantity": True}),
        Format.JSON,
    ),
    Recipe(
        "json: three numbers are words",
        Quarantines(3, "bad_type.Quantity"),
        _records(lambda record: record | {"Quantity": "twelve"}, slice(3)),
        Format.JSON,
        why="three bad values are three bad rows; only a column of another kind is drift",
    ),
    Recipe(
        "json: a key more than the contract knows",
        stops("'coupon'", "not in the contract"),
        _records(lambda record: record | {"coupon": None}),
        Format.JSON,
    ),
    Recipe(
        "json: a gzip cut at its end", stops("cannot be unpacked"), lambda d: json_lines(d.records())[:-9], Format.JSON
    ),
)

PARQUET = (
    Recipe("parquet: without its footer", stops("footer"), lambda day: day.parquet()[:-8], Format.PARQUET),
    Recipe(
        "parquet: cut in half", stops("parquet"), lambda day: day.parquet()[: len(day.parquet()) // 2], Format.PARQUET
    ),
    Recipe("parquet: csv named parquet", stops("parquet"), lambda day: day.text().encode(), Format.PARQUET),
    Recipe("parquet: no rows", stops("no rows"), _table(lambda table: table.slice(0, 0)), Format.PARQUET),
    Recipe(
        "parquet: the columns in another order",
        Accepts(),
        _table(lambda t: t.select(t.column_names[::-1])),
        Format.PARQUET,
    ),
    Recipe("parquet: a number became a truth value", stops("'Quantity'", "boolean"), _table(_dated), Format.PARQUET),
    Recipe(
        "parquet: a number became text", stops("'Quantity'", "text"), _retyped("Quantity", pa.string()), Format.PARQUET
    ),
    Recipe("parquet: a wider integer", Accepts(), _retyped("Quantity", pa.int64()), Format.PARQUET),
    Recipe("parquet: times with a zone", Accepts(), _table(_zoned), Format.PARQUET, why="London is on UTC in winter"),
    Recipe(
        "parquet: a column missing",
        stops("'Country' is missing"),
        _table(lambda t: t.drop_columns("Country")),
        Format.PARQUET,
    ),
    Recipe(
        "parquet: a column more than the contract knows",
        stops("'Coupon'", "not in the contract"),
        _table(lambda table: table.append_column("Coupon", pa.nulls(len(table), pa.string()))),
        Format.PARQUET,
    ),
)

RECIPES = (*FILES, *JSON, *PARQUET)
