import re
from pathlib import Path

from churnlake import errors
from churnlake.errors import ChurnlakeError, ContractError

ROOT = Path(__file__).resolve().parents[2]


def test_every_error_has_the_exit_code_of_its_kind() -> None:
    """Schedulers act on these numbers: they never change."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ChurnlakeError)]
    assert {kind.__name__: kind.exit_code for kind in kinds} == {
        "ChurnlakeError": 1,
        "UsageError": 2,
        "ContractError": 2,
        "DataRefusedError": 3,
        "WaitingForDelivery": 0,
        "ModelRefusedError": 4,
        "ConflictError": 5,
        "UnavailableError": 6,
    }


def test_every_exit_code_stands_in_the_runbook() -> None:
    """Whoever is woken by a number finds what to do."""
    table = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "runbook.md").read_text(), flags=re.MULTILINE)
    assert table[:9] == ["0", "1", "2", "3", "4", "5", "6", "7", "130"]


def test_an_error_is_its_message_and_its_next_step() -> None:
    """The next step stands on a line of its own; without one there is no empty line."""
    assert str(ChurnlakeError("it broke", next_step="mend it")) == "it broke\n  next: mend it"
    assert str(ChurnlakeError("it broke")) == "it broke"


def test_one_problem_is_not_called_problems() -> None:
    """Counted as people count."""
    assert ContractError("a.toml", ["wrong"]).message == "a.toml: 1 problem\n  - wrong"
    assert ContractError("a.toml", ["wrong", "worse"]).message == "a.toml: 2 problems\n  - wrong\n  - worse"


def test_the_next_command_can_be_typed_for_a_path_with_blanks() -> None:
    """It is copied into a shell as it stands."""
    error = ContractError("my shop/contract.toml", ["wrong"])
    assert error.next_step == "edit the file, then `churnlake check 'my shop/contract.toml'`"
