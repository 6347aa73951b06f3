"""Measures the effect of each choice for CPUs on the training step of EfficientNet-B0, by undoing one at a time.

    python -m benchmarks.step.choices [--repeats 5] [--sizes 64 128] [--batch 32] [--seconds 6] [--bf16]

The step is that of `benchmarks.step.peers`. The choices are: own gradients of depthwise convolutions that are slow in
torch (train/model/depthwise.py); 1 x 1 convolutions of images of one pixel as products (train/model/efficientnet.py);
an allocator that keeps freed memory (docs/decisions/0007); OpenMP threads that spin for as long as waking up takes,
instead of longer or not at all (docs/decisions/0016; its benefit for other programs does not show if none run); and
channels_last. A ratio below 1 is the loss of the run without the choice.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import Run, call_apart, interleave
from benchmarks.harness.stopwatch import time_steps
from benchmarks.harness.tables import rate_rows

CLASSES = 200
ALL = "all choices"
DEPTHWISE, PRODUCTS = "depthwise gradients of our own", "products for single pixels"
SPINNING, ASLEEP = "OpenMP that stops spinning", "OpenMP that spins at all"
WITHOUT = (DEPTHWISE, PRODUCTS, "allocator that keeps", SPINNING, ASLEEP, "channels_last")
CONTENDERS = (ALL, *(f"without {name}" for name in WITHOUT))


def headrace(images: Any, without: str, *, bf16: bool) -> Callable[[], int]:
    """The product's step without one choice; it returns the number of its images."""
    if without == ASLEEP:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if without != SPINNING:
        from headrace.train.machine.openmp import spin_briefly

        spin_briefly()
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    from headrace.train.model import efficientnet, same_padding
    from headrace.train.model.build import random_network
    from headrace.train.run.process import keep_freed_memory

    if without == DEPTHWISE:
        mock.patch.object(same_padding, "pays", return_value=False).start()
    if without == PRODUCTS:
        mock.patch.object(efficientnet, "_on_vectors", lambda conv, x: conv(x[:, :, None, None]).flatten(1)).start()
    if without != "allocator that keeps":
        keep_freed_memory()
    network = random_network("efficientnet-b0", CLASSES, seed=0)
    keep = torch.ones(len(images), len(network.drop_rates(0.2)))
    noise = (keep, torch.ones(len(images), network.features))
    layout = torch.contiguous_format if without == "channels_last" else torch.channels_last
    network.train().to(memory_format=layout)  # type: ignore[call-overload]  # torch's stub lacks it
    pixels = torch.from_numpy(images).contiguous(memory_format=layout)
    labels = torch.arange(len(images)) % CLASSES
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)

    def step() -> int:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = torch.nn.functional.cross_entropy(network(pixels, *noise), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return len(images)

    return step


def measure(name: str, size: int, batch: int, seconds: float, bf16: bool) -> Run:
    """Take steps for some seconds, after two steps that are not timed."""
    import numpy as np

    images = np.random.default_rng(0).standard_normal((batch, 3, size, size), np.float32)
    step = headrace(images, name.removeprefix("without "), bf16=bf16)
    for _ in range(2):
        step()
    return time_steps(step, seconds)


def main() -> None:
    """Measure with all choices and without each."""
    title = "Choices for the training step on a CPU, one by one"
    benchmark = Benchmark(__file__, __doc__, "cpu-choices", title)
    benchmark.share(repeats=5, sizes=[64, 128], batch=32, seconds=6.0)
    benchmark.add("--bf16", action="store_true", help="run the forward pass with autocast; the result has another name")
    asked = benchmark.parse()
    if asked.bf16:
        benchmark.name = "cpu-choices-bf16"
    benchmark.note(precision="bf16" if asked.bf16 else "fp32")
    tables = {}
    for size in asked.sizes:
        given = (size, asked.batch, asked.seconds, asked.bf16)
        runs = {name: partial(call_apart, __file__, "measure", name, *given) for name in CONTENDERS}
        tables[f"{size} px"] = rate_rows(interleave(runs, asked.repeats), ALL)
    benchmark.write(tables)


if __name__ == "__main__":
    main()
