"""Checks that a loaded checkpoint holds only plain values and dense tensors.

The objects that `torch.load(..., weights_only=True)` accepts run no code, but some of them are harmful. Examples are
dictionaries with overridden methods, lists that contain themselves, sparse tensors with unchecked indices, and tensors
without memory.
"""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

from headrace.train.model.states import is_dense

_NESTED = 8  # levels; a checkpoint has 6
_DTYPES = (torch.float32, torch.float64, torch.int64)
_MOST = 2**63 - 1
_SCALARS = (str, int, float, bool, type(None))


def plain(value: object, name: str = "", levels: int = _NESTED) -> Any:
    """Return a copy of `value` made of new dictionaries, lists and tuples, with detached tensors.

    Tensors of the copy may share memory with one another, or repeat an element by a stride of 0. Raises ValueError,
    which names the first value that is neither plain nor a dense tensor.
    """
    if type(value) in _SCALARS:
        if isinstance(value, int) and not -_MOST <= value <= _MOST:
            raise ValueError(f"{name or 'the value'} is an integer beyond 64 bits")
        return value
    if isinstance(value, Tensor) and type(value) is Tensor:
        return _dense(value, name)
    if not levels:
        raise ValueError(f"{name or 'the value'} is nested more than {_NESTED} levels deep")
    if isinstance(value, dict) and type(value) in (dict, OrderedDict):
        # use the class's own method: an OrderedDict from a file may have an attribute called `items`
        pairs = list(dict.items(value))
        return {_key(key, name): plain(one, _inside(name, key), levels - 1) for key, one in pairs}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        made = [plain(one, _inside(name, place), levels - 1) for place, one in enumerate(value)]
        return made if type(value) is list else tuple(made)
    kind = type(value).__name__
    raise ValueError(f"{name or 'the value'} is a {kind}, not a tensor, number, text, None, list or dict")


def _inside(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _key(key: object, name: str) -> str | int:
    if isinstance(key, str | int) and type(key) in (str, int):
        return key
    raise ValueError(f"{name or 'the table'} has a key of type {type(key).__name__}, not str or int")


def _dense(value: Tensor, name: str) -> Tensor:
    if not is_dense(value):
        raise ValueError(f"{name} is not a dense tensor in main memory")
    if value.dtype not in _DTYPES:
        raise ValueError(f"{name} has dtype {value.dtype}, which is none of {', '.join(map(str, _DTYPES))}")
    return torch.detach(value)
