"""The scoring plan: a fitted, calibrated model written out as plain numbers, and the arithmetic that applies it.

Workers and the nightly job import this module; it needs only numpy, and nothing in a plan executes.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from churnlake.errors import DataRefusedError, ModelRefusedError
from churnlake.model.levels import OTHER, Category
from churnlake.model.reasons import Reasons, members_by_family, top_reasons

# 1 knew numbers only.
PLAN_FORMAT = 2

# Standard deviations. Beyond this a value says no more than "extreme"; without the limit one customer decides the fit.
CLIP = 5.0

# Rows scored at once: the temporaries of 70 features stay within the processor's cache.
BLOCK_ROWS = 2_048


@dataclass(frozen=True)
class Term:
    """One feature's share of the log-odds.

    With x the raw value and s = sign(x) * log1p(|x|), filled with `fill` where x is absent, the share is
    `weight * clip((s - center) / spread) + absent_weight * clip((is_absent - absent_center) / absent_spread)`.
    `usual` is the mean share over the training rows: what reasons are measured against.
    """

    name: str
    family: str
    fill: float
    center: float
    spread: float
    weight: float
    absent_center: float
    absent_spread: float
    absent_weight: float
    usual: float


@dataclass(frozen=True)
class CategoryTerm:
    """One category's share of the log-odds: a number for each of its states.

    `shares` stand beside `levels`; `other` is the share of any value that is no level, `absent` that of none at all.
    `usual` as in `Term`.
    """

    name: str
    family: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    other: float
    absent: float
    usual: float

    @cached_property
    def category(self) -> Category:
        """The levels with their codes."""
        return Category(self.name, self.levels)

    def shares_of(self, codes: NDArray[np.float64]) -> NDArray[np.float64]:
        """The shares float64[n] of codes float64[n], as `category` makes them."""
        states = np.where(np.isnan(codes), len(self.levels) + 1, np.where(codes == OTHER, len(self.levels), codes))
        return self._table[states.astype(np.intp)]

    def knows(self, codes: NDArray[np.float64]) -> bool:
        """Whether all of float64[n] are codes of this category."""
        known = (codes >= OTHER) & (codes < len(self.levels)) & (codes == np.floor(codes))
        return bool((known | np.isnan(codes)).all())

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        return np.array([*self.shares, self.other, self.absent])


@dataclass(frozen=True)
class Scored:
    """Probabilities float64[n] and up to three reasons a row: see `Reasons` for the shapes of the other three.

    The value of a reason that is a category is NaN: its text is the caller's.
    """

    probability: NDArray[np.float64]
    reason_feature: NDArray[np.int16]
    reason_value: NDArray[np.float64]
    reason_direction: NDArray[np.int8]


@dataclass(frozen=True)
class ScoringPlan:
    """A calibrated logistic model over `terms`, then `categories`, in the column order of the matrix it scores."""

    intercept: float
    terms: tuple[Term, ...]
    categories: tuple[CategoryTerm, ...] = ()

    @cached_property
    def features(self) -> tuple[str, ...]:
        return tuple(term.name for term in self._columns)

    def score(self, matrix: NDArray[np.float64]) -> Scored:
        """Churn probabilities and reasons of rows whose columns are `features`; NaN means absent.

        A category's column holds its codes: `plan.categories[i].category.encode(texts)`. A row's result does not depend
        on the rows beside it, to the last bit.

        Raises:
            DataRefusedError: The matrix has another width, holds an infinite value, or a code that is none.
        """
        self._validate(matrix)
        probability = np.empty(len(matrix))
        blocks = []
        for part in _blocks(len(matrix)):
            # C order, so that every row is summed in the same order however the caller laid the matrix out.
            rows = np.ascontiguousarray(matrix[part], dtype=np.float64)
            shares = self.shares(rows)
            probability[part] = logistic(self.intercept + shares.sum(axis=1))
            blocks.append(top_reasons(self._told(rows), shares - self._usual, self._members))
        return _joined(probability, blocks)

    def shares(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each feature's share of the log-odds, float64[n, f]: the intercept plus a row's sum is its log-odds."""
        numbers, codes = matrix[:, : len(self.terms)], matrix[:, len(self.terms) :]
        told = [term.shares_of(codes[:, place]) for place, term in enumerate(self.categories)]
        # In C order, whatever the parts' own: see `score`.
        return np.ascontiguousarray(np.column_stack([self._number_shares(numbers), *told]))

    def _number_shares(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        number = self._numbers
        absent = np.isnan(matrix)
        shaped = np.where(absent, number["fill"], signed_log(matrix))
        value = np.clip((shaped - number["center"]) / number["spread"], -CLIP, CLIP) * number["weight"]
        flag = np.clip((absent - number["absent_center"]) / number["absent_spread"], -CLIP, CLIP)
        return value + flag * number["absent_weight"]

    def to_json(self) -> str:
        """Canonical text: equal plans give equal bytes, and reading it back gives exactly the same numbers."""
        document = {
            "format": PLAN_FORMAT,
            "intercept": self.intercept,
            "terms": [asdict(term) for term in self.terms],
            "categories": [asdict(term) for term in self.categories],
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "ScoringPlan":
        """The plan written by `to_json`.

        Raises:
            ModelRefusedError: The text is not exactly such a document: another format, a missing or further key, a
                number that is none.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise _not_a_plan(f"it is not JSON ({error})") from error
        _require_format(document)
        _require_keys(document, {"format", "intercept", "terms", "categories"})
        terms, categories = document["terms"], document["categories"]
        if not (isinstance(terms, list) and isinstance(categories, list) and terms + categories):
            raise _not_a_plan("it has no terms")
        return cls(
            _number(document, "intercept"),
            tuple(_term(entry) for entry in terms),
            tuple(_category_term(entry) for entry in categories),
        )

    @property
    def digest(self) -> str:
        """sha256 of the canonical text, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def _columns(self) -> tuple[Term | CategoryTerm, ...]:
        return (*self.terms, *self.categories)

    @cached_property
    def _numbers(self) -> Mapping[str, NDArray[np.float64]]:
        return {name: np.array([getattr(term, name) for term in self.terms]) for name in _NUMBERS}

    @cached_property
    def _usual(self) -> NDArray[np.float64]:
        return np.array([term.usual for term in self._columns])

    @cached_property
    def _members(self) -> tuple[NDArray[np.intp], ...]:
        return members_by_family([term.family for term in self._columns])

    def _told(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """The matrix as reasons tell its values: codes mean nothing outside the plan."""
        if not self.categories:
            return matrix
        return np.where(np.arange(matrix.shape[1]) < len(self.terms), matrix, np.nan)

    def _validate(self, matrix: NDArray[np.float64]) -> None:
        width = len(self.features)
        if matrix.ndim != 2 or matrix.shape[1] != width:
            raise DataRefusedError(f"the model scores {width} features; got a matrix of shape {matrix.shape}")
        infinite = np.flatnonzero(np.isinf(matrix).any(axis=0))
        if len(infinite):
            names = ", ".join(self.features[column] for column in infinite)
            raise DataRefusedError(f"infinite values in {names}; a feature is a number, or null where absent")
        for place, term in enumerate(self.categories, start=len(self.terms)):
            if not term.knows(matrix[:, place]):
                levels = len(term.levels)
                raise DataRefusedError(f"{term.name} must hold codes of its {levels} levels, {OTHER} or none at all")


def signed_log(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """sign(x) * log(1 + |x|): counts and money are heavy-tailed, and refunds make some of them negative."""
    return np.asarray(np.sign(matrix) * np.log1p(np.abs(matrix)))


def logistic(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), written so that exp never overflows."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1.0 + small)


_NUMBERS = tuple(field.name for field in fields(Term) if field.name not in ("name", "family"))


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK_ROWS, rows)) for start in range(0, rows, BLOCK_ROWS))


def _joined(probability: NDArray[np.float64], blocks: list[Reasons]) -> Scored:
    if not blocks:
        return Scored(probability, np.empty((0, 3), np.int16), np.empty((0, 3)), np.empty((0, 3), np.int8))
    return Scored(
        probability=probability,
        reason_feature=np.concatenate([block.feature for block in blocks]),
        reason_value=np.concatenate([block.value for block in blocks]),
        reason_direction=np.concatenate([block.direction for block in blocks]),
    )


def _term(entry: Any) -> Term:
    _require_keys(entry, {field.name for field in fields(Term)})
    _require_names(entry)
    numbers = {name: _number(entry, name) for name in _NUMBERS}
    if not (numbers["spread"] > 0 and numbers["absent_spread"] > 0):
        raise _not_a_plan(f"the spread of {entry['name']} must be above 0")
    return Term(name=entry["name"], family=entry["family"], **numbers)


def _category_term(entry: Any) -> CategoryTerm:
    _require_keys(entry, {field.name for field in fields(CategoryTerm)})
    _require_names(entry)
    levels, shares = entry["levels"], entry["shares"]
    if not (isinstance(levels, list) and isinstance(shares, list) and len(levels) == len(shares)):
        raise _not_a_plan(f"{entry['name']} must have as many shares as levels")
    if not all(isinstance(level, str) for level in levels) or len(set(levels)) < len(levels):
        raise _not_a_plan(f"the levels of {entry['name']} must be different texts")
    return CategoryTerm(
        name=entry["name"],
        family=entry["family"],
        levels=tuple(levels),
        shares=tuple(_number({"a share": share}, "a share") for share in shares),
        other=_number(entry, "other"),
        absent=_number(entry, "absent"),
        usual=_number(entry, "usual"),
    )


def _number(entry: Mapping[str, Any], key: str) -> float:
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _not_a_plan(f"{key} must be a finite number; got {value!r}")
    return float(value)


def _require_keys(entry: Any, keys: set[str]) -> None:
    if not isinstance(entry, dict) or set(entry) != keys:
        found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise _not_a_plan(f"it must have exactly the keys {sorted(keys)}; got {found}")


def _require_names(entry: Mapping[str, Any]) -> None:
    if not (isinstance(entry["name"], str) and isinstance(entry["family"], str)):
        raise _not_a_plan("a term's name and family must be text")


def _require_format(document: Any) -> None:
    """A plan of another version is whole, but its numbers mean something else."""
    found = document.get("format") if isinstance(document, dict) else PLAN_FORMAT
    if found != PLAN_FORMAT:
        raise ModelRefusedError(
            f"the model's scoring plan has format {found!r}; this version of Churnlake reads {PLAN_FORMAT}",
            next_step="train and register the model again",
        )


def _not_a_plan(problem: str) -> ModelRefusedError:
    return ModelRefusedError(f"this is no scoring plan: {problem}", next_step="train and register the model again")
