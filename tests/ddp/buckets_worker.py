"""One rank that exchanges the gradients of EfficientNet-B0 in messages of several sizes: buckets_worker.py OUT.

OUT has the bytes of each message, by runtime.bucket_mib, in the order in which gradients are ready. The loss is a sum
over all parameters: what is computed does not matter to the exchange.
"""

import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from headrace.train.machine.world import World
from headrace.train.model.build import build_model

SIZES = (None, 4)


class Total(nn.Module):
    """The parameters of a network, and their sum."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self) -> Tensor:
        """A loss with a gradient for each parameter."""
        return torch.stack([parameter.sum() for parameter in self.network.parameters()]).sum()


def messages(world: World, mib: int | None) -> list[int]:
    """Bytes of each, as DDP has them once it knows in which order gradients are ready; it tells with a delay."""
    network = build_model("efficientnet-b0", 200, init="random", weights=None, seed=0).network
    model = world.wrap(Total(network), mib)
    if not getattr(model, "batched_grad_copy", True):  # torch before 2.13 has no such thing
        raise RuntimeError("DDP copies each gradient into its message with a kernel of its own")
    for _ in range(4):
        model().backward()
    told = model._get_ddp_logging_data()  # type: ignore[operator]  # of DistributedDataParallel
    return [int(size) for size in told["rebuilt_bucket_sizes"].split(",")]


if __name__ == "__main__":
    world = World.from_environment()
    with world.joined("gloo", 5):
        found = {str(mib): messages(world, mib) for mib in SIZES}
    if world.is_main:
        Path(sys.argv[1]).write_text(json.dumps(found))
