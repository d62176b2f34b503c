from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from churnlake.contract import Contract
from churnlake.ledger import Lane, Ledger
from churnlake.ledger.runs import RunKind, RunState
from churnlake.settings import Settings
from jobs.application import Application


@pytest.mark.parametrize(("kind", "ends_as", "attempts"), [("night", "published", [2]), ("training", "done", [1, 1])])
def test_a_dead_night_is_taken_up_and_a_dead_training_starts_anew(  # noqa: PLR0917 - fixtures and cases
    kind: RunKind,
    ends_as: RunState,
    attempts: list[int],
    settings: Settings,
    lane: Lane,
    tmp_path: Path,
    make_contract: Callable[..., Contract],
) -> None:
    """A night goes on after its done stages; training hands results on in memory, so its stages all run again."""
    settings.home.mkdir(parents=True)
    ledger = Ledger.open(settings.ledger_url)
    app = Application(settings, make_contract(tmp_path / "shop"), ledger, lane, "first")
    with pytest.raises(RuntimeError, match="power cut"):
        _die_after_a_stage(app, kind, ends_as)

    with app.run(kind, date(2026, 3, 1), ends_as) as again:
        done = "first stage" in app.done_stages(again)
        if not done:
            with app.stage(again, "first stage"):
                pass

    assert done is (kind == "night")
    assert [one.attempt for one in ledger.runs("shop")] == attempts


def _die_after_a_stage(app: Application, kind: RunKind, ends_as: RunState) -> None:
    with app.run(kind, date(2026, 3, 1), ends_as) as run:
        with app.stage(run, "first stage"):
            pass
        raise RuntimeError("power cut")
