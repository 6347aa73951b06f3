"""Checks the tensors of a checkpoint or another file, and copies their numbers into the tensors of a run.

The run's tensors keep their strides and storages, whatever strides the file has. This matters because fused optimizers
read memory in order. They would pair a quantity of another layout with the wrong elements of a weight, or read outside
a tensor that repeats a single element by a stride of 0.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from headrace.shards.counts import counted

_NEVER_NEGATIVE = ("running_var", "num_batches_tracked", "step", "exp_avg_sq", "square_avg")


def is_dense(value: Tensor) -> bool:
    """Whether the tensor is dense and in memory: not sparse, nested or quantized, and with data."""
    return value.layout is torch.strided and not (value.is_nested or value.is_quantized or value.is_meta)


def numbers(value: object, like: Tensor, name: str) -> Tensor:
    """Return `value` in the dtype of `like`. The result may share memory with `value`.

    Raises TypeError if `value` is not a tensor. Raises ValueError if the shape or the kind of dtype differs from that
    of `like`, if a number is not finite, or if a number is negative in a quantity that is never negative, such as a
    variance.
    """
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} is a {type(value).__name__}, not a tensor of shape {tuple(like.shape)}")
    if value.shape != like.shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}, not {tuple(like.shape)}")
    if value.is_floating_point() != like.is_floating_point():
        raise ValueError(f"{name} has dtype {value.dtype}, not {like.dtype}")
    found = value.to(like.dtype)
    if not bool(torch.isfinite(found).all()):
        raise ValueError(f"{name} has numbers that are not finite")
    if name.rpartition(".")[2] in _NEVER_NEGATIVE and bool((found < 0).any()):
        raise ValueError(f"{name} has numbers below zero, but cannot be negative")
    return found


def refuse_other_names(found: Collection[Any], expected: Collection[Any], where: str) -> None:
    """Raise ValueError, which names the first difference, unless `found` and `expected` contain the same names."""
    if missing := [name for name in expected if name not in found]:
        raise ValueError(f"{where} lacks {_first_of(missing)}")
    if unknown := [name for name in found if name not in expected]:
        raise ValueError(f"{where} has {_first_of(unknown)}, which the run does not expect")


def _first_of(names: list[Any]) -> str:
    return f"{names[0]!r} and {counted(len(names) - 1, 'other name')}" if len(names) > 1 else repr(names[0])


def tensors_of(states: Mapping[Any, Any], where: str = "") -> dict[str, Tensor]:
    """Return the tensors in nested tables by name; a tensor's name is the keys that lead to it, joined by dots."""
    found = {}
    for key, value in states.items():
        if isinstance(value, Tensor):
            found[f"{where}{key}"] = value
        elif isinstance(value, Mapping):
            found |= tensors_of(value, f"{where}{key}.")
    return found


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a number that is not finite, or None. This waits for the device once."""
    floats = {name: value for name, value in tensors.items() if value.is_floating_point()}
    if not floats:
        return None
    device = next(iter(floats.values())).device
    sound = [torch.isfinite(value).all().to(device, non_blocking=True) for value in floats.values()]
    return next((name for name, fine in zip(floats, torch.stack(sound).tolist(), strict=True) if not fine), None)


@torch.no_grad()
def load_network(network: nn.Module, saved: Mapping[str, Any], where: str) -> None:
    """Load saved parameters and statistics into a network. Raises ValueError or TypeError if the values do not fit."""
    own = network.state_dict()
    refuse_other_names(saved, own, where)
    for name, value in own.items():
        value.copy_(numbers(saved[name], value, f"{where}.{name}"))
