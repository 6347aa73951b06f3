"""Measures how the size of the messages in which DDP exchanges gradients affects the step of EfficientNet-B0.

    python -m benchmarks.step.messages [--ranks 2] [--repeats 7] [--mib 1 4 25 100] [--side 64] [--batch 16]

The ranks are processes on this machine that exchange gradients over gloo and share its cores equally. Each takes steps
of `--batch` images: forward, backward with the exchange, and SGD, with the product's wrapper (`runtime.bucket_mib`).
All ranks have a network for each size and take turns with each together; a turn is ten steps. `no exchange` leaves the
gradients on their ranks, and shows the total cost of the exchange. The gradients of B0 take 21 MB.
"""

import sys
from collections.abc import Callable
from typing import Any

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import Run, child_module, last_answer
from benchmarks.harness.stopwatch import time_steps
from benchmarks.harness.tables import rate_rows

CLASSES, WARM_UP, STEPS = 1000, 3, 10
NONE, DEFAULT = "no exchange", "DDP's default: 25 MiB, the first message 1 MiB"


def contenders(sizes: list[int]) -> dict[str, int | None]:
    """The size of a message in MiB, by the name of its row in the table."""
    return {NONE: None, DEFAULT: None, **{f"{mib} MiB": mib for mib in sizes}}


def stepper(world: Any, mib: int | None, side: int, batch: int, *, exchange: bool) -> Callable[[], int]:
    """A step of this rank; it returns the number of the rank's images."""
    import torch

    from headrace.train.model.build import random_network

    network = random_network("efficientnet-b0", CLASSES, seed=0)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    model = world.wrap(network, mib)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch) % CLASSES
    noise = torch.ones(batch, len(network.drop_rates(0.2))), torch.ones(batch, network.features)

    def step() -> int:
        with world.accumulating(model, last=exchange):
            torch.nn.functional.cross_entropy(model(images, *noise), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return batch

    return step


def be_a_rank(mib: list[int], repeats: int, side: int, batch: int) -> dict[str, list[Run]] | None:
    """Take all turns of this rank in a process of its own; the first rank returns its runs, with its own CPU time."""
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()
    from headrace.train.machine.place import Place
    from headrace.train.recipe.runtime import Runtime
    from headrace.train.run.process import prepare

    place = Place.find(Runtime(device="cpu"))
    prepare(place, deterministic=False)
    world = place.world
    with world.joined("gloo", 5):
        steps = {
            name: stepper(world, size, side, batch, exchange=name != NONE) for name, size in contenders(mib).items()
        }
        for step in steps.values():
            for _ in range(WARM_UP):
                step()
        runs: dict[str, list[Run]] = {name: [] for name in steps}
        for _ in range(repeats):
            for name, step in steps.items():
                runs[name].append(take_turn(world, step))
    return runs if world.is_main else None


def take_turn(world: Any, step: Callable[[], int]) -> Run:
    """Take some steps that all ranks begin and end together; the rate is that of all ranks."""

    def turn() -> int:
        images = sum(step() for _ in range(STEPS))
        world.any(False)
        return images

    world.any(False)
    run = time_steps(turn, 0)
    return {**run, "images_per_second": run["images_per_second"] * world.size}


def main() -> None:
    """Start the ranks, and write their measurements."""
    benchmark = Benchmark(__file__, __doc__, "buckets", "Sizes of DDP's messages")
    benchmark.add("--ranks", type=int, default=2, help="processes on this machine")
    benchmark.add("--mib", type=int, nargs="+", default=[1, 4, 25, 100], help="sizes of a message, MiB")
    benchmark.add("--side", type=int, default=64, help="side of the images, pixels")
    benchmark.share(repeats=7, batch=16)
    asked = benchmark.parse()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={asked.ranks}"]
    rank = child_module(__file__, "be_a_rank", asked.mib, asked.repeats, asked.side, asked.batch)
    benchmark.write({f"{asked.side} px": rate_rows(last_answer([*torchrun, *rank]), DEFAULT)})


if __name__ == "__main__":
    main()
