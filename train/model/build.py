"""Builds models by name: the architecture, with initial weights from the given source."""

from dataclasses import dataclass
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet as LiteEfficientNet
from efficientnet_pytorch import EfficientNet as PackageEfficientNet
from torch import nn

from headrace.shards.draws import Stream, seed64
from headrace.shards.errors import UsageError
from headrace.train.model.efficientnet import EfficientNet
from headrace.train.model.matched_head import Matched
from headrace.train.model.names import TIMM
from headrace.train.model.network import Network
from headrace.train.model.normalisation import Normalisation, normalisation_of
from headrace.train.model.preferences import preferred_by
from headrace.train.model.timm_network import timm_network
from headrace.train.model.timm_weights import converted
from headrace.train.model.weight_files import read_weights
from headrace.train.model.weights import first_weights, put_weights
from headrace.train.recipe.sections import Model


@dataclass(frozen=True)
class Built:
    """A network, the normalisation of its images, and a sentence about the origin of its weights."""

    network: Network
    normalisation: Normalisation
    origin: str


def build_model(
    name: str,
    classes: int,
    *,
    init: str,
    weights: Path | None,
    seed: int,
    matched: Matched | None = None,
    model: Model | None = None,
    **overrides: float,
) -> Built:
    """Return the network called `name` with a classifier (head) for `classes` classes, and its normalisation.

    `init` and `weights` say where the initial weights come from; `headrace.train.model.weights.first_weights` explains
    them. The head is random, drawn from `seed`, except in two cases: the weights contain a head for the same number of
    classes, or `matched` names rows of the published head. `model` holds the noise rates for networks of timm, which
    draw their own noise. `overrides` change the architecture of an EfficientNet (width_coefficient, depth_coefficient).

    Raises UsageError if weights are missing or their shapes do not fit, HeadraceError if a download fails.
    """
    network: Network
    if name.startswith(TIMM):
        rates = {} if model is None else {"dropout": model.dropout, "drop_connect": model.drop_connect}
        network = timm_network(name, classes, seed, **rates)
    else:
        network = random_network(name, classes, seed, **overrides)
    path = first_weights(name, init, weights)
    if path is None:
        return Built(network, normalisation_of(name), "random initialisation")
    origin = _loaded(network, name, path, matched)
    if init == "pretrained":
        licence = preferred_by(name).licence
        origin += f", licence {licence}" if licence else ", licence not stated: look it up before publishing"
    return Built(network, normalisation_of(name, weights if init == "file" else None), origin)


def _loaded(network: Network, name: str, path: Path, matched: Matched | None) -> str:
    """Load a file of weights into the network, and return a description of the weights.

    If the weights do not fit a network of timm, timm converts them, and the converted weights are loaded.
    """
    held = read_weights(path)
    try:
        return put_weights(network, path, held, held.tensors, matched)
    except UsageError:
        found = converted(name, path) if name.startswith(TIMM) else None
        if found is None:
            raise
        return put_weights(network, path, held, found, matched)


def random_network(name: str, classes: int, seed: int, **overrides: float) -> EfficientNet:
    """Return an EfficientNet with weights drawn from `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed64(seed, Stream.INIT))
        return _architecture(name, classes, overrides)


def _architecture(name: str, classes: int, overrides: dict[str, float]) -> EfficientNet:
    if not name.startswith("efficientnet-lite"):
        package = PackageEfficientNet.from_name(name, num_classes=classes, **overrides)
        return EfficientNet(package, nn.SiLU(inplace=False))
    package = LiteEfficientNet.from_name(name, **{"num_classes": classes, **overrides})
    return EfficientNet(package, nn.ReLU6())
