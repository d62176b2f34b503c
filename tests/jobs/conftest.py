"""Fixtures of the Spark jobs' tests."""

from pathlib import Path

import pytest


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """An empty lake root of one contract, alone for one test."""
    root = tmp_path / "lake" / "example"
    root.mkdir(parents=True)
    return root
