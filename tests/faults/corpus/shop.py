"""The shop that the recipes deliver to: a folder with a contract, a home, and the ingest stage of a night."""

import os
import re
import shutil
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from churnlake.contract import Contract, load_contract
from churnlake.ledger import CheckResult, Delivery, Lane, Ledger
from churnlake.settings import Settings
from jobs.application import Application
from jobs.ingest import ingest
from tests.faults.corpus.delivery import BY_DAY, DAY, Format

EXAMPLE = BY_DAY.parents[1]
OTHER_FORMATS = """
[sources.lines]
role = "events"
path = "data/json/{business_date}.jsonl.gz"
format = "json"
on_missing = "warn"
ignore = [{ when = "customer_id IS NULL", reason = "anonymous" }]
types = { InvoiceNo = "text", StockCode = "text", Description = "text", Quantity = "int", InvoiceDate = "timestamp", \
UnitPrice = "decimal(12,4)", "customer.id" = "text", "customer.country" = "text" }

[sources.lines.columns]
customer_id = "regexp_replace(customer_id, '[.]0$', '')"
event_ts = "InvoiceDate"
event_type = "CASE WHEN InvoiceNo LIKE 'C%' THEN 'cancellation' ELSE 'purchase' END"
amount = "Quantity * UnitPrice"
quantity = "Quantity"
product = "StockCode"
"""
SOURCES = {Format.CSV: "invoices", Format.JSON: "lines", Format.PARQUET: "tables"}


def example_contract() -> str:
    """The contract of the example, as it is."""
    return (EXAMPLE / "contract.toml").read_text()


def contract_of_all_formats() -> str:
    """The example's contract from the day on, open every day, with the same rows as json and as parquet beside it."""
    text = re.sub(r"\[sources\.invoices\.closed\].*?(?=\[sources)", "", example_contract(), flags=re.DOTALL)
    text = text.replace('starts_on = "2010-12-01"', f'starts_on = "{DAY}"').replace('"wait"', '"warn"')
    parquet = OTHER_FORMATS.replace("[sources.lines", "[sources.tables").replace("/json/", "/parquet/")
    parquet = parquet.replace(".jsonl.gz", ".parquet").replace('"json"', '"parquet"')
    parquet = parquet.replace('"customer.id"', "CustomerID").replace('"customer.country"', "Country")
    return (
        text + OTHER_FORMATS + parquet.replace("customer_id IS", "CustomerID IS").replace("(customer_id", "(CustomerID")
    )


@dataclass(frozen=True)
class Taken:
    """What a night's ingest did: its checks, and the deliveries the ledger then holds."""

    checks: tuple[CheckResult, ...]
    deliveries: tuple[Delivery, ...]

    @property
    def failed(self) -> list[str]:
        """The names of the failed checks, each once, in order."""
        return list(dict.fromkeys(check.name for check in self.checks if not check.passed))


@dataclass(frozen=True)
class Shop:
    """A shop of its own: contract folder and home."""

    folder: Path
    settings: Settings

    @classmethod
    def open(cls, root: Path, contract: str) -> "Shop":
        """A new shop without any file."""
        shutil.copytree(EXAMPLE / "expectations", root / "shop" / "expectations")
        (root / "shop" / "contract.toml").write_text(contract)
        return cls(root / "shop", Settings.from_environment({"CHURNLAKE_HOME": str(root / "home")}))

    def copy(self, root: Path) -> "Shop":
        """The same shop in another folder, free to be changed."""
        shutil.copytree(self.folder, root / "shop")
        shutil.copytree(self.settings.home, root / "home", symlinks=True)
        return Shop(root / "shop", replace(self.settings, home=root / "home"))

    @property
    def contract(self) -> Contract:
        return load_contract(self.folder / "contract.toml")

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.ledger_url)

    def path(self, slot: date, kind: Format = Format.CSV) -> Path:
        """Where the file of a slot lies."""
        source = self.contract.sources[SOURCES[kind]]
        return self.folder / source.path.format(business_date=slot)

    def deliver(self, content: bytes, slot: date, kind: Format = Format.CSV) -> Path:
        """Puts a file in its place, as if it had lain there for a while."""
        path = self.path(slot, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (1_300_000_000, 1_300_000_000))
        return path

    def take_in(self, day: date, sealed: date | None) -> Taken:
        """The ingest stage of a day's run, in this process."""
        contract, ledger = self.contract, self.ledger
        with Lane.take(self.settings.lake(contract.name)) as lane:
            app = Application(self.settings, contract, ledger, lane, "corpus")
            with app.run("night" if sealed else "history", day, "done") as run, app.stage(run, "ingest") as stage:
                ingest(app, run, stage, sealed)
        return Taken(tuple(ledger.checks(run.run_id)), tuple(ledger.deliveries(contract.name)))
