"""Tests whether a network of timm can be trained with the same result on any number of processes.

The test runs one pass in training mode and inspects which random generators the pass used and which buffers it changed.
A list of known architectures would miss unfit networks that this test finds.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._python_dispatch import TorchDispatchMode

from headrace.shards.draws import global_state
from headrace.shards.errors import UsageError
from headrace.train.model.timm_network import TimmNetwork

_KEPT = (torch.float32, torch.int64)  # dtypes that a checkpoint may hold, besides float64 after training in float64


class Drawing(TorchDispatchMode):
    """Records which operators draw from torch's generators. torch marks these operators with a tag."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.operators.add(str(func))
        return func(*args, **(kwargs or {}))


def refuse_unfit(network: TimmNetwork, sides: Iterable[int], samples: int, *, noisy: bool) -> None:
    """Raise UsageError if the network cannot be trained with the same result on any number of processes.

    The check leaves the network unchanged. The network must accept a batch of `samples` images, at most two, of each
    side in `sides`, and return logits. A pass may change buffers only in batch normalisation, and must use each
    batch-normalisation layer only once. The network may draw random numbers only from torch's generators; if `noisy`,
    it must draw some.
    """
    if wrong := [name for name, value in network.state_dict().items() if value.dtype not in _KEPT]:
        kind = network.state_dict()[wrong[0]].dtype
        raise UsageError(
            f"model.name = {network.name}: the network's tensor {wrong[0]} has dtype {kind}, which checkpoints do not "
            "support"
        )
    training = network.training
    before = {name: value.clone() for name, value in network.named_buffers()}
    try:
        network.train()
        for side in sorted(set(sides)):
            _refuse_at(network, side, min(samples, 2), noisy=noisy)
    finally:
        for name, value in network.named_buffers():
            value.copy_(before[name])
        network.train(training)


def _refuse_at(network: TimmNetwork, side: int, samples: int, *, noisy: bool) -> None:
    name, others = f"model.name = {network.name}", global_state()
    buffers = {key: value.clone() for key, value in network.named_buffers()}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        images = torch.randn(samples, 3, side, side)
        try:
            with Drawing() as drawing:
                logits = network(images)
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(
                f"{name}: the network fails on {samples} images of {side} px in training ({reason}). "
                "Set augment.size=model, the size with which the network's weights were trained"
            ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        raise UsageError(
            f"{name}: in training the network returns a {type(logits).__name__}, not logits of shape (images, classes)"
        )
    if global_state() != others:
        raise UsageError(
            f"{name}: the network draws from the generators of NumPy or Python's random, so its result would depend on "
            "the number of processes"
        )
    if noisy and not drawing.operators:
        raise UsageError(f"{name}: model.dropout and model.drop_connect have no effect on this network. Set both to 0")
    _refuse_running(network, buffers, name)


def _refuse_running(network: TimmNetwork, before: dict[str, Tensor], name: str) -> None:
    """Raise UsageError if a pass changed buffers outside batch normalisation, or the buffers of one layer twice."""
    layers = {f"{path}." for path, module in network.named_modules() if isinstance(module, _BatchNorm)}
    for key, value in network.named_buffers():
        place, _, last = key.rpartition(".")
        if torch.equal(value, before[key]):
            continue
        if f"{place}." not in layers:
            raise UsageError(
                f"{name}: a training pass changes its buffer {key.removeprefix('timm.')}, which is not part of batch "
                "normalisation, so the result would depend on the number of processes"
            )
        if last == "num_batches_tracked" and int(value - before[key]) > 1:
            raise UsageError(
                f"{name}: the network uses the batch normalisation {place.removeprefix('timm.')} more than once in a "
                "pass, but Headrace supports only networks that use each such layer once"
            )
