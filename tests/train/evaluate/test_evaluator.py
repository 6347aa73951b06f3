from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812  torch's own convention

from headrace.shards.shardset import ShardSet
from headrace.train.evaluate.evaluator import Evaluator
from headrace.train.input.assembly import Input
from headrace.train.input.normalise import Normalise
from headrace.train.input.plans import ValidationPlans
from headrace.train.machine.numerics import Numerics
from headrace.train.machine.place import Place
from headrace.train.machine.world import World
from headrace.train.model.normalisation import normalisation_of
from tests.train.networks import narrow
from tests.train.pictures import CPU, evaluated


@pytest.mark.parametrize("flip", [False, True])
def test_flip_averages_logits_of_an_image_and_its_mirror(tiny_set: Path, flip: bool) -> None:
    """With flip, loss and correct count use the mean logits of both; without flip, those of the image."""
    split, network = ShardSet.open(tiny_set).split("val"), narrow()
    normalise = Normalise(*normalisation_of("efficientnet-b0"), CPU)
    images = torch.from_numpy(evaluated(split, size=32, fraction=1.0))
    with torch.no_grad():  # statistics of these images: with the first ones all logits would be alike
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0
        network(normalise(images))
    plans = ValidationPlans(split, 10, 1.0, 32)
    evaluate = Evaluator(
        plans, Input(split, 10, Place(World(), CPU, 1)).feed, normalise, CPU, World(), Numerics(), flip=flip
    )
    sums = evaluate(network)

    network.eval()
    labels = torch.from_numpy(split.labels)
    with torch.no_grad():
        logits = network(normalise(images))
        mirrored = network(normalise(torch.from_numpy(images.numpy()[:, :, ::-1].copy())))
    assert float((logits - mirrored).abs().mean()) > 1e-3
    wanted = (logits + mirrored) / 2 if flip else logits
    assert sums.seen == len(split)
    assert sums.correct == int((wanted.argmax(1) == labels).sum())
    assert sums.loss == pytest.approx(float(F.cross_entropy(wanted, labels, reduction="sum")), rel=1e-5)


def test_one_shape_counts_each_image_once(tiny_set: Path) -> None:
    """As on a GPU, the network gets one shape of batch, and the sums equal those of the original batches."""
    split, network = ShardSet.open(tiny_set).split("val"), narrow()
    normalise = Normalise(*normalisation_of("efficientnet-b0"), CPU)
    batch = len(split) * 2 // 3
    shapes: list[torch.Size] = []
    network.register_forward_pre_hook(lambda _, inputs: shapes.append(inputs[0].shape))

    def evaluator(*, one_shape: bool) -> Evaluator:
        images = Input(split, batch, Place(World(), CPU, 1)).feed
        plans = ValidationPlans(split, batch, 1.0, 32)
        return Evaluator(plans, images, normalise, CPU, World(), Numerics(), flip=True, one_shape=one_shape)

    evaluator(one_shape=False).warm_up(network)
    assert shapes == []
    wanted, padded = evaluator(one_shape=False)(network), evaluator(one_shape=True)
    assert len(set(shapes)) == 2
    shapes.clear()
    padded.warm_up(network)
    assert len(shapes) == 2
    found = padded(network)
    assert set(shapes) == {torch.Size([batch, 3, 32, 32])}
    assert (found.seen, found.correct) == (wanted.seen, wanted.correct)
    assert found.loss == pytest.approx(wanted.loss, rel=1e-6)
    assert network.training
