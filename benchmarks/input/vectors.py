"""Compares the resize for CPUs, which has code for LLVM, with the same loops in plain numba, and with torch.

    python -m benchmarks.input.vectors [--repeats 11] [--seconds 0.5]

One thread resizes crops (RandomResizedCrop with area 0.08 to 1) of images of noise in memory: 256 of 64 x 64 to 64
pixels, and 32 of 375 x 500 to 224. Plain numba computes bytes one by one, whereas `train/input/kernels/simd.py` tells
LLVM which bytes form a vector, and on x86-64 names the instruction PMADDWD, which sums four pairs of products; other
processors multiply and add. Everything else is the same, so plain numba too goes through the rows in blocks of 16
bytes, which it cannot vectorise like one loop. A run without numba uses torch
(`train/input/kernels/plain.py`). Each contender is a process of its own, which first checks that its pixels equal those
of the code for LLVM, and is stopped while another one is measured.
"""

import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import child
from benchmarks.harness.tables import Row, rate_rows
from benchmarks.harness.turns import ContenderError, contend, contest

VECTORS, GENERIC, SCALARS, TORCH = CONTENDERS = ("code for LLVM", "without PMADDWD", "plain numba", "torch")
TASKS = {64: (256, 64, 64), 224: (32, 375, 500)}
"""The number of images, their height and their width, by the side of the resized squares."""


def weighted_pixel(pixels: Any, at: int, weights: Any, row: int, taps: int, bits: np.int32, made: Any, to: int) -> None:
    """As that of simd.py."""
    half, shift = np.int32(1 << (bits - 1)), np.int32(bits)
    red, green, blue = half, half, half
    for tap in range(taps):
        weight, pixel = weights[row, tap], at + 3 * tap
        red += np.int32(pixels[pixel]) * weight
        green += np.int32(pixels[pixel + 1]) * weight
        blue += np.int32(pixels[pixel + 2]) * weight
    made[to], made[to + 1], made[to + 2] = red >> shift, green >> shift, blue >> shift


def blended_pixels(
    pixels: Any, at: int, next_at: int, pair: np.int32, next_pair: np.int32, bits: np.int32, made: Any, to: int
) -> None:
    """As that of simd.py."""
    half, shift = np.int32(1 << (bits - 1)), np.int32(bits)
    for begin, both, end in ((at, pair, to), (next_at, next_pair, to + 3)):
        this, that = np.int32(both & 0xFFFF), np.int32(both >> 16)
        for colour in range(3):
            one, other = np.int32(pixels[begin + colour]), np.int32(pixels[begin + 3 + colour])
            made[end + colour] = (half + one * this + other * that) >> shift


def blended_bytes(rows: Any, at: int, next_at: int, pair: np.int32, bits: np.int32, made: Any, to: int) -> None:
    """As that of simd.py."""
    half, shift = np.int32(1 << (bits - 1)), np.int32(bits)
    this, that = np.int32(pair & 0xFFFF), np.int32(pair >> 16)
    for byte in range(16):
        made[to + byte] = (half + np.int32(rows[at + byte]) * this + np.int32(rows[next_at + byte]) * that) >> shift


def resize_with(name: str) -> Callable[..., None]:
    """`resize_boxes` from a second copy of its module; its machine code is not cached, because its source differs."""
    import numba

    from headrace.train.input.kernels import jit, resize, simd

    njit: Any = numba.njit
    compiled = njit(nogil=True, error_model="numpy")
    spec = find_spec(resize.__name__)
    if spec is None or spec.loader is None:
        raise ImportError(f"{resize.__name__} has no source")
    copy: Any = module_from_spec(spec)
    plain = {one.__name__: compiled(one) for one in (weighted_pixel, blended_pixels, blended_bytes)}
    parts: dict[str, Any] = plain if name == SCALARS else {"_HAS_PMADDWD": False}
    mock.patch.multiple(simd, **parts).start()  # until the end of the process: the first call compiles
    with mock.patch.multiple(jit, jit=compiled, jit_or=lambda _: compiled):
        spec.loader.exec_module(copy)
    made: Callable[..., None] = copy.resize_boxes
    return made


def offer(name: str, size: int) -> None:
    """Resize batches of images with one thread in this contender's turns."""
    import torch

    from headrace.train.input.augment.views import Crop, Samples, train_views
    from headrace.train.input.decode.view_boxes import boxes_of
    from headrace.train.input.kernels import plain, resize

    torch.set_num_threads(1)
    count, height, width = TASKS[size]
    heights, widths, numbers = np.full(count, height), np.full(count, width), np.arange(count)
    views = train_views(Crop((0.08, 1.0), (3 / 4, 4 / 3), 0.5), 0, Samples(0 * numbers, numbers, widths, heights))
    boxes = boxes_of(heights, widths, views, size)
    pixels = np.random.default_rng(0).integers(0, 256, 3 * count * height * width, np.uint8)
    given = pixels, 3 * height * width * numbers, 3 * widths, boxes
    ways: dict[str, Callable[..., None]] = {VECTORS: resize.resize_boxes, TORCH: plain.resize_boxes}
    made, expected = np.empty((2, count, size, 3 * size), np.uint8)
    resize.resize_boxes(*given, expected)
    way = ways[name] if name in ways else resize_with(name)
    way(*given, made)
    if not np.array_equal(made, expected):
        raise ValueError(f"{name} makes other pixels than {VECTORS}")

    def step() -> int:
        way(*given, made)
        return count

    contend(step, time.time(), 1)


def main() -> None:
    """Measure the contenders in turns, at both sizes."""
    benchmark = Benchmark(__file__, __doc__, "input-vectors", "The resize of a CPU with and without code for LLVM")
    benchmark.share(repeats=11, seconds=0.5)
    compilers = ", ".join(f"{name} {version(name)}" for name in ("numba", "llvmlite"))
    asked = benchmark.parse(threads=1, compilers=compilers)
    tables: dict[str, list[Row]] = {}
    for size, (count, height, width) in TASKS.items():
        failed: dict[str, str] = {}
        commands = {name: child(__file__, "offer", name, size) for name in CONTENDERS}
        runs, _ = contest(commands, asked.repeats, asked.seconds, failed)
        if failed:
            benchmark.fail(ContenderError(str(failed)))
        tables[f"{count} images of {height} x {width} to {size} px"] = rate_rows(runs, VECTORS)
    benchmark.write(tables)


if __name__ == "__main__":
    main()
