"""The settings that each network's weights were trained with: a table for EfficientNets, and timm's data config."""

from pathlib import Path

from headrace.train.model.names import TIMM
from headrace.train.recipe.preferred import Preferred

# Statistics of ImageNet in 0..255, as every torchvision-style weight file expects them.
_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_LITE_MEAN, _LITE_STD = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
_SIZES = {  # side and share of the shorter side in evaluation (Tan and Le, arXiv:1905.11946, and their code)
    "efficientnet-b0": (224, 0.875),
    "efficientnet-b1": (240, 0.882),
    "efficientnet-b2": (260, 0.890),
    "efficientnet-b3": (300, 0.904),
    "efficientnet-b4": (380, 0.922),
    "efficientnet-b5": (456, 0.934),
    "efficientnet-b6": (528, 0.942),
    "efficientnet-b7": (600, 0.949),
    "efficientnet-lite0": (224, 0.875),
    "efficientnet-lite1": (240, 0.882),
    "efficientnet-lite2": (260, 0.890),
}
_LICENCE = "Apache-2.0"  # of the weights of all these networks, according to their packages


def preferred_by(name: str, weights: Path | None = None) -> Preferred:
    """Return the preferred settings of this network; `weights` is the user's own file or folder, if any.

    Raises UsageError if timm does not have the network, if timm is not installed, or if the folder's config.json
    describes another network.
    """
    if name.startswith(TIMM):
        from headrace.train.model.timm_config import preferred_by_timm  # noqa: PLC0415  timm is optional

        return preferred_by_timm(name, weights)
    lite = name.startswith("efficientnet-lite")
    mean, std = (_LITE_MEAN, _LITE_STD) if lite else (_IMAGENET_MEAN, _IMAGENET_STD)
    size, crop = _SIZES[name]
    return Preferred(mean, std, size, size, crop, "bicubic", licence=_LICENCE)
