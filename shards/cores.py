"""The number of cores that a process may use."""

import os


def allowed_cores() -> int:
    """The number of cores in this process's affinity mask; quotas are ignored."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """The number of cores that this process may use: those of its affinity mask, up to its control group's quota."""
    cores = allowed_cores()
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123  a kernel file
            quota, period = file.read().split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores
