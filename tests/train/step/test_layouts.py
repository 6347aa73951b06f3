"""Layouts in the code that torch.compile makes. Its C++ is not compiled here: nothing looks at the numbers."""

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch._inductor.async_compile import AsyncCompile
from torch.utils._python_dispatch import TorchDispatchMode

from headrace.train.step.compiled import Compilable, keep_layout
from tests.train.networks import shallow


class Convolutions(TorchDispatchMode):
    """The strides of what the gradients of convolutions are computed from."""

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
    """Inductor's own kernels do nothing; what it calls of torch's runs."""

    def compile_nothing(*_: object, **__: object) -> Any:
        return lambda *_: None

    config = {"force_layout_optimization": False, "fx_graph_cache": False}
    with mock.patch.object(AsyncCompile, "cpp_pybinding", compile_nothing), torch._inductor.config.patch(config):
        yield
    torch.compiler.reset()


def channels_last() -> torch.nn.Module:
    """The shallow network in that layout."""
    return shallow().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]  # not in its stub


def layouts(network: torch.nn.Module) -> list[bool]:
    """Whether each operand of the compiled network's gradients of convolutions is channels_last."""
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
    """Fails where inductor is left to itself: the next test."""
    found = layouts(channels_last())
    assert len(found) >= 10
    assert all(found)


@pytest.mark.usefixtures("empty_kernels")
@pytest.mark.skipif(not torch.__version__.startswith("2.13"), reason="what torch 2.13 does")
def test_torch_alone_mixes_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the setting is needed; a torch for which this fails needs it no more."""
    monkeypatch.setattr("headrace.train.step.compiled.keep_layout", lambda _: None)
    assert not all(layouts(channels_last()))


@pytest.mark.usefixtures("empty_kernels")
def test_a_contiguous_network_stays_contiguous() -> None:
    """Its layout is asked for by runtime.layout."""
    keep_layout("channels_last")
    keep_layout("contiguous")
    assert not torch._inductor.config.force_layout_optimization
