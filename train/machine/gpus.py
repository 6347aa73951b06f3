"""Decides how many of the GPUs found by torch a run may use, or explains in one line why the run can use none."""

from dataclasses import dataclass

from headrace.shards.errors import UsageError


@dataclass(frozen=True)
class Gpus:
    """The GPUs that torch found on this machine. `said` is torch's error message if CUDA cannot be initialised."""

    count: int
    torch: str  # its version
    built_for: str | None  # the CUDA version that torch was built for; None for a CPU build
    visible: str | None  # CUDA_VISIBLE_DEVICES; None if it is not set
    said: str = ""

    def choose(self, wanted: str, local_size: int) -> int:
        """Return the number of usable GPUs for the request "cpu", "cuda" or "auto"; 0 means the CPU.

        Raises UsageError if CUDA is requested but absent, or if this machine has fewer GPUs than processes of the run.
        """
        if wanted == "cpu":
            return 0
        if wanted == "cuda" and not self.count:
            raise UsageError(f"device: cuda was requested, but {self.absence}. To train on the CPU, give --device cpu")
        if 0 < self.count < local_size:
            raise UsageError(self._too_few(local_size))
        return self.count

    @property
    def absence(self) -> str:
        """A phrase that tells why torch can use no GPU, and what to do about that."""
        if self.built_for is None:
            return f"torch {self.torch} is built without CUDA: install a CUDA build"
        if self._hidden:
            return f"CUDA_VISIBLE_DEVICES is {self.visible!r}, which hides every GPU: unset it or name one"
        reason = f" ({self.said})" if self.said else ""
        seen = "" if self.visible is None else f" and CUDA_VISIBLE_DEVICES, which is {self.visible!r},"
        return (
            f"torch {self.torch}, built for CUDA {self.built_for}, can use no GPU{reason}: "
            f"check that nvidia-smi{seen} shows a GPU, and that its driver supports CUDA {self.built_for}"
        )

    @property
    def hint(self) -> str:
        """A short reason why a CUDA build of torch finds no GPU; "" if torch finds one, or is a CPU build."""
        if self.count or self.built_for is None:
            return ""
        if self._hidden:
            return f"CUDA_VISIBLE_DEVICES is {self.visible!r}"
        return self.said.partition(". ")[0] or "torch finds no GPU"  # torch goes on with advice and links

    @property
    def _hidden(self) -> bool:
        if self.visible is None:
            return False
        first = self.visible.split(",")[0].strip()
        return first in ("", "-1", "NoDevFiles")  # CUDA ignores everything from the first invalid name on

    def _too_few(self, local_size: int) -> str:
        seen = f"{self.count} GPU{'s are' if self.count > 1 else ' is'} visible"
        if self.visible is not None:
            seen += f" (CUDA_VISIBLE_DEVICES is {self.visible!r})"
        if self.visible is not None and "MIG-" in self.visible:
            return (
                f"{local_size} processes were started on this machine, but {seen}: a process can use only one MIG "
                "instance, and NCCL cannot connect MIG instances. Start one process, or name whole GPUs in "
                "CUDA_VISIBLE_DEVICES"
            )
        return (
            f"{local_size} processes were started on this machine, but {seen}, and NCCL cannot share a GPU among "
            f"processes: start {self.count}, or give --device cpu"
        )
