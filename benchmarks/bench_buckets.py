"""What the size of the messages in which DDP exchanges gradients does to the step of EfficientNet-B0.

    python benchmarks/bench_buckets.py [--ranks 2] [--repeats 7] [--mib 1 4 25 100] [--side 64] [--batch 16]

The ranks are processes on this machine that exchange over gloo, with an even share of its cores; each makes steps of
`--batch` images, forward, backward with the exchange, and SGD, through the product's wrapping (`runtime.bucket_mib`).
All ranks hold a network for each size and take turns with all of them together; a turn is ten steps. `no exchange`
leaves the gradients where they are, and shows what the exchange costs in all. Gradients of B0 are 21 MB.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from common import facts, rows, write

CLASSES, WARM_UP, STEPS = 1000, 3, 10
NONE, DEFAULT = "no exchange", "DDP's default: 25 MiB, the first one 1"


def contenders(sizes: list[int]) -> dict[str, int | None]:
    """MiB of a message by its row in the table."""
    return {NONE: None, DEFAULT: None, **{f"{mib} MiB": mib for mib in sizes}}


def stepper(world: Any, mib: int | None, asked: argparse.Namespace, *, exchange: bool) -> Callable[[], None]:
    """A step of this rank."""
    import torch

    from headrace.train.model.build import build_model

    network = build_model("efficientnet-b0", CLASSES, init="random", weights=None, seed=0).network
    model = world.wrap(network.train().to(memory_format=torch.channels_last), mib)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
    images = torch.randn(asked.batch, 3, asked.side, asked.side).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(asked.batch) % CLASSES
    noise = torch.ones(asked.batch, len(network.drop_rates(0.2))), torch.ones(asked.batch, network.features)

    def step() -> None:
        with world.accumulating(model, last=exchange):
            torch.nn.functional.cross_entropy(model(images, *noise), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def be_a_rank(asked: argparse.Namespace) -> None:
    """All turns of this rank; the first one prints what it measured, with the CPU time of its own."""
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()
    from headrace.train.machine.place import Place
    from headrace.train.recipe.sections import Runtime
    from headrace.train.run.process import prepare

    place = Place.find(Runtime(device="cpu"))
    prepare(place, deterministic=False)
    world = place.world
    with world.joined("gloo", 5):
        steps = {name: stepper(world, mib, asked, exchange=name != NONE) for name, mib in contenders(asked.mib).items()}
        for step in steps.values():
            for _ in range(WARM_UP):
                step()
        found: dict[str, list[Any]] = {name: [] for name in steps}
        for _ in range(asked.repeats):
            for name, step in steps.items():
                world.any(False)  # all begin together
                began, cpu = time.perf_counter(), time.process_time()
                for _ in range(STEPS):
                    step()
                world.any(False)
                images, cpu = STEPS * asked.batch, time.process_time() - cpu
                rate = images * world.size / (time.perf_counter() - began)
                found[name].append({"images_per_second": rate, "cpu_microseconds": 1e6 * cpu / images})
    if world.is_main:
        print(json.dumps(found))


def main() -> None:
    """Start the ranks and write the result, or be one of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--mib", type=int, nargs="+", default=[1, 4, 25, 100], help="sizes of a message")
    parser.add_argument("--side", type=int, default=64, help="of the images, pixels")
    parser.add_argument("--batch", type=int, default=16, help="images a step and rank")
    asked = parser.parse_args()
    if "RANK" in os.environ:
        be_a_rank(asked)
        return
    words = [f"--repeats={asked.repeats}", "--mib", *map(str, asked.mib)]
    words += [f"--side={asked.side}", f"--batch={asked.batch}"]
    about = facts(f"python benchmarks/bench_buckets.py --ranks {asked.ranks} {' '.join(words)}", ranks=asked.ranks)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={asked.ranks}"]
    done = subprocess.run([*torchrun, __file__, *words], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    tables = {f"{asked.side} px": rows(found, DEFAULT)}
    print(write("buckets", "Sizes of DDP's messages", about, (__doc__ or "").split("\n\n", 2)[2], tables))


if __name__ == "__main__":
    main()
