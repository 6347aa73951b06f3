"""Compares the rate of a training step of EfficientNet-B0 on a CPU with other implementations.

    python -m benchmarks.step.peers [--repeats 5] [--sizes 64 128 224] [--batch 32] [--seconds 3]

A step is forward, cross entropy, backward and an SGD update with momentum (fused, except for efficientnet_pytorch), in
fp32, on a batch in memory, on all cores. Each contender is a process, which is started once for each size, and stopped
while others are measured. They take turns; a turn lasts the given seconds and at least two steps. All start from random
weights, with stochastic depth and dropout. Peers run in both memory layouts, and Headrace is compared with the fastest
of them all. bf16 runs only on processors with units for it.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks.harness import turns
from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import Run, child
from benchmarks.harness.tables import Row, rate_rows, ratios, spread

CLASSES = 200
LIKE, OURS = "efficientnet_pytorch", "headrace"
WARM_UP, AT_LEAST = 2, 2  # steps
BF16 = ("avx512_bf16", "amx_bf16")  # in the processor's flags


class Built(NamedTuple):
    """A network, and its arguments besides the images."""

    network: Any
    noise: tuple[Any, ...] = ()
    fused: bool = True


def headrace(batch: int) -> Built:
    """The product's network, with the allocator set as in its runs."""
    import torch

    from headrace.train.model.build import random_network
    from headrace.train.run.process import keep_freed_memory

    keep_freed_memory()
    network = random_network("efficientnet-b0", CLASSES, seed=0)
    keep = torch.ones(batch, len(network.drop_rates(0.2)))
    return Built(network, (keep, torch.ones(batch, network.features)))


def package(batch: int) -> Built:
    """The network of efficientnet_pytorch, unchanged."""
    from efficientnet_pytorch import EfficientNet

    del batch
    return Built(EfficientNet.from_name("efficientnet-b0", num_classes=CLASSES), fused=False)


def timm(batch: int) -> Built:
    """The network of timm."""
    from timm import create_model

    del batch
    return Built(create_model("efficientnet_b0", num_classes=CLASSES, drop_rate=0.2, drop_path_rate=0.2))


def torchvision(batch: int) -> Built:
    """The network of torchvision."""
    from torchvision.models import efficientnet_b0

    del batch
    return Built(efficientnet_b0(num_classes=CLASSES))


NETWORKS: dict[str, Callable[[int], Built]] = {LIKE: package, OURS: headrace, "timm": timm, "torchvision": torchvision}
NEEDS = {"timm": "timm", "torchvision": "torchvision"}
CONTENDERS = [
    LIKE,
    f"{LIKE}, channels_last",
    f"{OURS}, channels_last",
    *(f"{name}{layout}" for name in NEEDS for layout in ("", ", channels_last")),
    *(f"{name}, channels_last, bf16" for name in (OURS, *NEEDS)),
]


def left_out() -> dict[str, str]:
    """The contenders that cannot run here, and the reasons."""
    flags = Path("/proc/cpuinfo").read_text("ascii").split()
    without = {}
    for name in CONTENDERS:
        if (module := NEEDS.get(name.split(", ")[0])) and not find_spec(module):
            without[name] = f"{module} not installed"
        elif name.endswith("bf16") and not set(BF16) & set(flags):
            without[name] = f"the processor has no bf16 units ({' or '.join(BF16)})"
    return without


def contend(contender: str, size: int, batch: int) -> None:
    """Run as a contender in a process of its own: take two steps, then turns on request."""
    name, *ways = contender.split(", ")
    if name == OURS:
        from headrace.train.machine.openmp import spin_briefly

        spin_briefly()
    import torch
    from torch.nn import functional as F  # noqa: N812  torch's own convention

    torch.manual_seed(0)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    network, noise, fused = NETWORKS[name](batch)
    layout = torch.channels_last if "channels_last" in ways else torch.contiguous_format
    network.train().to(memory_format=layout)
    images = torch.randn(batch, 3, size, size).contiguous(memory_format=layout)
    labels = torch.arange(batch) % CLASSES
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=fused)

    def step() -> int:
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in ways):
            loss = F.cross_entropy(network(images, *noise), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return batch

    for _ in range(WARM_UP):
        step()
    turns.contend(step, time.time(), AT_LEAST)


def against_fastest(runs: Mapping[str, Sequence[Run]]) -> Row:
    """A row that compares Headrace's best way with the best of all others, turn by turn."""

    def rate(name: str) -> float:
        return median(run["images_per_second"] for run in runs[name])

    ours = max((name for name in runs if name.startswith(OURS)), key=rate)
    theirs = max((name for name in runs if not name.startswith(OURS)), key=rate)
    return {
        "ours": ours,
        "fastest of the others": theirs,
        **spread("ratio", list(ratios(runs[ours], runs[theirs])), 3, "ratio, min to max"),
    }


def main() -> None:
    """Measure all contenders that can run here, at all sizes."""
    benchmark = Benchmark(__file__, __doc__, "step", "The training step on a CPU")
    benchmark.share(repeats=5, sizes=[64, 128, 224], batch=32, seconds=3.0)
    asked = benchmark.parse()
    without = left_out()
    tables: dict[str, list[Row]] = {}
    verdicts: list[Row] = []
    for size in asked.sizes:
        names = [name for name in CONTENDERS if name not in without]
        commands = {name: child(__file__, "contend", name, size, asked.batch) for name in names}
        runs, _ = turns.contest(commands, asked.repeats, asked.seconds, without)
        tables[f"{size} px"] = rate_rows(runs, LIKE)
        verdicts.append({"size": f"{size} px", **against_fastest(runs)})
    tables["Headrace against the fastest of the others"] = verdicts
    benchmark.note(**{"left out": "; ".join(f"{name} ({why})" for name, why in without.items()) or "none"})
    benchmark.write(tables)


if __name__ == "__main__":
    main()
