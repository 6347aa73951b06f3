"""One rank of a real run with a narrow EfficientNet: the run itself is the product's, only the width is not.

train_worker.py SHARDS OUT [--resume MODE] [--stop-after STEP] [SECTION.KEY=VALUE ...]

Beside what the run writes, OUT/pixels-RANK.json has [step, epoch, id, hash of the augmented image] of every sample
that this rank took. It is an error if a process group is left at the end.
"""

import argparse
import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from headrace.train.input.batch import Batch
from headrace.train.machine.signals import StoppedError, StopRequest
from headrace.train.model.build import Built
from headrace.train.run.process import entered
from headrace.train.run.request import Request
from headrace.train.run.resolve import Setup, resolve
from headrace.train.run.training import carry_out
from headrace.train.step.update import TrainStep
from tests.train.networks import built_narrow


def stop_after(step: int) -> None:
    """Have this rank signal itself while it computes a step, as a scheduler would at any moment."""
    update = TrainStep.__call__

    def signalling(self: TrainStep, number: int, *rest: object) -> None:
        if number == step:
            os.kill(os.getpid(), signal.SIGTERM)
        update(self, number, *rest)  # type: ignore[arg-type]

    TrainStep.__call__ = signalling  # type: ignore[method-assign, assignment]


def note_pixels(rows: list[tuple[int, int, int, str]]) -> None:
    """Have each step note the images that it takes."""
    update = TrainStep.__call__

    def noted(batch: Batch) -> Batch:
        plan = batch.plan
        for epoch, sample, image in zip(plan.epochs.tolist(), plan.ids.tolist(), batch.images.numpy(), strict=True):
            digest = hashlib.md5(image.tobytes(), usedforsecurity=False).hexdigest()
            rows.append((plan.step, epoch, sample, digest))
        return batch

    def noting(self: TrainStep, number: int, batches: Iterator[Batch], *rest: object) -> None:
        update(self, number, map(noted, batches), *rest)  # type: ignore[arg-type]

    TrainStep.__call__ = noting  # type: ignore[assignment]


def built_of(setup: Setup) -> Built:
    """The narrow network."""
    return built_narrow(len(setup.shards.class_ids), setup.recipe.train.seed)


def main(build: Callable[[Setup], Built] = built_of) -> None:
    """Train the network that is built, and end with exit code 0 also when stopped as asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume")
    parser.add_argument("--stop-after", type=int)
    parser.add_argument("settings", nargs="*")
    given = parser.parse_intermixed_args()
    if given.stop_after is not None and int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1:
        stop_after(given.stop_after)
    pixels: list[tuple[int, int, int, str]] = []
    note_pixels(pixels)
    request = Request(
        given.shards, None if given.resume else "demo", tuple(given.settings), None, given.out, given.resume
    )
    setup = resolve(request, int(os.environ["WORLD_SIZE"]))
    try:
        with StopRequest() as stop, entered(setup.recipe.runtime) as place:
            carry_out(setup, place, stop, build(setup))
    except StoppedError as stopped:
        sys.stdout.write(f"{stopped}\n")
    if torch.distributed.is_initialized():
        sys.exit("a process group is left")
    (given.out / f"pixels-{os.environ['RANK']}.json").write_text(json.dumps(pixels), encoding="ascii")


if __name__ == "__main__":
    main()
