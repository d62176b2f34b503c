"""The nightly page: what was published, how good it is and why, for people who never open a terminal."""

from churnlake.report.pages import write_index, write_page

__all__ = ["write_index", "write_page"]
