"""Every lake and warehouse table once: columns, keys, partition, owner, retention, description.

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
    """One table. `keys` make a row unique; `varying` says which columns a contract adds, None when it adds none."""

    name: str
    description: str
    columns: tuple[Column, ...]
    keys: tuple[str, ...]
    partition: tuple[str, ...]
    owner: str
    retention: str
    varying: str | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


def _column(name: str, type_: str, description: str) -> Column:
    return Column(name, type_, description)


CONTRACT = _column("contract", "text", "Name of the churn contract, that is of the data set")
CUSTOMER_ID = _column("customer_id", "text", "Id of the unit that is scored, as text; leading zeros are kept")
BUSINESS_DATE = _column(
    "business_date", "date", "The calendar day just ended, in the contract's zone; facts known by its end"
)
RUN_ID = _column("run_id", "text", "The run that made the row")
SOURCE = _column("source", "text", "The contract's source the row comes from")
DELIVERY_ID = _column("delivery_id", "text", "The delivered file the row comes from")
KNOWN_DATE = _column("known_date", "date", "First business date whose night could know the row")
KNOWN_MONTH = _column("known_month", "text", "Month of known_date, YYYY-MM")
SLOT = _column("slot", "date", "Business date of the file the row came in")
ROW_HASH = _column("row_hash", "text", "md5 over the row's fields as they were delivered")
EVENT_DATE = _column("event_date", "date", "Day it happened, in the contract's zone")
PROBABILITY = _column("churn_probability", "double", "Calibrated probability, 0 to 1, of churn within the horizon")

AS_RAW = "as raw: at least the longest window plus the training span"


def _reasons(*, texts: bool) -> tuple[Column, ...]:
    columns = []
    for place in (1, 2, 3):
        word = {1: "strongest", 2: "second", 3: "third"}[place]
        columns += [
            _column(f"reason_{place}_feature", "text", f"Feature behind the {word} reason; null when there is none"),
            _column(
                f"reason_{place}_value", "double", f"Value of that feature for this customer, unscaled; reason {place}"
            ),
            _column(f"reason_{place}_direction", "text", f"raises or lowers: what reason {place} does to the estimate"),
        ]
        if texts:
            columns.append(
                _column(f"reason_{place}_text", "text", f"The {word} reason in words; null when there is none")
            )
        else:
            columns.append(
                _column(f"reason_{place}_level", "text", f"Text of that feature where it is a category; reason {place}")
            )
    return tuple(columns)


_STATE_COLUMNS = (
    _column("sign", "int", "1 tells of the state, -1 takes it back"),
    KNOWN_DATE,
    DELIVERY_ID,
    SLOT,
    ROW_HASH,
    _column("typed_digest", "text", "Digest of the rules that gave the columns their meaning"),
    KNOWN_MONTH,
)

_LAKE = (
    Table(
        name="raw",
        description="Delivered lines as they landed, all text. One table per source, named raw_<source>",
        columns=(
            DELIVERY_ID,
            SLOT,
            _column("corrupt_record", "text", "The whole line where it has too few or too many fields; else null"),
            _column("position", "bigint", "Grows with the place in the file, where it was read in one piece"),
            ROW_HASH,
            KNOWN_DATE,
            KNOWN_MONTH,
        ),
        keys=(),
        partition=("known_month",),
        owner="ingest",
        retention="at least the longest window plus the training span",
        varying="each column of the source's [types], as text",
    ),
    Table(
        name="quarantine",
        description="Lines set aside, with every reason; each change of status is a row of its own",
        columns=(
            SOURCE,
            DELIVERY_ID,
            SLOT,
            _column("file", "text", "Path of the file, relative to the contract's folder"),
            _column("record_number", "bigint", "Its place among the file's rows, from 1; null where read in pieces"),
            ROW_HASH,
            _column("raw_row", "text", "The row as it was delivered, as JSON; null once expired"),
            _column("reasons", "text[]", "Every rule the row breaks"),
            _column("rule_digest", "text", "Digest of the rules that judged it"),
            _column("status", "text", "held, released, withdrawn by a corrected file, or expired"),
            _column("changed_by", "text", "The delivery, release or expiry that made this row"),
            RUN_ID,
            KNOWN_DATE,
            KNOWN_MONTH,
        ),
        keys=(),
        partition=("known_month",),
        owner="ingest",
        retention="400 days",
    ),
    Table(
        name="events",
        description="Typed, signed events; a correction appends rows of sign -1 and never changes one",
        columns=(
            SOURCE,
            CUSTOMER_ID,
            _column("event_ts", "timestamptz", "When it happened, in UTC"),
            EVENT_DATE,
            _column("is_activity", "boolean", "Whether the contract counts it as activity"),
            _column("sign", "int", "1 adds the fact, -1 withdraws it"),
            KNOWN_DATE,
            DELIVERY_ID,
            SLOT,
            ROW_HASH,
            _column("typed_digest", "text", "Digest of the rules that gave the columns their meaning"),
            KNOWN_MONTH,
            _column("off_day", "boolean", "Known on another day than it happened"),
        ),
        keys=(),
        partition=("known_month", "off_day"),
        owner="ingest",
        retention=AS_RAW,
        varying="each measure as bigint of its scale; each `by` or distinct column as text",
    ),
    Table(
        name="subscriptions",
        description="States of subscriptions, signed; a later state of one start replaces the one before it",
        columns=(
            SOURCE,
            CUSTOMER_ID,
            _column("started_on", "date", "First day subscribed"),
            _column("ended_on", "date", "First day no longer subscribed; null while no end is known"),
            _column("completes_on", "date", "Planned end, which is no churn"),
            _column("renews_on", "date", "Day of the next renewal"),
            _column("plan", "text", "The plan"),
            _column("price", "bigint", "Price in minor units"),
            EVENT_DATE,
            *_STATE_COLUMNS,
        ),
        keys=(),
        partition=("known_month",),
        owner="ingest",
        retention="all",
    ),
    Table(
        name="attributes",
        description="States of customers, signed; of each source the newest one counts",
        columns=(SOURCE, CUSTOMER_ID, EVENT_DATE, *_STATE_COLUMNS),
        keys=(),
        partition=("known_month",),
        owner="ingest",
        retention="all",
        varying="each attribute as text, or as double where it is a number",
    ),
    Table(
        name="outcomes_told",
        description="Outcomes that the data set brings along, signed",
        columns=(
            SOURCE,
            CUSTOMER_ID,
            _column("is_churned", "boolean", "Whether the customer left"),
            _column("as_of", "date", "The date the outcome is predicted from; null where the set does not say"),
            EVENT_DATE,
            *_STATE_COLUMNS,
        ),
        keys=(),
        partition=("known_month",),
        owner="ingest",
        retention="all",
    ),
    Table(
        name="daily_activity",
        description="Tiles: signed sums per customer, day and delivery; all that features read",
        columns=(
            SOURCE,
            CUSTOMER_ID,
            EVENT_DATE,
            KNOWN_DATE,
            DELIVERY_ID,
            _column("events", "bigint", "Signed number of events"),
            _column("activity", "bigint", "Signed number of events that count as activity"),
            KNOWN_MONTH,
            _column("off_day", "boolean", "Known on another day than it happened"),
        ),
        keys=("source", "customer_id", "event_date", "known_date", "delivery_id"),
        partition=("known_month", "off_day"),
        owner="ingest",
        retention=AS_RAW,
        varying="each <measure>, <column>_<value> and <column>_<value>_<measure> as signed bigint sums",
    ),
    Table(
        name="daily_values",
        description="Tiles of distinct columns: signed events per customer, day, delivery and value",
        columns=(
            SOURCE,
            CUSTOMER_ID,
            EVENT_DATE,
            KNOWN_DATE,
            DELIVERY_ID,
            _column("column", "text", "The distinct column"),
            _column("value", "text", "Its value"),
            _column("events", "bigint", "Signed number of events with that value"),
            KNOWN_MONTH,
            _column("off_day", "boolean", "Known on another day than it happened"),
        ),
        keys=("source", "customer_id", "event_date", "known_date", "delivery_id", "column", "value"),
        partition=("known_month", "off_day"),
        owner="ingest",
        retention=AS_RAW,
    ),
    Table(
        name="known_customers",
        description="Every customer id ever seen, per source; once known, always known. The first date counts",
        columns=(
            SOURCE,
            CUSTOMER_ID,
            DELIVERY_ID,
            _column("first_known_date", "date", "First business date whose night knew the customer"),
            KNOWN_MONTH,
        ),
        keys=("source", "customer_id", "delivery_id"),
        partition=("known_month",),
        owner="ingest",
        retention="all",
    ),
    Table(
        name="population",
        description="Every known customer of a business date: eligible, or excluded with a reason",
        columns=(
            BUSINESS_DATE,
            CUSTOMER_ID,
            _column("eligible", "boolean", "Whether the contract wants a score"),
            _column("reason", "text", "Why excluded; for an eligible customer why held back, null when scored"),
        ),
        keys=("business_date", "customer_id"),
        partition=("business_date",),
        owner="features",
        retention="35 nights",
    ),
    Table(
        name="features",
        description="One row per eligible customer and business date. Never a training input",
        columns=(
            BUSINESS_DATE,
            CUSTOMER_ID,
            _column("history_days", "int", "Days of history held at that date"),
        ),
        keys=("business_date", "customer_id"),
        partition=("business_date",),
        owner="features",
        retention="35 nights",
        varying="each feature of the contract's catalogue as double; null where absent",
    ),
    Table(
        name="scores",
        description="Probability and reasons of one run; immutable",
        columns=(BUSINESS_DATE, RUN_ID, CUSTOMER_ID, PROBABILITY, *_reasons(texts=False)),
        keys=("business_date", "run_id", "customer_id"),
        partition=("business_date", "run_id"),
        owner="score",
        retention="400 days; unpublished ones 7 days",
    ),
)

_SCORE_COLUMNS = (
    CONTRACT,
    CUSTOMER_ID,
    BUSINESS_DATE,
    _column("data_through", "date", "Last business date up to which every due delivery had come"),
    PROBABILITY,
    _column(
        "previous_probability", "double", "The estimate of the last published date before; null when not scored then"
    ),
    _column(
        "probability_change",
        "double",
        "churn_probability less previous_probability; null when the contract's version, horizon or gap differ",
    ),
    _column("risk_rank", "int", "1 = most at risk among the customers scored that date"),
    _column("risk_percentile", "smallint", "1 to 100, grows with risk: 100 holds the most at risk"),
    _column("risk_decile", "smallint", "1 to 10, grows with risk: 10 holds the most at risk"),
    _column("risk_band", "text", "Band of the ranked list, as the contract cuts it; low is the rest"),
    *_reasons(texts=True),
    _column("is_retrospective", "boolean", "The model has seen data of after this date: no measure of performance"),
    _column("horizon_days", "int", "Length in days of the period the probability is about"),
    _column("gap_days", "int", "Days between business_date and the start of that period"),
    _column("contract_version", "int", "Version of the contract; raised when its meaning changes"),
    _column("model_version", "int", "Version of the registered model"),
    RUN_ID,
    _column("scored_at", "timestamptz", "When the scores were made"),
)

_WAREHOUSE_OWNER = "publish"

_WAREHOUSE = (
    Table(
        name="scores_latest",
        description="The newest published scores of each contract, one row per scored customer",
        columns=_SCORE_COLUMNS,
        keys=("contract", "customer_id"),
        partition=(),
        owner=_WAREHOUSE_OWNER,
        retention="the newest published date",
    ),
    Table(
        name="scores_history",
        description="The published scores of every business date, one row per scored customer and date",
        columns=_SCORE_COLUMNS,
        keys=("contract", "business_date", "customer_id"),
        partition=("contract", "business_date"),
        owner=_WAREHOUSE_OWNER,
        retention="400 days",
    ),
    Table(
        name="not_scored",
        description="Known customers without a score on a published date, and why",
        columns=(
            CONTRACT,
            CUSTOMER_ID,
            BUSINESS_DATE,
            _column("status", "text", "excluded: not wanted by the contract; held: wanted, but could not be scored"),
            _column("reason", "text", "Why, by name"),
            RUN_ID,
        ),
        keys=("contract", "business_date", "customer_id"),
        partition=("contract", "business_date"),
        owner=_WAREHOUSE_OWNER,
        retention="400 days",
    ),
    Table(
        name="publications",
        description="Every publication, also those that were replaced or withdrawn",
        columns=(
            CONTRACT,
            BUSINESS_DATE,
            _column("restatement", "int", "0 = first publication of the date, then one more each time it is replaced"),
            _column("state", "text", "current: what readers see; replaced by a later one; withdrawn: taken back"),
            RUN_ID,
            _column("load_id", "bigint", "The copy in the warehouse"),
            _column("previous_load_id", "bigint", "The copy previous_probability comes from; null when there was none"),
            _column("fingerprint", "text", "Digest of inputs, contract, model and code"),
            _column("data_through", "date", "Last business date up to which every due delivery had come"),
            _column("contract_version", "int", "Version of the contract"),
            _column("model_version", "int", "Version of the registered model"),
            _column("customers_scored", "bigint", "Customers with a score"),
            _column("customers_not_scored", "bigint", "Known customers without one"),
            _column("is_retrospective", "boolean", "The model has seen data of after this date"),
            _column("reason", "text", "Why it was restated; null for a first publication"),
            _column("actor", "text", "Who published"),
            _column("published_at", "timestamptz", "When it was published"),
        ),
        keys=("contract", "business_date", "restatement"),
        partition=(),
        owner=_WAREHOUSE_OWNER,
        retention="all",
    ),
    Table(
        name="run_quality",
        description="What was counted and checked in each run whose scores are current",
        columns=(
            CONTRACT,
            BUSINESS_DATE,
            RUN_ID,
            _column(
                "kind", "text", "count, stage, measurement; or a check: reconciliation, expectation, floor, drift, gate"
            ),
            _column("source", "text", "Source, table or stage it is about"),
            _column("name", "text", "What was counted, measured or checked"),
            _column("severity", "text", "critical, warning or info; null where nothing was checked"),
            _column("passed", "boolean", "Whether the check passed; null where nothing was checked"),
            _column("observed", "text", "What was found"),
            _column("expected", "text", "What is allowed; null where nothing was checked"),
            _column("delivery_id", "text", "The delivery a measurement was made of; null for all other rows"),
        ),
        keys=("contract", "business_date", "kind", "source", "name", "delivery_id"),
        partition=(),
        owner=_WAREHOUSE_OWNER,
        retention="400 days",
    ),
    Table(
        name="deliveries",
        description="What each night took in, every delivery once; the first night also tells what history took in",
        columns=(
            CONTRACT,
            _column("business_date", "date", "The first published date that knew it; a date withdrawn since stays"),
            _column("run_id", "text", "The run that took it in: the night's own, or one of history or release"),
            SOURCE,
            _column("delivery_id", "text", "Names these bytes of the slot, or this release from quarantine"),
            _column("file", "text", "Path of the file, relative to the contract's folder"),
            _column("slot", "date", "The day the file is for, by its path"),
            _column("kind", "text", "file; correction: replaces bytes taken in before; release: let out of quarantine"),
            _column("corrects", "text", "The delivery that a correction replaces; else null"),
            KNOWN_DATE,
            _column("bytes", "bigint", "Size of the file as it came"),
            _column("raw", "bigint", "Rows as delivered = accepted + ignored + unchanged + duplicate + quarantined"),
            _column("accepted", "bigint", "Rows that became facts"),
            _column("ignored", "bigint", "Rows the contract leaves out, by its own rule"),
            _column("unchanged", "bigint", "Rows of a correction that stood in what it replaces"),
            _column("duplicate", "bigint", "Further copies of a row of the same delivery"),
            _column("quarantined", "bigint", "Rows set aside, to be repaired and let back in"),
            _column(
                "withdrawn", "bigint", "Facts of earlier deliveries that a correction took back; no rows of its own"
            ),
        ),
        keys=("contract", "source", "delivery_id"),
        partition=(),
        owner=_WAREHOUSE_OWNER,
        retention="400 days",
    ),
    Table(
        name="quarantine_reasons",
        description="Why rows of each delivery were set aside, and all that was wrong with its rows",
        columns=(
            CONTRACT,
            _column("business_date", "date", "As in deliveries"),
            _column("run_id", "text", "The run that took the delivery in"),
            SOURCE,
            _column("slot", "date", "The day the file is for, by its path"),
            _column("delivery_id", "text", "As in deliveries"),
            _column(
                "bucket",
                "text",
                "ignored, quarantined: by first reason, they add up; defect: every rule a row of any bucket breaks",
            ),
            _column("reason", "text", "The rule, by name"),
            _column("rows", "bigint", "Rows it is about"),
        ),
        keys=("contract", "source", "delivery_id", "bucket", "reason"),
        partition=(),
        owner=_WAREHOUSE_OWNER,
        retention="400 days",
    ),
    Table(
        name="definition",
        description="What churn means in each contract, as of its newest published date",
        columns=(
            CONTRACT,
            _column("position", "int", "Order in which to read"),
            _column("topic", "text", "What the line defines"),
            _column("value", "text", "Its value in the contract"),
            _column("explanation", "text", "The same in plain words"),
        ),
        keys=("contract", "position"),
        partition=(),
        owner=_WAREHOUSE_OWNER,
        retention="the newest published date",
    ),
    Table(
        name="models",
        description="Every judged model version of each contract, as of its newest published date",
        columns=(
            CONTRACT,
            _column("model_version", "int", "Version of the registered model"),
            _column("state", "text", "registered, held (a person decides) or refused"),
            _column("is_champion", "boolean", "Whether it scored the newest published date"),
            _column("candidate", "text", "Which kind of model was chosen"),
            _column("trained_through", "date", "Last cutoff the model was fitted on"),
            _column("label_data_through", "date", "Last business date whose facts its labels have seen"),
            _column("auc", "double", "Out-of-time chance that a churner ranks above a stayer, 0.5 to 1"),
            _column("auc_low", "double", "Lower end of its 90 % interval, by customer bootstrap"),
            _column("auc_high", "double", "Upper end of its 90 % interval, by customer bootstrap"),
            _column("log_loss", "double", "Out-of-time log loss, in nats; smaller is better"),
            _column("brier", "double", "Out-of-time mean squared error of the probability; smaller is better"),
            _column("calibration_error", "double", "Mean gap between estimated and realised churn, 0 to 1"),
            _column("lift_top_decile", "double", "Churn in the tenth most at risk over churn of all"),
            _column("base_rate", "double", "Share of churners among the test's customers, 0 to 1"),
            _column("training_rows", "bigint", "Customer-cutoffs it was fitted on"),
            _column("test_rows", "bigint", "Customer-cutoffs it was tested on"),
            _column("digest", "text", "sha256 that the artifact must match before it scores"),
            _column("reason", "text", "Why it was held, refused or promoted"),
            _column("created_at", "timestamptz", "When it was registered"),
            _column("promoted_at", "timestamptz", "When it became champion; null when it never did"),
        ),
        keys=("contract", "model_version"),
        partition=(),
        owner=_WAREHOUSE_OWNER,
        retention="all",
    ),
    Table(
        name="data_dictionary",
        description="What every column here means, and every feature a reason may name",
        columns=(
            _column("table_name", "text", "View or table; features are those that reasons name"),
            _column("column_name", "text", "Column, or feature"),
            _column("position", "int", "Place in its table, from 1"),
            _column("type", "text", "SQL type; a feature's unit"),
            _column("description", "text", "What it means"),
            _column("contract", "text", "Contract whose feature it is; null for a column of every contract"),
        ),
        keys=("contract", "table_name", "column_name"),
        partition=(),
        owner=_WAREHOUSE_OWNER,
        retention="the newest published date",
    ),
)

LAKE: dict[str, Table] = {table.name: table for table in _LAKE}
WAREHOUSE: dict[str, Table] = {table.name: table for table in _WAREHOUSE}


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
