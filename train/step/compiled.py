"""The home of torch.compile: the network's forward and backward pass as they are, or compiled.

The module that DDP wraps is the plain network's holder, so checkpoints, evaluation and the exchange of gradients know
nothing of it: only what happens between images and logits is compiled. Shapes are compiled in, one graph a size.
Splitting the graph at DDP's buckets is off: gradients of this network take far less time to exchange than to compute.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from headrace.train.input.normalise import Normalise

GRAPHS = "reduce-overhead"
"""The mode that also records the kernels as CUDA graphs."""
_SHAPES = 64  # sizes and batches that may be compiled; beyond it torch raises instead of going on slowly
_BACKWARD_LOST_ITS_LAYOUT = (2, 13)  # of torch


class Compilable(nn.Module):
    """The network as the step calls it. `backend` is torch.compile's, `layout` that of the network's images.

    Compiled, it also takes pixels, uint8 (b, h, w, 3), which `normalise` makes images of inside the graph: a quarter of
    what a CUDA graph copies in, and no pass over memory of its own.
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
        """What the network gives."""
        if self.mode != GRAPHS:
            return self._call(*inputs)
        torch.compiler.cudagraph_mark_step_begin()
        return self._call(*inputs).clone()  # the graph's own memory is written again by the next micro-batch

    @property
    def takes_pixels(self) -> bool:
        """Whether it normalises what it is given as pixels."""
        return self.mode != "off" and self._normalise is not None

    def _pass(self, images: Tensor, *noise: Tensor | None) -> Tensor:
        """What is compiled."""
        if self._normalise is not None and images.dtype == torch.uint8:
            images = self._normalise.traced(images)
        logits: Tensor = self.network(images, *noise)
        return logits

    @property
    def keeps_gradients(self) -> bool:
        """Whether gradients must lie in memory of their own from step to step, and be zeroed, not dropped.

        A CUDA graph writes them to the same place each time, so one that is only handed over would be overwritten
        by the next micro-batch instead of added to.
        """
        return self.mode == GRAPHS

    def use(self, mode: str) -> None:
        """Compile from now on as `mode` says, at the first pass of each size; "off" is the plain network again."""
        if self.mode != "off":
            torch.compiler.reset()  # graphs and their memory
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
        self._call = partial(compiled)  # as it is, it would be registered as a second network
        for parameter in self.network.parameters():
            if self.keeps_gradients and parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)


def keep_layout(layout: str) -> None:
    """Have inductor keep a channels_last network channels_last in its backward pass too.

    From torch 2.13 on (pytorch/pytorch#189239, open in August 2026) it decides by the forward convolutions in a graph.
    A backward graph has none, so depthwise gradients are laid out as their weights' strides look, channels first, and
    all around them is copied there and back.
    """
    if _torch_version() >= _BACKWARD_LOST_ITS_LAYOUT:
        torch._inductor.config.force_layout_optimization = layout == "channels_last"  # noqa: SLF001  documented under this name


def _torch_version() -> tuple[int, ...]:
    return tuple(int(number) for number in torch.__version__.split(".")[:2])
