"""Fetches jars by Maven coordinate, through the Ivy resolver that Spark itself brings.

Run by `make setup` with the environment's Python: `python -m infra.ivy FOLDER COORDINATE...`
"""

import sys
from pathlib import Path

from pyspark.java_gateway import launch_gateway


def fetch(folder: Path, coordinates: list[str]) -> None:
    """Leaves the jar of each coordinate under `folder`/jars, without anything it depends on."""
    gateway = launch_gateway()  # type: ignore[no-untyped-call]
    gateway.jvm.java.lang.System.setProperty("spark.jars.ivy", str(folder))
    for coordinate in coordinates:
        # Not transitive: Delta's own list would bring a second Hadoop client beside the one in Spark.
        uri = gateway.jvm.java.net.URI.create(f"ivy://{coordinate}?transitive=false")
        gateway.jvm.org.apache.spark.util.DependencyUtils.resolveMavenDependencies(uri)
    gateway.shutdown()


if __name__ == "__main__":
    fetch(Path(sys.argv[1]), sys.argv[2:])
