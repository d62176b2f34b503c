import re
from pathlib import Path
from typing import Any

from churnlake.contract import Contract, load_contract
from churnlake.contract.expressions import ALLOWED_IN_WORDS

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "contract.md").read_text(encoding="utf-8")


def test_every_key_of_the_contract_is_on_the_page() -> None:
    """A key that can be written can be looked up; the page is walked from the schema itself."""
    schema = Contract.model_json_schema(by_alias=True)
    parts: dict[str, Any] = {**schema["$defs"], "Contract": schema}
    keys = {key for part in parts.values() for key in part.get("properties", {})}
    assert {"horizon_days", "path", "when"} <= keys
    assert [key for key in sorted(keys) if not re.search(rf"[`.\[ ]{key}[`.\]\s,]", PAGE)] == []


def test_every_allowed_word_is_on_the_page() -> None:
    """What expressions may hold is what the page says."""
    words = set(re.findall(r"[A-Z_]{2,}", ALLOWED_IN_WORDS))
    assert [word for word in sorted(words) if word not in PAGE] == []


def test_the_worked_example_is_a_good_contract(tmp_path: Path) -> None:
    """What a newcomer copies from the page is accepted, and its dates are the ones the page tells."""
    text = PAGE.split("```toml\n")[1].split("```")[0]
    (tmp_path / "contract.toml").write_text(text)
    contract = load_contract(tmp_path / "contract.toml")
    assert contract.name == "lamp_shop"
    assert contract.churn.maturity_days == 35
