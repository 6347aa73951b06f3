"""The interface that a run needs from a network of any architecture, and from the noise that it is trained with."""

from abc import abstractmethod
from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.train.machine.device import Accelerator
from headrace.train.recipe.sections import Model


class Noise(Protocol):
    """Dropout and similar noise, which is the same for a group on any rank."""

    def around(
        self, step: int, group: int, epochs: NDArray[np.int64], ids: NDArray[np.int64]
    ) -> AbstractContextManager[tuple[Tensor | None, ...]]:
        """A context for the forward pass of the samples `ids` (b,) in their `epochs` (b,).

        It yields tensors, which the network takes as arguments after the images.
        """


class Network(nn.Module):
    """A classifier: maps normalised images (b, 3, size, size) and noise to logits (b, classes).

    The names in its state dict are those of the package that provides the architecture. Without noise, as in
    evaluation, it is a pure function of the images.
    """

    @property
    @abstractmethod
    def features(self) -> int:
        """Width of the layer before the classifier."""

    @property
    @abstractmethod
    def head(self) -> nn.Module:
        """The classifier: it is redrawn for other classes, and has its own learning rate."""

    @property
    @abstractmethod
    def head_names(self) -> tuple[str, ...]:
        """The names of the classifier's tensors in the state dict."""

    @abstractmethod
    def depths(self) -> list[int]:
        """The layer number of each of `parameters()`, from 0 next to the images; the classifier's is the largest."""

    @abstractmethod
    def never_decayed(self) -> frozenset[str]:
        """Names of parameters that are exempt from weight decay although they are not vectors."""

    @abstractmethod
    def noise(self, model: Model, seed: int, accelerator: Accelerator) -> Noise:
        """The noise of a training run, at the rates of the recipe's section `model`."""
