"""Builds networks of timm by name, and makes the noise that a network draws depend only on seed, step and group."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.shards.draws import Stream, seed64
from headrace.shards.errors import UsageError
from headrace.train.machine.device import Accelerator
from headrace.train.model.network import Network
from headrace.train.model.timm_config import architecture_of, published_config, timm_needed
from headrace.train.recipe.sections import Model

_RATES = {"dropout": "drop_rate", "drop_connect": "drop_path_rate"}  # recipe key to timm's argument


class SeededDraws:
    """Seeds torch's generators by (seed, step, group) before each forward pass, because the network draws from them.

    The noise of a group (the samples of one forward pass) is therefore the same on any rank.
    """

    def __init__(self, seed: int, accelerator: Accelerator) -> None:
        self._seed, self._accelerator = seed, accelerator

    @contextmanager
    def around(
        self, step: int, group: int, epochs: NDArray[np.int64], ids: NDArray[np.int64]
    ) -> Iterator[tuple[Tensor | None, ...]]:
        """Yield no tensors, because the network draws its noise itself. At the end, restore torch's generators."""
        del epochs, ids
        with self._accelerator.seeded(seed64(self._seed, Stream.NETWORK, step, group)):
            yield ()


class TimmNetwork(Network):
    """A network of timm, with timm's names in the state dict."""

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.timm: Any = network
        self.name = name

    @property
    def features(self) -> int:
        """The width of the layer before the classifier."""
        return int(getattr(self.timm, "head_hidden_size", None) or self.timm.num_features)

    @property
    def classifiers(self) -> tuple[str, ...]:
        """The names of the network's classifiers; distilled networks have two."""
        found = self.timm.pretrained_cfg.get("classifier") or ()
        return (found,) if isinstance(found, str) else tuple(found)

    @property
    def head(self) -> nn.Module:
        """The network's classifiers."""
        return nn.ModuleList(self.timm.get_submodule(name) for name in self.classifiers)

    @property
    def head_names(self) -> tuple[str, ...]:
        """The names of the classifiers' tensors."""
        return tuple(name for name in self.state_dict() if name.rpartition(".")[0] in self.classifiers)

    def depths(self) -> list[int]:
        """Return the layer number of each parameter: its group in timm's layer-wise decay of learning rates."""
        with timm_needed(self.name):
            from timm.models import group_parameters  # noqa: PLC0415  optional
        try:
            layer = group_parameters(self.timm, self.timm.group_matcher(coarse=False), reverse=True)
        except (AttributeError, NotImplementedError) as error:
            raise UsageError(
                f"optim.layer_decay: timm does not divide {self.name} into layers. Set optim.layer_decay=1"
            ) from error
        last, heads = max(layer.values()), set(self.head_names)
        return [last if name in heads else layer[name] for name, _ in self.timm.named_parameters()]

    def never_decayed(self) -> frozenset[str]:
        """Return the names that timm exempts from weight decay, such as position embeddings and tokens."""
        if not hasattr(self.timm, "no_weight_decay"):
            return frozenset()
        return frozenset(f"timm.{name}" for name in self.timm.no_weight_decay())

    def noise(self, model: Model, seed: int, accelerator: Accelerator) -> SeededDraws:
        """Return the noise, which the network draws itself from generators seeded by (seed, step, group)."""
        del model  # the network was built with its rates
        return SeededDraws(seed, accelerator)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (b, classes) of normalised images (b, 3, size, size)."""
        logits: Tensor = self.timm(images)
        return logits

    def state_dict(self, *given: Any, **options: Any) -> Any:
        """Return the state dict of timm's network, in which the names are timm's."""
        return self.timm.state_dict(*given, **options)

    def load_state_dict(self, *given: Any, **options: Any) -> Any:
        """Load a state dict with timm's names."""
        return self.timm.load_state_dict(*given, **options)


def timm_network(name: str, classes: int, seed: int, *, dropout: float = 0.0, drop_connect: float = 0.0) -> TimmNetwork:
    """Return timm's network called `name` with random weights, drawn from `seed`, and with the given rates of noise.

    Raises UsageError for a name that timm does not have, and for a rate above 0 that the network does not support.
    """
    config = published_config(name)
    with torch.random.fork_rng(devices=[]):
        made = _with_rates(name, {"dropout": dropout, "drop_connect": drop_connect}, config, classes, seed)
    network = TimmNetwork(made, name)
    if not network.head_names:
        raise UsageError(
            f"model.name = {name}: timm does not say which layer of this network is the classifier, so Headrace cannot "
            "train it to classify"
        )
    return network


def _with_rates(name: str, rates: Mapping[str, float], config: Any, classes: int, seed: int) -> nn.Module:
    """Return timm's network with random weights and the given rates of dropout and skipped blocks.

    Rates of 0 are passed to timm too, because some networks have a default above 0.
    """
    with timm_needed(name):
        import timm  # noqa: PLC0415  optional
    given = {_RATES[key]: rate for key, rate in rates.items()}
    torch.manual_seed(seed64(seed, Stream.INIT))  # again for each attempt
    try:
        made: nn.Module = timm.create_model(
            architecture_of(name), pretrained=False, pretrained_cfg=config, num_classes=classes, **given
        )
    except TypeError as error:
        wrong = [key for key in rates if f"'{_RATES[key]}'" in str(error)]
        if not wrong:
            raise
        key = wrong[0]
        if rates[key]:
            raise UsageError(
                f"model.{key} = {rates[key]:g}: {name} does not support {_RATES[key]}, timm's name for this rate. "
                f"Set model.{key}=0"
            ) from error
        return _with_rates(name, {other: rate for other, rate in rates.items() if other != key}, config, classes, seed)
    return made
