"""The pages of a night: its scores, and what arrived, for people who never open a terminal."""

from churnlake.report.pages import data_address, write_data_page, write_index, write_page

__all__ = ["data_address", "write_data_page", "write_index", "write_page"]
