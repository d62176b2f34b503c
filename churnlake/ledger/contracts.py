"""The contracts this home has seen: what `up`, `sql` and `doctor` go through."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from churnlake.ledger import schema
from churnlake.ledger.database import Database


@dataclass(frozen=True)
class KnownContract:
    """A contract, where it was read last and with which digest."""

    name: str
    path: str
    digest: str
    seen_at: datetime


class Contracts(Database):
    """The ledger's part about contracts."""

    def remember_contract(self, *, name: str, path: str, digest: str, now: datetime) -> None:
        """Note a contract, or where it lies and what it holds now."""
        row = insert(schema.contract).values(name=name, path=path, digest=digest, seen_at=now)
        values = {column: row.excluded[column] for column in ("path", "digest", "seen_at")}
        with self._writing() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))

    def contracts(self) -> list[KnownContract]:
        """Every contract seen, by name."""
        query = sa.select(schema.contract).order_by(schema.contract.c.name)
        with self._reading() as connection:
            return [KnownContract(**row) for row in connection.execute(query).mappings()]
