"""What each choice for the CPU brings to the training step of EfficientNet-B0, taken back one at a time.

    python benchmarks/bench_cpu_choices.py [--repeats 5] [--sizes 64 128] [--batch 32] [--seconds 6] [--bf16]

The step is that of bench_step.py. The choices: gradients of depthwise convolutions that torch is slow at
(train/model/depthwise.py), 1 x 1 convolutions of images of one pixel as products (train/model/efficientnet.py), an
allocator that keeps freed memory (docs/decisions/0007), OpenMP threads that spin for as long as waking up takes, not
for longer and not at all (docs/decisions/0016; what it leaves to others is not seen where nothing else runs), and
channels_last. A ratio below 1 is what the run loses without the choice.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from typing import Any

from common import facts, interleaved, rows, write

CLASSES = 200
ALL = "all choices"
DEPTHWISE, PRODUCTS = "depthwise gradients of our own", "products for single pixels"
SPINNING, ASLEEP = "OpenMP that stops spinning", "OpenMP that spins at all"
WITHOUT = (DEPTHWISE, PRODUCTS, "allocator that keeps", SPINNING, ASLEEP, "channels_last")
CONTENDERS = (ALL, *(f"without {name}" for name in WITHOUT))


def headrace(images: Any, without: str, *, bf16: bool) -> Callable[[], None]:
    """The product's step, one choice taken back."""
    if without == ASLEEP:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if without != SPINNING:
        from headrace.train.machine.openmp import spin_briefly

        spin_briefly()
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    from headrace.train.model import efficientnet, same_padding
    from headrace.train.model.build import build_model
    from headrace.train.run.process import keep_freed_memory

    if without == DEPTHWISE:
        same_padding.pays = lambda *_: False
    if without == PRODUCTS:
        efficientnet._on_vectors = lambda conv, x: conv(x[:, :, None, None]).flatten(1)  # noqa: SLF001
    if without != "allocator that keeps":
        keep_freed_memory()
    network = build_model("efficientnet-b0", CLASSES, init="random", weights=None, seed=0).network
    keep = torch.ones(len(images), len(network.drop_rates(0.2)))
    noise = (keep, torch.ones(len(images), network.features))
    layout = torch.contiguous_format if without == "channels_last" else torch.channels_last
    network.train().to(memory_format=layout)
    pixels = torch.from_numpy(images).contiguous(memory_format=layout)
    labels = torch.arange(len(images)) % CLASSES
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = torch.nn.functional.cross_entropy(network(pixels, *noise), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def measure(name: str, size: int, batch: int, seconds: float, *, bf16: bool) -> dict[str, float]:
    """Steps for some seconds, after two that do not count."""
    import numpy as np

    images = np.random.default_rng(0).standard_normal((batch, 3, size, size), np.float32)
    step = headrace(images, name.removeprefix("without "), bf16=bf16)
    for _ in range(2):
        step()
    usage, began, steps = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        steps += 1
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return {"images_per_second": steps * batch / wall, "cpu_microseconds": 1e6 * cpu / (steps * batch)}


def main() -> None:
    """Run one contender, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--bf16", action="store_true", help="the forward pass under autocast")
    parser.add_argument("--contender", choices=CONTENDERS)
    asked = parser.parse_args()
    if asked.contender:
        print(json.dumps(measure(asked.contender, asked.sizes[0], asked.batch, asked.seconds, bf16=asked.bf16)))
        return
    command = f"python benchmarks/bench_cpu_choices.py --repeats {asked.repeats} --seconds {asked.seconds:g} --sizes "
    command += " ".join(map(str, asked.sizes)) + " --bf16" * asked.bf16
    about = facts(command, batch=asked.batch, precision="bf16" if asked.bf16 else "fp32")
    tables = {}
    for size in asked.sizes:
        given = ("--sizes", size, "--batch", asked.batch, "--seconds", asked.seconds, *["--bf16"] * asked.bf16)
        tables[f"{size} px"] = rows(interleaved(__file__, CONTENDERS, asked.repeats, *given), ALL)
    method = (__doc__ or "").split("\n\n", 2)[2]
    print(
        write(
            "cpu-choices-bf16" if asked.bf16 else "cpu-choices",
            "Choices for the training step on a CPU, one by one",
            about,
            method,
            tables,
        )
    )


if __name__ == "__main__":
    main()
