"""Deliveries: the files of a source, found by their path and inspected before any engine reads them."""

from churnlake.deliveries.content import Digest, digest_of
from churnlake.deliveries.files import File, find_files, unready
from churnlake.deliveries.inspection import Inspected, inspect
from churnlake.deliveries.layout import Drift, Field, Layout

__all__ = [
    "Digest",
    "Drift",
    "Field",
    "File",
    "Inspected",
    "Layout",
    "digest_of",
    "find_files",
    "inspect",
    "unready",
]
