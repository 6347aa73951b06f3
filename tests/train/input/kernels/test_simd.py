"""Code for LLVM gives the same bits with and without an instruction that only some processors have."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.train.input.kernels.jit import MISSING

pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason="there are no compiled loops without numba"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the instruction is one of x86-64"),
]
CODE = """
import hashlib
import numpy as np
from headrace.train.input.kernels import simd
simd._HAS_PMADDWD = {there}
from headrace.train.input.kernels.arguments import Boxes
from headrace.train.input.kernels.resize import resize_boxes
draw, count = np.random.default_rng(0), 40
pixels, seen = draw.integers(0, 256, 3 * 64 * 64 * count + 64, np.uint8), hashlib.sha256()
for size in (1, 5, 16, 33, 64, 100):
    sides = draw.integers(1, 65, (count, 2))
    corners = (draw.random((count, 2)) * (65 - sides)).astype(np.int64)
    boxes = Boxes(corners, sides, np.full((count, 2), size), np.zeros((count, 2), np.int64), draw.random(count) < 0.5)
    made = np.empty((count, size, 3 * size), np.uint8)
    resize_boxes(pixels, 3 * 64 * 64 * np.arange(count), np.full(count, 3 * 64), boxes, made)
    seen.update(made.tobytes())
print(seen.hexdigest())
"""


def resized(there: bool, cache: Path) -> str:
    """A hash of many resized images, by loops that are compiled in a process of its own."""
    command = [sys.executable, "-c", CODE.format(there=there)]
    given = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=given).stdout


def test_pairs_of_products_are_the_same_without_the_instruction(tmp_path: Path) -> None:
    """Blends of two neighbours, along rows and down columns, whose length need not be a multiple of a vector's."""
    assert resized(True, tmp_path / "with") == resized(False, tmp_path / "without")
