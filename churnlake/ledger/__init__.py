"""The ledger records runs, stages, deliveries, checks and models; the lane says who may write a lake."""

from churnlake.ledger.contracts import KnownContract
from churnlake.ledger.deliveries import (
    CheckResult,
    Delivery,
    Found,
    Measurement,
    Skipped,
    current_versions,
    taken_files,
)
from churnlake.ledger.lane import Lane
from churnlake.ledger.ledger import Ledger
from churnlake.ledger.models import ModelRecord, Promotion
from churnlake.ledger.runs import Attempt, Run, Stage

__all__ = [
    "Attempt",
    "CheckResult",
    "Delivery",
    "Found",
    "KnownContract",
    "Lane",
    "Ledger",
    "Measurement",
    "ModelRecord",
    "Promotion",
    "Run",
    "Skipped",
    "Stage",
    "current_versions",
    "taken_files",
]
