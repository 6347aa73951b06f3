"""Collects the facts about a network that an export states: plain values, none of them about the training machine."""

import math
from dataclasses import dataclass
from typing import Any

from headrace.shards.version import running_version
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.model.preferences import preferred_by

FORMAT = 1
"""The version of the metadata format in the exported files."""
KEY = "headrace"


@dataclass(frozen=True)
class Facts:
    """Facts about a checkpoint's network and about the preparation of images for the network."""

    model: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    size: int
    short: int
    mean: tuple[float, ...]  # for pixels in 0..255
    std: tuple[float, ...]
    interpolation: str  # "bilinear" or "bicubic"
    licence: str  # of the published weights of its architecture; "" if unknown
    shard_set: str
    checkpoint: str
    step: int
    averaged: bool
    max_side: int | None  # of the images of its set, if prep shrank larger ones
    recipe: dict[str, Any]

    @classmethod
    def of(cls, saved: Checkpoint) -> "Facts":
        """Collect the facts about a checkpoint's network. A class without a name gets its id as the name."""
        recipe = saved.recipe.model_dump(mode="json", exclude_none=True)
        recipe.pop("runtime", None)  # it describes how a machine was used
        return cls(
            model=saved.recipe.model.name,
            classes=saved.classes,
            names=saved.class_names or saved.classes,
            size=saved.size,
            short=round(saved.size / saved.crop),
            mean=saved.normalisation.mean,
            std=saved.normalisation.std,
            interpolation=saved.recipe.augment.interpolation,
            licence=preferred_by(saved.recipe.model.name).licence,
            shard_set=saved.shard_set,
            checkpoint=saved.sha256,
            step=saved.progress.step,
            averaged=bool(saved.average),
            max_side=saved.prepared.max_side,
            recipe=recipe,
        )

    def metadata(self, inputs: str) -> dict[str, Any]:
        """Return the metadata of an exported file: the network's input and output, and its classes in label order."""
        return {
            "format": FORMAT,
            "headrace": running_version(),
            "model": self.model,
            "input": inputs,
            "output": "logits, before softmax, float32 (n, classes)",
            "classes": list(self.classes),
            "class_names": list(self.names),
            "size": self.size,
            "resized_short_side": self.short,
            "interpolation": self.interpolation,
            "mean": list(self.mean),
            "std": list(self.std),
            "shard_set": self.shard_set,
            "checkpoint": self.checkpoint,
            "step": self.step,
        }


def crop_pct(size: int, short: int) -> float:
    """Return the value of timm's setting crop_pct with which timm resizes an image's shorter side to `short` pixels.

    timm resizes the shorter side to floor(size / crop_pct) pixels, and then crops the centre.
    """
    exact = size / short
    return exact if math.floor(size / exact) == short else size / (short + 0.5)
