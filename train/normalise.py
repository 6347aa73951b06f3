"""From uint8 pixels to what the network expects, on the device."""

import torch
from torch import Tensor

from train.accelerator import Accelerator
from train.model import Normalisation


class Normalise:
    """uint8 (b, h, w, 3) to (b, 3, h, w) in the master dtype: (x - mean) / std, channels_last without a copy."""

    def __init__(self, normalisation: Normalisation, accelerator: Accelerator) -> None:
        place = {"dtype": accelerator.master_dtype, "device": accelerator.device}
        self._mean = torch.tensor(normalisation.mean, **place)  # type: ignore[arg-type]
        self._scale = 1 / torch.tensor(normalisation.std, **place)  # type: ignore[arg-type]

    def __call__(self, images: Tensor) -> Tensor:
        """Normalised images; their memory stays height, width, channel."""
        return ((images.to(self._mean.dtype) - self._mean) * self._scale).permute(0, 3, 1, 2)
