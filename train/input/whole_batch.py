"""Joins the groups of a step into one batch of images and targets, for the training loops of `Loader` users."""

from collections.abc import Sequence

import torch
from torch import Tensor

from headrace.train.input.batch import Batch
from headrace.train.input.memory import Memory
from headrace.train.input.mixed import mix_images, soft_targets
from headrace.train.input.normalise import Normalise
from headrace.train.machine.device import Accelerator

PADDING = -100
"""The target of a padding row: `torch.nn.functional.cross_entropy` ignores it, and no predicted class equals it."""


class WholeBatch:
    """Joins the groups of a step into one batch: normalises images, mixes them within each group, and pads the batch.

    Without `normalise`, images stay uint8. Targets are float32 (b, classes) if `soft`, else int64 (b,).
    """

    def __init__(
        self,
        accelerator: Accelerator,
        normalise: Normalise | None,
        dtype: torch.dtype,
        *,
        classes: int,
        soft: bool,
        smoothing: float,
    ) -> None:
        self._accelerator, self._normalise, self._dtype = accelerator, normalise, dtype
        self._classes, self._soft, self._smoothing = classes, soft, smoothing
        self._empty = accelerator.either(cpu=Memory().empty, gpu=self._empty_on_gpu)

    def __call__(self, groups: Sequence[Batch], rows: int, size: int) -> tuple[Tensor, Tensor]:
        """Return images (rows, 3, size, size), channels_last, and their targets.

        Rows after the samples of the groups are padding.
        """
        images, targets = self._images(groups, rows, size), [self._targets(group) for group in groups]
        lacking = rows - sum(len(part) for part in targets)
        if lacking:
            targets.append(torch.full((lacking,), PADDING, device=self._accelerator.device))
        return images.permute(0, 3, 1, 2), targets[0] if len(targets) == 1 else torch.cat(targets)

    def _images(self, groups: Sequence[Batch], rows: int, size: int) -> Tensor:
        """Return the images of all groups, followed by padding, as one tensor (rows, size, size, 3)."""
        if self._normalise is None and len(groups) == 1 and len(groups[0].images) == rows and groups[0].partner is None:
            return groups[0].images
        kind = torch.uint8 if self._normalise is None else torch.float32
        made, first = self._empty((rows, size, size, 3), kind), 0
        for group in groups:
            part = made[first : first + len(group.images)]
            first += len(group.images)
            if self._normalise is None:
                part.copy_(group.images)
            else:
                self._normalise.write(group.images, part)
            mix_images(part.permute(0, 3, 1, 2), group.partner, group.plan.mix)
        made[first:] = 0
        wanted = kind if self._normalise is None else self._dtype
        return made if wanted == kind else self._empty(made.shape, wanted).copy_(made)

    def _empty_on_gpu(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=self._accelerator.device)  # torch itself reuses a GPU's memory

    def _targets(self, group: Batch) -> Tensor:
        if not self._soft:
            return group.labels
        return soft_targets(group.labels, group.partner, group.plan.mix, self._classes, self._smoothing)
