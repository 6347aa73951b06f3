"""A narrow EfficientNet for tests: every kind of layer, a fraction of the width."""

from train.efficientnet import EfficientNet
from train.model import build_model


def narrow(classes: int = 12, seed: int = 0) -> EfficientNet:
    """The network with first weights from a seed."""
    shape = {"width_coefficient": 0.25, "depth_coefficient": 0.5}
    return build_model("efficientnet-b0", classes, init="random", weights=None, seed=seed, **shape).network
