"""The gate: may this model score customers? Every check is on record, and an error inside a check means no."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from churnlake.errors import ModelRefusedError
from churnlake.features import Family, Feature
from churnlake.model.evaluate import Evaluation, auc, log_losses, relative_gain
from churnlake.model.fit import FittedModel
from churnlake.model.pipeline import Candidate, build_classifier, build_preparation, fit_or_fail
from churnlake.model.search import Search, search_by_customer
from churnlake.model.split import Protocol, Sample, Split

MINIMUM_TEST_OUTCOMES = 50
MINIMUM_CUTOFFS = 3

# How far from .5 an honest protocol may come: .499 and .482 were measured, a forgotten grouping by customer gives .784.
# From few customers of an outcome chance alone goes further: three standard errors, and never so far that the forgotten
# grouping would pass.
PERMUTED_REACH = 0.06
PERMUTED_STANDARD_ERRORS = 3
PERMUTED_REACH_AT_MOST = 0.15

# Honest churn models stay far below; above it a feature most likely knows the outcome.
TOO_GOOD_AUC = 0.95

# Compiled and fitted arithmetic differ in the order of a sum, nothing more.
PLAN_TOLERANCE = 1e-12

# One permutation of few rows is a noisy measure: small samples are permuted more often, up to five times.
PERMUTED_ROWS = 10_000
PERMUTATIONS = 5

PERMUTED_CHECK = "permuted labels"

NO_RECENCY = "no feature tells the last activity, so the model is not held against one of recency alone"


class Verdict(StrEnum):
    """What may happen to a model. `hold` leaves it to a person, who gives a reason."""

    PROMOTE = "promote"
    HOLD = "hold"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Check:
    """One check's record. `verdict` is what it alone would decide; `value` the observed number, None without one."""

    name: str
    passed: bool
    observed: str
    allowed: str
    verdict: Verdict
    value: float | None


@dataclass(frozen=True)
class Gate:
    """All checks of one model."""

    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The most cautious of the checks; without any check the answer is no."""
        found = {check.verdict for check in self.checks} or {Verdict.REFUSE}
        return next(verdict for verdict in (Verdict.REFUSE, Verdict.HOLD, Verdict.PROMOTE) if verdict in found)

    @property
    def reason(self) -> str:
        """One line: the checks that did not pass, or that all did."""
        failed = [check for check in self.checks if not check.passed]
        told = "; ".join(f"{check.name}: {check.observed} (allowed: {check.allowed})" for check in failed)
        return told or f"all {len(self.checks)} checks passed"

    def check(self, name: str) -> Check:
        """The record of this check."""
        return next(check for check in self.checks if check.name == name)

    def to_json(self) -> str:
        """The record as kept with the model."""
        document = {"verdict": self.verdict, "reason": self.reason, "checks": [asdict(check) for check in self.checks]}
        return json.dumps(document, sort_keys=True, indent=1)


@dataclass(frozen=True)
class Finding:
    """What a check measured."""

    passed: bool
    observed: str
    value: float


def run_check(name: str, allowed: str, otherwise: Verdict, measure: Callable[[], Finding]) -> Check:
    """The record of one measurement; `otherwise` is the verdict where it does not pass, and an exception refuses."""
    try:
        found = measure()
    except Exception as error:  # noqa: BLE001 - whatever it was, the answer is no
        return Check(name, False, f"{type(error).__name__}: {error}", allowed, Verdict.REFUSE, None)
    value = found.value if np.isfinite(found.value) else None
    return Check(name, found.passed, found.observed, allowed, Verdict.PROMOTE if found.passed else otherwise, value)


def check_training_size(train: Sample, minimum_outcomes: int) -> Check:
    """Enough customers of the rarer outcome: from very few, honest protocols make models that rank backwards."""
    return run_check(
        "training size",
        f"at least {minimum_outcomes} customers with the rarer outcome",
        Verdict.REFUSE,
        lambda: _training_size(train, minimum_outcomes),
    )


def check_test_size(test: Sample) -> Check:
    """Enough customers of the rarer outcome in the test rows for any other check to mean something."""
    return run_check(
        "test size",
        f"at least {MINIMUM_TEST_OUTCOMES} customers with the rarer outcome, else nothing can be decided",
        Verdict.HOLD,
        lambda: _count(test.rarer_outcome_customers(), MINIMUM_TEST_OUTCOMES, "customers"),
    )


def check_cutoffs(train: Sample) -> Check:
    """Enough training cutoffs that the model has seen more than one season of the outcome."""
    return run_check(
        "training cutoffs",
        f"at least {MINIMUM_CUTOFFS}",
        Verdict.HOLD,
        lambda: _count(len(train.distinct_cutoffs()), MINIMUM_CUTOFFS, "cutoffs"),
    )


def check_later_time(protocol: Protocol) -> Check:
    """Outcomes without dates cannot show that a model holds for a later time: provisional until a person says more."""
    return run_check(
        "examined on a later time",
        "outcomes with dates, examined on later ones; without dates a person decides",
        Verdict.HOLD,
        lambda: Finding(protocol.is_dated, _examined(protocol), len(protocol.test_cutoffs)),
    )


def check_against_constant(split: Split, probability: NDArray[np.float64], seed: int) -> Check:
    """G1: better than giving every customer the training base rate."""
    rate = float(split.train.labels.mean())
    return _check_gain("better than the base rate", split, probability, lambda: np.full(len(probability), rate), seed)


def check_against_recency(
    split: Split, probability: NDArray[np.float64], catalogue: Sequence[Feature], seed: int
) -> Check:
    """G1: better than a logistic regression on days since the last activity alone."""
    return _check_gain("better than recency alone", split, probability, lambda: recency_only(split, catalogue), seed)


def check_permuted(train: Sample, candidates: Sequence[Candidate], maturity_days: int, seed: int) -> Check:
    """G8: with labels permuted among customers the whole protocol must find nothing."""
    reach = permuted_reach(train)
    low, high = 0.5 - reach, 0.5 + reach
    return run_check(
        PERMUTED_CHECK,
        f"cross-validated AUC between {low:.3g} and {high:.3g}",
        Verdict.REFUSE,
        lambda: _within(permuted_auc(train, candidates, maturity_days, seed), low, high),
    )


def check_too_good(evaluation: Evaluation) -> Check:
    """G9: a model this good most likely sees the outcome."""
    value = evaluation.pooled.auc
    return run_check(
        "not too good to be true",
        f"AUC on the test rows of at most {TOO_GOOD_AUC}",
        Verdict.HOLD,
        lambda: Finding(value <= TOO_GOOD_AUC, f"AUC {value:.4f}", value),
    )


def check_plan(fitted: FittedModel) -> Check:
    """The compiled plan gives the fitted pipeline's probabilities on the test rows."""

    def measure() -> Finding:
        difference = float(np.abs(fitted.pipeline_probability() - fitted.plan_probability()).max())
        return Finding(difference <= PLAN_TOLERANCE, f"largest difference {difference:.1e}", difference)

    allowed = f"probabilities differ by at most {PLAN_TOLERANCE}"
    return run_check("plan equals pipeline", allowed, Verdict.REFUSE, measure)


def recency_only(split: Split, catalogue: Sequence[Feature]) -> NDArray[np.float64]:
    """Test probabilities of a logistic regression on the catalogue's `lite` recency feature.

    Without dates it has seen the test rows; one weight gains nothing worth naming by that.

    Raises:
        ModelRefusedError: The catalogue marks no such feature.
    """
    names = [feature.name for feature in catalogue if feature.lite and feature.family == Family.RECENCY]
    if not names:
        raise ModelRefusedError("the catalogue marks no lite feature of the family recency to compare with")
    preparation, classifier = build_preparation(1), build_classifier(1.0)
    fit_or_fail(classifier, preparation.fit_transform(split.train.columns(names[:1])), split.train.labels)
    return np.asarray(classifier.predict_proba(preparation.transform(split.test.columns(names[:1])))[:, 1])


def permuted_auc(train: Sample, candidates: Sequence[Candidate], maturity_days: int, seed: int) -> float:
    """Mean held-out AUC of the protocol on labels that customers were dealt at random; about .5 where nothing leaks."""
    generator = np.random.default_rng(seed)
    times = int(np.clip(PERMUTED_ROWS // len(train.labels), 1, PERMUTATIONS))
    found = []
    for _ in range(times):
        dealt = replace(train, labels=permute_by_customer(train, generator))
        found.append(held_out_auc(dealt, search_by_customer(dealt, candidates, maturity_days)))
    return float(np.mean(found))


def permuted_reach(train: Sample) -> float:
    """How far from .5 the AUC of dealt labels may lie: wider where few customers show an outcome.

    The standard error is that of an AUC without any signal (Mann and Whitney 1947), over customers, since a customer's
    rows are no further evidence: 100 of 2,500 customers give .029, which allows .412 to .588.
    """
    churned, stayed = (len(np.unique(train.customers[train.labels == outcome])) for outcome in (1, 0))
    error = np.sqrt((churned + stayed + 1) / (12 * max(churned * stayed, 1)))
    return float(np.clip(PERMUTED_STANDARD_ERRORS * error, PERMUTED_REACH, PERMUTED_REACH_AT_MOST))


def held_out_auc(sample: Sample, found: Search) -> float:
    """Mean AUC of held-out scores over folds: pooled, the folds' different base rates alone would pull it below .5."""
    return float(np.mean([auc(found.out_of_fold[rows], sample.labels[rows]) for _, rows in found.folds]))


def permute_by_customer(sample: Sample, generator: np.random.Generator) -> NDArray[np.int64]:
    """Labels dealt anew: each customer gets the outcomes of another one, in order, repeated where it has more rows.

    What a customer's outcomes have in common stays together; what binds them to its features, or to a date, is gone.
    """
    by_customer = np.argsort(sample.customers, kind="stable")
    counts = np.bincount(sample.customers)
    starts = np.cumsum(counts) - counts
    donors = generator.permutation(len(counts))
    owner = sample.customers[by_customer]
    place = np.arange(len(owner)) - starts[owner]
    dealt = np.empty_like(sample.labels)
    dealt[by_customer] = sample.labels[by_customer][starts[donors[owner]] + place % counts[donors[owner]]]
    return dealt


def judge(fitted: FittedModel) -> Gate:
    """All checks of a fitted model.

    A catalogue without any feature of recency (customers' attributes alone) leaves that comparison out, and the record
    says so; outcomes without dates have one check in place of the number of cutoffs, which holds.
    """
    split, protocol, catalogue = fitted.split, fitted.protocol, fitted.catalogue
    probability = fitted.test_probability
    checks = [
        check_training_size(split.train, protocol.minimum_outcomes),
        check_test_size(split.test),
        check_cutoffs(split.train) if protocol.is_dated else check_later_time(protocol),
        check_plan(fitted),
        check_against_constant(split, probability, protocol.seed),
    ]
    if any(feature.family == Family.RECENCY for feature in catalogue):
        checks.append(check_against_recency(split, probability, catalogue, protocol.seed))
    else:
        checks[-1] = replace(checks[-1], allowed=f"{checks[-1].allowed}; {NO_RECENCY}")
    return Gate(
        (
            *checks,
            check_permuted(split.train, fitted.candidates, protocol.maturity_days, protocol.seed),
            check_too_good(fitted.evaluation),
        )
    )


def _check_gain(
    name: str, split: Split, probability: NDArray[np.float64], baseline: Callable[[], NDArray[np.float64]], seed: int
) -> Check:
    def measure() -> Finding:
        labels, rate = split.test.labels, float(split.train.labels.mean())
        gained = log_losses(baseline(), labels) - log_losses(probability, labels)
        constant = log_losses(np.full(len(labels), rate), labels)
        gain, bound = relative_gain(gained, constant, split.test.customers, seed)
        return Finding(bound > 0, f"relative gain {gain:.4f}, 5 % bound {bound:.4f}", bound)

    return run_check(name, "5 % bound of the relative gain in log loss above 0", Verdict.REFUSE, measure)


def _training_size(train: Sample, minimum: int) -> Finding:
    count = train.rarer_outcome_customers()
    return Finding(count >= minimum, train.describe_outcomes(minimum), count)


def _examined(protocol: Protocol) -> str:
    if protocol.is_dated:
        return f"{len(protocol.test_cutoffs)} test cutoffs"
    return "provisional: the outcomes have no dates, each row was examined by a model of other customers"


def _count(count: int, minimum: int, what: str) -> Finding:
    return Finding(count >= minimum, f"{count} {what}", count)


def _within(value: float, low: float, high: float) -> Finding:
    return Finding(low <= value <= high, f"AUC {value:.4f}", value)
