"""The only place that knows whether the device is a CPU or a GPU: placement, precision, layout, streams, sync.

Everything else calls the same methods on both; on a CPU those that concern streams do nothing.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shards.errors import UsageError

Scaler = torch.amp.GradScaler
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "fp64": torch.float64}


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # <malloc.h>


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of giving it back and asking for it again every step.

    Activations of tens of megabytes are otherwise mapped, zeroed and unmapped each time.
    Other C libraries are left alone.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


class Accelerator:
    """One process's device. `index` is the CUDA device number, None on a CPU."""

    def __init__(self, index: int | None) -> None:
        self.index = index
        self.device = torch.device("cpu") if index is None else torch.device("cuda", index)
        self.precision = "fp32"
        self._side = None if index is None else torch.cuda.Stream(self.device)
        if index is not None:
            torch.cuda.set_device(index)
            torch.backends.cuda.matmul.allow_tf32 = True
            torch.backends.cudnn.allow_tf32 = True
            torch.backends.cudnn.benchmark = True

        else:
            keep_freed_memory()

    @classmethod
    def choose(cls, wanted: str, local_rank: int, local_size: int) -> "Accelerator":
        """The device for this rank: "cpu", "cuda", or "auto" for a GPU where there is one. Refuses as `gpus` does."""
        return cls(local_rank if cls.gpus(wanted, local_size) else None)

    @staticmethod
    def gpus(wanted: str, local_size: int) -> int:
        """How many GPUs there are to choose from; 0 means the CPU.

        Raises UsageError when CUDA is asked for and absent, or when there are fewer GPUs than local ranks.
        """
        count = torch.cuda.device_count() if wanted != "cpu" and torch.cuda.is_available() else 0
        if wanted == "cuda" and count == 0:
            raise UsageError(
                "device: cuda was asked for, but torch sees no usable GPU "
                f"(torch {torch.__version__}, built for CUDA {torch.version.cuda}). "
                "Check nvidia-smi and CUDA_VISIBLE_DEVICES, or run with --device cpu"
            )
        if 0 < count < local_size:
            raise UsageError(
                f"{local_size} processes were started here, but only {count} GPUs are visible; "
                f"one process per GPU: start {count}, or run with --device cpu"
            )
        return count

    @property
    def name(self) -> str:
        """The device in words."""
        return "cpu" if self.index is None else torch.cuda.get_device_name(self.index)

    @property
    def backend(self) -> str:
        """The torch.distributed backend for tensors on this device."""
        return "gloo" if self.index is None else "nccl"

    @property
    def dtype(self) -> torch.dtype:
        """What the forward pass computes in."""
        return _DTYPES[self.precision]

    @property
    def master_dtype(self) -> torch.dtype:
        """What weights and normalised images are kept in."""
        return torch.float64 if self.precision == "fp64" else torch.float32

    def make_deterministic(self) -> None:
        """Only algorithms that give the same bits every time, or an error from torch where there is none."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read by cuBLAS at its first use
        torch.use_deterministic_algorithms(mode=True)
        torch.backends.cudnn.benchmark = False

    def decode_placement(self, wanted: str) -> str:
        """Where JPEGs are decoded: "cpu", or "mixed" (nvJPEG). "auto" is the CPU, right for small images.

        Raises UsageError when mixed decoding is asked for without a GPU.
        """
        if wanted == "mixed" and self.index is None:
            raise UsageError("runtime.decode is mixed, which needs a GPU; this run is on the CPU. Use cpu or auto")
        return "mixed" if wanted == "mixed" else "cpu"

    def candidate_precisions(self) -> list[str]:
        """What "auto" chooses from: bf16 needs hardware for it, and on a CPU does not always pay."""
        if self.index is not None:
            return ["bf16"] if torch.cuda.is_bf16_supported(including_emulation=False) else ["fp16"]
        return ["fp32", "bf16"] if torch.cpu._is_avx512_bf16_supported() else ["fp32"]  # noqa: SLF001

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision for the forward pass; a no-op in fp32 and fp64."""
        mixed = self.precision in ("bf16", "fp16")
        return torch.autocast(self.device.type, dtype=self.dtype if mixed else torch.bfloat16, enabled=mixed)

    def scaler(self) -> Scaler:
        """Loss scaling for fp16; a no-op otherwise."""
        return Scaler(self.device.type, enabled=self.precision == "fp16")

    def place(self, model: nn.Module) -> None:
        """Move the model to the device, in channels_last layout and the master dtype."""
        model.to(self.device, self.master_dtype)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it

    def upload(self, array: NDArray[Any]) -> Tensor:
        """A numpy array as a tensor on the device, without waiting for the copy."""
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return tensor if self.index is None else tensor.pin_memory().to(self.device, non_blocking=True)

    @contextmanager
    def side_stream(self) -> Iterator[torch.cuda.Stream | None]:
        """Work issued inside goes to a stream of its own, beside the training step's."""
        if self._side is None:
            yield None
        else:
            with torch.cuda.device(self.device), torch.cuda.stream(self._side):
                yield self._side

    def keep(self, tensor: Tensor) -> Tensor:
        """The tensor in memory that torch owns: on a GPU a copy, as another library may reuse its buffer."""
        return tensor if self.index is None else tensor.clone()

    def mark(self) -> torch.cuda.Event | None:
        """A point in the current stream's work, to be waited for by another stream."""
        if self.index is None:
            return None
        event = torch.cuda.Event()
        event.record()
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
        if self.index is not None:
            torch.cuda.synchronize(self.device)
