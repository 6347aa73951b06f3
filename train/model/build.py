"""Models by name: architecture, and where the first weights come from."""

from dataclasses import dataclass
from pathlib import Path

import torch
from efficientnet_lite_pytorch import EfficientNet as LiteEfficientNet
from efficientnet_pytorch import EfficientNet as PackageEfficientNet
from torch import nn

from headrace.shards.draws import Stream, seed64
from headrace.train.model.efficientnet import EfficientNet
from headrace.train.model.matched_head import Matched
from headrace.train.model.network import Network
from headrace.train.model.normalisation import Normalisation, normalisation_of
from headrace.train.model.weights import first_weights, load_weights


@dataclass(frozen=True)
class Built:
    """A model and the sentence that says where its weights come from."""

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
    **overrides: float,
) -> Built:
    """The model called `name` with a head for `classes`.

    `init` and `weights` say where its first weights come from: see `headrace.train.model.weights.first_weights`. The
    head is drawn from `seed` unless they bring one for as many classes, or the rows that `matched` names. `overrides`
    go to the architecture (width_coefficient, depth_coefficient).

    Raises UsageError when weights are missing or their shapes do not fit, HeadraceError when a download fails.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed64(seed, Stream.INIT))
        network = _architecture(name, classes, overrides)
    path = first_weights(name, init, weights)
    origin = "random initialisation" if path is None else load_weights(network, path, matched)
    return Built(network, normalisation_of(name), origin)


def _architecture(name: str, classes: int, overrides: dict[str, float]) -> EfficientNet:
    if name != "efficientnet-lite0":
        package = PackageEfficientNet.from_name(name, num_classes=classes, **overrides)
        return EfficientNet(package, nn.SiLU(inplace=False))
    package = LiteEfficientNet.from_name(name, **{"num_classes": classes, **overrides})
    return EfficientNet(package, nn.ReLU6())
