"""The memory of batches is reused."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from headrace.train.input.memory import Memory

SHAPE = (4, 6, 5, 3)


def place(tensor: Tensor) -> int:
    """Return the address of a tensor's memory."""
    return tensor.untyped_storage().data_ptr()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_is_used_again_as_soon_as_it_is_free(dtype: torch.dtype) -> None:
    """A tensor has its shape and dtype and can be written, and the next tensor reuses its memory."""
    memory = Memory()
    tensor = memory.empty(SHAPE, dtype)
    assert (tensor.shape, tensor.dtype, tensor.is_contiguous()) == (SHAPE, dtype, True)
    tensor.fill_(1)
    first = place(tensor)
    del tensor
    assert place(memory.empty(SHAPE, dtype)) == first


@pytest.mark.parametrize(
    "hold",
    [
        lambda tensor: tensor,
        lambda tensor: tensor[1:, 0],
        lambda tensor: tensor.permute(0, 3, 1, 2).detach(),
        lambda tensor: tensor.numpy()[2],
        lambda tensor: memoryview(tensor.numpy()),
        lambda tensor: torch.utils.data.default_convert(tensor.numpy()[:, 1]),
    ],
)
def test_what_is_held_stays_as_it_is(hold: object) -> None:
    """Memory is reused only when nothing shares it any more."""
    assert callable(hold)
    memory = Memory()
    tensor = memory.empty(SHAPE, torch.float32)
    tensor.fill_(7)
    first, held = place(tensor), hold(tensor)
    del tensor
    gc.collect()
    others = [memory.empty(SHAPE, torch.float32).fill_(0) for _ in range(10)]
    assert first not in map(place, others)
    assert (np.asarray(held) == 7).all()
    del held
    assert place(memory.empty(SHAPE, torch.float32)) == first


def test_other_sizes_are_let_go() -> None:
    """Memory of a size that is no longer requested is released."""
    memory = Memory()
    memory.empty((1000,), torch.uint8)
    assert memory.empty((10,), torch.uint8).untyped_storage().nbytes() == 10
    assert not memory._free or {len(block) for block in memory._free} == {10}


def test_threads_never_share_memory() -> None:
    """Tensors that several threads make at once have separate memory."""
    memory = Memory()

    def work(number: int) -> bool:
        sound = True
        for _ in range(300):
            tensor = memory.empty((64,), torch.int64).fill_(number)
            sound &= bool(tensor.eq(number).all())
        return sound

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_tensors_outlive_the_maker() -> None:
    """A tensor stays valid after the object that made it is gone."""
    tensor = Memory().empty(SHAPE, torch.float32).fill_(3)
    gc.collect()
    assert tensor.eq(3).all()
