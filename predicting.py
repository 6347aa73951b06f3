"""`headrace.load_model`: combines prep, which reads images, and train, which has the network."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from headrace.prep.gather import Gathered, gather
from headrace.shards.cores import usable_cores
from headrace.train.evaluate.model import Device, Model


def load_model(path: Path | str, device: Device = None) -> Model:
    """The trained network of a checkpoint file or run folder (its best.pt), as a module with `.predict(images)`.

        import headrace

        model = headrace.load_model("runs/first")
        for answer in model.predict("photos"):
            print(answer.file, answer.names[0], answer.probabilities[0])

    `device` is named as in torch; by default the current GPU, or the CPU if there is none. Settings of the process are
    not changed.

    Raises UsageError if there is no checkpoint, DataError if it is damaged.
    """
    return Model.of(Path(path), device, partial(_gathered, threads=usable_cores()))


def _gathered(images: Sequence[Any], threads: int) -> Gathered:
    return gather(images, threads)
