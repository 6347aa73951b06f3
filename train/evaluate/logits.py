"""What a network makes of images as they are evaluated: one forward pass, or the mean of an image and its mirror."""

from torch import Tensor

from headrace.train.input.normalise import Normalise
from headrace.train.model.network import Network


def logits_of(network: Network, images: Tensor, normalise: Normalise, *, flip: bool) -> Tensor:
    """Logits (b, classes) of images, uint8 (b, size, size, 3); with `flip` their mean with the mirror images'."""
    logits: Tensor = network(normalise(images))
    if not flip:
        return logits
    mirrored: Tensor = network(normalise(images.flip(2)))
    return (logits + mirrored) / 2
