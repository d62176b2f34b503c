"""Files for spreadsheets: no formula, nothing lost, whole or none."""

import io
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from churnlake.errors import UnavailableError, UsageError
from churnlake.spreadsheet import STARTS, escaped, read_csv, restored, write_csv, write_whole

# Every text a UTF-8 file can hold, formulas often.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FORMULAS = st.builds("".join, st.tuples(st.sampled_from([*STARTS, "'", ""]), TEXTS))


def cells_of(rows: list[list[str]], folder: Path) -> list[list[str]]:
    """The rows as a file holds them, read as a spreadsheet would."""
    path = folder / "cells.csv"
    with path.open("wb") as file:
        write_csv(file, [f"c{place}" for place in range(len(rows[0]))], rows, mark=True)
    return read_csv(path)[1:]


@given(rows=st.lists(st.lists(FORMULAS, min_size=2, max_size=2), min_size=1, max_size=5))
def test_p15_no_cell_can_start_a_formula_and_every_text_comes_back(
    rows: list[list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever a text holds: quotes, separators, line ends, NUL, apostrophes, signs in front."""
    cells = cells_of(rows, tmp_path_factory.getbasetemp())
    assert [[restored(cell) for cell in line] for line in cells] == rows
    assert not [cell for line in cells for cell in line if cell[:1] and cell[0] in STARTS]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-3", "@x", "\tx", "\rx", "'x", "''", "\uff1dx", "x=1", "", "-"])
def test_escaping_is_undone_exactly(text: str) -> None:
    """One apostrophe in front of what needs one, an apostrophe included; nothing else changes."""
    assert restored(escaped(text)) == text
    assert escaped(text) in (text, f"'{text}")


def test_numbers_stay_numbers_and_null_is_an_empty_cell() -> None:
    """A negative number is no text, so it is not escaped; the mark tells spreadsheets that this is UTF-8."""
    file = io.BytesIO()
    write_csv(file, ["a", "b", "c"], [[-3, 0.5, None], ["-3", 'say "hi"', "Zoë"]], mark=True)
    assert file.getvalue().decode() == '\ufeff"a","b","c"\n-3,0.5,\n"\'-3","say ""hi""","Zoë"\n'


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """One that is there stays until the new one is complete; a failure leaves no trace."""

    def breaks(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    path = tmp_path / "list.csv"
    write_whole(path, lambda file: file.write(b"first") and None)
    with pytest.raises(UsageError, match="is there already"):
        write_whole(path, breaks)
    with pytest.raises(UnavailableError, match="No space left"):
        write_whole(path, breaks, force=True)
    assert path.read_bytes() == b"first"
    write_whole(path, lambda file: file.write(b"second") and None, force=True)
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="does not exist"):
        write_whole(tmp_path / "nowhere" / "x.csv", breaks)
    with pytest.raises(UsageError, match="is a folder"):
        write_whole(tmp_path, breaks)


def test_a_file_that_cannot_be_read_is_refused_by_name(tmp_path: Path) -> None:
    """Missing, or saved in a spreadsheet's own encoding."""
    with pytest.raises(UsageError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes("Zoë".encode("latin-1"))
    with pytest.raises(UsageError, match="is not UTF-8"):
        read_csv(tmp_path / "latin.csv")
