"""The promotion application: a person makes a judged version the champion. Moves an alias; reads no data."""

import argparse
import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from churnlake.contract import Contract, load_contract
from churnlake.errors import ModelRefusedError, UsageError
from churnlake.features import build_catalogue
from churnlake.ledger import Lane, Ledger, ModelRecord
from churnlake.model.registry import Champion, promote, resolve_champion, resolve_version
from churnlake.settings import Settings
from jobs.application import clock, end_group_with_parent, exit_code_of


@dataclass(frozen=True)
class Request:
    """What this application was asked for."""

    contract: Path
    version: int
    reason: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the application; returns its exit code."""
    request = _parse(arguments)
    end_group_with_parent()
    return exit_code_of(lambda: run(request, Settings.from_environment()))


def run(request: Request, settings: Settings) -> int:
    """Carries the request out in this process. Asked again after a crash in between, it finishes what is left.

    Raises:
        UsageError: There is no such version.
        ModelRefusedError: The gate refused it, its files are not those registered, or it asks for other features.
        ConflictError: A training is under way, which may promote a model of its own.
    """
    contract = load_contract(request.contract)
    ledger = Ledger.open(settings.ledger_url)
    with Lane.take(settings.lake(contract.name), kind="training"):
        chosen = choose(ledger.models(contract.name), request.version, contract)
        before = _champion(settings, contract.name)
        if chosen.is_champion and before is not None and before.version == chosen.version:
            print(f"{contract.name} version {chosen.version} is the champion already; nothing was changed")
            return 0
        require_fit(resolve_version(settings.mlflow_url, contract.name, chosen.version), chosen, contract)
        by = {"actor": getpass.getuser(), "reason": request.reason}
        promote(settings.mlflow_url, contract.name, chosen.version, **by)
        ledger.set_champion(contract.name, chosen.version, now=clock(), **by)
    instead = "" if before is None else f" in the place of version {before.version}"
    print(f"{contract.name} version {chosen.version} is champion{instead}; the next night scores with it")
    return 0


def choose(models: Sequence[ModelRecord], version: int, contract: Contract) -> ModelRecord:
    """The version that was asked for, where a person may decide on it.

    Raises:
        UsageError: There is no such version; names those there are.
        ModelRefusedError: The gate refused it.
    """
    found = next((model for model in models if model.version == version), None)
    if found is None:
        known = ", ".join(f"{one.version} ({'champion' if one.is_champion else one.state})" for one in models)
        raise UsageError(
            f"{contract.name} has no model version {version}; it has {known or 'none yet'}",
            next_step=f"`churnlake models {contract.path}` shows each with its quality"
            if models
            else f"`churnlake train {contract.path}`",
        )
    if found.state == "refused":
        raise ModelRefusedError(
            f"{contract.name} version {version} was refused by the gate and cannot be promoted: {found.reason}",
            next_step=f"correct what is named and `churnlake train {contract.path}`",
        )
    return found


def require_fit(model: Champion, chosen: ModelRecord, contract: Contract) -> None:
    """Require that the model is the one that was judged, and that the contract still has what it reads.

    Raises:
        ModelRefusedError: It is another one, or features of it are gone.
    """
    if model.digest != chosen.digest:
        raise ModelRefusedError(
            f"{contract.name} version {chosen.version} was judged with digest {chosen.digest}, but {model.digest} is "
            "registered",
            next_step=f"`churnlake train {contract.path}`; a version never changes",
        )
    gone = sorted(set(model.plan.features) - {feature.name for feature in build_catalogue(contract)})
    if gone:
        raise ModelRefusedError(
            f"{contract.name} version {chosen.version} reads {len(gone)} features that the contract no longer makes, "
            f"such as {', '.join(gone[:3])}",
            next_step=f"put them back into [features], or `churnlake train {contract.path}`",
        )


def _champion(settings: Settings, contract: str) -> Champion | None:
    """The champion as nights find it; None where there is none that could score."""
    try:
        return resolve_champion(settings.mlflow_url, contract)
    except ModelRefusedError:
        return None


def _parse(arguments: Sequence[str] | None) -> Request:
    parser = argparse.ArgumentParser(prog="python -m jobs.promotion", description=__doc__)
    parser.add_argument("--contract", type=Path, required=True)
    parser.add_argument("--application", required=True)
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--reason", required=True)
    given = parser.parse_args(arguments)
    if not given.reason.strip():
        parser.error("--reason must say why; it is kept with the decision")
    return Request(given.contract, given.to, given.reason.strip())


if __name__ == "__main__":
    raise SystemExit(main())
