"""A first contract from sample files: what they are, what their columns mean, and what only a person can decide."""

from churnlake.starter.columns import OpenDate, Table, decide_columns
from churnlake.starter.draft import Draft, draft_contract
from churnlake.starter.roles import CustomerChoice, Part, decide_parts, find_customers
from churnlake.starter.rows import Rows, read_tables
from churnlake.starter.samples import Found, contract_name, find_samples
from churnlake.starter.writing import contract_text

__all__ = [
    "CustomerChoice",
    "Draft",
    "Found",
    "OpenDate",
    "Part",
    "Rows",
    "Table",
    "contract_name",
    "contract_text",
    "decide_columns",
    "decide_parts",
    "draft_contract",
    "find_customers",
    "find_samples",
    "read_tables",
]
