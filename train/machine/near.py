"""Restricts a process to the cores near its GPU: those of the CPU socket that the GPU's PCIe slot is connected to."""

import os
from pathlib import Path

from headrace.train.machine.device import Accelerator

_SYSTEM = Path("/sys")


def keep_near(accelerator: Accelerator) -> None:
    """Restrict this process, and the threads that it starts later, to the cores near its GPU.

    Kernel launches and copies of pixels then stay on one socket. Nothing changes if the system does not tell which
    cores are near the GPU, or if this process may use none of these cores.
    """
    address = accelerator.pci_address()
    if address is None:
        return
    near = cores_near(address) & os.sched_getaffinity(0)
    if near:
        os.sched_setaffinity(0, near)


def cores_near(address: str, system: Path = _SYSTEM) -> set[int]:
    """Return the numbers of the cores near the device at this PCI address; empty if the kernel does not tell."""
    try:
        listed = (system / "bus" / "pci" / "devices" / address / "local_cpulist").read_text(encoding="ascii")
    except OSError:
        return set()
    return cores_of(listed)


def cores_of(listed: str) -> set[int]:
    """Parse the kernel's notation of a list of cores, such as 0-3,8,10-11; return the numbers of the cores."""
    ends = [part.partition("-") for part in listed.strip().split(",") if part]
    return {core for first, _, last in ends for core in range(int(first), int(last or first) + 1)}
