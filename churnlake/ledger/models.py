"""Models as the ledger knows them: every version that was judged, and which one is champion."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, Literal

import sqlalchemy as sa

from churnlake.errors import ModelRefusedError
from churnlake.ledger import schema
from churnlake.ledger.database import Database

ModelState = Literal["registered", "refused", "held"]

MODEL = schema.model.c
PROMOTION = schema.promotion.c


@dataclass(frozen=True)
class ModelRecord:
    """One judged model version, with its metrics and the gate's checks."""

    contract: str
    version: int
    digest: str
    state: ModelState
    is_champion: bool
    trained_through: date
    label_data_through: date
    metrics: dict[str, Any]
    gate: list[dict[str, Any]]
    reason: str | None
    run_id: str
    created_at: datetime
    promoted_at: datetime | None


@dataclass(frozen=True)
class Promotion:
    """One time that a version became champion: in the place of which one, by whom and why."""

    contract: str
    version: int
    previous_version: int | None
    actor: str
    reason: str
    promoted_at: datetime


class Models(Database):
    """The ledger's part about models."""

    def record_model(  # noqa: PLR0913 - by name
        self,
        *,
        contract: str,
        version: int,
        digest: str,
        state: ModelState,
        trained_through: date,
        label_data_through: date,
        metrics: dict[str, Any],
        gate: list[dict[str, Any]],
        run_id: str,
        now: datetime,
        reason: str | None = None,
    ) -> None:
        """Record a judged version; it is no champion yet. The same version with the same digest again changes nothing.

        Raises:
            ModelRefusedError: The version is recorded with another digest.
        """
        row = {
            "contract": contract,
            "version": version,
            "digest": digest,
            "state": state,
            "is_champion": False,
            "trained_through": trained_through,
            "label_data_through": label_data_through,
            "metrics": metrics,
            "gate": gate,
            "reason": reason,
            "run_id": run_id,
            "created_at": now,
        }
        with self._writing() as connection:
            known = _version(connection, contract, version)
            if known is None:
                connection.execute(sa.insert(schema.model).values(row))
            elif known.digest != digest:
                raise ModelRefusedError(
                    f"{contract} version {version} is recorded with digest {known.digest}; got {digest}",
                    next_step="train again; a version never changes",
                )

    def set_champion(self, contract: str, version: int, *, actor: str, reason: str, now: datetime) -> None:
        """Make one version the champion, in the place of any other, and keep who did so and why.

        Raises:
            ModelRefusedError: The version is unknown or the gate refused it.
        """
        with self._writing() as connection:
            model = _version(connection, contract, version)
            if model is None or model.state == "refused":
                state = "unknown" if model is None else "refused by the gate"
                raise ModelRefusedError(
                    f"{contract} version {version} is {state} and cannot be champion",
                    next_step=f"`churnlake models {contract}`",
                )
            everyone, chosen = MODEL.contract == contract, MODEL.version == version
            before = connection.execute(sa.select(MODEL.version).where(everyone, MODEL.is_champion)).scalar()
            connection.execute(sa.update(schema.model).where(everyone).values(is_champion=False))
            promoted = {"is_champion": True, "promoted_at": now}
            connection.execute(sa.update(schema.model).where(everyone & chosen).values(promoted))
            kept = Promotion(contract, version, before, actor, reason, now)
            connection.execute(sa.insert(schema.promotion).values(asdict(kept)))

    def promotions(self, contract: str) -> list[Promotion]:
        """Every promotion of a contract, oldest first."""
        query = sa.select(schema.promotion).where(PROMOTION.contract == contract).order_by(PROMOTION.number)
        with self._reading() as connection:
            rows = connection.execute(query).mappings()
            return [Promotion(**{name: value for name, value in row.items() if name != "number"}) for row in rows]

    def champion(self, contract: str) -> ModelRecord | None:
        """The champion of a contract, None when it has none."""
        return next((model for model in self.models(contract) if model.is_champion), None)

    def models(self, contract: str) -> list[ModelRecord]:
        """Every judged version of a contract, oldest first."""
        query = sa.select(schema.model).where(MODEL.contract == contract).order_by(MODEL.version)
        with self._reading() as connection:
            return [ModelRecord(**row) for row in connection.execute(query).mappings()]


def _version(connection: sa.Connection, contract: str, version: int) -> ModelRecord | None:
    query = sa.select(schema.model).where(MODEL.contract == contract, MODEL.version == version)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else ModelRecord(**row)
