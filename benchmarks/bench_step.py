"""How fast one training step of EfficientNet-B0 is on a CPU, side by side with other implementations.

    python benchmarks/bench_step.py [--repeats 5] [--sizes 64 128 224] [--batch 32] [--seconds 6]

A step is forward, cross entropy, backward and an SGD update with momentum, in fp32, on a batch that is already there,
on all cores. Each contender runs in a process of its own, one after another in every repetition. Those that are not
installed are left out. All start from random weights and leave stochastic depth and dropout on.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from common import facts, interleaved, rows, write

CLASSES = 200
Step = Callable[[], Any]
LIKE = "efficientnet_pytorch"


def stepping(model: Any, images: Any, *, fused: bool, channels_last: bool, noise: tuple[Any, ...] = ()) -> Step:
    """A function that takes one step."""
    import torch
    from torch.nn import functional as F  # noqa: N812  torch's own convention

    layout = torch.channels_last if channels_last else torch.contiguous_format
    model.train().to(memory_format=layout)
    images = images.contiguous(memory_format=layout)
    labels = torch.arange(len(images)) % CLASSES
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=fused)

    def step() -> None:
        F.cross_entropy(model(images, *noise), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def headrace(images: Any) -> Step:
    """The product's network, with its allocator setting; OpenMP waits as `train` sets it."""
    import torch

    from train.accelerator import keep_freed_memory
    from train.model import build_model

    keep_freed_memory()
    network = build_model("efficientnet-b0", CLASSES, init="random", weights=None, seed=0).network
    keep = torch.ones(len(images), len(network.drop_rates(0.2)))
    noise = (keep, torch.ones(len(images), network.features))
    return stepping(network, images, fused=True, channels_last=True, noise=noise)


def package(images: Any, *, channels_last: bool) -> Step:
    """The package efficientnet_pytorch as it is."""
    from efficientnet_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-b0", num_classes=CLASSES)
    return stepping(model, images, fused=False, channels_last=channels_last)


def timm(images: Any) -> Step:
    """The timm library's, in its faster layout."""
    from timm import create_model

    model = create_model("efficientnet_b0", num_classes=CLASSES, drop_rate=0.2, drop_path_rate=0.2)
    return stepping(model, images, fused=True, channels_last=True)


def torchvision(images: Any) -> Step:
    """torchvision's, in its faster layout."""
    from torchvision.models import efficientnet_b0

    return stepping(efficientnet_b0(num_classes=CLASSES), images, fused=True, channels_last=True)


CONTENDERS: dict[str, Callable[[Any], Step]] = {
    LIKE: lambda images: package(images, channels_last=False),
    "efficientnet_pytorch, channels_last": lambda images: package(images, channels_last=True),
    "headrace": headrace,
    "timm": timm,
    "torchvision": torchvision,
}


def measure(name: str, size: int, batch: int, seconds: float) -> dict[str, float]:
    """Steps of one contender for some seconds, after two that do not count."""
    if name == "headrace":
        import train  # noqa: F401  sets how OpenMP threads wait, before torch loads it
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    step = CONTENDERS[name](torch.randn(batch, 3, size, size))
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
    """Run one contender, or all that are installed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 224])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--contender", choices=CONTENDERS)
    asked = parser.parse_args()
    if asked.contender:
        print(json.dumps(measure(asked.contender, asked.sizes[0], asked.batch, asked.seconds)))
        return
    there = [name for name in CONTENDERS if name not in ("timm", "torchvision") or find_spec(name)]
    command = f"python benchmarks/bench_step.py --repeats {asked.repeats} --seconds {asked.seconds:g} --sizes "
    command += " ".join(map(str, asked.sizes))
    missing = ", ".join(name for name in CONTENDERS if name not in there) or "none"
    about = facts(command, batch=asked.batch, **{"not installed": missing})
    tables = {}
    for size in asked.sizes:
        given = ("--sizes", size, "--batch", asked.batch, "--seconds", asked.seconds)
        tables[f"{size} px"] = rows(interleaved(__file__, there, asked.repeats, *given), LIKE)
    print(write("step", "The training step on a CPU", about, (__doc__ or "").split("\n\n", 2)[2], tables))


if __name__ == "__main__":
    main()
