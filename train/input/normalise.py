"""From uint8 pixels to what the network expects, on the device."""

import torch
from torch import Tensor

from headrace.train.machine.device import Accelerator

Colour = tuple[float, float, float]
"""Red, green, blue, in 0 to 255."""


class Normalise:
    """uint8 (b, h, w, 3) to (b, 3, h, w) in `dtype`: (x - mean) / std, channels_last without a copy.

    Scale and shift are kept as whole rows of pixels: an operand of three numbers would be broadcast along the
    innermost axis, where a CPU cannot use its vector units.
    """

    def __init__(self, mean: Colour, std: Colour, accelerator: Accelerator, dtype: torch.dtype = torch.float32) -> None:
        self._accelerator = accelerator
        self._scaled = accelerator.either(cpu=_scaled_on_cpu, gpu=_scaled_on_gpu)
        self._scale = 1 / torch.tensor(std, dtype=dtype, device=accelerator.device)
        self._shift = -torch.tensor(mean, dtype=dtype, device=accelerator.device) * self._scale
        self._rows: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, images: Tensor) -> Tensor:
        """Normalised images; their memory stays height, width, channel where the run is channels_last."""
        samples, height, width, channels = images.shape
        scale, shift = self._row(width)
        made = self._scaled(images.reshape(samples * height, width * channels), scale, shift)
        return self._accelerator.lay_out(made.view(images.shape).permute(0, 3, 1, 2))

    def _row(self, width: int) -> tuple[Tensor, Tensor]:
        if width not in self._rows:
            self._rows[width] = self._scale.repeat(width), self._shift.repeat(width)
        return self._rows[width]


def _scaled_on_gpu(pixels: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Pixels * scale + shift in the rows' dtype: uint8 (n, m) with two rows (m,)."""
    return torch.addcmul(shift, pixels.to(scale.dtype), scale)


def _scaled_on_cpu(pixels: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The same in one pass over the memory."""
    from headrace.train.input.kernels.scale import scale_rows  # noqa: PLC0415  a run on a GPU needs no compiler of loops

    made = torch.empty(pixels.shape, dtype=scale.dtype)
    scale_rows(pixels.numpy(), scale.numpy(), shift.numpy(), made.numpy())
    return made
