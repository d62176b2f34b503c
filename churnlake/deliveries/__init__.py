"""Deliveries: the files of a source, found by their path and inspected before any engine reads them."""

from churnlake.deliveries.files import File, find_files
from churnlake.deliveries.inspection import Inspected, inspect
from churnlake.deliveries.layout import Field, Layout

__all__ = ["Field", "File", "Inspected", "Layout", "find_files", "inspect"]
