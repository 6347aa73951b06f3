"""Plain values and dense tensors: all that a checkpoint may consist of.

What `torch.load(..., weights_only=True)` lets through runs no code, but it is not harmless: dictionaries with methods
of their own, lists that hold themselves, sparse tensors whose indices nobody has checked, tensors without memory.
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
    """The same values in dictionaries, lists and tuples made here, tensors without history.

    Tensors may still share their memory, or repeat it. Raises ValueError that names what is something else.
    """
    if type(value) in _SCALARS:
        if isinstance(value, int) and not -_MOST <= value <= _MOST:
            raise ValueError(f"{name} is an integer beyond 64 bits")
        return value
    if isinstance(value, Tensor) and type(value) is Tensor:
        return _dense(value, name)
    if not levels:
        raise ValueError(f"{name or 'it'} is nested in more than {_NESTED} levels")
    if isinstance(value, dict) and type(value) in (dict, OrderedDict):
        # by the class's own method: an OrderedDict from a file may bring an attribute called `items`
        pairs = list(dict.items(value))
        return {_key(key, name): plain(one, _inside(name, key), levels - 1) for key, one in pairs}
    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        made = [plain(one, _inside(name, place), levels - 1) for place, one in enumerate(value)]
        return made if type(value) is list else tuple(made)
    raise ValueError(f"{name or 'it'} is a {type(value).__name__}, neither a plain value nor a tensor")


def _inside(name: str, key: object) -> str:
    return f"{name}.{key}" if name else str(key)


def _key(key: object, name: str) -> str | int:
    if isinstance(key, str | int) and type(key) in (str, int):
        return key
    raise ValueError(f"{name or 'it'} has a key that is a {type(key).__name__}")


def _dense(value: Tensor, name: str) -> Tensor:
    if not is_dense(value):
        raise ValueError(f"{name} is a tensor of another kind than dense numbers in memory")
    if value.dtype not in _DTYPES:
        raise ValueError(f"{name} is a tensor of {value.dtype}, not of {', '.join(map(str, _DTYPES))}")
    return torch.detach(value)
