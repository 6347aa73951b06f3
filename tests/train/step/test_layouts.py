"""Memory formats in the code that torch.compile makes. The C++ code is not compiled, because no test reads numbers."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch._inductor.async_compile import AsyncCompile
from torch.utils._python_dispatch import TorchDispatchMode

from headrace.train.step.compiled import Compilable, keep_layout, needs_layout
from tests.train.networks import shallow


class Convolutions(TorchDispatchMode):
    """Records whether the operands of convolution gradients are channels_last."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives no types
        self.channels_last: list[bool] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution_backward.default:
            gradient, images = args[:2]
            self.channels_last += [x.is_contiguous(memory_format=torch.channels_last) for x in (gradient, images)]
        return func(*args, **(kwargs or {}))


@pytest.fixture
def empty_kernels() -> Iterator[None]:
    """Make inductor's own kernels do nothing; the torch functions that they call still run."""

    def compile_nothing(*_: object, **__: object) -> Any:
        return lambda *_: None

    config = {"force_layout_optimization": False, "fx_graph_cache": False}
    with mock.patch.object(AsyncCompile, "cpp_pybinding", compile_nothing), torch._inductor.config.patch(config):
        yield
    torch.compiler.reset()


def channels_last() -> torch.nn.Module:
    """Return the shallow network in channels_last format."""
    return shallow().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # not in its stub


def layouts(network: torch.nn.Module) -> list[bool]:
    """Return for each operand of the compiled network's convolution gradients whether it is channels_last."""
    compilable = Compilable(network)
    compilable.use("default")
    images = torch.zeros(2, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    logits: Tensor = compilable(images, None, None)
    with Convolutions() as seen:
        logits.sum().backward()
    found: list[bool] = seen.channels_last
    return found


@pytest.mark.usefixtures("empty_kernels")
def test_compiled_gradients_are_channels_last() -> None:
    """With the setting, all operands are channels_last; without it this fails, as the next test shows."""
    found = layouts(channels_last())
    assert len(found) >= 10
    assert all(found)


@pytest.mark.usefixtures("empty_kernels")
def test_setting_is_made_where_torch_alone_mixes_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the setting, the versions of torch that need it mix layouts, and no other version does."""
    monkeypatch.setattr("headrace.train.step.compiled.keep_layout", lambda _: None)
    assert all(layouts(channels_last())) is not needs_layout()


@pytest.mark.usefixtures("empty_kernels")
def test_a_contiguous_network_stays_contiguous() -> None:
    """With runtime.layout = contiguous, the layout stays contiguous."""
    keep_layout("channels_last")
    keep_layout("contiguous")
    assert not torch._inductor.config.force_layout_optimization
