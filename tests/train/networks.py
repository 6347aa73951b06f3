"""A narrow EfficientNet for tests, with every kind of layer at a fraction of the width."""

from typing import TypedDict

import torch
from efficientnet_pytorch import EfficientNet as PackageEfficientNet
from efficientnet_pytorch.utils import BlockDecoder, efficientnet
from torch import nn

from headrace.train.model.build import Built, build_model, random_network
from headrace.train.model.efficientnet import EfficientNet


class Shape(TypedDict):
    """Factors of the channels and layers, which make an EfficientNet narrow and shallow."""

    width_coefficient: float
    depth_coefficient: float


NARROW: Shape = {"width_coefficient": 0.25, "depth_coefficient": 0.5}


def built_narrow(classes: int = 12, seed: int = 0) -> Built:
    """Return the network with initial weights from a seed, and the facts that a run keeps about it."""
    return build_model("efficientnet-b0", classes, init="random", weights=None, seed=seed, **NARROW)


def narrow(classes: int = 12, seed: int = 0) -> EfficientNet:
    """Return the network alone."""
    return random_network("efficientnet-b0", classes, seed, **NARROW)


def shallow(classes: int = 12) -> EfficientNet:
    """Return two blocks, one with a skip connection and a 5 x 5 kernel, for work that takes long per layer."""
    torch.manual_seed(0)
    shape = efficientnet(width_coefficient=0.25, depth_coefficient=1.0, num_classes=classes)[1]
    blocks = BlockDecoder.decode(["r1_k3_s22_e1_i32_o16_se0.25", "r1_k5_s11_e2_i16_o16_se0.25"])
    return EfficientNet(PackageEfficientNet(blocks, shape), nn.SiLU(inplace=False))
