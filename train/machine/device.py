"""The only place that knows whether the device is a CPU or a GPU: placement, precision, layout, streams, sync.

Everything else calls the same methods on both; on a CPU those that concern streams do nothing. To have one changes
nothing of the process: what holds for all of it is set by `headrace.train.run.process`.
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
    """Whether torch uses AVX-512 on this processor."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512"


def computes_in_bf16(x: Tensor) -> bool:
    """Whether a convolution of x, on a CPU, computes in bf16: by autocast, or by what x is."""
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return x.dtype == torch.bfloat16


def lies_on_cpu(x: Tensor) -> bool:
    """Whether the numbers of x lie in main memory."""
    return x.device.type == "cpu"


class Memory(NamedTuple):
    """Bytes of device memory: in all, at the most in tensors, and held by others than torch (decoder, programs)."""

    total: int
    peak: int
    others: int


class Accelerator:
    """One process's device: the GPU of this number, or the CPU where it is None."""

    def __init__(self, index: int | None) -> None:
        self._index = index
        self.device = torch.device("cpu") if index is None else torch.device("cuda", index)
        self.layout = "channels_last"
        self._side = None if index is None else torch.cuda.Stream(self.device)

    @classmethod
    def choose(cls, wanted: str, local_rank: int, local_size: int) -> "Accelerator":
        """The device for this rank: "cpu", "cuda", or "auto" for a GPU where there is one. Refuses as `Gpus` does."""
        return cls(local_rank if cls.look().choose(wanted, local_size) else None)

    @classmethod
    def of(cls, device: torch.device | str | int | None) -> "Accelerator":
        """That of a device as torch names it; for None the current GPU, or the CPU where torch has none.

        Raises UsageError for another kind of device.
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
            raise UsageError(f"device {str(chosen)!r} is not available: give cpu, or a GPU that torch can use here")
        return cls(torch.cuda.current_device() if chosen.index is None else chosen.index)

    @staticmethod
    def look() -> Gpus:
        """The GPUs that torch can use here, and if there are none, what torch says about it."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is asked for below, and said in one line
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        said = ""
        if not count and torch.version.cuda:
            try:
                torch.cuda.init()
            except (RuntimeError, AssertionError) as error:
                said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Gpus(count, torch.__version__, torch.version.cuda, os.environ.get("CUDA_VISIBLE_DEVICES"), said)

    def either(self, *, cpu: Choice, gpu: Choice) -> Choice:
        """That of the two which is meant for this kind of device; so nobody else needs to know which kind it is."""
        return cpu if self._index is None else gpu

    @property
    def ordinal(self) -> int | None:
        """The GPU's number, as other libraries take it; None for the CPU."""
        return self._index

    def has(self, precision: str) -> bool:
        """Whether this device computes in this number format; "auto" is one that it has."""
        return precision != "tf32" or self._index is not None

    def refuse(self, precision: str) -> None:
        """Raise UsageError for a precision that this device does not have."""
        if not self.has(precision):
            raise UsageError("runtime.precision is tf32, which needs a GPU; this run is on the CPU. Use fp32 or auto")

    @property
    def name(self) -> str:
        """The device in words."""
        return "cpu" if self._index is None else torch.cuda.get_device_name(self._index)

    def pci_address(self) -> str | None:
        """Where the GPU is plugged in, as Linux writes it; None for a CPU, and where torch does not say."""
        if self._index is None:
            return None
        slot: Any = torch.cuda.get_device_properties(self._index)  # whose stub does not know these
        if not hasattr(slot, "pci_domain_id"):
            return None
        return f"{slot.pci_domain_id:04x}:{slot.pci_bus_id:02x}:{slot.pci_device_id:02x}.0"

    @property
    def backend(self) -> str:
        """The torch.distributed backend for tensors on this device."""
        return "gloo" if self._index is None else "nccl"

    def decode_placement(self, wanted: str) -> str:
        """Where JPEGs are decoded: "cpu", or "mixed" (nvJPEG). "auto" is the CPU, as where nothing is known of them.

        Raises UsageError when mixed decoding is asked for without a GPU.
        """
        if wanted == "mixed" and self._index is None:
            raise UsageError("runtime.decode is mixed, which needs a GPU; this run is on the CPU. Use cpu or auto")
        return "mixed" if wanted == "mixed" else "cpu"

    def candidate_precisions(self) -> list[str]:
        """What "auto" chooses from: bf16 needs hardware for it, and on a CPU does not always pay."""
        if self._index is not None:
            return ["bf16"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp16"]
        return ["fp32", "bf16"] if torch.cpu._is_avx512_bf16_supported() else ["fp32"]  # noqa: SLF001

    def place(self, model: nn.Module, dtype: torch.dtype) -> None:
        """Move the model to the device, in the layout, its numbers in `dtype`."""
        model.to(self.device, dtype)
        model.to(memory_format=self._memory_format)  # type: ignore[call-overload]  # torch's stub lacks it

    def lay_out(self, images: Tensor) -> Tensor:
        """Images (b, 3, h, w) in the layout, without a copy where they have it."""
        return images.contiguous(memory_format=self._memory_format)

    @property
    def _memory_format(self) -> torch.memory_format:
        return torch.contiguous_format if self.layout == "contiguous" else torch.channels_last

    def upload(self, array: NDArray[Any]) -> Tensor:
        """A numpy array as a tensor on the device, without waiting for the copy."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor if self._index is None else tensor.pin_memory().to(self.device, non_blocking=True)

    @contextmanager
    def side_stream(self) -> Iterator[torch.cuda.Stream | None]:
        """Work issued inside goes to a stream of its own, beside the training step's."""
        if self._side is None:
            yield None
        else:
            with torch.cuda.device(self.device), torch.cuda.stream(self._side):
                yield self._side

    def named(self, name: str) -> AbstractContextManager[Any]:
        """What is done inside has this name in NVIDIA's tools, as an NVTX range; on a CPU nothing has."""
        return nullcontext() if self._index is None else torch.cuda.nvtx.range(name)

    def mark(self) -> torch.cuda.Event | None:
        """A point in the current stream's work, to be waited for by another stream."""
        if self._index is None:
            return None
        event = torch.cuda.Event()
        event.record(torch.cuda.current_stream(self.device))
        return event

    def wait(self, mark: torch.cuda.Event | None, *tensors: Tensor) -> None:
        """Later work on the current stream starts after `mark`; the tensors made before it are safe to use."""
        if mark is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(mark)
            for tensor in tensors:
                tensor.record_stream(stream)

    def synchronize(self) -> None:
        """Wait until the device has done all that it was given."""
        if self._index is not None:
            torch.cuda.synchronize(self.device)

    def memory(self) -> Memory | None:
        """What torch and the driver say of the device's memory; None on a CPU."""
        if self._index is None:
            return None
        free, total = torch.cuda.mem_get_info(self.device)
        reserved = torch.cuda.memory_reserved(self.device)
        return Memory(total, torch.cuda.max_memory_allocated(self.device), total - free - reserved)

    def release(self) -> None:
        """Give back what torch keeps without using it, and measure the peak of memory anew."""
        if self._index is not None:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
