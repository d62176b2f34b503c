"""Notation: how a source's files write a missing value and a decimal mark, turned into what typing understands.

Landed rows and their hashes keep what was delivered; only what becomes a type is read through this.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from churnlake.contract.source import Source
from churnlake.contract.values import landed_column

_NO_NUMBERS = ("text", "boolean", "date", "timestamp")
# Blanks between thousands: the plain one, one that does not break, a thin one, and both at once.
_BLANKS = " \u00a0\u2009\u202f"
# 1.234,56 or 1 234,56 or 1234,56: in threes with one and the same sign, or with none. So 1.5 is no number here.
_WITH_COMMA = (
    rf"^[{_BLANKS}]*[+-]?(?:[0-9]{{1,3}}(?:([.{_BLANKS}])[0-9]{{3}}(?:\1[0-9]{{3}})*)?|[0-9]+)?"
    rf"(?:,[0-9]*)?(?:[eE][+-]?[0-9]+)?[{_BLANKS}]*$"
)


def with_plain_values(landed: DataFrame, source: Source) -> DataFrame:
    """Landed rows whose columns can be typed: null marks are null, and numbers have a point and no sign of thousands.

    A number that is not written as the contract says is null.
    """
    if not source.null_marks and source.decimal == ".":
        return landed
    columns = {landed_column(name): kind for name, kind in source.types.items()}
    return landed.withColumns({name: _plain(F.col(name), kind, source) for name, kind in columns.items()})


def _plain(written: Column, kind: str, source: Source) -> Column:
    told = F.when(holds_value(written, source), written)
    if source.decimal == "." or kind in _NO_NUMBERS:
        return told
    return F.when(told.rlike(_WITH_COMMA), F.translate(told, f",.{_BLANKS}", "."))


def holds_value(written: Column, source: Source) -> Column:
    """Whether a landed value is one: neither null nor a mark that means null."""
    return written.isNotNull() & ~written.isin(*source.null_marks) if source.null_marks else written.isNotNull()
