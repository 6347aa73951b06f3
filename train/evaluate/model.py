"""Loads a trained network as a module that also takes image files, for `headrace.load_model`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from headrace.shards.cores import usable_cores
from headrace.shards.encoded import Images
from headrace.shards.prepared import Prepared
from headrace.train.checkpoint import files
from headrace.train.checkpoint.fields import Checkpoint
from headrace.train.evaluate.predict import Predictor
from headrace.train.evaluate.trained import own_numerics, own_recipe
from headrace.train.machine.device import Accelerator
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.record.answers import Answer

Device = torch.device | str | None
"""A device as torch names it; None means the current GPU, or the CPU if there is no GPU."""


class Model(nn.Module):
    """A trained network in evaluation mode.

    `classes` are the ids of the network's classes and `class_names` their names, in the order of the labels; `size` and
    `crop` are the image size and the crop with which the network was evaluated. `predict` takes image files; calling
    the module itself takes pixels.
    """

    def __init__(self, predictor: Predictor, prepared: Prepared, gather: Callable[[Sequence[Any]], Images]) -> None:
        super().__init__()
        self.network = predictor.network
        self.classes, self.class_names = predictor.classes, predictor.names
        self.size, self.crop = predictor.settings.size, predictor.settings.crop
        self._predictor, self._prepared, self._gather = predictor, prepared, gather
        self.eval()

    @classmethod
    def of(cls, path: Path, device: Device, gather: Callable[[Sequence[Any]], Images]) -> "Model":
        """Load the model of a checkpoint or of a run folder's best checkpoint, onto `device`.

        Raises UsageError if there is no checkpoint, DataError if the checkpoint is damaged.
        """
        saved = Checkpoint.of(files.load(path))
        recipe = own_recipe(saved, ())
        place = Place(World(), Accelerator.of(device), recipe.runtime.threads or usable_cores())
        numerics = own_numerics(saved, recipe, place.accelerator)
        return cls(Predictor.of(saved, place, numerics, recipe.evaluate, recipe.runtime.decode), saved.prepared, gather)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (n, classes) of RGB images, uint8 (n, size, size, 3), already resized and cropped."""
        return self._predictor.logits(images)

    def predict(self, images: Any, top_k: int = 5) -> list[Answer]:
        """Predict the classes of images, in order; results equal those of `headrace prep` followed by `headrace eval`.

        `images` is a path (file, folder, glob, listing, zip, tar, shard set), the bytes of an image file, an RGB array
        uint8 (height, width, 3), or a sequence of these. An answer has the image's `file` and the `top_k` most likely
        `labels`, with their `classes`, `names` and `probabilities`. If the image cannot be read, the answer has an
        `error` instead of labels.
        Raises UsageError for a path that does not exist.
        """
        alone = isinstance(images, str | Path | bytes) or getattr(images, "ndim", 0) == 3
        chosen = self._gather([images] if alone else list(images))
        return list(self._predictor.predict(chosen.read(range(len(chosen)), self._prepared), top_k))
