"""The memory that may still be used."""

from pathlib import Path

import pytest

from headrace.train.machine import capacity


@pytest.mark.parametrize(("limit", "expected"), [("6000000", 3_500_000), ("max", None)])
def test_memory_of_a_control_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, expected: int | None
) -> None:
    """A control group may still use its limit minus its memory, not counting pages of files."""
    (tmp_path / "memory.max").write_text(limit + "\n")
    (tmp_path / "memory.current").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 2500000\ninactive_file 400000\nactive_file 100000\n")
    monkeypatch.setattr(capacity, "_GROUP", tmp_path)
    monkeypatch.setattr(capacity, "_MEMINFO", tmp_path / "none")
    assert capacity.usable_memory() == expected
