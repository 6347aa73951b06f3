"""Measures the cost of a checkpoint for a run, if the run waits for the save and if it continues meanwhile.

    python -m benchmarks.step.saving [--models efficientnet-b0 efficientnet-b5] [--repeats 9] [--steps 20] [--sizes 64]

One network of each model is trained on resident images on the CPU, with AdamW and an average of its weights, which
makes the checkpoint as large as possible. The three ways take turns: no save, a save for which the run waits, and a
save during the steps (`runtime.async_save_mb = 0`). A turn is `--steps` steps with one save before the first, and ends
when the checkpoint is on the disk. So the cost in a short turn is higher than in a run. The stall is the time until the
first step begins.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness.benchmark import Benchmark
from benchmarks.harness.processes import Run, call_apart
from benchmarks.harness.stopwatch import time_steps
from benchmarks.harness.tables import rate_rows

CLASSES, WARM_UP = 1000, 3
WAYS = {"no save": None, "waited for": 1e9, "beside the steps": 0.0}
"""The size in MB from which a state is saved during the steps; None if it is not saved."""


def measure(model: str, repeats: int, steps: int, side: int, batch: int) -> dict[str, Any]:
    """Take all turns of a network in this process; return runs and stalls of each way, and the checkpoint's size."""
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()
    from headrace.train.machine.place import Place
    from headrace.train.recipe.runtime import Runtime
    from headrace.train.run.process import prepare

    place = Place.find(Runtime(device="cpu"))
    prepare(place, deterministic=False)
    step, states = trained(model, side, batch)
    runs: dict[str, list[Run]] = {name: [] for name in WAYS}
    stalls: dict[str, list[float]] = {name: [] for name in WAYS}
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        savers = {name: saver(Path(folder), states, place, mb) for name, mb in WAYS.items() if mb is not None}
        for _ in range(WARM_UP):
            step()
        for number in range(repeats):
            for name in WAYS:
                run, stall = take_turn(step, steps, savers.get(name), number)
                runs[name].append(run)
                stalls[name].append(stall)
        size = max(path.stat().st_size for path in (Path(folder) / "checkpoints").iterdir())
    return {"runs": runs, "stalls": {name: statistics.median(one) for name, one in stalls.items()}, "bytes": size}


def trained(model: str, side: int, batch: int) -> tuple[Callable[[], int], Callable[[], dict[str, Any]]]:
    """A step, which returns the number of its images, and a function that returns the states for a checkpoint."""
    import copy

    import torch

    from headrace.train.model.build import random_network

    network = random_network(model, CLASSES, seed=0)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    images = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(batch) % CLASSES
    noise = torch.ones(batch, len(network.drop_rates(0.2))), torch.ones(batch, network.features)

    def step() -> int:
        torch.nn.functional.cross_entropy(network(images, *noise), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return batch

    def states() -> dict[str, Any]:
        kept = {"model": network.state_dict(), "average": average.state_dict()}
        return {**kept, "optimizer": optimizer.state_dict(), "scaler": {}}

    return step, states


def saver(out: Path, states: Callable[[], dict[str, Any]], place: Any, beside_mb: float) -> Any:
    """The saver of a run."""
    from headrace.train.checkpoint.saver import Saver
    from headrace.train.record.attempts import Attempt

    return Saver(out, 1, {}, states, True, place.accelerator, beside_mb, Attempt(), "")


def take_turn(step: Callable[[], int], steps: int, save: Any, number: int) -> tuple[Run, float]:
    """Save if there is a saver, and take some steps; return the rate of both, and the seconds before the steps."""
    from headrace.train.checkpoint.progress import Progress

    stall = [0.0]

    def turn() -> int:
        began = time.perf_counter()
        if save is not None:
            save(Progress(number + 1), best=False)
        stall[0] = time.perf_counter() - began
        images = sum(step() for _ in range(steps))
        if save is not None:
            save.done(wait=True)
        return images

    return time_steps(turn, 0), stall[0]


def main() -> None:
    """Measure each model in a process of its own, and write the table."""
    benchmark = Benchmark(__file__, __doc__, "saving", "The cost of a checkpoint for a run")
    benchmark.add("--models", nargs="+", default=["efficientnet-b0", "efficientnet-b5"], help="names of networks")
    benchmark.add("--steps", type=int, default=20, help="steps in a turn, with one save")
    benchmark.share(repeats=9, sizes=[64], batch=32)
    asked = benchmark.parse()
    tables, stalls = {}, {}
    for model in asked.models:
        for side in asked.sizes:
            given = (model, asked.repeats, asked.steps, side, asked.batch)
            answer = call_apart(__file__, "measure", *given)
            title = f"{model}, {side} px, checkpoint of {answer['bytes'] / 1e6:.0f} MB"
            waits = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in answer["stalls"].items())
            tables[f"{title}; stall: {waits}"] = rate_rows(answer["runs"], "waited for")
            stalls[title] = answer["stalls"]
    benchmark.write(tables, stalls=stalls)


if __name__ == "__main__":
    main()
