"""One rank of a real run with a narrow EfficientNet: the run itself is the product's, only the width is not.

train_worker.py SHARDS OUT [--resume MODE] [--stop-after STEP] [SECTION.KEY=VALUE ...]
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from train.model import build_model
from train.parts import Place
from train.run import carry_out
from train.setup import Request, resolve
from train.signals import StoppedError, StopRequest
from train.step import TrainStep

NARROW = {"width_coefficient": 0.25, "depth_coefficient": 0.5}


def stop_after(step: int) -> None:
    """Have this rank signal itself while it computes a step, as a scheduler would at any moment."""
    update = TrainStep.__call__

    def signalling(self: TrainStep, number: int, *rest: object) -> None:
        if number == step:
            os.kill(os.getpid(), signal.SIGTERM)
        update(self, number, *rest)  # type: ignore[arg-type]

    TrainStep.__call__ = signalling  # type: ignore[method-assign]


def main() -> None:
    """Train, and end with exit code 0 also when stopped as asked."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--resume")
    parser.add_argument("--stop-after", type=int)
    parser.add_argument("settings", nargs="*")
    given = parser.parse_intermixed_args()
    if given.stop_after is not None and int(os.environ["RANK"]) == int(os.environ["WORLD_SIZE"]) - 1:
        stop_after(given.stop_after)
    request = Request(
        given.shards, None if given.resume else "demo", tuple(given.settings), None, given.out, given.resume
    )
    setup = resolve(request, int(os.environ["WORLD_SIZE"]))
    classes, seed = len(setup.shards.class_ids), setup.recipe.train.seed
    built = build_model("efficientnet-b0", classes, init="random", weights=None, seed=seed, **NARROW)
    with StopRequest() as stop, Place.joined(setup.recipe.runtime) as place:
        try:
            carry_out(setup, place, stop, built)
        except StoppedError as stopped:
            sys.stdout.write(f"{stopped}\n")


if __name__ == "__main__":
    main()
