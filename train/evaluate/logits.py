"""Computes logits for evaluation: an image's logits, or their mean over the image and its mirror image."""

from torch import Tensor

from headrace.train.input.normalise import Normalise
from headrace.train.model.network import Network


def logits_of(network: Network, images: Tensor, normalise: Normalise, *, flip: bool) -> Tensor:
    """Return the logits (b, classes) of images, uint8 (b, size, size, 3).

    With `flip`, each image's logits are the mean over the image and its mirror image.
    """
    logits: Tensor = network(normalise(images))
    if not flip:
        return logits
    mirrored: Tensor = network(normalise(images.flip(2)))
    return (logits + mirrored) / 2
