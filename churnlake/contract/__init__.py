"""The churn contract: reading it, checking it, and its expressions."""

from churnlake.contract.reading import load_contract
from churnlake.contract.schema import Contract
from churnlake.contract.source import Source

__all__ = ["Contract", "Source", "load_contract"]
