import json
from pathlib import Path

import pytest

from tests.gpu.benchmark import measured


@pytest.mark.parametrize("part", ["correctness", "profile"])
def test_part_runs_on_the_device(tiny_set: Path, tmp_path: Path, part: str) -> None:
    """Short parts of the GPU benchmark reach their end on the device itself, with what a reader needs to judge them."""
    done = measured(str(tiny_set), "--parts", part, "--out", str(tmp_path / "result"))
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "result.json").read_text())
    assert {"device", "driver", "versions", "commit"} <= found.keys()
    assert "failed" not in found["parts"][part]
