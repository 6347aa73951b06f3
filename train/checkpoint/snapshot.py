"""Copies the state of a run into reusable buffers in main memory; training continues while the copy is saved."""

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor

from headrace.train.machine.device import Accelerator
from headrace.train.model.states import tensors_of

State = TypeVar("State", bound=dict[str, Any])


class Snapshot:
    """Holds buffers as large as the state.

    All copies use the same buffers, because zeroing new memory would take time.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._buffers: list[torch.UntypedStorage] = []

    def take(self, state: State) -> State:
        """Return a copy of the tables, with all tensors in the buffers, for saving.

        The copied tensors are valid only after the device has finished its pending work.

        The copy keeps strides and shared storages: saving the copy gives the same bytes as saving `state`.
        """
        copies: dict[int, torch.UntypedStorage] = {}
        known: dict[int, Any] = {}
        for tensor in tensors_of(state).values():
            source = tensor.untyped_storage()
            key = source.data_ptr() or -id(tensor)  # empty storages have no address, but are not the same one
            if key not in copies:
                copies[key] = self._copied(len(copies), source)
            view = torch.empty(0, dtype=tensor.dtype)
            view.set_(copies[key], tensor.storage_offset(), tensor.size(), tensor.stride())
            known[id(tensor)] = view
        return copy.deepcopy(state, known)

    def _copied(self, number: int, source: torch.UntypedStorage) -> torch.UntypedStorage:
        """Copy a storage into the buffer with this number, and return the buffer.

        A buffer of another size is replaced.
        """
        size = source.nbytes()
        if number == len(self._buffers):
            self._buffers.append(self._accelerator.host_buffer(size))
        elif self._buffers[number].nbytes() != size:
            self._buffers[number] = self._accelerator.host_buffer(size)
        return self._buffers[number].copy_(source, non_blocking=True)


def bytes_of(state: dict[str, Any]) -> int:
    """Return the total size in bytes of all tensors in the tables of `state`."""
    found: list[Tensor] = list(tensors_of(state).values())
    return sum(tensor.numel() * tensor.element_size() for tensor in found)
