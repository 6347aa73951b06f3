"""One rank of train.py as far as its input goes: timm_worker.py BLOCKS SHARDS.

BLOCKS has loaders.py and sums.py, the two blocks of examples/timm_train.md.
"""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from timm import utils
from timm.data import FastCollateMixup
from timm.loss import SoftTargetCrossEntropy

import headrace

BLOCKS, SHARDS = Path(sys.argv[1]), sys.argv[2]
RANK, WORLD = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
BATCH, CLASSES, SIZE = 48, 12, 32
COMMON = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25), "img_dtype": torch.float32, "device": torch.device("cpu")}
SHAPE = {"input_size": (3, SIZE, SIZE), "batch_size": BATCH // WORLD}
TRAIN: dict[str, Any] = {"scale": [0.3, 1.0], "ratio": [0.75, 1.33], "hflip": 0.5, "color_jitter": 0.4, "re_prob": 0.1}


def block(name: str, known: dict[str, Any]) -> dict[str, Any]:
    """The names that are there after a block."""
    exec(compile((BLOCKS / name).read_text("utf-8"), name, "exec"), known)  # noqa: S102  the page under test
    return known


def main() -> None:
    """Build both loaders as train.py does, and compare."""
    torch.distributed.init_process_group("gloo")
    page = block("loaders.py", {"torch": torch})
    collate = FastCollateMixup(mixup_alpha=0.2, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=CLASSES)
    dataset = page["create_dataset"]("", root=SHARDS, split="train", is_training=True)
    mixed = page["create_loader"](
        dataset, is_training=True, collate_fn=collate, num_workers=4, **SHAPE, **COMMON, **TRAIN
    )
    plain = page["create_loader"](dataset, is_training=True, **SHAPE, **COMMON, **TRAIN)
    page["_set_loader_epoch"](mixed, 1)
    page["_set_loader_epoch"](plain, 1)
    check_training(mixed, plain)
    dataset = page["create_dataset"]("", root=SHARDS, split="val", is_training=False)
    check_validation(page, page["create_loader"](dataset, crop_pct=0.875, **SHAPE, **COMMON))
    torch.distributed.destroy_process_group()
    sys.stdout.write("checked\n")


def check_training(mixed: headrace.Loader, plain: headrace.Loader) -> None:
    """The second epoch's first batch: soft targets for timm's loss, or this rank's labels of the plan."""
    assert mixed.mixup_enabled
    assert not plain.mixup_enabled
    images, targets = next(iter(mixed))
    assert images.shape == (BATCH // WORLD, 3, SIZE, SIZE)
    torch.testing.assert_close(targets.sum(1), torch.ones(len(images)))
    assert torch.isfinite(SoftTargetCrossEntropy()(torch.zeros(len(images), CLASSES), targets))
    images, targets = next(iter(plain))
    share = slice(RANK * len(images), (RANK + 1) * len(images))
    assert targets.tolist() == plain.plan(len(plain)).labels[share].tolist()
    assert len(mixed) == len(plain) == mixed.step - 1 == 10


def check_validation(page: dict[str, Any], val: headrace.Loader) -> None:
    """The block of `validate` on logits that depend on the label: averages are those of the 120 images."""
    made = torch.randn(CLASSES, CLASSES, generator=torch.Generator().manual_seed(0))
    meters = {name: utils.AverageMeter() for name in ("losses_m", "top1_m", "top5_m")}
    for _, target in val:
        output = made[target.clamp(min=0)]
        distributed = SimpleNamespace(distributed=True, world_size=WORLD)
        block("sums.py", {**page, **meters, "utils": utils, "args": distributed, "output": output, "target": target})
    labels = torch.from_numpy(headrace.ShardSet.open(Path(SHARDS)).split("val").labels)
    loss = torch.nn.functional.cross_entropy(made[labels], labels)
    top1, top5 = utils.accuracy(made[labels], labels, topk=(1, 5))
    seen = [meters[name].avg for name in ("losses_m", "top1_m", "top5_m")]
    torch.testing.assert_close(torch.tensor(seen), torch.stack([loss, top1, top5]), check_dtype=False)
    assert round(meters["top1_m"].count * WORLD) == len(labels)


if __name__ == "__main__":
    main()
