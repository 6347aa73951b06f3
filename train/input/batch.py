"""Defines a micro-batch as tensors on the device, ready for one forward pass."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from headrace.shards.draws import Stream, hash64
from headrace.train.input.augment.operators import changed
from headrace.train.input.augment.views import Views
from headrace.train.input.decode.wanted import Wanted
from headrace.train.input.plans import Plan
from headrace.train.machine.device import Accelerator

_NOISE_WORDS = 1 << 16  # repeated to fill a batch


class Batch(NamedTuple):
    """A micro-batch on the device, ready for one forward pass."""

    images: Tensor  # uint8 (b, size, size, 3)
    labels: Tensor  # int64 (b,)
    partner: Tensor | None  # int64 (b,), the row of the image that each image is mixed with
    plan: Plan

    @classmethod
    def of(cls, plan: Plan, images: Tensor, accelerator: Accelerator) -> "Batch":
        """Return the batch of a plan: augment the resized images as planned, and copy the labels to the device."""
        images = changed(images, plan.changes, accelerator)
        partner = None if plan.mix is None else accelerator.upload(plan.mix.partner)
        return cls(images, accelerator.upload(plan.labels), partner, plan)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """The tensors of the batch, all on the device."""
        found = (self.images, self.labels)
        return found if self.partner is None else (*found, self.partner)


def resident_batch(samples: int, size: int, accelerator: Accelerator) -> Batch:
    """Return a batch of `samples` images of noise that is already on the device, to warm up and time the step.

    `size` is the side of the images in pixels. The pixels are noise, because a device may compute faster with equal
    numbers than with real images.
    """
    ids, corners = np.zeros(samples, np.int64), np.zeros((samples, 2), np.float32)
    plan = Plan(0, 0, ids, ids, Wanted(ids, Views(corners, corners), size))
    noise = hash64(0, Stream.RESIDENT, np.arange(_NOISE_WORDS)).view(np.uint8)
    return Batch.of(plan, accelerator.upload(np.resize(noise, (samples, size, size, 3))), accelerator)
