"""Which GPUs a run may use, and in one line why there is none: what torch found, as plain values, judged here."""

from dataclasses import dataclass

from headrace.shards.errors import UsageError


@dataclass(frozen=True)
class Gpus:
    """What torch found on this machine. `said` is its own message where CUDA does not start."""

    count: int
    torch: str  # its version
    built_for: str | None  # the CUDA version that torch was built for, None for a CPU build
    visible: str | None  # CUDA_VISIBLE_DEVICES, None where it is not set
    said: str = ""

    def choose(self, wanted: str, local_size: int) -> int:
        """How many GPUs there are to choose from for "cpu", "cuda" or "auto"; 0 means the CPU.

        Raises UsageError when CUDA is asked for and absent, or when there are fewer GPUs than processes here.
        """
        if wanted == "cpu":
            return 0
        if wanted == "cuda" and not self.count:
            raise UsageError(f"device: cuda was asked for, but {self.absence}. Or run with --device cpu")
        if 0 < self.count < local_size:
            raise UsageError(self._too_few(local_size))
        return self.count

    @property
    def absence(self) -> str:
        """Why there is no GPU, and what to do about it; the least certain cause last."""
        if self.built_for is None:
            return f"torch {self.torch} is built without CUDA: install a build with it"
        if self._hidden:
            return f"CUDA_VISIBLE_DEVICES is {self.visible!r}, which hides every GPU: unset it or name one"
        reason = f" ({self.said})" if self.said else ""
        seen = "" if self.visible is None else f" and CUDA_VISIBLE_DEVICES, which is {self.visible!r},"
        return (
            f"torch {self.torch}, built for CUDA {self.built_for}, can use none{reason}: "
            f"check that nvidia-smi{seen} shows one, and that its driver is new enough for CUDA {self.built_for}"
        )

    @property
    def hint(self) -> str:
        """In a few words why a run that could use a GPU does not; nothing where torch is built for the CPU."""
        if self.count or self.built_for is None:
            return ""
        if self._hidden:
            return f"CUDA_VISIBLE_DEVICES is {self.visible!r}"
        return self.said or "torch finds none"

    @property
    def _hidden(self) -> bool:
        if self.visible is None:
            return False
        first = self.visible.split(",")[0].strip()
        return first in ("", "-1", "NoDevFiles")  # CUDA takes the names up to the first that is none

    def _too_few(self, local_size: int) -> str:
        seen = f"{self.count} GPU{'s are' if self.count > 1 else ' is'} visible"
        if self.visible is not None:
            seen += f" (CUDA_VISIBLE_DEVICES is {self.visible!r})"
        if self.visible is not None and "MIG-" in self.visible:
            return (
                f"{local_size} processes were started here, but {seen}: a process sees one MIG instance at most, and "
                "NCCL joins none. Start one process on it, or name whole GPUs"
            )
        return (
            f"{local_size} processes were started here, but {seen}, and NCCL cannot share one among processes: "
            f"start {self.count}, or run with --device cpu"
        )
