"""torchvision's own operators on Pillow images, if it is installed: they check the reference in pillow.py."""

from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headrace.train.input.augment.operators import changed
from headrace.train.input.augment.trivial_augment import CHOICES, trivial_changes, trivial_draws
from headrace.train.input.augment.views import Samples
from headrace.train.machine.device import Accelerator

Pixels = NDArray[np.uint8]


def reference() -> str:
    """The reference with which Headrace's pixels are compared, with its versions."""
    version = f", torchvision {metadata.version('torchvision')}" if find_spec("torchvision") else ""
    return f"Pillow {metadata.version('pillow')}{version}"


def trivial_augment(images: Pixels, samples: Samples, seed: int) -> Iterator[tuple[str, Pixels, Pixels]]:
    """The name of each operator, with the images that drew it, changed by Headrace and by torchvision."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.autoaugment import _apply_op

    accelerator, size = Accelerator(None), images.shape[1]
    choice, strength = trivial_draws(seed, samples)
    ours = changed(accelerator.upload(images), tuple(trivial_changes(seed, samples, size)), accelerator).numpy()
    how: dict[str, Any] = {"interpolation": InterpolationMode.NEAREST, "fill": None}
    for number, one in enumerate(CHOICES):
        rows = np.flatnonzero(choice == number)
        theirs = [_apply_op(Image.fromarray(images[row]), one.name, float(strength[row]), **how) for row in rows]
        if theirs:
            yield one.name, ours[rows], np.stack([np.asarray(image) for image in theirs])
