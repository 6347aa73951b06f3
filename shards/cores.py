"""The number of cores that a process may use."""

import os


def allowed_cores() -> int:
    """The number of cores in this process's affinity mask. The CPU quota of the process's control group is ignored."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores() -> int:
    """The number of cores in this process's affinity mask, limited by the CPU quota of the process's control group."""
    cores = allowed_cores()
    try:
        with open("/sys/fs/cgroup/cpu.max", encoding="ascii") as file:  # noqa: PTH123  a kernel file
            quota, period = file.read().split()
        return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):
        return cores
