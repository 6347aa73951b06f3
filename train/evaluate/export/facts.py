"""What an export says of a network: plain values, nothing of the machine that it was trained on."""

import math
from dataclasses import dataclass
from typing import Any

from headrace.shards.version import running_version
from headrace.train.checkpoint.fields import Checkpoint

FORMAT = 1
"""The version of the metadata, which is written into every file."""
KEY = "headrace"


@dataclass(frozen=True)
class Facts:
    """What is known of a checkpoint's network, and how images are made ready for it."""

    model: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    size: int
    short: int
    mean: tuple[float, ...]  # for pixels in 0..255
    std: tuple[float, ...]
    shard_set: str
    checkpoint: str
    step: int
    averaged: bool
    max_side: int | None  # of the images of its set, where prep made larger ones smaller
    recipe: dict[str, Any]

    @classmethod
    def of(cls, saved: Checkpoint) -> "Facts":
        """Those of a checkpoint. Classes without names are called by their ids."""
        recipe = saved.recipe.model_dump(mode="json", exclude_none=True)
        recipe.pop("runtime", None)  # says how a machine was used
        return cls(
            model=saved.recipe.model.name,
            classes=saved.classes,
            names=saved.class_names or saved.classes,
            size=saved.size,
            short=round(saved.size / saved.crop),
            mean=saved.normalisation.mean,
            std=saved.normalisation.std,
            shard_set=saved.shard_set,
            checkpoint=saved.sha256,
            step=saved.progress.step,
            averaged=bool(saved.average),
            max_side=saved.prepared.max_side,
            recipe=recipe,
        )

    def metadata(self, inputs: str) -> dict[str, Any]:
        """What is written into a file: what its input is, that its output is logits, and the classes in order."""
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
            "mean": list(self.mean),
            "std": list(self.std),
            "shard_set": self.shard_set,
            "checkpoint": self.checkpoint,
            "step": self.step,
        }


def crop_pct(size: int, short: int) -> float:
    """The fraction for which timm's floor(size / fraction) is `short`, the shorter side before the central crop."""
    exact = size / short
    return exact if math.floor(size / exact) == short else size / (short + 0.5)
