"""The first lines of a run, as they depend on the installed versions."""

from pathlib import Path

import pytest

from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.record.installation import versions
from headrace.train.record.tested import pinned_versions
from headrace.train.run import opening
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve
from headrace.train.step.compilation import Compilation


def lines_with(tiny_set: Path, folder: Path, torch: str) -> list[str]:
    """The first lines of a run under this version of torch."""
    with pytest.MonkeyPatch.context() as patch:
        have = {**versions(), "torch": torch}
        patch.setattr(opening, "versions", lambda: have)
        setup = resolve(Request(tiny_set, "demo", (), out=folder / "run"), 1)
        return opening.start_lines(
            setup, Place(World(), Accelerator.of("cpu"), 1), "fp32", "random", Compilation("off")
        )


def test_newer_torch_is_one_line(tiny_set: Path, tmp_path: Path) -> None:
    """Right below the line of versions; the tested version has no such line."""
    tested = pinned_versions()["torch"]
    lines = lines_with(tiny_set, tmp_path, "999.0")
    assert "torch 999.0" in lines[0]
    assert lines[1] == f"tested   with torch {tested}, not yet with torch 999.0"
    assert not [line for line in lines_with(tiny_set, tmp_path, tested) if line.startswith("tested")]
