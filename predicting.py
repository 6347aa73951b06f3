"""Defines `headrace.load_model`, which returns a trained network that predicts the classes of image files.

The package `prep` reads the images, and the package `train` builds and runs the network.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from headrace.prep.gather import Gathered, gather
from headrace.shards.cores import usable_cores
from headrace.train.evaluate.model import Device, Model


def load_model(path: Path | str, device: Device = None) -> Model:
    """Return the trained network in a checkpoint file, or in best.pt of a run folder.

    Call the method `predict(images)` of the result to classify images:

        import headrace

        model = headrace.load_model("runs/first")
        for answer in model.predict("photos"):
            print(answer.file, answer.names[0], answer.probabilities[0])

    `device` is a torch device or its name; the default is the current GPU, or the CPU if there is no GPU. Settings of
    the whole process, such as its number of threads, are not changed.

    Raises UsageError if the checkpoint does not exist, DataError if the checkpoint is damaged.
    """
    return Model.of(Path(path), device, partial(_gathered, threads=usable_cores()))


def _gathered(images: Sequence[Any], threads: int) -> Gathered:
    return gather(images, threads)
