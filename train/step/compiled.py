"""Runs the network's forward and backward pass, plain or compiled. Only this module uses torch.compile.

Only the path from images to logits is compiled. The module that DDP wraps contains the plain network, so compiling does
not affect checkpoints, evaluation or the exchange of gradients. A compiled graph has fixed shapes, so there is one
graph for each image size. The graph is not split at DDP's buckets (parts of the gradients that are exchanged early),
because exchanging gradients takes far less time than computing them.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from headrace.train.input.normalise import Normalise

GRAPHS = "reduce-overhead"
"""The mode of torch.compile that also records the kernels as CUDA graphs."""
_SHAPES = 64  # most shapes to compile; for more of them torch raises an error
_LOST_LAYOUT, _KEEPS_LAYOUT_AGAIN = (2, 13), (2, 15)  # versions of torch


class Compilable(nn.Module):
    """The network as the training step calls it, plain or compiled.

    `backend` is the backend of torch.compile, `layout` the memory format of the images. The compiled network also
    accepts pixels, uint8 (b, h, w, 3), which `normalise` turns into images inside the graph. A CUDA graph then copies
    only a quarter of the bytes that float32 images have, and normalises them without a separate pass.
    """

    def __init__(
        self,
        network: nn.Module,
        backend: str = "inductor",
        layout: str = "channels_last",
        normalise: Normalise | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.mode = "off"
        self._backend, self._layout, self._normalise = backend, layout, normalise
        self._call: Callable[..., Tensor] = network.__call__

    def forward(self, *inputs: Tensor | None) -> Tensor:
        """Return the network's output."""
        if self.mode != GRAPHS:
            return self._call(*inputs)
        torch.compiler.cudagraph_mark_step_begin()
        return self._call(*inputs).clone()  # the next micro-batch overwrites the graph's memory

    @property
    def takes_pixels(self) -> bool:
        """Whether the network, as it is now compiled, accepts pixels and normalises them itself."""
        return self.mode != "off" and self._normalise is not None

    def _pass(self, images: Tensor, *noise: Tensor | None) -> Tensor:
        """Return the logits of images or pixels. torch.compile compiles this function."""
        if self._normalise is not None and images.dtype == torch.uint8:
            images = self._normalise.traced(images)
        logits: Tensor = self.network(images, *noise)
        return logits

    @property
    def keeps_gradients(self) -> bool:
        """Whether gradients must keep their memory between steps: they are then set to zero instead of being released.

        A CUDA graph writes gradients to the same memory in each pass. If a parameter's gradient were in the graph's
        memory, the pass of the next micro-batch would overwrite that gradient instead of adding to it.
        """
        return self.mode == GRAPHS

    def use(self, mode: str) -> None:
        """Compile the network in this mode, at the first pass of each size. "off" returns to the plain network."""
        if self.mode != "off":
            torch.compiler.reset()  # releases the graphs and their memory
        self.mode = mode
        if mode == "off":
            self._call = self.network.__call__
            return
        torch._dynamo.config.optimize_ddp = False  # noqa: SLF001  documented under this name
        torch._dynamo.config.recompile_limit = _SHAPES  # noqa: SLF001
        keep_layout(self._layout)
        compiled = torch.compile(
            self._pass, backend=self._backend, fullgraph=True, dynamic=False, mode=None if mode == "default" else mode
        )
        self._call = partial(compiled)  # a module itself would be registered as a second network
        for parameter in self.network.parameters():
            if self.keeps_gradients and parameter.requires_grad and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)


def keep_layout(layout: str) -> None:
    """Make inductor keep a channels_last network channels_last in its backward pass too.

    In torch 2.13 and 2.14 (pytorch/pytorch#189239) inductor chooses the layout of a graph by its forward convolutions.
    A backward graph has no forward convolutions. Its depthwise gradients therefore get the layout of the weights'
    strides, channels first, and the tensors around them are copied back and forth.
    """
    if needs_layout():
        torch._inductor.config.force_layout_optimization = layout == "channels_last"  # noqa: SLF001  documented under this name


def needs_layout() -> bool:
    """Whether the installed torch would otherwise lose the layout of a backward graph."""
    version = tuple(int(number) for number in torch.__version__.split(".")[:2])
    return _LOST_LAYOUT <= version < _KEEPS_LAYOUT_AGAIN
