"""Defines the interface of a network of any architecture, and that of the noise, such as dropout, used in training."""

from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.train.machine.device import Accelerator
from headrace.train.recipe.sections import Model


class Noise(Protocol):
    """Dropout and similar noise. A group (the samples of one forward pass) gets the same noise on any rank."""

    def around(
        self, step: int, group: int, epochs: NDArray[np.int64], ids: NDArray[np.int64]
    ) -> AbstractContextManager[tuple[Tensor | None, ...]]:
        """Return a context for the forward pass of the samples `ids` (b,) in their `epochs` (b,).

        The context yields tensors, which the network takes as arguments after the images.
        """


class Network(nn.Module):
    """A classifier: maps normalised images (b, 3, size, size) and noise to logits (b, classes).

    The names in its state dict are those of the package that provides the architecture. Without noise, as in
    evaluation, the network is a pure function of the images.
    """

    @property
    @abstractmethod
    def features(self) -> int:
        """The width of the layer before the classifier."""

    @property
    @abstractmethod
    def head(self) -> nn.Module:
        """The classifier, which may start from random weights in fine-tuning and has a separate learning rate."""

    @property
    @abstractmethod
    def head_names(self) -> tuple[str, ...]:
        """The names of the classifier's tensors in the state dict."""

    @abstractmethod
    def depths(self) -> list[int]:
        """Return the layer number of each of `parameters()`: 0 for the first layer, the largest for the classifier."""

    @abstractmethod
    def never_decayed(self) -> frozenset[str]:
        """Return the names of parameters that are exempt from weight decay although they are not vectors."""

    @abstractmethod
    def noise(self, model: Model, seed: int, accelerator: Accelerator) -> Noise:
        """Return the noise of a training run, at the rates of the recipe's section `model`."""
