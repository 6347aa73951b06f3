"""Measures the peak memory of a run."""

import resource

from headrace.train.machine.device import Accelerator


def peak_resident() -> int:
    """Return the peak main memory of this process in bytes, including shared pages."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB


def device_memory(accelerator: Accelerator) -> dict[str, int]:
    """Return the bytes of device memory: the peak in tensors, the use outside torch, and the total. Empty on a CPU."""
    used = accelerator.memory()
    return {} if used is None else {"device_peak": used.peak, "device_others": used.others, "device_total": used.total}
