"""A contract's expressions and suites before the engine that will run them: analysed on empty frames."""

from collections.abc import Sequence

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract.reading import expression_sql
from churnlake.contract.schema import Contract
from churnlake.suites import Suite
from jobs.quality import suite_problems

_DAY = ("date", "timestamp_ntz", "timestamp")
# What the canonical columns of a role must be; other columns may be anything.
_WANTED = {
    ("events", "event_ts"): _DAY,
    ("subscriptions", "started_on"): _DAY,
    ("subscriptions", "ended_on"): _DAY,
    ("subscriptions", "completes_on"): _DAY,
    ("subscriptions", "renews_on"): _DAY,
    ("subscriptions", "price"): ("int", "bigint", "double", "decimal"),
    ("renewals", "event_ts"): _DAY,
    ("renewals", "paid_until"): _DAY,
    ("renewals", "cancels"): ("boolean",),
    ("renewals", "auto_renew"): ("boolean",),
    ("renewals", "price"): ("int", "bigint", "double", "decimal"),
    ("labels", "is_churned"): ("boolean",),
    ("labels", "as_of"): _DAY,
}
_FRAME_TYPES = {"text": "string", "timestamp": "timestamp_ntz"}


def expression_problems(
    spark: SparkSession, contract: Contract, name: str, own: Suite | None = None, canonical: Suite | None = None
) -> list[str]:
    """What Spark itself says of a source's expressions, analysed on an empty frame of its types; empty when all fit.

    Where they do, also what it says of the source's suites: its own, over its typed columns, and the canonical one.
    """
    source, columns = contract.sources[name], contract.expression_columns(name)
    typed = spark.createDataFrame(
        [], ", ".join(f"`{one}` {_FRAME_TYPES.get(kind, kind)}" for one, kind in columns.items())
    )
    names = list(columns)
    told = [
        _analysis_problem(typed, f"sources.{name}.ignore.{rule.reason}", expression_sql(rule.when, names), ("boolean",))
        for rule in source.ignore
    ]
    told += [
        _analysis_problem(
            typed,
            f"sources.{name}.columns.{column}",
            expression_sql(text, names),
            _WANTED.get((source.role, column), ()),
        )
        for column, text in source.columns.items()
    ]
    if problems := [problem for problem in told if problem]:
        return problems
    mapped = typed.select(*(F.expr(expression_sql(text, names)).alias(one) for one, text in source.columns.items()))
    if source.role == "events":
        activity = expression_sql(contract.churn.activity, list(source.columns))
        problem = _analysis_problem(mapped, "churn.activity", activity, ("boolean",))
        problems += [problem] if problem else []
    problems += suite_problems(spark, own, dict(typed.dtypes)) if own else []
    types = dict(mapped.dtypes) | {"customer_id": "string"}  # whatever it is mapped from, an id becomes text
    return problems + (suite_problems(spark, canonical, types) if canonical else [])


def _analysis_problem(frame: DataFrame, place: str, sql: str, wanted: Sequence[str]) -> str | None:
    """What is wrong with an expression; `wanted` are the kinds of value it may have, any where there are none."""
    try:
        found = frame.select(F.expr(sql)).schema[0].dataType.simpleString()
    except AnalysisException as problem:
        return f"{place}: {str(problem).splitlines()[0]}"
    fits = not wanted or found.partition("(")[0] in wanted
    return None if fits else f"{place}: is {found}; it must be {' or '.join(wanted)}"
