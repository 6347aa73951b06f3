"""Trains only the classifier in the first steps of a run, and the whole network from then on."""

import gc
import math
from collections.abc import Sequence

from headrace.train.input.batch import Batch
from headrace.train.model.network import Network
from headrace.train.recipe.settled import Settled
from headrace.train.step.compilation import compile_step
from headrace.train.step.update import TrainStep


def frozen_steps(recipe: Settled, samples: int) -> int:
    """Return for how many steps, from the first one on, only the classifier is trained; the number is rounded up.

    `samples` is the number of samples in the training split.
    """
    return math.ceil(recipe.model.freeze_epochs * samples / recipe.train.global_batch)


def freeze(network: Network, *, frozen: bool) -> None:
    """If `frozen`, train only the classifier, with the network in evaluation mode; else train the whole network."""
    network.requires_grad_(requires_grad=not frozen)
    network.head.requires_grad_()
    network.train(not frozen)


def thaw(step: TrainStep, residents: Sequence[Batch]) -> None:
    """Train the whole network from the next step on.

    DDP records which parameters have gradients, so the network is wrapped again. The wrapped network is then warmed up
    as after a resume, on the batches `residents` of all image sizes. A run that is resumed later is warmed up too, and
    so sums gradients in the same order.
    """
    step.frozen = False
    freeze(step.network, frozen=False)
    step.model = step.compilable
    gc.collect()  # frees the earlier wrapper with its hooks and buckets
    step.model = step.world.wrap(step.compilable, step.bucket_mib)
    compile_step(step, step.compilable.mode, residents)
    for resident in residents:
        step.warm_up(resident)
