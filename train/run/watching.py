"""Stores pictures of the first training images as the network sees them, for people to look at."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headrace.shards.errors import HeadraceError
from headrace.train.input.batch import Batch
from headrace.train.input.mixed import mix_images
from headrace.train.model.normalisation import Normalisation
from headrace.train.record.folder import RunLog
from headrace.train.record.page.pictures import MOST, SeenImages, write_training
from headrace.train.run.resolve import Setup
from headrace.train.step.update import TrainStep


def watched(batches: Iterable[Batch], setup: Setup, step: TrainStep, log: RunLog) -> Iterator[Batch]:
    """Yield the batches unchanged; rank 0 also stores pictures of the first batch in the run folder.

    If the pictures cannot be stored, a warning is printed and the run continues.
    """
    first = step.world.is_main
    for batch in batches:
        if first:
            first = False
            try:
                write_training(setup.out, seen_images(batch, step, setup.normalisation), setup.shards.class_names)
            except (HeadraceError, OSError) as error:
                log.say_warning(f"the pictures of training images could not be made: {error}")
        yield batch


def seen_images(batch: Batch, step: TrainStep, colours: Normalisation) -> SeenImages:
    """Return the first images of a batch as the network sees them: augmented, mixed and normalised.

    The normalised values are converted back to pixels. Waits for the device.
    """
    plan, mix = batch.plan, batch.plan.mix
    images = step.normalise(batch.images)
    mix_images(images, batch.partner, mix)
    partners = None if mix is None else plan.labels[mix.partner][:MOST]
    share = 1.0 if mix is None else float(mix.share)
    return SeenImages(plan.step, _pixels(images[:MOST], colours), plan.labels[:MOST], partners, share)


def _pixels(images: Tensor, colours: Normalisation) -> NDArray[np.uint8]:
    """Convert normalised images, float (n, 3, size, size), back to pixels, uint8 (n, size, size, 3)."""
    mean, std = (torch.tensor(values, dtype=images.dtype, device=images.device) for values in colours)
    pixels = images.permute(0, 2, 3, 1) * std + mean
    return pixels.round().clamp(0, 255).to(torch.uint8).cpu().numpy()
