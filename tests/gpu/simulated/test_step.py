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
WEIGHTS = "runtime.precision=bf16,runtime.padding=weights"
AUGMENTED = (
    "runtime.precision=bf16,augment.trivial_augment=true,augment.rotate=10,augment.brightness=0.2,"
    "augment.contrast=0.2,augment.saturation=0.2,augment.hue=0.1,augment.erase=0.5,augment.mixup=0.2"
)
SETTINGS = (*(f"runtime.precision={name}" for name in PRECISIONS), WEIGHTS, AUGMENTED)
_PASSES = 8  # two updates of four micro-batches
_AT_THE_HEAD = {"mul", "native_batch_norm_backward"}
"""The head's mean hands back a view of a vector, which has no layout; what is made from it may be contiguous."""


@pytest.fixture(scope="module")
def library(pytestconfig: pytest.Config) -> Path:
    """The library that says that there is a GPU."""
    return build(pytestconfig.cache.mkdir("fake-cuda"))


@pytest.fixture(scope="module")
def seen(library: Path, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two updates in each precision did, two without a copy of images, and two on images that are augmented."""
    command = [sys.executable, "-m", "tests.gpu.simulated.step", library, tiny_set, tmp_path_factory.mktemp("run")]
    done = subprocess.run([*map(str, command), *SETTINGS], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("settings", SETTINGS)
def test_step_keeps_to_the_device_and_the_layout(seen: dict[str, Any], settings: str) -> None:
    """Fails where a mean's gradient is divided after it is expanded: that makes a tensor in another layout a block."""
    found = seen[settings]
    assert found["operations"] > 1000
    assert found["reads"] == {}
    assert found["gradients astray"] == []
    assert {name for name, _ in found["mixed layouts"]} <= _AT_THE_HEAD
    assert {tuple(shape[1:]) for _, shape in found["mixed layouts"]} <= {(320, 2, 2)}


def test_padded_weights_leave_images_where_they_are(seen: dict[str, Any]) -> None:
    """Each micro-batch copies the images of five convolutions, or five kernels in their place."""
    images, kernels = ([(shape[2:], times) for shape, times in seen[one]["padded"]] for one in (SETTINGS[0], WEIGHTS))
    assert sum(times for _, times in images) == sum(times for _, times in kernels) == 5 * _PASSES
    assert {tuple(sides) for sides, _ in images} == {(side, side) for side in (64, 32, 16, 8, 4)}
    assert {tuple(sides) for sides, _ in kernels} == {(3, 3), (5, 5)}


def test_images_are_augmented_there(seen: dict[str, Any]) -> None:
    """Which the tests above look at too: no operator asks the device for a number."""
    assert seen[AUGMENTED]["augmenting"] > 100 > seen[SETTINGS[0]]["augmenting"]
