"""Building a load: the scores of one attempt as an immutable, audited copy that nobody sees yet."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

import duckdb

from churnlake.errors import DataRefusedError, UsageError
from churnlake.tables import WAREHOUSE
from churnlake.warehouse.duckdb.audit import Audit, audit, audit_outcomes
from churnlake.warehouse.duckdb.connection import building, exact_paths, set_variables, sync
from churnlake.warehouse.outcomes import MaturedCohort
from churnlake.warehouse.publications import Publications
from churnlake.warehouse.records import Load, LoadFacts, Row

SCORES = "scores.parquet"
NOT_SCORED = "not_scored.parquet"

DOCUMENTS = ("run_quality", "deliveries", "quarantine_reasons", "definition", "models", "data_dictionary")
"""The small tables that travel with a load."""


@dataclass(frozen=True)
class LoadRequest:
    """All that a load is made from.

    `bands`: name -> cumulative share of the ranked list, growing. `wording`: feature -> (phrase with {value} and the
    {s} of several, decimals by which values are scaled). `score_files`, `population_files`: absolute paths of parquet
    files. `documents`: table name -> rows by column name; contract, business_date and run_id are filled in where left
    out. `cohorts`: earlier dates whose outcomes are told with these scores.
    """

    contract: str
    business_date: date
    data_through: date
    run_id: str
    attempt: int
    horizon_days: int
    gap_days: int
    contract_version: int
    model_version: int
    scored_at: datetime
    is_retrospective: bool
    bands: Mapping[str, float]
    wording: Mapping[str, tuple[str, int]]
    score_files: Sequence[Path]
    population_files: Sequence[Path]
    documents: Mapping[str, Sequence[Row]]
    cohorts: Sequence[MaturedCohort] = ()

    @property
    def facts(self) -> LoadFacts:
        return LoadFacts(**{field.name: getattr(self, field.name) for field in fields(LoadFacts)})


def build_load(
    publications: Publications, request: LoadRequest, *, epoch: int, now: datetime, memory_limit: str = "2GB"
) -> Load:
    """Write and audit a load under its own load_id. It stays invisible until `Publications.publish`.

    Raises:
        ConflictError: Another run claimed the contract since `epoch`.
        DataRefusedError: The audit failed; the load is marked failed and can never be published.
        UnavailableError: The disk is full or cannot be used.
    """
    documents = _complete_documents(request)
    cohorts = [cohort.load_id for cohort in request.cohorts]
    load = publications.begin_load(request.facts, documents, epoch=epoch, now=now, cohorts=cohorts)
    folder = publications.root / load.folder
    try:
        folder.mkdir(parents=True)
        verdict = _write_and_audit(publications, request, load, folder, memory_limit)
    except Exception as error:
        publications.mark_failed(load.load_id, str(error))
        raise
    return publications.mark_audited(
        load.load_id, customers_scored=verdict.customers_scored, customers_not_scored=verdict.customers_not_scored
    )


def _write_and_audit(
    publications: Publications, request: LoadRequest, load: Load, folder: Path, memory_limit: str
) -> Audit:
    spill = folder / "spill.tmp"
    with building(memory_limit, spill) as connection:
        _read_inputs(connection, request)
        _prepare(connection, publications, request, load)
        _write(connection, _SCORES_SQL, folder / SCORES)
        _write(connection, _NOT_SCORED_SQL, folder / NOT_SCORED)
        odd = [fault for cohort in request.cohorts for fault in _write_outcomes(connection, publications, load, cohort)]
        sync(folder)
        _sync_parents(folder, publications.root)
        verdict = audit(connection, request.run_id, folder / SCORES, folder / NOT_SCORED)
    shutil.rmtree(spill, ignore_errors=True)  # DuckDB makes it only when it needs it
    if verdict.faults or odd:
        raise DataRefusedError(
            f"{request.contract} {request.business_date}: load {load.load_id} failed its audit: "
            + "; ".join([*verdict.faults, *odd]),
            next_step="nothing was published, the last scores stay; correct what is named and run the date again",
        )
    return verdict


def _write_outcomes(
    connection: duckdb.DuckDBPyConnection, publications: Publications, load: Load, cohort: MaturedCohort
) -> list[str]:
    """Writes the outcomes of a cohort, and returns what its audit found."""
    scored = publications.load(cohort.load_id)
    target = publications.root / load.outcomes_of(cohort.business_date)
    variables = {"label_files": exact_paths(_existing(cohort.label_files)), "cohort": cohort.business_date}
    set_variables(connection, variables)
    _write(connection, _OUTCOMES_SQL, target)
    return audit_outcomes(connection, scored, target, publications.root / scored.folder / SCORES)


def _read_inputs(connection: duckdb.DuckDBPyConnection, request: LoadRequest) -> None:
    """Views `scored` and `population` over the given files; no file at all is an empty table."""
    for name, files, empty in (
        ("scored", request.score_files, _NO_SCORES_SQL),
        ("population", request.population_files, _NO_POPULATION_SQL),
    ):
        set_variables(connection, {f"{name}_files": exact_paths(_existing(files))})
        source = f"SELECT * FROM read_parquet(getvariable('{name}_files'), hive_partitioning = true, hive_types_autocast = false)"  # noqa: S608, E501
        connection.execute(f"CREATE TEMP VIEW {name} AS {source if files else empty}")


def _existing(files: Sequence[Path]) -> list[Path]:
    wrong = [str(file) for file in files if not Path(file).is_absolute() or not Path(file).is_file()]
    if wrong:
        raise UsageError(f"a load is made from absolute paths of files that exist; got {', '.join(wrong[:3])}")
    return [Path(file) for file in files]


def _prepare(
    connection: duckdb.DuckDBPyConnection, publications: Publications, request: LoadRequest, load: Load
) -> None:
    (customers,) = connection.execute("SELECT count(*) FROM scored").fetchone() or (0,)
    limits = band_limits(request.bands, customers)
    set_variables(
        connection,
        {
            "contract": request.contract,
            "business_date": request.business_date,
            "run_id": request.run_id,
            "data_through": request.data_through,
            "horizon_days": request.horizon_days,
            "gap_days": request.gap_days,
            "contract_version": request.contract_version,
            "model_version": request.model_version,
            "scored_at": request.scored_at,
            "is_retrospective": request.is_retrospective,
            "customers": customers,
            "band_names": list(limits),
            "band_limits": list(limits.values()),
        },
    )
    connection.execute("CREATE TEMP TABLE wording (feature VARCHAR PRIMARY KEY, phrase VARCHAR, scale INTEGER)")
    if request.wording:
        rows = [(feature, phrase, scale) for feature, (phrase, scale) in request.wording.items()]
        connection.executemany("INSERT INTO wording VALUES (?, ?, ?)", rows)
    _prepare_previous(connection, publications, load)


def _prepare_previous(connection: duckdb.DuckDBPyConnection, publications: Publications, load: Load) -> None:
    """The view `previous`, and whether its probabilities mean the same as tonight's."""
    comparable, source = False, _NO_SCORES_SQL
    if load.previous_load_id is not None:
        previous = publications.load(load.previous_load_id)
        set_variables(connection, {"previous_files": exact_paths([publications.root / previous.folder / SCORES])})
        source = (
            "SELECT customer_id, churn_probability "
            "FROM read_parquet(getvariable('previous_files'), hive_partitioning = false)"
        )
        comparable = _meaning(previous) == _meaning(load)
    set_variables(connection, {"comparable": comparable})
    connection.execute(f"CREATE TEMP VIEW previous AS {source}")


def _meaning(load: Load) -> tuple[int, int, int]:
    return load.contract_version, load.horizon_days, load.gap_days


def band_limits(bands: Mapping[str, float], customers: int) -> dict[str, int]:
    """The last risk_rank of each band: its cumulative share of the ranked list, rounded up, in exact decimals.

    Rounded up, so that the band of the first tenth is the top decile for any number of customers.
    """
    return {
        name: int((Decimal(str(share)) * customers).to_integral_value(ROUND_CEILING)) for name, share in bands.items()
    }


def _write(connection: duckdb.DuckDBPyConnection, select: str, path: Path) -> None:
    """Write a file so that its name appears only once all of it is on the disk."""
    unfinished = path.with_name(f"{path.name}.tmp")
    set_variables(connection, {"target": str(unfinished)})
    connection.execute(f"COPY ({select}) TO (getvariable('target')) (FORMAT parquet, COMPRESSION zstd)")
    sync(unfinished)
    unfinished.rename(path)


def _sync_parents(folder: Path, root: Path) -> None:
    while folder != root:
        folder = folder.parent
        sync(folder)


def _complete_documents(request: LoadRequest) -> dict[str, list[Row]]:
    unknown = sorted(set(request.documents) - set(DOCUMENTS))
    if unknown:
        raise UsageError(f"a load carries the documents {', '.join(DOCUMENTS)}; got {', '.join(unknown)}")
    return {table: [_complete_row(request, table, row) for row in rows] for table, rows in request.documents.items()}


def _complete_row(request: LoadRequest, table: str, row: Row) -> Row:
    columns = WAREHOUSE[table].column_names
    unknown = sorted(set(row) - set(columns))
    if unknown:
        raise UsageError(f"{table} has no column {', '.join(unknown)}; it has {', '.join(columns)}")
    known = {"contract": request.contract, "business_date": request.business_date, "run_id": request.run_id}
    return {name: row.get(name, known.get(name)) for name in columns}


_NO_SCORES_SQL = """
SELECT NULL::DATE AS business_date, NULL::VARCHAR AS run_id, NULL::VARCHAR AS customer_id,
  NULL::DOUBLE AS churn_probability,
  NULL::VARCHAR AS reason_1_feature, NULL::DOUBLE AS reason_1_value, NULL::VARCHAR AS reason_1_direction,
  NULL::VARCHAR AS reason_1_level,
  NULL::VARCHAR AS reason_2_feature, NULL::DOUBLE AS reason_2_value, NULL::VARCHAR AS reason_2_direction,
  NULL::VARCHAR AS reason_2_level,
  NULL::VARCHAR AS reason_3_feature, NULL::DOUBLE AS reason_3_value, NULL::VARCHAR AS reason_3_direction,
  NULL::VARCHAR AS reason_3_level
WHERE false
"""

_NO_POPULATION_SQL = """
SELECT NULL::DATE AS business_date, NULL::VARCHAR AS customer_id, NULL::BOOLEAN AS eligible, NULL::VARCHAR AS reason
WHERE false
"""

# A value of scale 0 that is not whole keeps two decimals: a ratio of 0.35 must not read as 0. Adding 0.0 after rounding
# makes minus zero plain zero.
_PHRASE_SQL = """
CASE WHEN {r}_feature IS NULL THEN NULL
  WHEN {r}_level IS NOT NULL THEN replace({phrase}, '{{value}}', {r}_level)
  WHEN {r}_value IS NULL OR NOT isfinite({r}_value) THEN 'no value known for ' || replace({r}_feature, '_', ' ')
  WHEN {w}.scale = 0 AND {r}_value = trunc({r}_value)
    THEN replace({phrase}, '{{value}}', printf('%.0f', {r}_value + 0.0))
  WHEN {w}.scale = 0 THEN replace({phrase}, '{{value}}', printf('%.2f', round({r}_value, 2) + 0.0))
  ELSE replace({phrase}, '{{value}}',
    printf('%.' || {w}.scale || 'f', round({r}_value / pow(10, {w}.scale), {w}.scale) + 0.0))
END
"""
# One day, two days: `{s}` in a phrase is the ending of what is counted.
_COUNTED_SQL = "replace({w}.phrase, '{{s}}', CASE WHEN {w}.scale = 0 AND {r}_value = 1 THEN '' ELSE 's' END)"
_FIRST_SQL = """
CASE ranked.reason_1_direction WHEN 'raises' THEN 'Raises' WHEN 'lowers' THEN 'Lowers' END
|| ' the estimate most, compared with the average customer in training: '
"""
_ALSO_SQL = "'Also ' || {r}_direction || ' the estimate: '"


def _reason_sql(place: int) -> str:
    name, given = f"reason_{place}", f"ranked.reason_{place}"
    opening = _FIRST_SQL if place == 1 else _ALSO_SQL.format(r=given)
    wording = f"w{place}"
    phrase = _COUNTED_SQL.format(r=given, w=wording)
    text = f"{opening} || ({_PHRASE_SQL.format(r=given, w=wording, phrase=phrase)}) || '.'"
    return (
        f"{given}_feature::VARCHAR AS {name}_feature, {given}_value::DOUBLE AS {name}_value, "
        f"{given}_direction::VARCHAR AS {name}_direction, {text} AS {name}_text"
    )


# Ties of probability are broken by the id's md5: by the id alone old customers would always stand first.
_SCORES_SQL = f"""
WITH ranked AS (
  SELECT *, row_number() OVER (ORDER BY churn_probability DESC, md5(customer_id), customer_id) AS risk_rank FROM scored
)
SELECT getvariable('contract')::VARCHAR AS contract, ranked.customer_id::VARCHAR AS customer_id,
  ranked.business_date::DATE AS business_date, getvariable('data_through')::DATE AS data_through,
  ranked.churn_probability::DOUBLE AS churn_probability, previous.churn_probability AS previous_probability,
  CASE WHEN getvariable('comparable') THEN ranked.churn_probability - previous.churn_probability END
    AS probability_change,
  risk_rank::INTEGER AS risk_rank,
  (((getvariable('customers') - risk_rank + 1) * 100 + getvariable('customers') - 1) // getvariable('customers'))
    ::SMALLINT AS risk_percentile,
  (((getvariable('customers') - risk_rank + 1) * 10 + getvariable('customers') - 1) // getvariable('customers'))
    ::SMALLINT AS risk_decile,
  coalesce(getvariable('band_names')[
    1 + len(list_filter(getvariable('band_limits'), lambda last_rank: last_rank < risk_rank))], 'low') AS risk_band,
  {", ".join(_reason_sql(place) for place in (1, 2, 3))},
  getvariable('is_retrospective')::BOOLEAN AS is_retrospective, getvariable('horizon_days')::INTEGER AS horizon_days,
  getvariable('gap_days')::INTEGER AS gap_days, getvariable('contract_version')::INTEGER AS contract_version,
  getvariable('model_version')::INTEGER AS model_version, ranked.run_id::VARCHAR AS run_id,
  getvariable('scored_at')::TIMESTAMPTZ AS scored_at
FROM ranked
LEFT JOIN previous ON previous.customer_id = ranked.customer_id
LEFT JOIN wording AS w1 ON w1.feature = ranked.reason_1_feature
LEFT JOIN wording AS w2 ON w2.feature = ranked.reason_2_feature
LEFT JOIN wording AS w3 ON w3.feature = ranked.reason_3_feature
ORDER BY ranked.customer_id
"""  # noqa: S608 - own constants

_NOT_SCORED_SQL = """
SELECT getvariable('contract')::VARCHAR AS contract, customer_id::VARCHAR AS customer_id,
  business_date::DATE AS business_date, CASE WHEN eligible::BOOLEAN THEN 'held' ELSE 'excluded' END AS status,
  reason::VARCHAR AS reason, getvariable('run_id')::VARCHAR AS run_id
FROM population WHERE NOT eligible::BOOLEAN OR reason IS NOT NULL
ORDER BY customer_id
"""

_OUTCOMES_SQL = """
SELECT getvariable('contract')::VARCHAR AS contract, business_date::DATE AS business_date,
  customer_id::VARCHAR AS customer_id, is_churned::BOOLEAN AS churned, churned_on::DATE AS churned_on,
  matured_on::DATE AS matured_on
FROM read_parquet(getvariable('label_files'), hive_partitioning = false)
WHERE business_date = getvariable('cohort')
ORDER BY customer_id
"""
