"""Rows of the GPU benchmark, which may be killed at any second."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.gpu.lines import Lines

values = st.integers() | st.text() | st.booleans()
rows = st.lists(st.tuples(st.sampled_from(["step", "left out"]), st.dictionaries(st.text(), values)), min_size=1)


@given(rows, st.data())
def test_rows_before_a_cut_are_there(measured: list[tuple[str, dict[str, Any]]], data: st.DataObject) -> None:
    """Killed after any byte of a row, the file has all rows before it, in order."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        lines, ends = Lines(path), [0]
        for table, row in measured:
            lines.add(table, row)
            ends.append(path.stat().st_size)
        size = data.draw(st.integers(0, ends[-1]))
        path.write_bytes(path.read_bytes()[:size])
        found = lines.tables()
    whole = [one for one, end in zip(measured, ends[1:], strict=True) if end - 1 <= size]  # the newline may be lost
    assert {table: [row for name, row in whole if name == table] for table, _ in whole} == found
