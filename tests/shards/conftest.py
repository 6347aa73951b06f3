"""The folder in which processes of a host share the columns of large splits, and splits that count as large."""

from pathlib import Path

import pytest

from headrace.shards import mapped


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the columns, which does not exist yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "headrace" / "columns"


@pytest.fixture
def small_ones_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count every split that has a sample as large."""
    monkeypatch.setattr(mapped, "FEWEST", 1)
