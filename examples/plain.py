"""headrace.Loader in a plain PyTorch loop: on one or several ranks, with mixup and CutMix, resumed in mid-epoch.

    python examples/plain.py SHARDS
    torchrun --nproc-per-node 3 examples/plain.py SHARDS --resume

A checkpoint can be resumed on any number of ranks that divides the batch into whole groups, with exactly the batches
that would have come next. Batch norm and the order of sums still depend on the number of ranks, as in any DDP run.
"""

import argparse
import math
import os
from pathlib import Path

import torch
import torch.distributed as dist
from efficientnet_pytorch import EfficientNet
from torch import nn
from torch.nn import functional as F  # noqa: N812  torch's own convention
from torch.nn.parallel import DistributedDataParallel

from headrace import Loader

AUGMENT = {"crop_area": [0.25, 1.0], "flip": 0.5, "mixup": 0.2, "cutmix": 1.0}


def main() -> None:
    """Join the other ranks, if there are any, and train."""
    cuda, ranked = torch.cuda.is_available(), "RANK" in os.environ
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if ranked:
        dist.init_process_group("nccl" if cuda else "gloo")
    run(arguments(), "cuda" if cuda else "cpu")
    if ranked:  # the model is gone by now: DDP might hang if it were the last owner of a gloo group
        dist.destroy_process_group()


def run(given: argparse.Namespace, device: str) -> None:
    """Train, and evaluate and save after each epoch."""
    mixed = {"group": given.group, "augment": AUGMENT, "smoothing": 0.1}
    train = Loader(given.shards, batch=given.batch, size=given.size, seed=given.seed, **mixed)
    val = Loader(given.shards, "val", batch=given.batch, size=given.size, crop=0.875)
    torch.manual_seed(given.seed)
    network = EfficientNet.from_name("efficientnet-b0", num_classes=train.classes).to(device)
    network.to(memory_format=torch.channels_last)  # like the loader's images
    model = DistributedDataParallel(network) if dist.is_initialized() else network
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, weight_decay=5e-5)
    if given.resume:
        state = torch.load(given.checkpoint, map_location="cpu", weights_only=True)
        for part, name in ((network, "network"), (optimizer, "optimizer"), (train, "loader")):
            part.load_state_dict(state[name])
    with train, val:
        while train.step < given.epochs * len(train):
            model.train()
            for images, targets in train:  # ends with the epoch, even after a resume in its middle
                progress = (train.step - 1) / (given.epochs * len(train))  # the rate is a function of the step only
                optimizer.param_groups[0]["lr"] = given.lr * 0.5 * (1 + math.cos(math.pi * progress))
                optimizer.zero_grad()
                F.cross_entropy(model(images), targets).backward()
                optimizer.step()
                if train.step == given.stop:
                    break  # nothing is lost: step counts yielded batches, not those made ahead
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "loader": train.state_dict()}
            save(state, given.checkpoint)
            if train.step == given.stop:
                break
            print_accuracy(network, val, train.epoch)


@torch.inference_mode()
def print_accuracy(network: nn.Module, val: Loader, epoch: int) -> None:
    """Print sums over all ranks, divided once; padding in the last batch has the target -100, so it does not count."""
    network.eval()
    sums = torch.zeros(3, device=next(network.parameters()).device, dtype=torch.float64)
    for images, targets in val:
        logits = network(images)
        loss = F.cross_entropy(logits, targets, reduction="sum")
        sums += torch.stack([loss, (logits.argmax(1) == targets).sum(), (targets != -100).sum()])
    if dist.is_initialized():
        dist.all_reduce(sums)
    loss, correct, count = sums.tolist()
    if int(os.environ.get("RANK", "0")) == 0:
        print(f"epoch {epoch}: {correct:.0f} of {count:.0f} correct ({correct / count:.2%}), loss {loss / count:.4f}")


def save(state: dict[str, object], path: Path) -> None:
    """Save, on rank 0 only: the loader's state is equal on all ranks. An interrupted save leaves the old file."""
    if int(os.environ.get("RANK", "0")) == 0:
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, help="a shard set made by headrace prep")
    parser.add_argument("--batch", type=int, default=192, help="samples in a step, over all ranks")
    parser.add_argument("--group", type=int, default=8, help="samples that are mixed with one another")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0, help="seed of the batches and of the weights")
    parser.add_argument("--checkpoint", type=Path, default=Path("plain.pt"))
    parser.add_argument("--resume", action="store_true", help="resume from the checkpoint")
    parser.add_argument("--stop", type=int, help="save and end after this step, as if interrupted")
    return parser.parse_args()


if __name__ == "__main__":
    main()
