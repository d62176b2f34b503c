"""A list for a campaign tool: the published customers of one risk band, as a file that can be opened anywhere."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import IO, Any

from churnlake.contract.expressions import nearest
from churnlake.errors import UsageError
from churnlake.spreadsheet import write_csv, write_whole
from churnlake.warehouse.duckdb import query
from flows.console import Terminal
from flows.shift import Shift

LOWEST = "low"
FORMATS = (".csv", ".parquet")
COLUMNS = (
    "customer_id", "churn_probability", "risk_rank", "risk_band",
    "reason_1_text", "reason_2_text", "reason_3_text", "business_date",
)  # fmt: skip


def export(  # noqa: PLR0913, PLR0917 - as the verb was given
    terminal: Terminal,
    shift: Shift,
    band: str,
    business_date: date | None,
    to: Path,
    force: bool,  # noqa: FBT001
) -> None:
    """Writes the customers of a band by rank, of a published date or the newest, whole or not at all.

    Raises:
        UsageError: Band, date or file name do not fit, or the file is there already.
    """
    rows = _rows(shift, _known_band(shift, band), _published_date(shift, business_date))
    write = _writer(to)
    write_whole(to, lambda file: write(file, rows), force=force)
    day = rows[0][-1] if rows else _published_date(shift, business_date)
    document = {"contract": shift.contract.name, "band": band, "business_date": day, "rows": len(rows), "file": str(to)}
    terminal.document(document | {"exit_code": 0})
    terminal.say(f"{len(rows):,} customers of band {band} on {day} written to {to}")


def _known_band(shift: Shift, band: str) -> str:
    bands = [*shift.contract.decision.bands, LOWEST]
    if band not in bands:
        raise UsageError(
            f"{shift.contract.name} has no band {band!r}{nearest(band, bands)}",
            next_step=f"--band {' or '.join(bands)}",
        )
    return band


def _published_date(shift: Shift, business_date: date | None) -> date:
    name = shift.contract.name
    published = [one.business_date for one in shift.publications.published(name)]
    if not published:
        raise UsageError(f"{name}: nothing is published yet", next_step=f"`churnlake run {shift.contract.path}`")
    if business_date is not None and business_date not in published:
        raise UsageError(
            f"{name} {business_date} is not published; the newest published date is {published[-1]}",
            next_step="`churnlake status` lists the dates",
        )
    return business_date or published[-1]


def _rows(shift: Shift, band: str, day: date) -> list[tuple[Any, ...]]:
    # Contract, band and date are what the contract and the publications hold, letters, digits and _ only.
    question = f"""SELECT {", ".join(COLUMNS)} FROM churn_{shift.contract.name}.scores_history
        WHERE risk_band = '{band}' AND business_date = DATE '{day}' ORDER BY risk_rank"""  # noqa: S608
    return query(shift.settings.warehouse, question).rows


def _writer(to: Path) -> Any:
    if to.suffix.lower() not in FORMATS:
        raise UsageError(f"{to} is neither {' nor '.join(FORMATS)}", next_step="--to FILE.csv or --to FILE.parquet")
    return _as_csv if to.suffix.lower() == ".csv" else _as_parquet


def _as_csv(file: IO[bytes], rows: Sequence[tuple[Any, ...]]) -> None:
    write_csv(file, COLUMNS, rows)


def _as_parquet(file: IO[bytes], rows: Sequence[tuple[Any, ...]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"churn_probability": pa.float64(), "risk_rank": pa.int32(), "business_date": pa.date32()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in COLUMNS]
    pq.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=schema), file)
