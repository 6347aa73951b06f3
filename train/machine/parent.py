"""A rank ends with the process that started it: none outlives the launcher, or the agent of torchrun."""

import ctypes
import os
import signal

_LAUNCHER = "HEADRACE_LAUNCHER"  # the launcher's process id, which may be 1 in a container
_FIRST_PARENT = os.getppid()  # cli imports this before torch, which takes seconds in which the parent may end
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def launcher_environment() -> dict[str, str]:
    """What tells the processes that this one starts who started them."""
    return {_LAUNCHER: str(os.getpid())}


def stop_with_launcher() -> None:
    """`stop_with_parent` if the launcher started this process; the first thing that a rank does."""
    if _LAUNCHER in os.environ:
        stop_with_parent()


def stop_with_parent() -> None:
    """Have the kernel send SIGTERM when the parent ends, and send it now if it has ended. Linux only, else nothing.

    Under torchrun, which does not say who it is, the parent is that which this process had when it began.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "prctl"):
        return
    libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(os.environ.get(_LAUNCHER, _FIRST_PARENT)):  # it ended before the kernel was asked
        os.kill(os.getpid(), signal.SIGTERM)
