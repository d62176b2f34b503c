"""Expectation suites: read from JSON, checked, their row rules compiled to SQL that flags a breaking row."""

from churnlake.suites.kinds import KINDS, KNOWN_TYPES
from churnlake.suites.reading import read_suite
from churnlake.suites.suite import RowRule, Severity, Suite
from churnlake.suites.types import type_problems

__all__ = ["KINDS", "KNOWN_TYPES", "RowRule", "Severity", "Suite", "read_suite", "type_problems"]
