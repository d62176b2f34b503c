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
from churnlake.model.reasons import Reasons, members_by_family, top_reasons

PLAN_FORMAT = 1

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
class Scored:
    """Probabilities float64[n] and up to three reasons a row: see `Reasons` for the shapes of the other three."""

    probability: NDArray[np.float64]
    reason_feature: NDArray[np.int16]
    reason_value: NDArray[np.float64]
    reason_direction: NDArray[np.int8]


@dataclass(frozen=True)
class ScoringPlan:
    """A calibrated logistic model over `terms`, in the column order of the matrix it scores."""

    intercept: float
    terms: tuple[Term, ...]

    @cached_property
    def features(self) -> tuple[str, ...]:
        return tuple(term.name for term in self.terms)

    def score(self, matrix: NDArray[np.float64]) -> Scored:
        """Churn probabilities and reasons of rows whose columns are `features`; NaN means absent.

        A row's result does not depend on the rows beside it, to the last bit.

        Raises:
            DataRefusedError: The matrix has another width, or holds an infinite value.
        """
        self._validate(matrix)
        probability = np.empty(len(matrix))
        blocks = []
        for part in _blocks(len(matrix)):
            # C order, so that every row is summed in the same order however the caller laid the matrix out.
            rows = np.ascontiguousarray(matrix[part], dtype=np.float64)
            shares = self.shares(rows)
            probability[part] = logistic(self.intercept + shares.sum(axis=1))
            blocks.append(top_reasons(rows, shares - self._numbers["usual"], self._members))
        return _joined(probability, blocks)

    def shares(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Each feature's share of the log-odds, float64[n, f]: the intercept plus a row's sum is its log-odds."""
        number = self._numbers
        absent = np.isnan(matrix)
        shaped = np.where(absent, number["fill"], signed_log(matrix))
        value = np.clip((shaped - number["center"]) / number["spread"], -CLIP, CLIP) * number["weight"]
        flag = np.clip((absent - number["absent_center"]) / number["absent_spread"], -CLIP, CLIP)
        return value + flag * number["absent_weight"]

    def to_json(self) -> str:
        """Canonical text: equal plans give equal bytes, and reading it back gives exactly the same numbers."""
        document = {"format": PLAN_FORMAT, "intercept": self.intercept, "terms": [asdict(term) for term in self.terms]}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "ScoringPlan":
        """The plan written by `to_json`.

        Raises:
            ModelRefusedError: The text is not exactly such a document: a missing or further key, a number that is none.
        """
        try:
            document = json.loads(text)
        except ValueError as error:
            raise _not_a_plan(f"it is not JSON ({error})") from error
        _require_keys(document, {"format", "intercept", "terms"})
        if document["format"] != PLAN_FORMAT:
            raise _not_a_plan(f"its format is {document['format']!r}; this version reads {PLAN_FORMAT}")
        if not isinstance(document["terms"], list) or not document["terms"]:
            raise _not_a_plan("it has no terms")
        return cls(_number(document, "intercept"), tuple(_term(entry) for entry in document["terms"]))

    @property
    def digest(self) -> str:
        """sha256 of the canonical text, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @cached_property
    def _numbers(self) -> Mapping[str, NDArray[np.float64]]:
        return {name: np.array([getattr(term, name) for term in self.terms]) for name in _NUMBERS}

    @cached_property
    def _members(self) -> tuple[NDArray[np.intp], ...]:
        return members_by_family([term.family for term in self.terms])

    def _validate(self, matrix: NDArray[np.float64]) -> None:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.terms):
            raise DataRefusedError(f"the model scores {len(self.terms)} features; got a matrix of shape {matrix.shape}")
        infinite = np.flatnonzero(np.isinf(matrix).any(axis=0))
        if len(infinite):
            names = ", ".join(self.features[column] for column in infinite)
            raise DataRefusedError(f"infinite values in {names}; a feature is a number, or null where absent")


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
    if not (isinstance(entry["name"], str) and isinstance(entry["family"], str)):
        raise _not_a_plan("a term's name and family must be text")
    numbers = {name: _number(entry, name) for name in _NUMBERS}
    if not (numbers["spread"] > 0 and numbers["absent_spread"] > 0):
        raise _not_a_plan(f"the spread of {entry['name']} must be above 0")
    return Term(name=entry["name"], family=entry["family"], **numbers)


def _number(entry: Mapping[str, Any], key: str) -> float:
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _not_a_plan(f"{key} must be a finite number; got {value!r}")
    return float(value)


def _require_keys(entry: Any, keys: set[str]) -> None:
    if not isinstance(entry, dict) or set(entry) != keys:
        found = sorted(entry) if isinstance(entry, dict) else type(entry).__name__
        raise _not_a_plan(f"it must have exactly the keys {sorted(keys)}; got {found}")


def _not_a_plan(problem: str) -> ModelRefusedError:
    return ModelRefusedError(f"this is no scoring plan: {problem}", next_step="train and register the model again")
