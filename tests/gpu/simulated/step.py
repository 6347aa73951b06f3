"""A run's whole training step on a simulated GPU, watched: a program of its own, because it loads the library.

    python -m tests.gpu.simulated.step LIBRARY SHARDS OUT KEY=VALUE[,KEY=VALUE]...

Prints one JSON object, by settings: which operations made tensors of images that are not channels_last, which asked
the device for a number, what was copied to be padded, and which gradients lie otherwise than their parameters. Images
are augmented on the device too, if the settings say so.
"""

import json
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from unittest import mock

from tests.gpu.simulated.library import load

if __name__ == "__main__":
    load(Path(sys.argv[1]))

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

_READS = ("_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal")


class Watch(TorchDispatchMode):
    """Counts operations by what they do to layouts and to the device's queue."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch gives no types
        self.mixed_layouts: Counter[tuple[str, tuple[int, ...]]] = Counter()
        self.reads: Counter[str] = Counter()
        self.padded: Counter[tuple[int, ...]] = Counter()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        self.operations += 1
        inputs = [value for value in (*args, *(kwargs or {}).values()) if isinstance(value, Tensor)]
        outputs = [
            value for value in (made if isinstance(made, tuple | list) else (made,)) if isinstance(value, Tensor)
        ]
        name = func.overloadpacket.__name__
        on_device = any(value.device.type == "cuda" for value in inputs)
        if on_device and (name in _READS or any(value.device.type == "cpu" and value.dim() for value in outputs)):
            self.reads[name] += 1
        if name == "constant_pad_nd" and min(args[1]) >= 0:  # its own gradient pads by less than nothing
            self.padded[tuple(args[0].shape)] += 1
        if not func.is_view:
            self.mixed_layouts.update((name, tuple(value.shape)) for value in outputs if _is_mixed(value))
        return made


def _is_mixed(value: Tensor) -> bool:
    """Whether these are images or their gradients, in another layout than channels_last."""
    if value.device.type != "cuda" or value.dim() != 4 or 1 in value.shape[1:3] or value.shape[3] in (1, 3):
        return False  # pixels, (b, h, w, 3), and masks of them are no images of a network
    return not value.is_contiguous(memory_format=torch.channels_last)


class Queue:
    """A stream or an event on which nothing happens."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __getattr__(self, _: str) -> Any:
        return lambda *_, **__: None


class Generator(torch.Generator):
    """One of the CPU, wherever it is asked for."""

    def __new__(cls, *_: object) -> Self:
        """Whatever device it is given."""
        make: Any = super().__new__
        made: Self = make(cls, "cpu")
        return made


def simulated() -> ExitStack:
    """Torch as it is where there is one GPU, one of Hopper's; tensors hold no numbers until the end."""
    stack = ExitStack()
    gpu = {
        "torch.cuda.is_available": lambda: True,
        "torch.cuda.device_count": lambda: 1,
        "torch.cuda.set_device": lambda _: None,
        "torch.cuda.current_device": lambda: 0,
        "torch.cuda.is_bf16_supported": lambda *_, **__: True,
        "torch.cuda.get_device_capability": lambda *_: (9, 0),
        "torch.cuda.get_device_properties": lambda *_: mock.Mock(
            major=9, minor=0, pci_domain_id=0, pci_bus_id=255, pci_device_id=31
        ),
        "torch.cuda.get_device_name": lambda *_: "simulated",
        "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
        "torch.Generator": Generator,
        "torch.cuda.Stream": Queue,
        "torch.cuda.Event": Queue,
        "torch.Tensor.pin_memory": lambda tensor, *_: tensor,
    }
    for name, instead in gpu.items():
        stack.enter_context(mock.patch(name, instead))
    stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
    torch._C._set_only_lift_cpu_tensors(True)
    stack.callback(torch._C._set_only_lift_cpu_tensors, False)
    return stack


def move(network: nn.Module) -> None:
    """The network's parameters and buffers on the simulated GPU, as they lie."""
    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                like = torch.empty_strided(parameter.shape, parameter.stride(), device="cuda")
                module._parameters[name] = nn.Parameter(like)
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = torch.empty_like(buffer, device="cuda")


def watched(shards: Path, out: Path, *settings: str) -> dict[str, Any]:
    """Two updates of the narrow network, watched."""
    from headrace.train.input.batch import Batch
    from headrace.train.run.assemble import build_plans
    from headrace.train.step.tally import LossRing, Tally
    from tests.gpu import steps
    from tests.train import networks

    network: Any = networks.narrow()
    network.to(memory_format=torch.channels_last)
    with simulated():
        move(network)
        # nn.Module.to exchanges parameters in a way that FakeTensor does not have; they are where they belong
        with (
            mock.patch.object(steps, "narrow", return_value=network),
            mock.patch.object(nn.Module, "to"),
        ):
            setup, _, step = steps.made(shards, out, "cuda", *settings)
        plan = build_plans(setup).plan(0, 0)
        pixels = np.zeros((len(plan.ids), 64, 64, 3), np.uint8)
        tally, losses = Tally(step.accelerator), LossRing(2, step.accelerator, 0)
        with mock.patch.object(type(step), "_clear_gradients"), Watch() as watch:
            batch = Batch.of(plan, step.accelerator.upload(pixels), step.accelerator)
            augmenting = watch.operations
            for number in range(2):
                step(number, iter([batch] * step.micro_batches), tally, losses)
        astray = [
            name
            for name, parameter in network.named_parameters()
            if parameter.grad is None or parameter.grad.stride() != parameter.stride()
        ]
    return {
        "operations": watch.operations,
        "augmenting": augmenting,
        "mixed layouts": sorted(watch.mixed_layouts),
        "reads": watch.reads,
        "padded": sorted(watch.padded.items()),
        "parameters": len(list(network.parameters())),
        "gradients astray": astray,
    }


if __name__ == "__main__":
    given = Path(sys.argv[2]), Path(sys.argv[3])
    print(json.dumps({settings: watched(*given, *settings.split(",")) for settings in sys.argv[4:]}))  # noqa: T201  its answer
