"""headrace.Loader under Accelerate: any number of ranks, with mixup and CutMix, resumed in mid-epoch.

    python examples/with_accelerate.py SHARDS
    accelerate launch --num-processes 3 examples/with_accelerate.py SHARDS --resume

The loader needs no `prepare`: it divides the samples among the ranks itself, and its batches are already on the device.
If it is registered for checkpointing, its state is saved and loaded with the rest; skip_first_batches is not needed.
"""

import argparse
import math
from pathlib import Path

import torch
from accelerate import Accelerator
from efficientnet_pytorch import EfficientNet
from torch import nn
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace import Loader

AUGMENT = {"crop_area": [0.25, 1.0], "flip": 0.5, "mixup": 0.2, "cutmix": 1.0}


def main() -> None:
    """Train, and evaluate and save after each epoch."""
    given = arguments()
    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    train = Loader(given.shards, batch=given.batch, size=given.size, group=given.group, augment=AUGMENT, smoothing=0.1)
    val = Loader(given.shards, "val", batch=given.batch, size=given.size, crop=0.875)
    torch.manual_seed(0)
    network = EfficientNet.from_name("efficientnet-b0", num_classes=train.classes)
    network.to(memory_format=torch.channels_last)  # like the loader's images
    optimizer = torch.optim.SGD(network.parameters(), given.lr, momentum=0.9, nesterov=True, weight_decay=5e-5)
    network, optimizer = accelerator.prepare(network, optimizer)
    accelerator.register_for_checkpointing(train)
    if given.resume:
        accelerator.load_state(given.out)
    with train, val:
        while train.step < given.epochs * len(train):
            network.train()
            for images, targets in train:  # ends with the epoch, even after a resume in its middle
                progress = (train.step - 1) / (given.epochs * len(train))  # the rate is a function of the step only
                optimizer.param_groups[0]["lr"] = given.lr * 0.5 * (1 + math.cos(math.pi * progress))
                optimizer.zero_grad()
                accelerator.backward(F.cross_entropy(network(images), targets))
                optimizer.step()
                if train.step == given.stop:
                    break  # nothing is lost: step counts yielded batches, not those made ahead
            accelerator.save_state(given.out)
            if train.step == given.stop:
                break
            print_accuracy(accelerator, network, val, train.epoch)
    accelerator.end_training()


@torch.inference_mode()
def print_accuracy(accelerator: Accelerator, network: nn.Module, val: Loader, epoch: int) -> None:
    """Print sums over all ranks, divided once; padding in the last batch has the target -100, so it does not count.

    gather_for_metrics does not know this padding: it only drops what Accelerate's own loaders added.
    """
    network.eval()
    sums = torch.zeros(3, device=accelerator.device)
    for images, targets in val:
        logits = network(images)
        loss = F.cross_entropy(logits, targets, reduction="sum")
        sums += torch.stack([loss, (logits.argmax(1) == targets).sum(), (targets != -100).sum()])
    loss, correct, count = accelerator.reduce(sums, "sum").tolist()
    accelerator.print(f"epoch {epoch}: {correct:.0f} of {count:.0f} correct, loss {loss / count:.4f}")


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, help="a shard set made by headrace prep")
    parser.add_argument("--batch", type=int, default=192, help="samples in a step, over all ranks")
    parser.add_argument("--group", type=int, default=8, help="samples that are mixed with one another")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--out", type=Path, default=Path("accelerate-run"), help="folder of the checkpoint")
    parser.add_argument("--resume", action="store_true", help="resume from the checkpoint")
    parser.add_argument("--stop", type=int, help="save and end after this step, as if interrupted")
    return parser.parse_args()


if __name__ == "__main__":
    main()
