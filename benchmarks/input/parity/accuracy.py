"""Measures the effect of the difference in pixels on a checkpoint's accuracy."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.harness.tables import Row
from benchmarks.input.parity.pillow import for_evaluation
from benchmarks.input.parity.side import BATCH, CPU, Side
from headrace.shards.shardset import ShardSet
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.checkpoint.resume import refuse_other_classes
from headrace.train.input.augment.views import centre_views
from headrace.train.input.normalise import Normalise
from headrace.train.model.build import build_model

PART = 1000
"""The number of validation images in memory at a time."""


def accuracies(path: Path, shards: ShardSet) -> Iterator[Row]:
    """Top-1 of a checkpoint on the validation split with the images of each side, and how often the two disagree."""
    saved = Checkpoint.of(files.load(path))
    refuse_other_classes(saved, shards)
    recipe, split = saved.recipe, shards.split("val")
    built = build_model(recipe.model.name, len(shards.class_ids), init="random", weights=None, seed=0)
    built.network.load_state_dict(saved.average or saved.model)
    CPU.place(built.network.eval(), torch.float32)
    normalise, size, fraction = Normalise(*built.normalisation, CPU), recipe.evaluate.size, recipe.evaluate.crop
    found: dict[str, list[NDArray[np.int64]]] = {"headrace": [], "Pillow": []}
    for first in range(0, len(split), PART):
        side = Side(split, np.arange(first, min(first + PART, len(split))))
        views = centre_views(fraction, size, side.samples.widths, side.samples.heights)
        theirs = side.pillows(lambda image, _: for_evaluation(image, round(size / fraction), size))
        for name, images in (("headrace", side.ours(views, size)), ("Pillow", theirs)):
            with torch.no_grad():
                for batch in np.array_split(images, range(BATCH, len(images), BATCH)):
                    found[name].append(built.network(normalise(CPU.upload(batch))).argmax(1).numpy())
    both = {name: np.concatenate(parts) for name, parts in found.items()}
    disagree = int((both["headrace"] != both["Pillow"]).sum())
    for name, predicted in both.items():
        correct = int((predicted == split.labels).sum())
        yield {
            "images from": name,
            "correct": correct,
            "of": len(split),
            "top-1, %": round(100 * correct / len(split), 2),
            "other class than on the other side": disagree,
        }
