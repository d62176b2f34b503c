"""What a table is: its columns, keys, partition, owner, retention, description; and the columns many tables have.

Types are SQL names: text, date, timestamptz (an instant, kept in UTC), boolean, smallint, int, bigint, double, text[].
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column: its name, its type and what it means, with its unit."""

    name: str
    type: str
    description: str


@dataclass(frozen=True)
class Table:
    """One table. `keys` make a row unique; `varying` says which columns a contract adds, None when it adds none.

    `order` is what the rows of a file are sorted by, for readers that want a part of it.
    """

    name: str
    description: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    partition: tuple[str, ...]
    owner: str
    retention: str
    varying: str | None = None
    order: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def column(name: str, type_: str, description: str) -> Column:
    """A column, told in one line."""
    return Column(name, type_, description)


CONTRACT = column("contract", "text", "Name of the churn contract, that is of the data set")
CUSTOMER_ID = column("customer_id", "text", "Id of the unit that is scored, as text; leading zeros are kept")
BUSINESS_DATE = column(
    "business_date", "date", "The calendar day just ended, in the contract's zone; facts known by its end"
)
RUN_ID = column("run_id", "text", "The run that made the row")
SOURCE = column("source", "text", "The contract's source the row comes from")
DELIVERY_ID = column("delivery_id", "text", "The delivered file the row comes from")
CUSTOMER_HASH = column(
    "customer_hash",
    "int",
    "Hash of the id, 0 to 9999: files lie in its order, and a sample of customers is a range of it",
)
KNOWN_DATE = column("known_date", "date", "First business date whose night could know the row")
KNOWN_MONTH = column("known_month", "text", "Month of known_date, YYYY-MM")
SLOT = column("slot", "date", "Business date of the file the row came in")
ROW_HASH = column("row_hash", "text", "md5 over the row's fields as they were delivered")
EVENT_DATE = column("event_date", "date", "Day it happened, in the contract's zone")
PROBABILITY = column("churn_probability", "double", "Calibrated probability, 0 to 1, of churn within the horizon")
CHURNED = column("churned", "boolean", "Whether the customer churned within the horizon, as the contract defines it")
CHURNED_ON = column(
    "churned_on",
    "date",
    "First day without: after the last activity (which may lie before business_date), or the end of the subscription; "
    "null for who stayed, and where the data do not tell a day",
)
MATURED_ON = column("matured_on", "date", "Business date whose night knew enough; what came later changes nothing")


def reason_columns(*, texts: bool) -> tuple[Column, ...]:
    """The columns of the three reasons of a score: in words, or as the lake keeps them, with the level behind."""
    columns = []
    for place in (1, 2, 3):
        word = {1: "strongest", 2: "second", 3: "third"}[place]
        columns += [
            column(f"reason_{place}_feature", "text", f"Feature behind the {word} reason; null when there is none"),
            column(
                f"reason_{place}_value", "double", f"Value of that feature for this customer, unscaled; reason {place}"
            ),
            column(f"reason_{place}_direction", "text", f"raises or lowers: what reason {place} does to the estimate"),
        ]
        if texts:
            columns.append(
                column(f"reason_{place}_text", "text", f"The {word} reason in words; null when there is none")
            )
        else:
            columns.append(
                column(f"reason_{place}_level", "text", f"Text of that feature where it is a category; reason {place}")
            )
    return tuple(columns)


def data_dictionary(tables: Iterable[Table]) -> list[dict[str, object]]:
    """The rows that describe the columns of tables, in the shape of the table `data_dictionary`."""
    return [
        {
            "table_name": table.name,
            "column_name": column.name,
            "position": position,
            "type": column.type,
            "description": column.description,
            "contract": None,
        }
        for table in tables
        for position, column in enumerate(table.columns, start=1)
    ]
