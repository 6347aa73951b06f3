"""Which cores are near a GPU: those of the socket that its PCIe slot belongs to."""

import os
from pathlib import Path

from headrace.train.machine.device import Accelerator

_SYSTEM = Path("/sys")


def keep_near(accelerator: Accelerator) -> None:
    """Let this process, and the threads that it starts from now on, run on cores near its GPU only.

    The step's launches and the copies of pixels then stay on one socket. Where the system does not say which cores are
    near, or this process may use none of them, nothing changes.
    """
    address = accelerator.pci_address()
    if address is None:
        return
    near = cores_near(address) & os.sched_getaffinity(0)
    if near:
        os.sched_setaffinity(0, near)


def cores_near(address: str, system: Path = _SYSTEM) -> set[int]:
    """The cores near the device at this PCI address; none where the kernel does not say."""
    try:
        listed = (system / "bus" / "pci" / "devices" / address / "local_cpulist").read_text(encoding="ascii")
    except OSError:
        return set()
    return cores_of(listed)


def cores_of(listed: str) -> set[int]:
    """The cores of a list as the kernel writes it, such as 0-3,8,10-11."""
    ends = [part.partition("-") for part in listed.strip().split(",") if part]
    return {core for first, _, last in ends for core in range(int(first), int(last or first) + 1)}
