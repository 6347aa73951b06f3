"""How much memory a run has used, at the most."""

import resource

from headrace.train.machine.device import Accelerator


def peak_resident() -> int:
    """Bytes of main memory that this process had at the most, shared pages among them."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # Linux counts in KiB


def device_memory(accelerator: Accelerator) -> dict[str, int]:
    """Bytes of the device: at the most in tensors, held by others, and in all. Empty on a CPU."""
    used = accelerator.memory()
    return {} if used is None else {"device_peak": used.peak, "device_others": used.others, "device_total": used.total}
