"""Mixes each image with its partner, an image of the same group, and makes the targets of the mixed images."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.train.input.augment.mixing import Mix


def mix_images(images: Tensor, partner: Tensor | None, mix: Mix | None) -> None:
    """Mix each of the images (b, 3, size, size) with its partner, in place. If `mix` is None, nothing is changed."""
    if mix is None or partner is None:
        return
    pixels = images.permute(0, 2, 3, 1)
    others = pixels[partner]
    if mix.box is None:
        pixels.lerp_(others, 1 - mix.share)
        return
    top, left, bottom, right = mix.box
    pixels[:, top:bottom, left:right] = others[:, top:bottom, left:right]


def soft_targets(
    labels: Tensor, partner: Tensor | None, mix: Mix | None, classes: int, smoothing: float = 0.0
) -> Tensor:
    """Return the share of each class in each image, float32 (b, classes), from int64 labels (b,). Each row's sum is 1.

    The class of the label gets 1 - smoothing + smoothing / classes, and each other class gets smoothing / classes. The
    targets of a sample and its partner are weighted like their images. `timm.data.Mixup` does the same; label smoothing
    follows Szegedy et al., arXiv:1512.00567.
    """
    own = F.one_hot(labels, classes).to(torch.float32)
    if mix is not None and partner is not None:
        own = mix.share * own + (1 - mix.share) * own[partner]
    return own * (1 - smoothing) + smoothing / classes
