"""Hides the differences between a CPU and a GPU from all other modules: placement, precision, layout, streams, sync.

All other code calls the same methods for a CPU and for a GPU; on a CPU the methods for streams do nothing. Creating an
`Accelerator` does not change settings of the process, such as its current GPU; only `headrace.train.run.process`
changes such settings.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headrace.shards.errors import UsageError
from headrace.train.machine.gpus import Gpus

Choice = TypeVar("Choice")


def has_avx512() -> bool:
    """Return whether torch uses AVX-512 on this processor."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def computes_in_bf16(x: Tensor) -> bool:
    """Return whether a convolution of `x` on a CPU computes in bf16, because of autocast or of the dtype of `x`."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return x.dtype == torch.bfloat16


def lies_on_cpu(x: Tensor) -> bool:
    """Return whether the values of `x` are in main memory."""
    return x.device.type == "cpu"


class Memory(NamedTuple):
    """A device's memory in bytes: its total, the peak use by torch's tensors, and the present use outside torch."""

    total: int
    peak: int
    others: int


class Accelerator:
    """The device of one process: the GPU with number `index`, or the CPU if `index` is None."""

    def __init__(self, index: int | None) -> None:
        self._index = index
        self.device = torch.device("cpu") if index is None else torch.device("cuda", index)
        self.layout = "channels_last"
        self._side = None if index is None else torch.cuda.Stream(self.device)

    @classmethod
    def choose(cls, wanted: str, local_rank: int, local_size: int) -> "Accelerator":
        """Return the device of this rank for "cpu", "cuda", or "auto", which means a GPU if there is one.

        Raises UsageError if CUDA is requested but absent, or if this machine has fewer GPUs than processes of the run.
        """
        return cls(local_rank if cls.look().choose(wanted, local_size) else None)

    @classmethod
    def of(cls, device: torch.device | str | int | None) -> "Accelerator":
        """Return the Accelerator for a torch device; None means the current GPU, or the CPU if torch has no GPU.

        Raises UsageError for any other kind of device, and for a GPU that is not available.
        """
        if device is None:
            return cls(torch.cuda.current_device() if torch.cuda.is_available() else None)
        try:
            chosen = torch.device(device)
        except (RuntimeError, TypeError) as error:
            raise UsageError(f"device {device!r}: {str(error).splitlines()[0]}") from error
        if chosen.type == "cpu":
            return cls(None)
        if chosen.type != "cuda" or not torch.cuda.is_available():
            raise UsageError(f"device {str(chosen)!r} is not available: give cpu, or a GPU that torch can use")
        return cls(torch.cuda.current_device() if chosen.index is None else chosen.index)

    @staticmethod
    def look() -> Gpus:
        """Return the GPUs that torch can use on this machine, with torch's error message if there are none."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the reason is requested below, and told in one line
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        said = ""
        if not count and torch.version.cuda:
            try:
                torch.cuda.init()
            except (RuntimeError, AssertionError) as error:
                said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Gpus(count, torch.__version__, torch.version.cuda, os.environ.get("CUDA_VISIBLE_DEVICES"), said)

    def either(self, *, cpu: Choice, gpu: Choice) -> Choice:
        """Return `cpu` on a CPU and `gpu` on a GPU, so that callers need not know the kind of device."""
        return cpu if self._index is None else gpu

    @property
    def ordinal(self) -> int | None:
        """The index of the GPU, to pass to other libraries such as DALI; None for the CPU."""
        return self._index

    def has(self, precision: str) -> bool:
        """Return whether this device supports this precision; True for "auto"."""
        return precision != "tf32" or self._index is not None

    def refuse(self, precision: str) -> None:
        """Raise UsageError for a precision that this device does not support."""
        if not self.has(precision):
            raise UsageError("runtime.precision is tf32, which needs a GPU; this run is on the CPU. Use fp32 or auto")

    @property
    def name(self) -> str:
        """The name of the device, to show to people."""
        return "cpu" if self._index is None else torch.cuda.get_device_name(self._index)

    def pci_address(self) -> str | None:
        """Return the GPU's PCI address in Linux notation; None for a CPU, or if torch does not know the address."""
        if self._index is None:
            return None
        slot: Any = torch.cuda.get_device_properties(self._index)  # the stub lacks these fields
        if not hasattr(slot, "pci_domain_id"):
            return None
        return f"{slot.pci_domain_id:04x}:{slot.pci_bus_id:02x}:{slot.pci_device_id:02x}.0"

    @property
    def backend(self) -> str:
        """The torch.distributed backend for tensors on this device."""
        return "gloo" if self._index is None else "nccl"

    def decode_placement(self, wanted: str) -> str:
        """Return where JPEGs are decoded: "cpu", or "mixed" (nvJPEG).

        "auto" gives "cpu"; to choose by the sizes of the images, call `place_decoder` instead. Raises UsageError if
        mixed decoding is requested without a GPU.
        """
        if wanted == "mixed" and self._index is None:
            raise UsageError("runtime.decode is mixed, which needs a GPU; this run is on the CPU. Use cpu or auto")
        return "mixed" if wanted == "mixed" else "cpu"

    def candidate_precisions(self) -> list[str]:
        """Return the precisions that "auto" chooses from.

        bf16 needs hardware support. On a CPU bf16 is not always faster, so fp32 is a candidate too.
        """
        if self._index is not None:
            return ["bf16"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp16"]
        return ["fp32", "bf16"] if torch.cpu._is_avx512_bf16_supported() else ["fp32"]  # noqa: SLF001

    def place(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Move the model to the device, and convert it to the device's memory format and to `dtype`."""
        model.to(self.device, dtype)
        model.to(memory_format=self._memory_format)  # type: ignore[call-overload]  # torch's stub lacks it

    def lay_out(self, images: Tensor) -> Tensor:
        """Return images (b, 3, h, w) in the device's memory format; images that have it already are not copied."""
        return images.contiguous(memory_format=self._memory_format)

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.contiguous_format if self.layout == "contiguous" else torch.channels_last

    def upload(self, array: NDArray[Any]) -> Tensor:
        """Return a NumPy array as a tensor on the device, without waiting for the copy."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor if self._index is None else tensor.pin_memory().to(self.device, non_blocking=True)

    @contextmanager
    def side_stream(self) -> Iterator[torch.cuda.Stream | None]:
        """Within this context, GPU work runs on a second stream, beside the stream of the training step."""
        if self._side is None:
            yield None
        else:
            with torch.cuda.device(self.device), torch.cuda.stream(self._side):
                yield self._side

    def named(self, name: str) -> AbstractContextManager[Any]:
        """Return a context that NVIDIA's profilers show as an NVTX range called `name`; on a CPU it does nothing."""
        return nullcontext() if self._index is None else torch.cuda.nvtx.range(name)

    def mark(self) -> torch.cuda.Event | None:
        """Return an event that marks this point in the current stream's work, for `wait` and `finish`; None on CPU."""
        if self._index is None:
            return None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.device))
        return event

    def wait(self, mark: torch.cuda.Event | None, *tensors: Tensor) -> None:
        """Make later work on the current stream wait for `mark`, which another stream recorded after making `tensors`.

        The memory of these tensors is not reused before the current stream has finished its work with them.
        """
        if mark is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(mark)
            for tensor in tensors:
                tensor.record_stream(stream)

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Within this context, torch's random numbers on this device and on the CPU depend only on `seed`.

        The states of the generators are restored afterwards; other GPUs' generators are not changed. The seeding does
        not make the host wait for the device.
        """
        generators = [torch.default_generator]
        if self._index is not None:
            generators.append(torch.cuda.default_generators[self._index])
        before = [generator.get_state() for generator in generators]
        try:
            for generator in generators:
                generator.manual_seed(seed)
            yield
        finally:
            for generator, state in zip(generators, before, strict=True):
                generator.set_state(state)

    def finish(self, mark: torch.cuda.Event | None) -> None:
        """Wait until the device has finished all work before `mark`."""
        if mark is not None:
            mark.synchronize()

    def host_buffer(self, size: int) -> torch.UntypedStorage:
        """Return `size` bytes of main memory; with a GPU, the memory is pinned, so the GPU can copy into it."""
        buffer = torch.UntypedStorage(size)
        return buffer if self._index is None else buffer.pin_memory()

    def synchronize(self) -> None:
        """Wait until the device has finished all its work."""
        if self._index is not None:
            torch.cuda.synchronize(self.device)

    def memory(self) -> Memory | None:
        """Return the device's memory as torch and the driver report it; None on a CPU."""
        if self._index is None:
            return None
        free, total = torch.cuda.mem_get_info(self.device)
        reserved = torch.cuda.memory_reserved(self.device)
        return Memory(total, torch.cuda.max_memory_allocated(self.device), total - free - reserved)

    def release(self) -> None:
        """Release device memory that torch caches but does not use, and reset the peak that `memory` returns."""
        if self._index is not None:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
