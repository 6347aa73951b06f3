"""Accuracy on a validation split, each image counted once, for any number of ranks."""

import torch
from torch.nn import functional as F  # noqa: N812  torch's own convention

from shards.errors import HeadraceError
from shards.order import deal
from train.accelerator import Accelerator
from train.batch import ValidationPlans
from train.efficientnet import EfficientNet
from train.feed import Feed
from train.normalise import Normalise
from train.pipeline import ImagePipeline
from train.tally import Sums, Tally
from train.world import World


class Evaluator:
    """Measures a network on the fixed batches of a validation split. Ranks take whole batches."""

    def __init__(
        self,
        plans: ValidationPlans,
        pipeline: ImagePipeline,
        normalise: Normalise,
        accelerator: Accelerator,
        world: World,
    ) -> None:
        self._plans, self._pipeline, self._normalise = plans, pipeline, normalise
        self._accelerator, self._world = accelerator, world

    @torch.no_grad()
    def __call__(self, network: EfficientNet) -> Sums:
        """Loss, correct and seen over all ranks. Leaves the network in the mode that it was in."""
        training = network.training
        network.eval()
        tally = Tally(self._accelerator)
        mine = deal(len(self._plans), self._world.size, self._world.rank)
        with Feed(self._pipeline, self._plans.stream(mine), self._accelerator) as feed:
            for batch in feed:
                with self._accelerator.autocast():
                    logits = network(self._normalise(batch.images))
                    loss = F.cross_entropy(logits, batch.labels, reduction="sum")
                tally.add(loss, logits, batch.labels)
        network.train(training)
        return self._complete(tally.total(self._world))

    def _complete(self, sums: Sums) -> Sums:
        expected = len(self._plans.split)
        if sums.seen != expected:
            raise HeadraceError(f"validation counted {sums.seen} images, the split has {expected}")
        return sums
