"""headrace.Loader under Lightning: any number of ranks, with mixup and CutMix, resumed in mid-epoch.

    python examples/with_lightning.py SHARDS
    torchrun --nproc-per-node 3 examples/with_lightning.py SHARDS --resume

Two things differ from passing the loader directly (observed with Lightning 2.6.6):
- Lightning saves and loads the loader's state; but once trainer.estimated_stepping_batches has been read, as learning
  rate schedules do, it no longer loads it, and training continues from the wrong step without a message
  (Lightning-AI/pytorch-lightning#20550). So the module below saves and loads the state itself.
- Lightning counts the batches of its epochs, which limit_train_batches makes shorter than the loader's. After a resume
  the loader's first pass ends with the loader's epoch, which would cut Lightning's epoch short. So it gets endless
  passes.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from efficientnet_pytorch import EfficientNet
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace import Loader

AUGMENT = {"crop_area": [0.25, 1.0], "flip": 0.5, "mixup": 0.2, "cutmix": 1.0}


class Endless:
    """A training loader for Lightning, which ends each epoch itself after `len`, or limit_train_batches, batches."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self.loader.steps()


class Classifier(lightning.LightningModule):  # type: ignore[misc]  # Lightning is not installed where types are checked
    """A network, its loss and its schedule."""

    def __init__(self, train: Loader, lr: float, stop: int | None) -> None:
        super().__init__()
        self.network = EfficientNet.from_name("efficientnet-b0", num_classes=train.classes)
        self.network.to(memory_format=torch.channels_last)  # like the loader's images
        self.train_loader, self.lr, self.stop = train, lr, stop
        self.sums = torch.zeros(3)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the loader's state: a step, and the values that must match. It is equal on all ranks."""
        checkpoint["loader"] = self.train_loader.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load the loader's state, before the first batch is requested."""
        self.train_loader.load_state_dict(checkpoint["loader"])

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Compute the loss; targets are soft, (b, classes)."""
        images, targets = batch
        return F.cross_entropy(self.network(images), targets)

    def on_train_batch_end(self, *_: object) -> None:
        """Stop as if interrupted."""
        if self.trainer.global_step == self.stop:
            self.trainer.should_stop = True

    def on_validation_epoch_start(self) -> None:
        """Reset the sums: loss, correct samples, samples."""
        self.sums = torch.zeros(3, device=self.device)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        """Add to the sums; padding in the last batch has the target -100, which does not count."""
        images, targets = batch
        logits = self.network(images)
        loss = F.cross_entropy(logits, targets, reduction="sum")
        self.sums += torch.stack([loss, (logits.argmax(1) == targets).sum(), (targets != -100).sum()])

    def on_validation_epoch_end(self) -> None:
        """Sum over all ranks and divide once; self.log with sync_dist would average over batches of unequal size."""
        loss, correct, count = self.all_gather(self.sums).reshape(-1, 3).sum(0).tolist()
        what = "sanity check" if self.trainer.sanity_checking else f"step {self.trainer.global_step}"
        self.print(f"{what}: {correct:.0f} of {count:.0f} correct, loss {loss / count:.4f}")

    def configure_optimizers(self) -> dict[str, object]:
        """Use one cycle over the whole run."""
        optimizer = torch.optim.SGD(self.parameters(), self.lr, momentum=0.9, nesterov=True, weight_decay=5e-5)
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.lr, total_steps=total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def main() -> None:
    """Train, with a checkpoint every few steps."""
    given = arguments()
    lightning.seed_everything(0)
    train = Loader(given.shards, batch=given.batch, size=given.size, group=given.group, augment=AUGMENT, smoothing=0.1)
    val = Loader(given.shards, "val", batch=given.batch, size=given.size, crop=0.875)
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    saver = ModelCheckpoint(
        given.out, filename="newest", every_n_train_steps=given.save_every, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        devices=ranks,
        num_nodes=int(os.environ.get("WORLD_SIZE", "1")) // ranks,
        strategy="ddp" if "WORLD_SIZE" in os.environ else "auto",
        callbacks=[saver],
        default_root_dir=given.out,
        **{"max_epochs": 10, "logger": False, "enable_progress_bar": False, **given.trainer},
    )
    with train, val:
        model = Classifier(train, given.lr, given.stop)
        trainer.fit(model, Endless(train), val, ckpt_path=given.out / "newest.ckpt" if given.resume else None)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, help="a shard set made by headrace prep")
    parser.add_argument("--batch", type=int, default=192, help="samples in a step, over all ranks")
    parser.add_argument("--group", type=int, default=8, help="samples that are mixed with one another")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels")
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--trainer", type=json.loads, default={}, help="options of Trainer: '{\"max_epochs\": 3}'")
    parser.add_argument("--out", type=Path, default=Path("lightning-run"), help="folder of the checkpoint")
    parser.add_argument("--save-every", type=int, default=100, help="steps")
    parser.add_argument("--resume", action="store_true", help="resume from the checkpoint")
    parser.add_argument("--stop", type=int, help="end after this step, as if interrupted")
    return parser.parse_args()


if __name__ == "__main__":
    main()
