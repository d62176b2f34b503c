"""Categories as numbers: which of a category's values are levels of the model, and their codes. Needs only numpy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A level's weight is worth something only with so many rows, and customers, behind it.
MINIMUM_ROWS = 50
MINIMUM_CUSTOMERS = 20

# With "other" and "absent" this makes 63 states of a category.
MOST_LEVELS = 61

# Beyond this a column is an identifier or free text, whatever it is called.
MOST_VALUES = 10_000

# The code of every value that is no level; an absent one is NaN, as in every other column of the matrix.
OTHER = -1


@dataclass(frozen=True)
class Category:
    """A text feature and its levels; a level's place is its code."""

    name: str
    levels: tuple[str, ...]

    def encode(self, texts: Iterable[str | None]) -> NDArray[np.float64]:
        """Codes float64[n]: the level's, OTHER for a value that is none, NaN for an absent one."""
        codes: dict[str | None, float] = {level: float(code) for code, level in enumerate(self.levels)}
        codes[None] = np.nan
        return np.array([codes.get(text, OTHER) for text in texts], dtype=np.float64)


@dataclass(frozen=True)
class Values:
    """What the training rows hold of a category: its values, most frequent first (then by text), and their counts."""

    texts: tuple[str, ...]
    rows: tuple[int, ...]
    customers: tuple[int, ...]

    def levels(self) -> tuple[str, ...]:
        """The values with rows and customers enough, at most 61."""
        counted = zip(self.texts, self.rows, self.customers, strict=True)
        enough = (text for text, rows, customers in counted if rows >= MINIMUM_ROWS and customers >= MINIMUM_CUSTOMERS)
        return tuple(enough)[:MOST_LEVELS]

    def unfit(self, customers: int) -> str | None:
        """Why a column with these values is no feature of so many customers; None where it is one."""
        if len(self.texts) > MOST_VALUES:
            return f"{len(self.texts):,} different values; a category may have {MOST_VALUES:,}"
        if len(self.texts) > customers / 2:
            return f"{len(self.texts):,} different values for {customers:,} customers: nearly one each, an identifier"
        return None


def count_values(texts: Sequence[str | None], customers: NDArray[np.int64]) -> Values:
    """The values of n training rows; `customers` int64[n] are codes from 0."""
    found: dict[str | None, int] = {None: 0}
    codes = np.array([found.setdefault(text, len(found)) for text in texts], dtype=np.int64)
    pairs = np.unique(codes * (customers.max(initial=0) + 1) + customers) // (customers.max(initial=0) + 1)
    rows, owners = (np.bincount(each, minlength=len(found)).tolist() for each in (codes, pairs))
    ranked = sorted((-rows[code], text, owners[code]) for text, code in found.items() if text is not None)
    return Values(
        texts=tuple(text for _, text, _ in ranked),
        rows=tuple(-count for count, _, _ in ranked),
        customers=tuple(owner for _, _, owner in ranked),
    )
