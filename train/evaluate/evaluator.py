"""Evaluates a network on a split, counting each image once for any number of ranks."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.shards.errors import HeadraceError
from headrace.shards.order import deal
from headrace.train.evaluate.logits import logits_of
from headrace.train.evaluate.scores import Scores
from headrace.train.input.batch import resident_batch
from headrace.train.input.feed import Feed
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import Plan, ValidationPlans
from headrace.train.machine.device import Accelerator
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.world import World
from headrace.train.model.network import Network
from headrace.train.record.sums import Sums
from headrace.train.step.tally import Tally


class Evaluator:
    """Evaluates a network on the fixed batches of a validation split. Each batch is evaluated by one rank.

    With `flip`, an image's logits are the mean over the image and its mirror image. With `one_shape`, a short batch is
    padded to the size of a full batch. A GPU then needs kernels for only one shape; these are chosen in `warm_up`,
    before time is measured.
    """

    def __init__(
        self,
        plans: ValidationPlans,
        feed: Callable[[Iterator[Plan]], Feed],
        normalise: Normalise,
        accelerator: Accelerator,
        world: World,
        numerics: Numerics,
        *,
        flip: bool = False,
        one_shape: bool = False,
    ) -> None:
        self._plans, self._feed, self._normalise = plans, feed, normalise
        self._accelerator, self._world, self._numerics, self._flip = accelerator, world, numerics, flip
        self._rows = min(plans.batch, len(plans.split)) if one_shape else 0

    @torch.no_grad()
    def __call__(
        self, network: Network, cut_short: Callable[[], bool] | None = None, scores: Scores | None = None
    ) -> Sums:
        """Evaluate the network; return the sums of loss, correct predictions and samples over all ranks.

        The sums are incomplete if `cut_short` returns true on any rank.

        The results of this rank's samples are added to `scores`, if given. At the end, the network is put back into the
        mode (training or evaluation) that it had.
        """
        training = network.training
        network.eval()
        tally = Tally(self._accelerator)
        mine = deal(len(self._plans), self._world.size, self._world.rank)
        with self._feed(self._plans.stream(mine)) as feed:
            for batch in feed:
                if cut_short is not None and cut_short():
                    break
                with self._numerics.autocast():
                    logits = self._logits(network, batch.images)
                    loss = F.cross_entropy(logits, batch.labels, reduction="sum")
                tally.add(loss, logits, batch.labels)
                if scores is not None:
                    scores.add(batch.plan.ids, logits, batch.labels)
        network.train(training)
        sums, expected = tally.total(self._world), len(self._plans.split)
        if sums.seen > expected or (sums.seen < expected and cut_short is None):
            raise HeadraceError(
                f"the evaluation counted {sums.seen} images, but the split has {expected}: this is a fault of Headrace"
            )
        return sums

    @torch.no_grad()
    def warm_up(self, network: Network) -> None:
        """If `one_shape`, run a forward pass on a batch of the shape that all batches have; otherwise do nothing."""
        if not self._rows:
            return
        training = network.training
        network.eval()
        resident = resident_batch(self._rows, self._plans.size, self._accelerator)
        with self._numerics.autocast():
            self._logits(network, resident.images)
        network.train(training)

    def _logits(self, network: Network, images: Tensor) -> Tensor:
        """Return the logits of these images, (b, classes), without the logits of padding."""
        count = len(images)
        if count < self._rows:
            images = F.pad(images, [0, 0, 0, 0, 0, 0, 0, self._rows - count])
        return logits_of(network, images, self._normalise, flip=self._flip)[:count]

    def complete(self, sums: Sums) -> bool:
        """Return whether the sums count every sample of the split."""
        return sums.seen == len(self._plans.split)
