"""Measures the rate of a step, and the CPU time per image."""

import time
from collections.abc import Callable

from benchmarks.harness.processes import Run


def time_steps(
    step: Callable[[], int], seconds: float, at_least: int = 1, cpu_seconds: Callable[[], float] = time.process_time
) -> Run:
    """Images per second, and CPU microseconds per image, over the given seconds and at least `at_least` steps.

    `step` returns the number of its images. `cpu_seconds` returns CPU time, by default that of this process.
    """
    began, cpu, images, steps = time.perf_counter(), cpu_seconds(), 0, 0
    while steps < at_least or time.perf_counter() - began < seconds:
        images += step()
        steps += 1
    wall, cpu = time.perf_counter() - began, cpu_seconds() - cpu
    return {"images_per_second": images / wall, "cpu_microseconds": 1e6 * cpu / images}
