import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from headrace.train.input import normalise
from headrace.train.machine.place import Place
from headrace.train.model.build import Built
from headrace.train.model.normalisation import normalisation_of
from headrace.train.run.assemble import build_feed, build_numerics, build_step
from headrace.train.run.request import Request
from headrace.train.run.resolve import resolve
from headrace.train.step.tally import LossRing, Tally
from tests.train.networks import narrow

aten = torch.ops.aten
READING_OPERATORS = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten.masked_select.default,
    aten.nonzero.default,
}
"""Operators for which the host waits until the device has computed the numbers."""
READING_METHODS = {Tensor.tolist, Tensor.numpy, Tensor.cpu, Tensor.__array__}
"""Methods that copy numbers to the host without an operator of their own on a CPU."""


class DeviceWasReadError(Exception):
    """Raised if the host reads a number from the device."""


class _Operators(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        masked = func is aten.index.Tensor and any(one is not None and one.dtype == torch.bool for one in args[1])
        if func in READING_OPERATORS or masked:
            raise DeviceWasReadError(str(func))
        return func(*args, **(kwargs or {}))


class _Methods(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # What is chosen on a CPU alone may look at memory where it lies.
        only_on_cpu = sys._getframe(1).f_code is normalise._scaled_on_cpu.__code__
        if func in READING_METHODS and not only_on_cpu:
            raise DeviceWasReadError(str(func))
        return func(*args, **(kwargs or {}))


@contextmanager
def nothing_read() -> Iterator[None]:
    """In this context, reading a number from the device is an error, in forward and backward passes."""
    with _Operators(), _Methods():  # type: ignore[no-untyped-call]
        yield


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "rmsprop"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_step_never_asks_the_device(tiny_set: Path, tmp_path: Path, optimizer: str, precision: str) -> None:
    """Two whole steps with accumulation, noise, average and warm-up run without reading a number from the device."""
    settings = (
        "train.global_batch=32",
        "train.group=8",
        "model.drop_connect=0.2",
        f"optim.name={optimizer}",
        "optim.ema_half_life=100",
        "optim.warmup_epochs=1",
        "runtime.device=cpu",
        "runtime.threads=1",
        f"runtime.precision={precision}",
    )
    setup = resolve(Request(tiny_set, "demo", settings, out=tmp_path), 1)
    place = Place.find(setup.recipe.runtime)
    network = narrow()
    built = Built(network, normalisation_of("efficientnet-b0"), "")
    step = build_step(setup, place, build_numerics(setup, place, built), built)
    tally, losses = Tally(place.accelerator), LossRing(2, place.accelerator, 0)
    before = network.head.weight.clone()
    with build_feed(setup, place, 0) as feed:
        for number in range(2):
            with nothing_read():
                step(number, feed, tally, losses)
    assert step.micro_batches == 4
    assert tally.total(place.world).seen == 64
    assert [one for one, _ in losses.read(place.world)] == [0, 1]
    assert not torch.equal(network.head.weight, before)


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x[0].item(),
        lambda x: bool(x[0] > 0),
        lambda x: float(x[0]),
        lambda x: int(x[0]),
        lambda x: x.tolist(),
        lambda x: x.numpy(),
        lambda x: x.cpu(),
        lambda x: x.nonzero(),
        lambda x: x[x > 1],
        lambda x: torch.equal(x, x),
        lambda x: f"{x[0]:.3f}",
    ],
)
def test_guard_sees_reads(read: Callable[[Tensor], object]) -> None:
    """Each way of reading a number is an error inside the guard, and works outside."""
    x = torch.tensor([1.0, 2.0])
    read(x)
    with nothing_read(), pytest.raises(DeviceWasReadError):
        read(x)


def test_guard_sees_reads_in_backward() -> None:
    """A read inside a gradient function is an error too."""
    x = torch.ones(2, requires_grad=True)

    def hook(grad: Tensor) -> Tensor:
        return grad * float(grad.sum())

    (y := x * 2).register_hook(hook)
    with nothing_read(), pytest.raises(DeviceWasReadError):
        y.sum().backward()
