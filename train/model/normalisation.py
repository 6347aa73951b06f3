"""What images must look like to a network: mean and standard deviation of each colour."""

from typing import NamedTuple

# Statistics of ImageNet in 0..255, as every torchvision-style weight file expects them.
_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Normalisation(NamedTuple):
    """Per channel, for pixels in 0..255: (x - mean) / std."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def normalisation_of(name: str) -> Normalisation:
    """What images must look like to the model called `name`."""
    if name == "efficientnet-lite0":
        return Normalisation((127.0, 127.0, 127.0), (128.0, 128.0, 128.0))
    return Normalisation(_IMAGENET_MEAN, _IMAGENET_STD)
