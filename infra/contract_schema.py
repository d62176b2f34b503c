"""Writes docs/contract.schema.json, for editors, from the contract's own rules: `python -m infra.contract_schema`."""

import json
import sys
from pathlib import Path
from typing import Any

from churnlake.contract import Contract

FILE = Path(__file__).resolve().parent.parent / "docs" / "contract.schema.json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
ABOUT = (
    "What a data set is and what churn means in it. An editor sees names, types and limits; `churnlake check` sees "
    "everything else too. Every key is explained in docs/contract.md."
)


def schema() -> str:
    """The whole file, ending with a line end."""
    tables = _for_toml(Contract.model_json_schema(by_alias=True))
    head = {"$schema": DRAFT, "title": "Churnlake contract", "description": ABOUT}
    return json.dumps(head | {key: tables[key] for key in tables if key not in head}, indent=2) + "\n"


def _for_toml(node: Any) -> Any:
    """The schema without what only Python has: nulls and class names; keys of another form are refused."""
    if isinstance(node, list):
        return [_for_toml(one) for one in node]
    if not isinstance(node, dict):
        return node
    named = {key: value for key, value in node.items() if value is not None}
    node = {key: _for_toml(value) for key, value in named.items() if not (key == "title" and isinstance(value, str))}
    if "patternProperties" in node:
        node["additionalProperties"] = False
    choices = [one for one in node.pop("anyOf", []) if one != {"type": "null"}]
    return node | (choices[0] if len(choices) == 1 else {"anyOf": choices} if choices else {})


if __name__ == "__main__":
    FILE.write_text(schema(), encoding="utf-8")
    sys.stdout.write(f"{FILE.name} written\n")
