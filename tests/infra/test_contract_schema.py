import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from infra.contract_schema import DRAFT, FILE, schema

ROOT = FILE.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*/contract.toml"))
PAGE = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]


def complaints(text: str) -> list[str]:
    """The path of each key that an editor would underline."""
    judged = Draft202012Validator(json.loads(schema())).iter_errors(tomllib.loads(text))
    return sorted(error.json_path for error in judged)


def test_the_schema_for_editors_is_current() -> None:
    """The committed file is the one that `python -m infra.contract_schema` writes from the contract's rules."""
    assert FILE.read_text(encoding="utf-8") == schema()


def test_it_states_its_draft_and_describes_each_table() -> None:
    """It is itself a valid schema; what stands in square brackets in a contract has a sentence."""
    document: dict[str, Any] = json.loads(schema())
    assert document["$schema"] == DRAFT
    Draft202012Validator.check_schema(document)
    assert [name for name, table in document["$defs"].items() if not table.get("description")] == []
    assert document["title"] == "Churnlake contract"
    assert document["properties"]["contract"] == {"$ref": "#/$defs/Head"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_an_editor_finds_nothing_wrong_with_the_examples(path: Path) -> None:
    """Every contract that is shipped is right for the schema too."""
    assert complaints(path.read_text(encoding="utf-8")) == []


def test_an_editor_finds_nothing_wrong_with_the_page() -> None:
    """Nor with the one of the reference page, whatever optional words it takes."""
    assert complaints(PAGE) == []
    assert complaints(PAGE.replace("[sources.sales]", '[sources.sales]\nready = "marker"', 1)) == []
    assert complaints(PAGE.replace("[calendar]", '[calendar]\nexpected_by = "06:30"', 1)) == []


@pytest.mark.parametrize(
    ("before", "after", "place"),
    [
        ("[calendar]", '[calendar]\nclok = "replay"', "$.calendar"),
        ("[calendar]", "[calendar]\nexpected_by = 5", "$.calendar.expected_by"),
        ("[churn]", "[churn]\ngrace_days = -1", "$.churn.grace_days"),
        ('role = "events"', 'role = "event"', "$.sources.sales.role"),
        ('kind = "text"', 'kind = "string"', "$.sources.sales.types.kind"),
        ('kind = "text"', '"9th kind" = "text"', "$.sources.sales.types"),
        ("[sources.sales]", "[sources.Sales]", "$.sources"),
        ("[sources.sales]", '[sources.sales]\nready = "soon"', "$.sources.sales.ready"),
        ('name = "lamp_shop"\n', "", "$.contract"),
    ],
)
def test_an_editor_underlines_what_the_reader_would_refuse(before: str, after: str, place: str) -> None:
    """Unknown keys, wrong types, names and words, and what is missing."""
    assert place in complaints(PAGE.replace(before, after, 1))
