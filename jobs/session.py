"""The only SparkSession builder: one local session with Delta, the same for every job and every test."""

import os
import sys
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from churnlake.class_archive import find_archive
from churnlake.errors import UsageError
from churnlake.jars import locked_jars
from churnlake.java import Java, find_java
from churnlake.settings import Settings

SPARK_HOME = Path(pyspark.__file__).resolve().parent
LOG_SETTINGS = Path(__file__).resolve().parent.parent / "infra" / "spark" / "log4j2.properties"
# Spark's own pattern plus `credential` and `passphrase`: values of settings with such names never reach a log.
SECRET_NAMES = "(?i)secret|password|passphrase|token|access[.]?key|credential"  # noqa: S105 - a pattern, not a secret
# Variables that would make Spark start another Spark, or with other settings, than the ones below.
FOREIGN_VARIABLES = (
    "SPARK_CONF_DIR",
    "SPARK_CLASSPATH",
    "PYSPARK_SUBMIT_ARGS",
    "HADOOP_CONF_DIR",
    "YARN_CONF_DIR",
    "SPARK_REMOTE",
)
MEMORY_NEEDED = 3 * 2**30
PARTITIONS_PER_CORE = {True: 2, False: 32}
# Of a file whose rows are in the order of their hashes, a reader of few customers opens few parts of so many rows each.
ROWS_OF_A_PART = 2**14
# Python workers keep what memory they gave back, up to so many bytes: to be given each array anew by the system, and
# cleared, costs them more than what they compute in it.
KEPT_BYTES = 2**30


def build_session(app_name: str, settings: Settings, scratch: Path, *, is_small: bool = True) -> SparkSession:
    """The session of this process.

    Args:
        app_name: Name of the application in Spark's own records.
        settings: Cores, driver memory and the folder of the jars.
        scratch: Folder for shuffle files and Spark's own leftovers; may vanish with the process.
        is_small: Up to about a million rows a stage. Small work gains from the quick compiler and few partitions; large
            work needs the optimising compiler and partitions that fit in memory.

    Raises:
        UsageError: Java or a locked jar is missing or wrong.
    """
    java = find_java()
    options = session_options(settings, java, scratch, is_small=is_small)
    (scratch / "spark").mkdir(parents=True, exist_ok=True)
    _prepare_environment(java)
    builder = SparkSession.builder.appName(app_name)
    for key, value in options.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def session_options(settings: Settings, java: Java, scratch: Path, *, is_small: bool = True) -> dict[str, str]:
    """Every Spark setting of a session, by name.

    Raises:
        UsageError: A locked jar is missing or has other bytes than the locked ones.
    """
    jars = locked_jars(settings.jars)
    return {
        **_machine_options(settings, scratch),
        "spark.driver.extraClassPath": os.pathsep.join(str(jar) for jar in jars),
        "spark.driver.extraJavaOptions": java_options(
            find_archive(java, SPARK_HOME / "jars", settings.jars), is_small=is_small
        ),
        **_sql_options(PARTITIONS_PER_CORE[is_small] * settings.cores, scratch),
        **_delta_options(),
        **_worker_options(),
    }


def java_options(archive: Path | None, *, is_small: bool) -> str:
    """Options of the driver's virtual machine, quoted as Spark's launcher reads them."""
    options = ["-Duser.timezone=UTC", "-Dfile.encoding=UTF-8", f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}"]
    # Spark joins the steps of a wide table into one method, which Java would interpret for its size: half the speed.
    options.append("-XX:-DontCompileHugeMethods")
    if is_small:
        # A night of thousands of customers ends before the optimising compiler pays for itself: a third less start-up.
        options.append("-XX:TieredStopAtLevel=1")
        # With one compiler Java reserves 48 MB for compiled code; generated Spark code fills that in a minute.
        options.append("-XX:ReservedCodeCacheSize=256m")
    if archive is not None:
        # `auto` and the closed log: an archive that does not fit after all is passed over without a word.
        options += [f'-XX:SharedArchiveFile="{archive}"', "-Xshare:auto", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"]
    return " ".join(options)


def usual_memory(free: int) -> str:
    """Spark's share of `free` bytes where the settings name none: 60 %, at most 8 GB.

    Raises:
        UsageError: There is too little for a night.
    """
    if free < MEMORY_NEEDED:
        raise UsageError(
            f"{free / 2**30:.1f} GB of memory are free; Spark needs {MEMORY_NEEDED / 2**30:.0f} GB",
            next_step="end other programs, or set CHURNLAKE_DRIVER_MEMORY (such as 1g) and take the risk",
        )
    return f"{min(free * 6 // 10, 8 * 2**30) // 2**20}m"


def free_memory(told: Path = Path("/proc/meminfo")) -> int:
    """Bytes that programs can have without pushing others out; where the system does not say, half of all."""
    if told.exists():
        for line in told.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _prepare_environment(java: Java) -> None:
    for name in FOREIGN_VARIABLES:
        os.environ.pop(name, None)
    os.environ["JAVA_HOME"] = str(java.home)
    os.environ["SPARK_HOME"] = str(SPARK_HOME)
    # Without these the workers take the first python3 on PATH, which lacks our packages, and Spark asks for the
    # machine's public address.
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"


def _machine_options(settings: Settings, scratch: Path) -> dict[str, str]:
    return {
        "spark.master": f"local[{settings.cores}]",
        # Fixed once the virtual machine runs.
        "spark.driver.memory": settings.driver_memory or usual_memory(free_memory()),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.local.dir": str(scratch / "spark"),
        "spark.default.parallelism": str(settings.cores),
        "spark.ui.enabled": "false",  # the ledger is what people watch; a port less to open
        "spark.ui.showConsoleProgress": "false",
        "spark.log.level": "ERROR",
        "spark.redaction.regex": SECRET_NAMES,
    }


def _sql_options(shuffle_partitions: int, scratch: Path) -> dict[str, str]:
    return {
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",  # a bad cast raises; only try_* may answer null
        "spark.sql.catalogImplementation": "in-memory",  # no Hive, no metastore folder
        "spark.sql.warehouse.dir": (scratch / "spark-warehouse").resolve().as_uri(),
        "spark.sql.shuffle.partitions": str(shuffle_partitions),
        "spark.sql.variable.substitute": "false",  # ${env:...} in an expression would read this machine's secrets
        "spark.sql.legacy.parquet.nanosAsLong": "true",  # else a file that pandas wrote cannot be read at all
        "spark.sql.inMemoryColumnarStorage.compressed": "false",  # costs more than it saves on rows read a few times
        "spark.sql.adaptive.enabled": "true",  # joins the partitions that turn out small
        "spark.hadoop.parquet.block.row.count.limit": str(ROWS_OF_A_PART),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.pyspark.fallback.enabled": "false",  # slow in silence otherwise
    }


def _worker_options() -> dict[str, str]:
    # Settings of glibc, and of Arrow to use it; other systems pass over them.
    kept = {"MALLOC_MMAP_THRESHOLD_": KEPT_BYTES, "MALLOC_TRIM_THRESHOLD_": KEPT_BYTES}
    told = {"ARROW_DEFAULT_MEMORY_POOL": "system"} | {name: str(value) for name, value in kept.items()}
    return {f"spark.executorEnv.{name}": value for name, value in told.items()}


def _delta_options() -> dict[str, str]:
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "2",  # the default of 50 is 50 tasks for a log of a few rows
        "spark.databricks.delta.schema.autoMerge.enabled": "false",  # a new column is refused by name
        # Slices are replaced whole, so deletion vectors save nothing, and plain files can be read by every reader.
        "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false",
    }
