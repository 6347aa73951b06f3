"""Makes a rank end with the process that started it, so that no rank outlives the launcher or torchrun's agent."""

import ctypes
import os
import signal

_LAUNCHER = "HEADRACE_LAUNCHER"  # the launcher's process id, which may be 1 in a container
_FIRST_PARENT = os.getppid()  # cli imports this before torch, because the parent may end in the seconds that takes
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def launcher_environment() -> dict[str, str]:
    """Return environment variables that tell child processes the id of this process, the launcher."""
    return {_LAUNCHER: str(os.getpid())}


def stop_with_launcher() -> None:
    """Call `stop_with_parent` if Headrace's launcher started this process. A rank calls this before anything else."""
    if _LAUNCHER in os.environ:
        stop_with_parent()


def stop_with_parent() -> None:
    """Make the kernel send SIGTERM to this process when its parent ends, or send it now if the parent has ended.

    Works only on Linux. Headrace's launcher gives each rank the launcher's process id, but torchrun gives no such id.
    Under torchrun, the parent is therefore taken to be the process that was the parent when this module was imported.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "prctl"):
        return
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(os.environ.get(_LAUNCHER, _FIRST_PARENT)):  # it ended before the kernel was asked
        os.kill(os.getpid(), signal.SIGTERM)
