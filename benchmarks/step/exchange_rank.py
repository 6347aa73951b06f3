"""Runs a rank whose exchange of gradients is measured. All ranks obey the lines on the standard input of rank 0.

A line is a word and numbers. `reduce BYTES...` requests the seconds of a sum of this many bytes over all ranks.
`compute` requests the seconds of the parts of a step without the exchange, and for each bucket its bytes and when it is
ready. `steps` requests the seconds of a step with the exchange, as in a run.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

CLASSES, WARM_UP, TIMES, STEPS = 1000, 3, 7, 5


def obey(side: int, batch: int) -> None:
    """Make the ranks' network, then answer each line with one of JSON, until the input ends."""
    from headrace.train.machine.openmp import spin_briefly

    spin_briefly()
    from headrace.train.machine.place import Place
    from headrace.train.recipe.runtime import Runtime
    from headrace.train.run.process import prepare

    place = Place.find(Runtime(device="cpu", threads=1))
    prepare(place, deterministic=False)
    world = place.world
    with world.joined("gloo", 10):
        answers = _answers(world, side, batch)
        while words := world.from_main(sys.stdin.readline().split() if world.is_main else None):
            answer = answers[words[0]](*map(int, words[1:]))
            if world.is_main:
                sys.stdout.write("\n" + json.dumps(answer) + "\n")
                sys.stdout.flush()


def _answers(world: Any, side: int, batch: int) -> dict[str, Callable[..., Any]]:
    plain, watched = _Step(world, side, batch), _Step(world, side, batch)
    if world.size > 1:
        watched.watch()
    for step in (plain, watched):
        for _ in range(WARM_UP):
            step()
    return {
        "reduce": lambda *sizes: [_reduce(world, size) for size in sizes],
        "compute": lambda: _compute(world, watched),
        "steps": lambda: _steps(world, plain),
    }


def _reduce(world: Any, size: int) -> float:
    import torch
    import torch.distributed as dist

    box = torch.ones(size // 4)
    taken = []
    for _ in range(TIMES):
        world.any(False)
        began = time.perf_counter()
        dist.all_reduce(box)
        taken.append(time.perf_counter() - began)
        box.fill_(1)
    return median(taken[1:])


def _compute(world: Any, step: "_Step") -> dict[str, Any]:
    """Medians over steps that all ranks make at the same time, because they share cores."""
    notes = []
    for _ in range(TIMES):
        world.any(False)
        step()
        notes.append((step.parts, step.buckets))
    parts = [median(part) for part in zip(*(parts for parts, _ in notes), strict=True)]
    buckets = [
        (size, median(buckets[place][1] for _, buckets in notes)) for place, (size, _) in enumerate(notes[-1][1])
    ]
    return {"parts": parts, "buckets": buckets}


def _steps(world: Any, step: "_Step") -> float:
    world.any(False)
    began = time.perf_counter()
    for _ in range(STEPS):
        step()
    world.any(False)
    return (time.perf_counter() - began) / STEPS


class _Step:
    """A training step of EfficientNet-B0 on resident images: forward, backward and update."""

    def __init__(self, world: Any, side: int, batch: int) -> None:
        import torch

        from headrace.train.model.build import random_network

        network = random_network("efficientnet-b0", CLASSES, seed=0).train()
        self._model = world.wrap(network, None)
        self._optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, fused=True)
        self._images = torch.randn(batch, 3, side, side)
        self._labels = torch.arange(batch) % CLASSES
        self._noise = torch.ones(batch, len(network.drop_rates(0.2))), torch.ones(batch, network.features)
        self._began = 0.0
        self.parts: list[float] = []
        self.buckets: list[tuple[int, float]] = []

    def watch(self) -> None:
        """From now on, exchange nothing, but record when each bucket would be exchanged."""
        import torch
        import torch.distributed as dist

        def note(_: None, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:  # type: ignore[name-defined]
            self.buckets.append((bucket.buffer().nbytes, time.perf_counter() - self._began))
            done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
            done.set_result(bucket.buffer())
            return done

        self._model.register_comm_hook(None, note)

    def __call__(self) -> None:
        """Take a step; `parts` then has its seconds for forward, backward and update."""
        import torch

        self.parts, self.buckets = [], []
        with self._part():
            loss = torch.nn.functional.cross_entropy(self._model(self._images, *self._noise), self._labels)
        with self._part():
            loss.backward()
        with self._part():
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)

    @contextmanager
    def _part(self) -> Iterator[None]:
        self._began = time.perf_counter()
        yield
        self.parts.append(time.perf_counter() - self._began)
