"""The whole training step on a simulated GPU: no read of the device, channels_last throughout."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.simulated.library import build, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "never")
PRECISIONS = ("bf16", "fp16", "fp32")
_AT_THE_HEAD = {"mul", "native_batch_norm_backward"}
"""The head's mean hands back a view of a vector, which has no layout; what is made from it may be contiguous."""


@pytest.fixture(scope="module")
def library(pytestconfig: pytest.Config) -> Path:
    """The library that says that there is a GPU."""
    return build(pytestconfig.cache.mkdir("fake-cuda"))


@pytest.fixture(scope="module")
def seen(library: Path, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two updates in each precision did."""
    command = [sys.executable, "-m", "tests.gpu.simulated.step", library, tiny_set, tmp_path_factory.mktemp("run")]
    done = subprocess.run([*map(str, command), *PRECISIONS], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("precision", PRECISIONS)
def test_step_keeps_to_the_device_and_the_layout(seen: dict[str, Any], precision: str) -> None:
    """Fails where a mean's gradient is divided after it is expanded: that makes a tensor in another layout a block."""
    found = seen[precision]
    assert found["operations"] > 1000
    assert found["reads"] == {}
    assert found["gradients astray"] == []
    assert {name for name, _ in found["mixed layouts"]} <= _AT_THE_HEAD
    assert {tuple(shape[1:]) for _, shape in found["mixed layouts"]} <= {(320, 2, 2)}
