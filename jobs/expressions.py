"""A contract's expressions and suites before the engine that will run them: analysed on empty frames."""

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from churnlake.contract.reading import expression_sql
from churnlake.contract.schema import Contract
from churnlake.suites import Suite
from jobs.quality import suite_problems

_FRAME_TYPES = {"text": "string", "timestamp": "timestamp_ntz"}


def expression_problems(
    spark: SparkSession, contract: Contract, name: str, own: Suite | None = None, canonical: Suite | None = None
) -> list[str]:
    """What Spark itself says of a source's expressions, analysed on an empty frame of its types; empty when all fit.

    Where they do, also what it says of the source's suites: its own, over its typed columns, and the canonical one.
    """
    source = contract.sources[name]
    typed = spark.createDataFrame(
        [], ", ".join(f"`{one}` {_FRAME_TYPES.get(kind, kind)}" for one, kind in source.typed.items())
    )
    names = list(source.typed)
    told = [
        _analysis_problem(typed, f"sources.{name}.ignore.{rule.reason}", expression_sql(rule.when, names), "boolean")
        for rule in source.ignore
    ]
    told += [
        _analysis_problem(typed, f"sources.{name}.columns.{column}", expression_sql(text, names), None)
        for column, text in source.columns.items()
    ]
    if problems := [problem for problem in told if problem]:
        return problems
    mapped = typed.select(*(F.expr(expression_sql(text, names)).alias(one) for one, text in source.columns.items()))
    activity = expression_sql(contract.churn.activity, list(source.columns))
    problem = _analysis_problem(mapped, "churn.activity", activity, "boolean")
    problems = [problem] if problem else []
    problems += suite_problems(spark, own, dict(typed.dtypes)) if own else []
    types = dict(mapped.dtypes) | {"customer_id": "string"}  # whatever it is mapped from, an id becomes text
    return problems + (suite_problems(spark, canonical, types) if canonical else [])


def _analysis_problem(frame: DataFrame, place: str, sql: str, wanted: str | None) -> str | None:
    try:
        found = frame.select(F.expr(sql)).schema[0].dataType.simpleString()
    except AnalysisException as problem:
        return f"{place}: {str(problem).splitlines()[0]}"
    return f"{place}: is {found}; it must be {wanted}" if wanted not in (None, found) else None
