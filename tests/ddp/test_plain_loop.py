"""A plain loop over headrace.Loader, as in examples/plain.py, has the losses of `headrace train`."""

import json
import math
from pathlib import Path

import pytest
import torch
from efficientnet_pytorch import EfficientNet
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace import Loader, ShardSet
from tests.e2e.commands import headrace

BATCH, RATE, EPOCHS = 48, 0.01, 1
AUGMENT = {"crop_area": [0.25, 1.0], "flip": 0.5, "mixup": 0.2, "cutmix": 1.0}
SETTINGS = (
    "model.init=pretrained",
    "model.dropout=0",
    "model.drop_connect=0",
    "model.batch_norm_momentum=0.01",
    "augment.size=32",
    "augment.crop_area=[0.25, 1.0]",
    "augment.flip=0.5",
    "augment.mixup=0.2",
    "augment.cutmix=1.0",
    f"train.epochs={EPOCHS}",
    f"train.global_batch={BATCH}",
    f"train.group={BATCH}",
    "train.label_smoothing=0.1",
    "optim.name=sgd",
    f"optim.lr={RATE}",
    "optim.momentum=0.9",
    "optim.nesterov=true",
    "optim.weight_decay=5e-5",
    "optim.decay_all=true",
    "optim.schedule=cosine",
    "optim.warmup_epochs=0",
    "evaluate.size=32",
    "runtime.precision=fp64",
    "runtime.threads=1",
    "runtime.log_every=1",
    "runtime.verdict=false",
)


def plain_losses(shards: Path, network: EfficientNet) -> list[float]:
    """The losses of the example's loop, in float64 and without its random draws inside the network."""
    train = Loader(shards, batch=BATCH, size=32, group=BATCH, augment=AUGMENT, smoothing=0.1)
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, weight_decay=5e-5)
    losses = []
    with train:
        for images, targets in train:
            progress = (train.step - 1) / (EPOCHS * len(train))
            optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * progress))
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images.double()), targets.double())
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def test_plain_loop_has_the_losses_of_headrace_train(example_set: Path, tmp_path: Path) -> None:
    """From the same weights and without dropout: the batches, targets, loss, gradients and rates are the same.

    The loader's targets are float32, those of `headrace train` float64 here; ten updates amplify this to about 1e-3.
    """
    torch.manual_seed(0)
    classes = len(ShardSet.open(example_set).class_ids)
    network = EfficientNet.from_name("efficientnet-b0", num_classes=classes, dropout_rate=0.0, drop_connect_rate=0.0)
    torch.save(network.state_dict(), tmp_path / "first.pt")
    given = [option for setting in SETTINGS for option in ("--set", setting)]
    out = tmp_path / "run"
    ended = headrace(
        "train", example_set, "--device=cpu", "--weights", tmp_path / "first.pt", "--out", out, "--recipe=demo", *given
    )
    assert ended.code == 0, ended
    rows = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    ours = [loss for row in rows if row["kind"] == "step" for loss in row["losses"]]
    plain = plain_losses(example_set, network.double().to(memory_format=torch.channels_last))
    assert len(ours) == len(plain) > 5
    assert ours[:2] == pytest.approx(plain[:2], abs=1e-6)
    assert ours == pytest.approx(plain, abs=5e-3)
